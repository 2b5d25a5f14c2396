"""`make`'s installer: what a requirements file pins, in seconds, and how far it is.

`python -m demo.install ARGUMENT...` takes the arguments of `pip install` and installs into the
environment of this Python, by uv. Where uv can't be had, fails, or pip is set up for an index of
its own (which uv wouldn't ask), pip does it. Only the standard library: nothing is installed yet.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

_PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
_PINS = Path(__file__).resolve().parents[1] / "requirements-dev.txt"
_OWN_INDEX = re.compile(r"^[^=]*\.index-url=", re.MULTILINE)
_PROGRESS = re.compile(
    r"Downloading \S+ \(|(?:Resolved|Prepared|Built|Installed) \S+ package|Installing collected"
)


def install(arguments: list[str]) -> int:
    """Run uv, else pip; returns the exit code, and prints all output if it fails."""
    # every requirements file is complete, so nothing has to be resolved
    wanted = ["install", "--no-deps", *arguments]
    if uv := _uv():
        if not _run([uv, "pip", *wanted, "--python", sys.executable]):
            return 0
        print("  uv could not install them (see above); now by pip", flush=True)
    # what is imported is compiled then; compiling all would take longer
    return _run([*_PIP, *wanted, "--no-compile"])


def _uv() -> str | None:
    listed = subprocess.run([*_PIP, "config", "list"], capture_output=True, text=True, check=False)
    if _OWN_INDEX.search(listed.stdout):
        return None
    path = os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent)])
    if not shutil.which("uv", path=path):
        quiet = [*_PIP, "--quiet", "install", "--no-deps", "--no-compile", "-c", str(_PINS), "uv"]
        subprocess.run(quiet, check=False, capture_output=True)
    return shutil.which("uv", path=path)


def _run(command: list[str]) -> int:
    said: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if _PROGRESS.match(line):
                print(f"  {line.strip()}", flush=True)
    if process.returncode:
        print("".join(said), file=sys.stderr)
    return process.returncode


if __name__ == "__main__":
    raise SystemExit(install(sys.argv[1:]))
