"""Where everything of a run lies, and how the project's own commands are called."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from benchmarks.bench.corpora import Corpora

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "benchmarks" / "peers"
MEMORY = Path(f"/dev/shm/wordfreq-bench-{os.getpid()}")
"""A folder in memory, removed at the end."""


@dataclass(frozen=True)
class Workshop:
    """Folders and programs.

    `python` has this project installed, `peers` the other engines; without the latter (None) only
    we are measured, which is what the tests do.
    """

    folder: Path
    corpora: Corpora
    peers: Path | None
    python: Path = Path(sys.executable)

    @property
    def work(self) -> Path:
        """Results and other files that a run leaves; emptied at its start."""
        return self.folder / "work"

    def place(self, key: str) -> Path:
        """Where the case `key` leaves its result."""
        return self.work / key.replace("/", "-")

    @cached_property
    def memory(self) -> int:
        """The most that a contestant may take: three quarters of the machine's."""
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * 3 // 4

    def wordfreq(self, *arguments: str | Path) -> list[str]:
        """The command line of the container."""
        return [str(self.python.with_name("wordfreq")), *map(str, arguments)]

    @cached_property
    def has_threads(self) -> bool:
        """Whether `wordfreq migrate` takes `--threads`."""
        help_text = subprocess.run(
            self.wordfreq("migrate", "--help"), capture_output=True, text=True, check=True
        )
        return "--threads" in help_text.stdout

    def threads(self, number: int) -> list[str]:
        """The option for `number` threads, where there is one."""
        return ["--threads", str(number)] if self.has_threads else []

    def peer(self, program: str, *arguments: str | Path) -> list[str]:
        """A program of `benchmarks/peers`, on the peers' Python."""
        return [str(self.peers), str(PEERS / program), *map(str, arguments)]

    def plan(self, source: Path, key: str, *options: str) -> None:
        """Make a fresh plan for a case, with nothing counted yet.

        What an earlier run left is put aside, not deleted: for some minutes ext4 searches past
        deleted inodes whenever it makes a file, which would be charged to those who make many.
        """
        place = self.place(key)
        if place.exists():
            aside = self.work / "earlier"
            aside.mkdir(exist_ok=True)
            place.rename(aside / f"{place.name}-{len(list(aside.iterdir()))}")
        clear(place)
        places = self.wordfreq(
            "plan", "-s", source, "-d", place / "counts", "-p", place / "plan.json"
        )
        subprocess.run([*places, *options], check=True, capture_output=True)


def clear(path: Path) -> None:
    """Remove a file or folder, if there is one, and make the folder that it lies in."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
