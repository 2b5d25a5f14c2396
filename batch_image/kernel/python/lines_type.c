/* What wordfreq_batch._kernel does with lines of text: Table.load and sort_by_count. */
#include <stdlib.h>

#include "merge/lines.h"
#include "python/module.h"

PyObject *table_load_method(PyObject *object, PyObject *args)
{
    struct table_object *const self = (struct table_object *)object;
    Py_ssize_t length, start, separator_length;
    const char *text, *separator;
    unsigned int part, parts;
    enum load_state state;
    if (!PyArg_ParseTuple(args, "y#ny#II:load", &text, &length, &start, &separator,
                          &separator_length, &part, &parts) ||
        refuse_busy(self))
        return NULL;
    if (start < 0 || start > length || separator_length != 1) {
        PyErr_SetString(PyExc_ValueError, "start is outside the text, or no separator of one byte");
        return NULL;
    }
    size_t position = (size_t)start;
    self->busy = true;
    Py_BEGIN_ALLOW_THREADS
    state = lines_load(&self->table, (const uint8_t *)text, (size_t)length, &position,
                       (uint8_t)*separator, (struct share){part, parts});
    Py_END_ALLOW_THREADS
    self->busy = false;
    if (state == LOAD_NO_MEMORY)
        return PyErr_NoMemory();
    if (state == LOAD_TOO_MANY) {
        PyErr_SetString(PyExc_OverflowError, TOO_MANY);
        return NULL;
    }
    return PyLong_FromSize_t(position);
}

PyObject *sort_by_count(PyObject *module, PyObject *lines)
{
    char *text;
    Py_ssize_t length;
    enum load_state state;
    (void)module;
    if (PyBytes_AsStringAndSize(lines, &text, &length) < 0)
        return NULL;
    PyObject *const sorted = PyBytes_FromStringAndSize(NULL, length);
    uint8_t *const out = sorted ? (uint8_t *)PyBytes_AsString(sorted) : NULL;
    if (!out)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    state = lines_sort_by_count((const uint8_t *)text, (size_t)length, out);
    Py_END_ALLOW_THREADS
    if (state == LOAD_DONE)
        return sorted;
    Py_DECREF(sorted);
    if (state == LOAD_BAD)
        PyErr_SetString(PyExc_ValueError, "these aren't whole lines of word, TAB and count");
    else
        PyErr_NoMemory();
    return NULL;
}
