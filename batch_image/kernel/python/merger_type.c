/* The Python type wordfreq_batch._kernel.Merger. */
#include <stdlib.h>

#include "merge/merger.h"
#include "python/module.h"

struct merger_object {
    PyObject_HEAD
    struct merger merger;
    bool busy; /* a thread works on it without the GIL */
};

static PyObject *merger_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"inputs", "outputs", "by_count", "part", "parts", NULL};
    Py_ssize_t inputs, outputs;
    int by_count;
    unsigned int part, parts;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "nnpII:Merger", names, &inputs, &outputs,
                                     &by_count, &part, &parts))
        return NULL;
    if (inputs < 0 || outputs < 1) {
        PyErr_SetString(PyExc_ValueError, "there are 0 or more inputs, and 1 or more outputs");
        return NULL;
    }
    struct merger_object *const self = (struct merger_object *)instance_of(type);
    if (self && !merger_init(&self->merger, (size_t)inputs, (size_t)outputs, by_count,
                             (struct share){part, parts})) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    return (PyObject *)self;
}

static void merger_dealloc(PyObject *self)
{
    merger_free(&((struct merger_object *)self)->merger);
    free_instance(self);
}

static bool refuse_busy_merger(const struct merger_object *self)
{
    if (self->busy)
        PyErr_SetString(PyExc_RuntimeError, "another thread is using this merger");
    return self->busy;
}

PyDoc_STRVAR(merger_feed_doc,
             "feed(input, text, /)\n--\n\nGive an input more of its text; nothing ends it.");

static PyObject *merger_feed_method(PyObject *object, PyObject *args)
{
    struct merger_object *const self = (struct merger_object *)object;
    Py_ssize_t input, length;
    const char *text;
    if (!PyArg_ParseTuple(args, "ny#:feed", &input, &text, &length) || refuse_busy_merger(self))
        return NULL;
    if (input < 0 || (size_t)input >= self->merger.inputs_count) {
        PyErr_SetString(PyExc_ValueError, "there is no such input");
        return NULL;
    }
    if (!merger_feed(&self->merger, (size_t)input, (const uint8_t *)text, (size_t)length))
        return PyErr_NoMemory();
    Py_RETURN_NONE;
}

/* What is wrong with an input: its number, that of the line, and the line (of a long one as much as
 * is there). */
static PyObject *bad_line(const struct merger *merger)
{
    const struct merge_input *const input = &merger->inputs[merger->at];
    const char *const text = (const char *)input->bytes + input->next;
    size_t length = 0;
    while (input->next + length < input->used && text[length] != '\n')
        length++;
    return Py_BuildValue("nKy#", (Py_ssize_t)merger->at, (unsigned long long)input->lines + 1,
                         text, (Py_ssize_t)length);
}

/* The finished lines of all outputs. */
static PyObject *taken(struct merger *merger)
{
    PyObject *const lists = PyList_New((Py_ssize_t)merger->outputs_count);
    for (size_t i = 0; lists && i < merger->outputs_count; i++) {
        const struct merge_output *const output = &merger->outputs[i];
        PyObject *const lines = PyBytes_FromStringAndSize((const char *)output->bytes,
                                                          (Py_ssize_t)output->finished);
        if (!lines || PyList_SetItem(lists, (Py_ssize_t)i, lines) < 0) {
            Py_DECREF(lists);
            return NULL;
        }
    }
    if (lists)
        merger_taken(merger);
    return lists;
}

PyDoc_STRVAR(merger_merge_doc,
             "merge(separator, size, /)\n--\n\n"
             "Merge on; return about `size` bytes of lines `word separator count`, in a list of the\n"
             "outputs (all empty: that was all), or the number of the input to feed first, or of a\n"
             "bad line its input, number and text.");

static PyObject *merger_merge(PyObject *object, PyObject *args)
{
    struct merger_object *const self = (struct merger_object *)object;
    Py_ssize_t size, separator_length;
    const char *separator;
    enum merge_state state;
    if (!PyArg_ParseTuple(args, "y#n:merge", &separator, &separator_length, &size) ||
        refuse_busy_merger(self))
        return NULL;
    if (separator_length != 1 || size < 1) {
        PyErr_SetString(PyExc_ValueError, "merge takes a separator of one byte, and 1 or more");
        return NULL;
    }
    self->merger.separator = (uint8_t)*separator;
    self->busy = true;
    Py_BEGIN_ALLOW_THREADS
    state = merger_run(&self->merger, (size_t)size);
    Py_END_ALLOW_THREADS
    self->busy = false;
    switch (state) {
    case MERGE_HUNGRY:
        return PyLong_FromSize_t(self->merger.at);
    case MERGE_BAD:
        return bad_line(&self->merger);
    case MERGE_TOO_MANY:
        PyErr_SetString(PyExc_OverflowError, TOO_MANY);
        return NULL;
    case MERGE_NO_MEMORY:
        return PyErr_NoMemory();
    default:
        return taken(&self->merger);
    }
}

static PyObject *merger_total(PyObject *object, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(((struct merger_object *)object)->merger.total);
}

static PyObject *merger_distinct(PyObject *object, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(((struct merger_object *)object)->merger.distinct);
}

static PyMethodDef merger_methods[] = {
    {"feed", merger_feed_method, METH_VARARGS, merger_feed_doc},
    {"merge", merger_merge, METH_VARARGS, merger_merge_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef merger_attributes[] = {
    {"total", merger_total, NULL, "Sum of the counts merged so far.", NULL},
    {"distinct", merger_distinct, NULL, "Different words merged so far.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot merger_slots[] = {
    {Py_tp_doc, "Merger(inputs, outputs, by_count, part, parts)\n--\n\n"
                "Merges sorted lines `word TAB count` k ways.\n\n"
                "Inputs are sorted by word, and equal words are added up; or by count, and no\n"
                "word comes twice. Of `parts` shares of all words only `part` is read. Lines\n"
                "whose count is below `outputs` have an output of their own for each count, all\n"
                "others are in the first."},
    {Py_tp_new, merger_new},
    {Py_tp_dealloc, merger_dealloc},
    {Py_tp_methods, merger_methods},
    {Py_tp_getset, merger_attributes},
    {0, NULL},
};

PyType_Spec merger_spec = {
    .name = "wordfreq_batch._kernel.Merger",
    .basicsize = sizeof(struct merger_object),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = merger_slots,
};
