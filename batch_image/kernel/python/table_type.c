/* The Python types wordfreq_batch._kernel.Table and Cursor. */
#include <stdlib.h>
#include <string.h>

#include "tables/absorb.h"
#include "base/crew.h"
#include "merge/lines.h"
#include "python/module.h"

static PyObject *table_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"memory", NULL};
    const struct module_state *const state = PyType_GetModuleState(type);
    Py_ssize_t memory;
    if (!state || !PyArg_ParseTupleAndKeywords(args, kwargs, "n:Table", names, &memory))
        return NULL;
    struct table_object *const self = (struct table_object *)instance_of(type);
    if (self && !table_init(&self->table, state->key, memory > 0 ? (size_t)memory : 0)) {
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
    if (!table_can_count(table, count)) {
        PyErr_SetString(PyExc_OverflowError, TOO_MANY);
        return false;
    }
    if (!table_add(table, (const uint8_t *)bytes, (size_t)length, count)) {
        PyErr_NoMemory();
        return false;
    }
    return true;
}

static bool refuse_changed(const struct cursor_object *self);

/* Whether all was added, or an exception. */
static PyObject *transferred(enum transfer result)
{
    if (result == TRANSFER_NO_MEMORY)
        return PyErr_NoMemory();
    if (result == TRANSFER_TOO_MANY) {
        PyErr_SetString(PyExc_OverflowError, TOO_MANY);
        return NULL;
    }
    return PyBool_FromLong(result == TRANSFER_DONE);
}

/* Adds what a cursor over another table has left, without making Python objects of it. */
static PyObject *add_cursor(struct table_object *self, struct cursor_object *from)
{
    enum transfer state;
    if (refuse_busy(self) || refuse_changed(from))
        return NULL;
    if (from->owner == self) {
        PyErr_SetString(PyExc_ValueError, "a table can't be added to itself");
        return NULL;
    }
    self->busy = from->owner->busy = true;
    Py_BEGIN_ALLOW_THREADS
    state = cursor_add_to(&from->cursor, &self->table);
    Py_END_ALLOW_THREADS
    self->busy = from->owner->busy = false;
    return transferred(state);
}

PyDoc_STRVAR(table_absorb_doc,
             "absorb(other, /)\n--\n\n"
             "Add all words of another table; False: there may not be room, and none was added.");

static PyObject *table_absorb_method(PyObject *object, PyObject *given)
{
    struct table_object *const self = (struct table_object *)object;
    const struct module_state *const state = PyType_GetModuleState(Py_TYPE(object));
    if (!state || !Py_IS_TYPE(given, state->table_type) || given == object) {
        PyErr_SetString(PyExc_TypeError, "absorb takes another Table");
        return NULL;
    }
    struct table_object *const other = (struct table_object *)given;
    enum transfer result;
    if (refuse_busy(self) || refuse_busy(other))
        return NULL;
    self->busy = other->busy = true;
    Py_BEGIN_ALLOW_THREADS
    result = table_absorb(&self->table, &other->table);
    Py_END_ALLOW_THREADS
    self->busy = other->busy = false;
    return transferred(result);
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

PyDoc_STRVAR(table_clear_doc,
             "clear(keep=False)\n--\n\n"
             "Forget all words; `keep` the memory, as there are as many to come.");

static PyObject *table_clear_method(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"keep", NULL};
    struct table_object *const self = (struct table_object *)object;
    int keep = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|p:clear", names, &keep) || refuse_busy(self))
        return NULL;
    table_clear(&self->table, keep);
    Py_RETURN_NONE;
}

static PyObject *new_cursor(struct table_object *table, enum order order)
{
    const struct module_state *const state = PyType_GetModuleState(Py_TYPE(table));
    bool done;
    if (!state || refuse_busy(table))
        return NULL;
    struct cursor_object *const cursor = (struct cursor_object *)instance_of(state->cursor_type);
    if (!cursor)
        return NULL;
    cursor->owner = (struct table_object *)Py_NewRef((PyObject *)table);
    table->busy = true;
    Py_BEGIN_ALLOW_THREADS
    done = cursor_start(&cursor->cursor, &table->table, order);
    Py_END_ALLOW_THREADS
    table->busy = false;
    if (!done) {
        Py_DECREF(cursor);
        return PyErr_NoMemory();
    }
    cursor->changes = table->table.changes;
    return (PyObject *)cursor;
}

PyDoc_STRVAR(table_by_word_doc,
             "by_word()\n--\n\nReturn a Cursor over the words in the order of their bytes.");

static PyObject *table_by_word(PyObject *self, PyObject *unused)
{
    (void)unused;
    return new_cursor((struct table_object *)self, BY_WORD);
}

PyDoc_STRVAR(table_by_count_doc,
             "by_count()\n--\n\n"
             "Return a Cursor over the words by count, highest first, then by their bytes.");

static PyObject *table_by_count(PyObject *self, PyObject *unused)
{
    (void)unused;
    return new_cursor((struct table_object *)self, BY_COUNT);
}

PyDoc_STRVAR(table_grow_doc, "grow(memory, /)\n--\n\nAllow it so many more bytes of memory.");

