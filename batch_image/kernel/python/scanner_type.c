/* The Python type wordfreq_batch._kernel.Scanner. */
#include <stdlib.h>
#include <string.h>

#include "scan/batch.h"
#include "python/module.h"

struct scanner_object {
    PyObject_HEAD
    struct table_object *words;
    struct scanner *scanner;
};

/* Takes the addresses of ICU's functions: a tuple in the order of struct icu_functions. */
static struct icu *icu_from(PyObject *addresses)
{
    enum { COUNT = 7 };
    void *found[COUNT];
    if (!PyTuple_Check(addresses) || PyTuple_Size(addresses) != COUNT) {
        PyErr_SetString(PyExc_TypeError, "icu is a tuple of 7 addresses");
        return NULL;
    }
    for (Py_ssize_t i = 0; i < COUNT; i++) {
        found[i] = PyLong_AsVoidPtr(PyTuple_GetItem(addresses, i));
        if (!found[i]) {
            if (!PyErr_Occurred())
                PyErr_SetString(PyExc_ValueError, "an address is 0");
            return NULL;
        }
    }
    struct icu_functions functions;
    _Static_assert(sizeof functions == sizeof found, "all of its members are addresses");
    memcpy(&functions, found, sizeof functions);
    struct icu *const icu = icu_new(&functions);
    if (!icu)
        PyErr_NoMemory();
    return icu;
}

/* Sets the exception for a scan that went wrong. */
static bool refuse_failed(enum scan_result result)
{
    if (result == SCAN_NO_MEMORY)
        PyErr_NoMemory();
    else if (result == SCAN_ICU_FAILED)
        PyErr_SetString(PyExc_RuntimeError, "ICU failed to cut a text into words");
    return result == SCAN_NO_MEMORY || result == SCAN_ICU_FAILED;
}

static PyObject *new_scanner(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"table", "unicode", "icu", "machine", NULL};
    const struct module_state *const state = PyType_GetModuleState(type);
    PyObject *words, *functions = Py_None;
    const struct machine *const *machine = machines();
    const char *wanted = NULL;
    int unicode;
    struct icu *icu = NULL;
    if (!state ||
        !PyArg_ParseTupleAndKeywords(args, kwargs, "O!p|Oz:Scanner", names, state->table_type,
                                     &words, &unicode, &functions, &wanted))
        return NULL;
    while (wanted && *machine && strcmp((*machine)->name, wanted) != 0)
        machine++;
    if (!*machine) {
        PyErr_SetString(PyExc_ValueError, "machine isn't one of MACHINES");
        return NULL;
    }
    if (functions != Py_None && !(icu = icu_from(functions)))
        return NULL;
    struct scanner_object *const self = (struct scanner_object *)instance_of(type);
    if (!self) {
        if (icu)
            icu_free(icu);
        return NULL;
    }
    self->words = (struct table_object *)Py_NewRef(words);
    self->scanner = scanner_new(&self->words->table, state->key, icu);
    if (!self->scanner) {
        if (icu)
            icu_free(icu);
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    self->scanner->unicode = unicode;
    self->scanner->machine = *machine;
    return (PyObject *)self;
}

static void scanner_dealloc(PyObject *object)
{
    struct scanner_object *const self = (struct scanner_object *)object;
    if (self->scanner)
        scanner_free(self->scanner);
    Py_XDECREF(self->words);
    free_instance(object);
}

PyDoc_STRVAR(scanner_feed_doc,
             "feed(chunk, start, end, /)\n--\n\n"
             "Count the bytes of `chunk` from `start` to `end`; return the position reached.\n\n"
             "Before the end, that means: make room in the table, call take_pieces and\n"
             "take_foreign, and go on from there.");

static PyObject *scanner_feed_method(PyObject *object, PyObject *args)
{
    struct scanner_object *const self = (struct scanner_object *)object;
    const char *chunk;
    Py_ssize_t length, start, end;
    PyObject *bytes;
    size_t used;
    enum scan_result result;
    if (!PyArg_ParseTuple(args, "Snn:feed", &bytes, &start, &end) ||
        PyBytes_AsStringAndSize(bytes, (char **)&chunk, &length) < 0 || refuse_busy(self->words))
        return NULL;
    if (start < 0 || start > end || end > length) {
        PyErr_SetString(PyExc_ValueError, "start or end is outside the chunk");
        return NULL;
    }
    self->words->busy = true;
    Py_BEGIN_ALLOW_THREADS
    result = scanner_feed(self->scanner, (const uint8_t *)chunk + start, (size_t)(end - start),
                          &used);
    Py_END_ALLOW_THREADS
    self->words->busy = false;
    if (refuse_failed(result))
        return NULL;
    return PyLong_FromSsize_t(start + (Py_ssize_t)used);
}

