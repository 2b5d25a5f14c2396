/* The Python module wordfreq._kernel. For wordfreq.engine, wordfreq.tally and wordfreq.words. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdlib.h>
#include <string.h>

#include "scanner.h"
#include "table.h"

struct module_state {
    PyTypeObject *table_type, *cursor_type, *scanner_type;
};

struct table_object {
    PyObject_HEAD
    struct table table;
    bool busy; /* a thread works on it without the GIL */
};

struct cursor_object {
    PyObject_HEAD
    struct table_object *owner;
    struct entry *entries;
    size_t next, count;
    uint64_t changes; /* of the table when it was sorted */
};

struct scanner_object {
    PyObject_HEAD
    struct table_object *words;
    struct scanner *scanner;
};

/* Random numbers for a table, so that nobody can foresee its hashes. */
static bool random_key(uint64_t key[2])
{
    bool done = false;
    char *bytes;
    Py_ssize_t length;
    PyObject *const os = PyImport_ImportModule("os");
    PyObject *const random = os ? PyObject_CallMethod(os, "urandom", "i", 16) : NULL;
    if (random && PyBytes_AsStringAndSize(random, &bytes, &length) == 0 && length == 16) {
        key[0] = load64((const uint8_t *)bytes);
        key[1] = load64((const uint8_t *)bytes + 8);
        done = true;
    }
    Py_XDECREF(random);
    Py_XDECREF(os);
    return done;
}

static bool refuse_busy(const struct table_object *table)
{
    if (table->busy)
        PyErr_SetString(PyExc_RuntimeError, "another thread is using this table");
    return table->busy;
}

static PyObject *instance_of(PyTypeObject *type)
{
    const allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    return allocate(type, 0);
}

static void free_instance(PyObject *self)
{
    PyTypeObject *const type = Py_TYPE(self);
    const freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

/* ---- Table ---- */

static PyObject *table_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"memory", NULL};
    uint64_t key[2];
    Py_ssize_t memory;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "n:Table", names, &memory) || !random_key(key))
        return NULL;
    struct table_object *const self = (struct table_object *)instance_of(type);
    if (self && !table_init(&self->table, key, memory > 0 ? (size_t)memory : 0)) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    return (PyObject *)self;
}

static void table_dealloc(PyObject *self)
{
    table_free(&((struct table_object *)self)->table);
    free_instance(self);
}

/* Adds one item. False: with an exception. */
static bool add_item(struct table *table, PyObject *item)
{
    PyObject *word;
    unsigned long long count;
    Py_ssize_t length;
    if (!PyTuple_Check(item) || PyTuple_Size(item) != 2) {
        PyErr_SetString(PyExc_TypeError, "an item is a tuple of a word and its count");
        return false;
    }
    word = PyTuple_GetItem(item, 0);
    count = PyLong_AsUnsignedLongLong(PyTuple_GetItem(item, 1));
    if (count == (unsigned long long)-1 && PyErr_Occurred())
        return false;
    const char *const bytes = PyUnicode_AsUTF8AndSize(word, &length);
    if (!bytes)
        return false;
    if ((unsigned long long)length > UINT32_MAX) {
        PyErr_SetString(PyExc_ValueError, "a word is longer than 4 GiB");
        return false;
    }
    if (!table_add(table, (const uint8_t *)bytes, (size_t)length, count)) {
        PyErr_NoMemory();
        return false;
    }
    return true;
}

static bool refuse_changed(const struct cursor_object *self);

/* Adds what a cursor over another table has left, without making Python objects of it. */
static PyObject *add_cursor(struct table_object *self, struct cursor_object *from)
{
    size_t bytes = TABLE_STEP;
    if (refuse_busy(self) || refuse_changed(from))
        return NULL;
    if (from->owner == self) {
        PyErr_SetString(PyExc_ValueError, "a table can't be added to itself");
        return NULL;
    }
    while (from->next < from->count) {
        uint8_t buffer[16];
        size_t length;
        uint64_t count;
        if (bytes >= TABLE_STEP) { /* looked at now and then */
            bytes = 0;
            if (table_is_full(&self->table))
                Py_RETURN_FALSE;
        }
        const uint8_t *const word = table_word(
            &from->owner->table, from->entries[from->next].reference, buffer, &length, &count);
        if (!table_add(&self->table, word, length, count))
            return PyErr_NoMemory();
        from->next++;
        bytes += 16 + length;
    }
    Py_RETURN_TRUE;
}

