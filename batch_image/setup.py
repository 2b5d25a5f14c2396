"""Builds the C extension; everything else is in pyproject.toml.

A machine without a C compiler installs the package all the same: the extension is optional, and
`wordfreq.engine` then leaves all the counting to ICU.
"""

from setuptools import Extension, setup

SOURCES = ("module", "scanner", "icu", "unicode", "classify", "table")
HEADERS = ("scanner", "icu", "unicode", "unicode_tables", "classify", "table")

setup(
    ext_modules=[
        Extension(
            "wordfreq._kernel",
            sources=[f"kernel/{name}.c" for name in SOURCES],
            depends=[f"kernel/{name}.h" for name in HEADERS],
            define_macros=[("Py_LIMITED_API", "0x030A0000")],
            extra_compile_args=["-std=c11", "-O3", "-Wall", "-Wextra"],
            py_limited_api=True,
            optional=True,
        )
    ],
    # One wheel for every Python from 3.10 on.
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
)
