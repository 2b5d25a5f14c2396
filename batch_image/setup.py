"""Builds the C extension; everything else is in pyproject.toml.

The extension makes counting many times faster and is optional: `wordfreq_batch.tables.engine`
leaves all to ICU without it. `WORDFREQ_KERNEL` in the environment of the build decides:

* `require`: a build that can't compile it fails. For images and for wheels that are given away.
* `skip`: it isn't tried.
* unset: it is tried. Where that fails, the wheel is one for any platform (`py3-none-any`), so that
  no cache or index takes it for the real one.
"""

import os
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel

HERE = Path(__file__).parent
PARTS = [
    path.relative_to(HERE).as_posix()
    for path in sorted(HERE.glob("kernel/*/*.[ch]"))
    if path.parent.name != "fuzz"
]
WANTED = os.environ.get("WORDFREQ_KERNEL", "")
if WANTED not in ("", "require", "skip"):
    raise SystemExit(f"WORDFREQ_KERNEL={WANTED!r}: set it to require or skip, or unset it")


class Wheel(bdist_wheel):
    """A wheel for this platform, if the extension is in it."""

    def run(self) -> None:
        """Build, then see what was built."""
        built = [Path(output) for output in self.get_finalized_command("build_ext").get_outputs()]
        for path in built:
            path.unlink(missing_ok=True)  # of an earlier build
        self.run_command("build")
        if not all(path.exists() for path in built):
            self.distribution.ext_modules = []
            self.root_is_pure, self.py_limited_api = True, False
        super().run()


setup(
    ext_modules=[]
    if WANTED == "skip"
    else [
        Extension(
            "wordfreq_batch._kernel",
            sources=[path for path in PARTS if path.endswith(".c")],
            depends=[path for path in PARTS if path.endswith(".h")],
            include_dirs=["kernel"],
            define_macros=[("Py_LIMITED_API", "0x030A0000")],
            extra_compile_args=["-std=c11", "-O3", "-fvisibility=hidden", "-Wall", "-Wextra"],
            libraries=[] if os.name == "nt" else ["pthread"],
            py_limited_api=True,
            optional=WANTED != "require",
        )
    ],
    cmdclass={"bdist_wheel": Wheel},
    # One wheel for every Python from 3.10 on.
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
)
