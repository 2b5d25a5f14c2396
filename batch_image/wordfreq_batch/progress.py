"""What long work says of its progress: a line every few seconds, and how much is left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

Progress = Callable[[str], None]
"""Takes one line for the log."""

EVERY: Final = 5.0  # seconds between two lines
_UNITS: Final = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")


class Ticker:
    """Passes a line on once some seconds have gone by since the last; for several threads."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._due = time.monotonic() + EVERY
        self._lock = threading.Lock()

    def tick(self, line: Callable[[], str]) -> None:
        """Report `line()` if it is time to; it is called only then."""
        if time.monotonic() <= self._due:
            return
        with self._lock:
            if time.monotonic() <= self._due:
                return
            self._due = time.monotonic() + EVERY
        self._progress(line())


class Meter:
    """How much of some files is read, for several threads; `str` of it is for a line of progress.

    Attributes:
        files: how many of them are finished.
    """

    def __init__(self, *, files: int, size: int, shown: Callable[[Meter], None]) -> None:
        """Begin; `size` is in bytes, and `shown` is called whenever there is more."""
        self.files = 0
        self._of = files
        self._size = size
        self._shown = shown
        self._finished = 0
        self._parts: dict[str, int] = {}
        self._lock = threading.Lock()
        self._started = time.monotonic()

    @property
    def bytes(self) -> int:
        """Bytes that have been read, of the files as they are stored."""
        with self._lock:
            return self._finished + sum(self._parts.values())

    def read(self, name: str, size: int) -> None:
        """So many more bytes of a file have been read."""
        with self._lock:
            self._parts[name] = self._parts.get(name, 0) + size
        self._shown(self)

    def finished(self, name: str, size: int) -> None:
        """A file of so many bytes needs no more reading, whatever was read of it."""
        with self._lock:
            self.files += 1
            self._finished += size
            self._parts.pop(name, None)
        self._shown(self)

    def __str__(self) -> str:
        done = self.bytes
        line = f"{self.files:,} of {self._of:,} files, {size(done)} of {size(self._size)}"
        if not 0 < done < self._size:
            return line
        left = (time.monotonic() - self._started) * (self._size - done) / done
        return f"{line}, {left:,.0f} s left" if left < 100 else f"{line}, {left / 60:,.0f} min left"


def size(number: int) -> str:
    """A number of bytes as a person reads it: `2.8 MiB`; exact below 1,024 bytes."""
    value = float(number)
    for unit in _UNITS:
        if value < 1024 or unit == _UNITS[-1]:
            break
        value /= 1024
    return f"{number:,} {unit}" if unit == "bytes" else f"{value:,.1f} {unit}"