PyDoc_STRVAR(table_add_doc,
             "add(items, /)\n--\n\n"
             "Add the (word, count) tuples of an iterator until the memory is used up.\n\n"
             "Returns whether all were added; if not, the iterator has the others still.");

static PyObject *table_add_method(PyObject *object, PyObject *items)
{
    struct table_object *const self = (struct table_object *)object;
    const struct module_state *const state = PyType_GetModuleState(Py_TYPE(object));
    if (state && Py_IS_TYPE(items, state->cursor_type))
        return add_cursor(self, (struct cursor_object *)items);
    PyObject *item;
    size_t bytes = TABLE_STEP;
    if (!PyIter_Check(items)) {
        PyErr_SetString(PyExc_TypeError, "add takes an iterator");
        return NULL;
    }
    for (;;) {
        if (refuse_busy(self)) /* getting an item may have run anything */
            return NULL;
        if (bytes >= TABLE_STEP) { /* looked at now and then */
            bytes = 0;
            if (table_is_full(&self->table))
                Py_RETURN_FALSE;
        }
        item = PyIter_Next(items);
        if (!item)
            break;
        const size_t before = self->table.bytes_used;
        const bool added = !refuse_busy(self) && add_item(&self->table, item);
        Py_DECREF(item);
        if (!added)
            return NULL;
        bytes += 16 + self->table.bytes_used - before;
    }
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_TRUE;
}

PyDoc_STRVAR(table_clear_doc, "clear()\n--\n\nForget all words.");

static PyObject *table_clear_method(PyObject *object, PyObject *unused)
{
    struct table_object *const self = (struct table_object *)object;
    (void)unused;
    if (refuse_busy(self))
        return NULL;
    if (!table_clear(&self->table))
        return PyErr_NoMemory();
    Py_RETURN_NONE;
}

static PyObject *sorted_cursor(struct table_object *table, bool by_count)
{
    const struct module_state *const state = PyType_GetModuleState(Py_TYPE(table));
    struct entry *entries;
    if (!state || refuse_busy(table))
        return NULL;
    table->busy = true;
    Py_BEGIN_ALLOW_THREADS
    entries = table_sorted(&table->table, by_count);
    Py_END_ALLOW_THREADS
    table->busy = false;
    if (!entries)
        return PyErr_NoMemory();
    struct cursor_object *const cursor =
        (struct cursor_object *)instance_of(state->cursor_type);
    if (!cursor) {
        free(entries);
        return NULL;
    }
    cursor->owner = (struct table_object *)Py_NewRef((PyObject *)table);
    cursor->entries = entries;
    cursor->count = table_distinct(&table->table);
    cursor->changes = table->table.changes;
    return (PyObject *)cursor;
}

PyDoc_STRVAR(table_by_word_doc,
             "by_word()\n--\n\nReturn a Cursor over the words in the order of their bytes.");

static PyObject *table_by_word(PyObject *self, PyObject *unused)
{
    (void)unused;
    return sorted_cursor((struct table_object *)self, false);
}

PyDoc_STRVAR(table_by_count_doc,
             "by_count()\n--\n\n"
             "Return a Cursor over the words by count, highest first, then by their bytes.");

static PyObject *table_by_count(PyObject *self, PyObject *unused)
{
    (void)unused;
    return sorted_cursor((struct table_object *)self, true);
}

static PyObject *table_total(PyObject *object, void *unused)
{
    const struct table_object *const self = (struct table_object *)object;
    (void)unused;
    return refuse_busy(self) ? NULL : PyLong_FromUnsignedLongLong(self->table.total);
}

