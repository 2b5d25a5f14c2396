/* The Python module wordfreq_batch._kernel. For wordfreq_batch.tables.engine, wordfreq_batch.tables.tally and wordfreq_batch.text.words. */
#include "python/module.h"

#include "machine/machine.h"
#include "unicode/unicode.h"

/* Random numbers for the tables, so that nobody can foresee their hashes. False: with an exception. */
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

bool refuse_busy(const struct table_object *table)
{
    if (table->busy)
        PyErr_SetString(PyExc_RuntimeError, "another thread is using this table");
    return table->busy;
}

PyObject *instance_of(PyTypeObject *type)
{
    const allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    return allocate(type, 0);
}

void free_instance(PyObject *self)
{
    PyTypeObject *const type = Py_TYPE(self);
    const freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

static PyTypeObject *add_type(PyObject *module, PyType_Spec *spec)
{
    PyObject *const type = PyType_FromModuleAndSpec(module, spec, NULL);
    if (type && PyModule_AddType(module, (PyTypeObject *)type) < 0) {
        Py_DECREF(type);
        return NULL;
    }
    return (PyTypeObject *)type;
}

/* MACHINES: the names of what the processor can be treated as, the best first. */
static bool add_machines(PyObject *module)
{
    PyObject *const names = PyList_New(0);
    bool done = names != NULL;
    for (const struct machine *const *machine = machines(); done && *machine; machine++) {
        PyObject *const name = PyUnicode_FromString((*machine)->name);
        done = name && PyList_Append(names, name) == 0;
        Py_XDECREF(name);
    }
    PyObject *const tuple = done ? PyList_AsTuple(names) : NULL;
    done = tuple && PyModule_AddObjectRef(module, "MACHINES", tuple) == 0;
    Py_XDECREF(names);
    Py_XDECREF(tuple);
    return done;
}

static int module_exec(PyObject *module)
{
    struct module_state *const state = PyModule_GetState(module);
    if (!random_key(state->key) || !(state->table_type = add_type(module, &table_spec)) ||
        !(state->cursor_type = add_type(module, &cursor_spec)) ||
        !(state->scanner_type = add_type(module, &scanner_spec)) ||
        !(state->merger_type = add_type(module, &merger_spec)) ||
        PyModule_AddStringConstant(module, "UNICODE_TABLES", UNICODE_VERSION) < 0 ||
        PyModule_AddIntConstant(module, "API", 3) < 0) /* as in tables/engine.py */
        return -1;
    return add_machines(module) ? 0 : -1;
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    const struct module_state *const state = PyModule_GetState(module);
    if (state) {
        Py_VISIT(state->table_type);
        Py_VISIT(state->cursor_type);
        Py_VISIT(state->scanner_type);
        Py_VISIT(state->merger_type);
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
        Py_CLEAR(state->merger_type);
    }
    return 0;
}

PyDoc_STRVAR(sort_by_count_doc,
             "sort_by_count(lines, /)\n--\n\n"
             "Return the lines `word TAB count LF` in the order of their counts, the highest first;\n"
             "those of equal counts stay in order.");

static PyMethodDef module_methods[] = {
    {"sort_by_count", sort_by_count, METH_O, sort_by_count_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
    {0, NULL},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "wordfreq_batch._kernel",
    .m_doc = "Counts words at the speed of the machine. Used through wordfreq_batch.text.words and wordfreq_batch.tables.tally.",
    .m_size = sizeof(struct module_state),
    .m_methods = module_methods,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
};

PyMODINIT_FUNC PyInit__kernel(void)
{
    return PyModuleDef_Init(&module_definition);
}
