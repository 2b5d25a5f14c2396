"""Builds the C extension; everything else is in pyproject.toml.

A machine without a C compiler installs the package all the same: the extension is optional, and
`wordfreq_batch.tables.engine` then leaves all the counting to ICU.
"""

from pathlib import Path

from setuptools import Extension, setup

KERNEL = Path(__file__).parent / "kernel"

setup(
    ext_modules=[
        Extension(
            "wordfreq_batch._kernel",
            sources=[f"kernel/{path.name}" for path in sorted(KERNEL.glob("*.c"))],
            depends=[f"kernel/{path.name}" for path in sorted(KERNEL.glob("*.h"))],
            define_macros=[("Py_LIMITED_API", "0x030A0000")],
            extra_compile_args=["-std=c11", "-O3", "-fvisibility=hidden", "-Wall", "-Wextra"],
            py_limited_api=True,
            optional=True,
        )
    ],
    # One wheel for every Python from 3.10 on.
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
)
