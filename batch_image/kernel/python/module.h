/* What the types of the Python module wordfreq_batch._kernel have in common. */
#ifndef WORDFREQ_MODULE_H
#define WORDFREQ_MODULE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "tables/cursor.h"

struct module_state {
    PyTypeObject *table_type, *cursor_type, *scanner_type, *merger_type;
    uint64_t key[2]; /* of all tables, so that one takes over another's words in the order of its slots */
};

struct table_object {
    PyObject_HEAD
    struct table table;
    bool busy; /* a thread works on it without the GIL */
};

struct cursor_object {
    PyObject_HEAD
    struct table_object *owner;
    struct cursor cursor;
    uint64_t changes; /* of the table when it was sorted */
};

/* Whether another thread is at work on a table; then with an exception. */
bool refuse_busy(const struct table_object *table);

PyObject *instance_of(PyTypeObject *type);
void free_instance(PyObject *self);

/* load(lines, start, separator, part, parts, /) of Table. */
PyObject *table_load_method(PyObject *table, PyObject *args);

/* sort_by_count(lines, /) of the module. */
PyObject *sort_by_count(PyObject *module, PyObject *lines);

extern PyType_Spec table_spec, cursor_spec, scanner_spec, merger_spec;

#endif