static PyObject *table_grow(PyObject *object, PyObject *more)
{
    struct table_object *const self = (struct table_object *)object;
    const size_t memory = PyLong_AsSize_t(more);
    if ((memory == (size_t)-1 && PyErr_Occurred()) || refuse_busy(self))
        return NULL;
    self->table.memory += memory < SIZE_MAX - self->table.memory ? memory : 0;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(table_use_threads_doc,
             "use_threads(number, /)\n--\n\nSort and absorb by so many threads from now on.");

static PyObject *table_use_threads(PyObject *object, PyObject *number)
{
    struct table_object *const self = (struct table_object *)object;
    const size_t threads = PyLong_AsSize_t(number);
    if ((threads == (size_t)-1 && PyErr_Occurred()) || refuse_busy(self))
        return NULL;
    self->table.threads = threads < MOST_THREADS ? (unsigned)threads : MOST_THREADS;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(table_expect_doc,
             "expect_words(times, /)\n--\n\n"
             "Make room for so many times the different words that there are, within its memory.");

static PyObject *table_expect_method(PyObject *object, PyObject *number)
{
    struct table_object *const self = (struct table_object *)object;
    const size_t times = PyLong_AsSize_t(number);
    if ((times == (size_t)-1 && PyErr_Occurred()) || refuse_busy(self))
        return NULL;
    if (!times) {
        PyErr_SetString(PyExc_ValueError, "expect_words takes 1 or more");
        return NULL;
    }
    return table_expect_words(&self->table, times) ? Py_NewRef(Py_None) : PyErr_NoMemory();
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

PyDoc_STRVAR(table_load_doc,
             "load(lines, start, separator, part, parts, /)\n--\n\n"
             "Add the words of whole lines `word separator count LF` from `start` on, but only\n"
             "share `part` of `parts`. Returns the position reached: before the end if the memory\n"
             "is used up, or at a bad line.");

static PyMethodDef table_methods[] = {
    {"add", table_add_method, METH_O, table_add_doc},
    {"absorb", table_absorb_method, METH_O, table_absorb_doc},
    {"use_threads", table_use_threads, METH_O, table_use_threads_doc},
    {"load", table_load_method, METH_VARARGS, table_load_doc},
    {"expect_words", table_expect_method, METH_O, table_expect_doc},
    {"clear", (PyCFunction)(void (*)(void))table_clear_method, METH_VARARGS | METH_KEYWORDS,
     table_clear_doc},
    {"by_word", table_by_word, METH_NOARGS, table_by_word_doc},
    {"by_count", table_by_count, METH_NOARGS, table_by_count_doc},
    {"grow", table_grow, METH_O, table_grow_doc},
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

PyType_Spec table_spec = {
    .name = "wordfreq_batch._kernel.Table",
    .basicsize = sizeof(struct table_object),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = table_slots,
};

/* ---- Cursor ---- */

static void cursor_dealloc(PyObject *object)
{
    struct cursor_object *const self = (struct cursor_object *)object;
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

static PyObject *next_item(PyObject *object)
{
    struct cursor_object *const self = (struct cursor_object *)object;
    struct word word;
    if (refuse_changed(self) || !cursor_next(&self->cursor, &word))
        return NULL;
    PyObject *const text =
        PyUnicode_DecodeUTF8((const char *)word.bytes, (Py_ssize_t)word.length, NULL);
    PyObject *const number = text ? PyLong_FromUnsignedLongLong(word.count) : NULL;
    PyObject *const item = number ? PyTuple_Pack(2, text, number) : NULL;
    Py_XDECREF(text);
    Py_XDECREF(number);
    return item;
}

PyDoc_STRVAR(cursor_lines_doc,
             "lines(separator, size, /)\n--\n\n"
             "Return the next words as lines `word separator count LF`: at least about `size`\n"
             "bytes, or what is left.");

static PyObject *cursor_lines(PyObject *object, PyObject *args)
{
    struct cursor_object *const self = (struct cursor_object *)object;
    struct buffer text = {0};
    struct word word;
    const char *separator;
    Py_ssize_t separator_length, wanted;
    bool done = true;
    if (!PyArg_ParseTuple(args, "y#n:lines", &separator, &separator_length, &wanted) ||
        refuse_changed(self))
        return NULL;
    if (separator_length != 1 || wanted < 1) {
        PyErr_SetString(PyExc_ValueError, "lines takes a separator of one byte, and 1 or more");
        return NULL;
    }
    const uint8_t between = (uint8_t)separator[0]; /* without the GIL the object may go away */
    self->owner->busy = true;
    Py_BEGIN_ALLOW_THREADS
    while (done && text.length < (size_t)wanted && cursor_next(&self->cursor, &word))
        done = line_append(&text, &word, between);
    Py_END_ALLOW_THREADS
    self->owner->busy = false;
    PyObject *const lines =
        done ? PyBytes_FromStringAndSize((const char *)text.bytes, (Py_ssize_t)text.length)
             : PyErr_NoMemory();
    free(text.bytes);
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
    {Py_tp_iternext, next_item},
    {Py_tp_methods, cursor_methods},
    {0, NULL},
};

PyType_Spec cursor_spec = {
    .name = "wordfreq_batch._kernel.Cursor",
    .basicsize = sizeof(struct cursor_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = cursor_slots,
};