PyDoc_STRVAR(scanner_finish_doc,
             "finish()\n--\n\n"
             "Count what is left at the end of the stream. Returns whether that is all: if not,\n"
             "make room in the table and call it again.");

static PyObject *scanner_finish_method(PyObject *object, PyObject *unused)
{
    struct scanner_object *const self = (struct scanner_object *)object;
    enum scan_result result;
    (void)unused;
    if (refuse_busy(self->words))
        return NULL;
    self->words->busy = true;
    Py_BEGIN_ALLOW_THREADS
    result = scanner_finish(self->scanner);
    Py_END_ALLOW_THREADS
    self->words->busy = false;
    if (refuse_failed(result))
        return NULL;
    return PyBool_FromLong(result == SCAN_DONE);
}

PyDoc_STRVAR(scanner_reset_doc,
             "reset()\n--\n\n"
             "Forget the stream, for another. The words it has counted stay in the table.");

static PyObject *scanner_reset_method(PyObject *object, PyObject *unused)
{
    struct scanner_object *const self = (struct scanner_object *)object;
    (void)unused;
    if (refuse_busy(self->words))
        return NULL;
    scanner_reset(self->scanner);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(scanner_count_each_doc,
             "count_each(texts, separator, total, /)\n--\n\n"
             "Count each of some small texts by itself, and add their words to the table `total`,\n"
             "unless that is None. Returns a tuple of text `word separator count LF` by count, the\n"
             "number of words, of different ones and of bytes that were no UTF-8 for each text up\n"
             "to the first that has to be fed. Scanner and table have to be empty, and are then.");

/* What became of one text; nothing: with an exception. */
static PyObject *counted_text(const struct batch_text *text)
{
    return Py_BuildValue("(y#KKK)", text->lines.length ? (const char *)text->lines.bytes : "",
                         (Py_ssize_t)text->lines.length, (unsigned long long)text->words,
                         (unsigned long long)text->distinct, (unsigned long long)text->invalid);
}

/* The texts of a tuple of bytes; NULL: with an exception. */
static struct batch_text *texts_from(PyObject *tuple, size_t count)
{
    struct batch_text *const texts = calloc(count + 1, sizeof *texts);
    if (!texts)
        PyErr_NoMemory();
    for (size_t i = 0; texts && i < count; i++) {
        char *bytes;
        Py_ssize_t length;
        if (PyBytes_AsStringAndSize(PyTuple_GetItem(tuple, (Py_ssize_t)i), &bytes, &length) < 0) {
            free(texts);
            return NULL;
        }
        texts[i] = (struct batch_text){.bytes = (const uint8_t *)bytes, .length = (size_t)length};
    }
    return texts;
}

static PyObject *count_texts(struct scanner_object *self, PyObject *tuple, uint8_t separator,
                             struct table_object *total)
{
    const size_t count = (size_t)PyTuple_Size(tuple);
    struct batch_text *const texts = texts_from(tuple, count);
    bool added;
    size_t done;
    if (!texts)
        return NULL;
    self->words->busy = true;
    if (total)
        total->busy = true;
    Py_BEGIN_ALLOW_THREADS
    added = batch_count(self->scanner, texts, count, separator, total ? &total->table : NULL, &done);
    Py_END_ALLOW_THREADS
    self->words->busy = false;
    if (total)
        total->busy = false;
    PyObject *list = added ? PyList_New(0) : PyErr_NoMemory();
    for (size_t i = 0; i < count; i++) {
        PyObject *const counted = list && i < done ? counted_text(&texts[i]) : NULL;
        if (list && i < done && (!counted || PyList_Append(list, counted) < 0))
            Py_CLEAR(list);
        Py_XDECREF(counted);
        free(texts[i].lines.bytes);
    }
    free(texts);
    return list;
}

static PyObject *scanner_count_each(PyObject *object, PyObject *args)
{
    struct scanner_object *const self = (struct scanner_object *)object;
    const struct module_state *const state = PyType_GetModuleState(Py_TYPE(object));
    PyObject *texts, *total;
    const char *separator;
    Py_ssize_t separator_length;
    if (!state || !PyArg_ParseTuple(args, "Oy#O:count_each", &texts, &separator,
                                    &separator_length, &total))
        return NULL;
    if (separator_length != 1 || (total != Py_None && !Py_IS_TYPE(total, state->table_type)) ||
        total == (PyObject *)self->words) {
        PyErr_SetString(PyExc_ValueError, "a separator of one byte and another Table are wanted");
        return NULL;
    }
    struct table_object *const other = total == Py_None ? NULL : (struct table_object *)total;
    PyObject *const tuple = PySequence_Tuple(texts); /* nobody else changes it */
    if (!tuple)
        return NULL;
    PyObject *list = NULL;
    if (!refuse_busy(self->words) && !(other && refuse_busy(other))) {
        if (table_distinct(&self->words->table) || self->scanner->filled || self->scanner->failure)
            PyErr_SetString(PyExc_ValueError, "the scanner or its table is in use: reset them");
        else
            list = count_texts(self, tuple, (uint8_t)*separator, other);
    }
    Py_DECREF(tuple);
    return list;
}

PyDoc_STRVAR(scanner_take_pieces_doc,
             "take_pieces()\n--\n\n"
             "Return and forget the pieces that ICU has to cut, with how often each was there:\n"
             "none if the scanner calls ICU itself.");

static PyObject *scanner_take_pieces(PyObject *object, PyObject *unused)
{
    struct scanner_object *const self = (struct scanner_object *)object;
    (void)unused;
    if (refuse_busy(self->words))
        return NULL;
    if (self->scanner->icu)
        return PyDict_New();
    struct table *const pieces = &self->scanner->pieces;
    struct cursor cursor;
    struct word piece;
    PyObject *taken = cursor_start(&cursor, pieces, ANY_ORDER) ? PyDict_New() : PyErr_NoMemory();
    while (taken && cursor_next(&cursor, &piece)) {
        PyObject *const key =
            PyBytes_FromStringAndSize((const char *)piece.bytes, (Py_ssize_t)piece.length);
        PyObject *const value = key ? PyLong_FromUnsignedLongLong(piece.count) : NULL;
        if (!value || PyDict_SetItem(taken, key, value) < 0)
            Py_CLEAR(taken);
        Py_XDECREF(key);
        Py_XDECREF(value);
    }
    if (taken)
        table_clear(pieces, false);
    return taken;
}

PyDoc_STRVAR(scanner_take_foreign_doc,
             "take_foreign()\n--\n\n"
             "Return and forget the text of long pieces that ICU has to cut: a stream of its own,\n"
             "a line for each piece, of which the next call returns the continuation.");

static PyObject *scanner_take_foreign(PyObject *object, PyObject *unused)
{
    struct scanner_object *const self = (struct scanner_object *)object;
    (void)unused;
    if (refuse_busy(self->words))
        return NULL;
    struct buffer *const foreign = &self->scanner->foreign;
    PyObject *const taken =
        PyBytes_FromStringAndSize((const char *)foreign->bytes, (Py_ssize_t)foreign->length);
    if (taken)
        foreign->length = 0;
    return taken;
}

static PyObject *scanner_invalid(PyObject *object, void *unused)
{
    const struct scanner_object *const self = (struct scanner_object *)object;
    (void)unused;
    return refuse_busy(self->words) ? NULL : PyLong_FromUnsignedLongLong(self->scanner->invalid);
}

static PyMethodDef scanner_methods[] = {
    {"feed", scanner_feed_method, METH_VARARGS, scanner_feed_doc},
    {"count_each", scanner_count_each, METH_VARARGS, scanner_count_each_doc},
    {"finish", scanner_finish_method, METH_NOARGS, scanner_finish_doc},
    {"reset", scanner_reset_method, METH_NOARGS, scanner_reset_doc},
    {"take_pieces", scanner_take_pieces, METH_NOARGS, scanner_take_pieces_doc},
    {"take_foreign", scanner_take_foreign, METH_NOARGS, scanner_take_foreign_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef scanner_attributes[] = {
    {"invalid", scanner_invalid, NULL, "Bytes counted here that were no UTF-8.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot scanner_slots[] = {
    {Py_tp_doc, "Scanner(table, unicode, icu=None, machine=None)\n--\n\n"
                "Counts the words of one stream into `table`. With `unicode` false, ICU has to do\n"
                "everything that isn't ASCII. `icu`: addresses in ICU (`wordfreq_batch.tables.icu.addresses`),\n"
                "so that nothing is left for the caller. `machine`: one of MACHINES, else the\n"
                "first of them."},
    {Py_tp_new, new_scanner},
    {Py_tp_dealloc, scanner_dealloc},
    {Py_tp_methods, scanner_methods},
    {Py_tp_getset, scanner_attributes},
    {0, NULL},
};

PyType_Spec scanner_spec = {
    .name = "wordfreq_batch._kernel.Scanner",
    .basicsize = sizeof(struct scanner_object),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = scanner_slots,
};
