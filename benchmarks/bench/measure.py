"""One measurement, and the file that keeps all of them so that a broken-off run can go on."""

from __future__ import annotations

import json
import mmap
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

_WATCH = Path(__file__).with_name("watch.py")
_CHUNK = 1 << 20  # bytes
_TOUCHED = 512 << 20  # bytes
# As everywhere but on machines that say otherwise, modules are compiled once, not in each process.
_NOT_FOR_PYTHON = ("PYTHONDONTWRITEBYTECODE",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run of a command used. `reason` says why it was stopped, or what it printed last."""

    wall: float
    cpu: float
    peak: int
    exit: int
    reason: str = ""
    load: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether it came to its end by itself, successfully."""
        return self.exit == 0 and not self.reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A command to be measured.

    `key` names it for ever (`count/en_ascii/polars/1`); `size` is the bytes (or items) it works on,
    `reads` the file or folder that it reads. `prepare` runs before every run, `check` after the
    first good one: it returns facts about the result that the report compares, and raises
    `DisagreementError` where the result is wrong in itself.
    """

    key: str
    command: Sequence[str]
    size: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 600.0
    memory: int = 16 << 30
    rounds: int | None = None
    reads: Path | None = None
    prepare: Callable[[], None] | None = None
    check: Callable[[], dict[str, Any]] | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """The key's parts: group, what is worked on, contestant, threads."""
        return tuple(self.key.split("/"))


class DisagreementError(Exception):
    """A result is wrong in itself."""


def warm(reads: Path | None) -> None:
    """Make the same machine of it for everybody.

    Files have to be in the page cache. And where a virtual machine gives unused memory back to its
    host, whoever touches it next pays for getting it: that mustn't be who comes after a pause.
    """
    if reads is not None:
        for path in [reads] if reads.is_file() else sorted(reads.rglob("*.txt")):
            with path.open("rb", buffering=0) as file:
                while file.read(_CHUNK):
                    pass
    _ = b"\1" * _TOUCHED
    if hasattr(mmap, "MADV_HUGEPAGE"):  # other memory than that of small pages
        private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        with mmap.mmap(-1, _TOUCHED, private) as memory, suppress(OSError):
            memory.madvise(mmap.MADV_HUGEPAGE)
            for position in range(0, _TOUCHED, mmap.PAGESIZE):
                memory[position] = 1


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """The variables for what is measured."""
    own = {key: value for key, value in os.environ.items() if key not in _NOT_FOR_PYTHON}
    return own | dict(more)


def run(case: Case, *, folder: Path) -> Run:
    """Prepare and run once. Ctrl-C ends the command and all that it started, then goes on up."""
    try:
        if case.prepare is not None:
            case.prepare()
        warm(case.reads)
    except (OSError, subprocess.SubprocessError) as error:
        return Run(wall=0, cpu=0, peak=0, exit=-1, reason=f"could not be prepared: {error}")
    output = folder / "output"
    given = {
        "command": list(case.command),
        "seconds": case.seconds,
        "memory": case.memory,
        "output": str(output),
    }
    load = os.getloadavg()[0]
    # -S, and no other options of the environment: the less it imports, the smaller it is.
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", str(_WATCH), json.dumps(given)],
        env=environment(case.environment),
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
        start_new_session=True,  # Ctrl-C at the terminal is ours to pass on
    )
    try:
        text, _ = process.communicate()
    except BaseException:
        process.terminate()
        process.wait(timeout=30)
        raise
    if process.returncode:
        return Run(wall=0, cpu=0, peak=0, exit=-1, reason=f"the watch ended: {process.returncode}")
    measured = json.loads(text)
    if measured["exit"] and not measured["reason"]:
        measured["reason"] = _last_line(output)
    return Run(**measured, load=load)


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").strip().splitlines()
    return lines[-1][-300:] if lines else "it printed nothing"


@dataclass(slots=True)
class Results:
    """All runs and facts, kept in a file of JSON lines; `settings` is its first line."""

    path: Path
    settings: dict[str, Any]
    runs: dict[str, list[Run]] = field(default_factory=dict)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def open(self, *, resume: bool) -> int:
        """Read what is kept, if it was measured with the same settings; return how many runs."""
        if resume and self.path.exists():
            lines = [json.loads(line) for line in self.path.read_text().splitlines()]
            if lines and lines[0] == {"settings": self.settings}:
                for line in lines[1:]:
                    self._take(line)
                return sum(map(len, self.runs.values()))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps({"settings": self.settings}) + "\n")
        return 0

    def _take(self, line: dict[str, Any]) -> None:
        if "run" in line:
            self.runs.setdefault(line["key"], []).append(Run(**line["run"]))
        else:
            self.facts.setdefault(line["key"], {}).update(line["facts"])

    def _keep(self, line: dict[str, Any]) -> None:
        self._take(line)
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def add(self, key: str, run: Run) -> None:
        """Keep a run."""
        self._keep({"key": key, "run": asdict(run)})

    def add_facts(self, key: str, facts: dict[str, Any]) -> None:
        """Keep facts about a result."""
        self._keep({"key": key, "facts": facts})

    def good(self, key: str) -> list[Run]:
        """The runs that succeeded."""
        return [run for run in self.runs.get(key, []) if run.ok]

    def middle(self, key: str, what: str) -> float | None:
        """The median of `wall`, `cpu` or `peak` over the good runs."""
        values = [float(getattr(run, what)) for run in self.good(key)]
        return median(values) if values else None
