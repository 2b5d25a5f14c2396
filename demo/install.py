"""`make`'s pip: install what a requirements file pins, and say how far it is.

`python -m demo.install requirements.txt` installs into the environment of this Python. Only the
standard library: nothing is installed yet.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

_STEP = re.compile(r"(?:Collecting|Requirement already satisfied:) (\S+)")
_LAST = re.compile(r"Installing collected packages")
_SECONDS = 5.0  # between two lines


def install(requirements: Path) -> int:
    """Install the pinned packages; returns pip's exit code, and prints its output if it fails."""
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
    said: list[str] = []
    seen: set[str] = set()
    due = time.monotonic() + _SECONDS
    with subprocess.Popen(
        [*command, "-r", str(requirements)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if match := _STEP.match(line):
                seen.add(match[1])
            writes = _LAST.match(line)
            if writes or time.monotonic() > due:
                now = f"writing {len(seen)} packages" if writes else f"{len(seen)} packages found"
                print(f"  {now}", flush=True)
                due = time.monotonic() + _SECONDS
    if process.returncode:
        print("".join(said), file=sys.stderr)
    return process.returncode


if __name__ == "__main__":
    raise SystemExit(install(Path(sys.argv[1])))