static PyObject *table_full(PyObject *object, void *unused)
{
    const struct table_object *const self = (struct table_object *)object;
    (void)unused;
    return refuse_busy(self) ? NULL : PyBool_FromLong(table_is_full(&self->table));
}

static Py_ssize_t table_length(PyObject *object)
{
    const struct table_object *const self = (struct table_object *)object;
    return refuse_busy(self) ? -1 : (Py_ssize_t)table_distinct(&self->table);
}

static PyMethodDef table_methods[] = {
    {"add", table_add_method, METH_O, table_add_doc},
    {"clear", table_clear_method, METH_NOARGS, table_clear_doc},
    {"by_word", table_by_word, METH_NOARGS, table_by_word_doc},
    {"by_count", table_by_count, METH_NOARGS, table_by_count_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef table_attributes[] = {
    {"total", table_total, NULL, "Sum of the counts.", NULL},
    {"full", table_full, NULL, "Whether its memory is used up.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot table_slots[] = {
    {Py_tp_doc, "Table(memory)\n--\n\nCounts by word, in about `memory` bytes."},
    {Py_tp_new, table_new},
    {Py_tp_dealloc, table_dealloc},
    {Py_tp_methods, table_methods},
    {Py_tp_getset, table_attributes},
    {Py_mp_length, table_length},
    {0, NULL},
};

static PyType_Spec table_spec = {
    .name = "wordfreq._kernel.Table",
    .basicsize = sizeof(struct table_object),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = table_slots,
};

/* ---- Cursor ---- */

static void cursor_dealloc(PyObject *object)
{
    struct cursor_object *const self = (struct cursor_object *)object;
    free(self->entries);
    Py_XDECREF(self->owner);
    free_instance(object);
}

static bool refuse_changed(const struct cursor_object *self)
{
    if (refuse_busy(self->owner))
        return true;
    if (self->owner->table.changes != self->changes) {
        PyErr_SetString(PyExc_RuntimeError, "the table was changed while it was read");
        return true;
    }
    return false;
}

static PyObject *cursor_next(PyObject *object)
{
    struct cursor_object *const self = (struct cursor_object *)object;
    uint8_t buffer[16];
    size_t length;
    uint64_t count;
    if (self->next == self->count || refuse_changed(self))
        return NULL;
    const uint8_t *const bytes = table_word(
        &self->owner->table, self->entries[self->next++].reference, buffer, &length, &count);
    PyObject *const word = PyUnicode_DecodeUTF8((const char *)bytes, (Py_ssize_t)length, NULL);
    PyObject *const number = word ? PyLong_FromUnsignedLongLong(count) : NULL;
    PyObject *const item = number ? PyTuple_Pack(2, word, number) : NULL;
    Py_XDECREF(word);
    Py_XDECREF(number);
    return item;
}

static size_t write_number(uint8_t *out, uint64_t number)
{
    uint8_t digits[20];
    size_t count = 0;
    do
        digits[count++] = (uint8_t)('0' + number % 10);
    while (number /= 10);
    for (size_t i = 0; i < count; i++)
        out[i] = digits[count - 1 - i];
    return count;
}

PyDoc_STRVAR(cursor_lines_doc,
             "lines(separator, size, /)\n--\n\n"
             "Return the next words as lines `word separator count LF`: at least about `size`\n"
             "bytes, or what is left.");

static PyObject *cursor_lines(PyObject *object, PyObject *args)
{
    enum { LINE_EXTRA = 1 + 20 + 1 }; /* separator, digits, line end */
    struct cursor_object *const self = (struct cursor_object *)object;
    uint8_t buffer[16];
    const char *separator;
    Py_ssize_t separator_length, wanted;
    size_t length, size = 0;
    uint64_t count;
    if (!PyArg_ParseTuple(args, "y#n:lines", &separator, &separator_length, &wanted) ||
        refuse_changed(self))
        return NULL;
    if (separator_length != 1 || wanted < 1) {
        PyErr_SetString(PyExc_ValueError, "lines takes a separator of one byte, and 1 or more");
        return NULL;
    }
    const struct table *const table = &self->owner->table;
    size_t end = self->next;
    for (; end < self->count && size < (size_t)wanted; end++) {
        table_word(table, self->entries[end].reference, buffer, &length, &count);
        size += length + LINE_EXTRA;
    }
    uint8_t *const text = malloc(size + 1), *out = text;
    if (!text)
        return PyErr_NoMemory();
    for (; self->next < end; self->next++) {
        const uint64_t reference = self->entries[self->next].reference;
        const uint8_t *const word = table_word(table, reference, buffer, &length, &count);
        memcpy(out, word, length);
        out += length;
        *out++ = (uint8_t)separator[0];
        out += write_number(out, count);
        *out++ = '\n';
    }
    PyObject *const lines = PyBytes_FromStringAndSize((const char *)text, out - text);
    free(text);
    return lines;
}

static PyMethodDef cursor_methods[] = {
    {"lines", cursor_lines, METH_VARARGS, cursor_lines_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot cursor_slots[] = {
    {Py_tp_doc, "Iterates the (word, count) tuples of a Table, which mustn't change meanwhile."},
    {Py_tp_dealloc, cursor_dealloc},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, cursor_next},
    {Py_tp_methods, cursor_methods},
    {0, NULL},
};

static PyType_Spec cursor_spec = {
    .name = "wordfreq._kernel.Cursor",
    .basicsize = sizeof(struct cursor_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = cursor_slots,
};

/* ---- Scanner ---- */

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
    static char *names[] = {"table", "unicode", "portable", "icu", NULL};
    const struct module_state *const state = PyType_GetModuleState(type);
    PyObject *words, *functions = Py_None;
    int unicode, portable = 0;
    uint64_t key[2];
    struct icu *icu = NULL;
    if (!state ||
        !PyArg_ParseTupleAndKeywords(args, kwargs, "O!p|pO:Scanner", names, state->table_type,
                                     &words, &unicode, &portable, &functions) ||
        !random_key(key) || (functions != Py_None && !(icu = icu_from(functions))))
        return NULL;
    struct scanner_object *const self = (struct scanner_object *)instance_of(type);
    if (!self) {
        if (icu)
            icu_free(icu);
        return NULL;
    }
    self->words = (struct table_object *)Py_NewRef(words);
    self->scanner = scanner_new(&self->words->table, key, icu);
    if (!self->scanner) {
        if (icu)
            icu_free(icu);
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    self->scanner->unicode = unicode;
    if (portable)
        self->scanner->classify = portable_classifier();
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
             "feed(chunk, start, /)\n--\n\n"
             "Count the bytes of `chunk` from `start` on; return the position reached.\n\n"
             "Before the end, that means: make room in the table, call take_pieces and\n"
             "take_foreign, and go on from there.");

static PyObject *scanner_feed_method(PyObject *object, PyObject *args)
{
    struct scanner_object *const self = (struct scanner_object *)object;
    const char *chunk;
    Py_ssize_t length, start;
    PyObject *bytes;
    size_t used;
    enum scan_result result;
    if (!PyArg_ParseTuple(args, "Sn:feed", &bytes, &start) ||
        PyBytes_AsStringAndSize(bytes, (char **)&chunk, &length) < 0 || refuse_busy(self->words))
        return NULL;
    if (start < 0 || start > length) {
        PyErr_SetString(PyExc_ValueError, "start is outside the chunk");
        return NULL;
    }
    self->words->busy = true;
    Py_BEGIN_ALLOW_THREADS
    result = scanner_feed(self->scanner, (const uint8_t *)chunk + start, (size_t)(length - start),
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

PyDoc_STRVAR(scanner_take_pieces_doc,
             "take_pieces()\n--\n\n"
             "Return and forget the pieces that ICU has to cut, with how often each was there.");

static PyObject *scanner_take_pieces(PyObject *object, PyObject *unused)
{
    struct scanner_object *const self = (struct scanner_object *)object;
    (void)unused;
    if (refuse_busy(self->words))
        return NULL;
    struct table *const pieces = &self->scanner->pieces;
    const size_t distinct = table_distinct(pieces);
    struct entry *const entries = table_sorted(pieces, false);
    PyObject *taken = entries ? PyDict_New() : PyErr_NoMemory();
    for (size_t i = 0; taken && i < distinct; i++) {
        uint8_t buffer[16];
        size_t length;
        uint64_t count;
        const uint8_t *const piece =
            table_word(pieces, entries[i].reference, buffer, &length, &count);
        PyObject *const key = PyBytes_FromStringAndSize((const char *)piece, (Py_ssize_t)length);
        PyObject *const value = key ? PyLong_FromUnsignedLongLong(count) : NULL;
        if (!value || PyDict_SetItem(taken, key, value) < 0)
            Py_CLEAR(taken);
        Py_XDECREF(key);
        Py_XDECREF(value);
    }
    free(entries);
    if (taken && !table_clear(pieces)) {
        Py_DECREF(taken);
        return PyErr_NoMemory();
    }
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
    {"finish", scanner_finish_method, METH_NOARGS, scanner_finish_doc},
    {"take_pieces", scanner_take_pieces, METH_NOARGS, scanner_take_pieces_doc},
    {"take_foreign", scanner_take_foreign, METH_NOARGS, scanner_take_foreign_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef scanner_attributes[] = {
    {"invalid", scanner_invalid, NULL, "Bytes counted here that were no UTF-8.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot scanner_slots[] = {
    {Py_tp_doc, "Scanner(table, unicode, portable=False, icu=None)\n--\n\n"
                "Counts the words of one stream into `table`. With `unicode` false, ICU has to do\n"
                "everything that isn't ASCII. `portable`: without the machine's vector unit.\n"
                "`icu`: addresses in ICU (`wordfreq.icu.addresses`), so that only long pieces\n"
                "are left for the caller."},
    {Py_tp_new, new_scanner},
    {Py_tp_dealloc, scanner_dealloc},
    {Py_tp_methods, scanner_methods},
    {Py_tp_getset, scanner_attributes},
    {0, NULL},
};

static PyType_Spec scanner_spec = {
    .name = "wordfreq._kernel.Scanner",
    .basicsize = sizeof(struct scanner_object),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = scanner_slots,
};

/* ---- module ---- */

static PyTypeObject *add_type(PyObject *module, PyType_Spec *spec)
{
    PyObject *const type = PyType_FromModuleAndSpec(module, spec, NULL);
    if (type && PyModule_AddType(module, (PyTypeObject *)type) < 0) {
        Py_DECREF(type);
        return NULL;
    }
    return (PyTypeObject *)type;
}

static int module_exec(PyObject *module)
{
    struct module_state *const state = PyModule_GetState(module);
    const char *const vectors = best_classifier() == portable_classifier() ? "portable" : "avx2";
    if (!(state->table_type = add_type(module, &table_spec)) ||
        !(state->cursor_type = add_type(module, &cursor_spec)) ||
        !(state->scanner_type = add_type(module, &scanner_spec)) ||
        PyModule_AddStringConstant(module, "UNICODE_TABLES", UNICODE_VERSION) < 0 ||
        PyModule_AddStringConstant(module, "VECTORS", vectors) < 0)
        return -1;
    return 0;
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    const struct module_state *const state = PyModule_GetState(module);
    if (state) {
        Py_VISIT(state->table_type);
        Py_VISIT(state->cursor_type);
        Py_VISIT(state->scanner_type);
    }
    return 0;
}

static int module_clear(PyObject *module)
{
    struct module_state *const state = PyModule_GetState(module);
    if (state) {
        Py_CLEAR(state->table_type);
        Py_CLEAR(state->cursor_type);
        Py_CLEAR(state->scanner_type);
    }
    return 0;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
    {0, NULL},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "wordfreq._kernel",
    .m_doc = "Counts words at the speed of the machine. Used through wordfreq.words.",
    .m_size = sizeof(struct module_state),
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
};

PyMODINIT_FUNC PyInit__kernel(void)
{
    return PyModuleDef_Init(&module_definition);
}
