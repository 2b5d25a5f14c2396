"""Lines of progress on long work, at most one every few seconds. For every stage."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

Progress = Callable[[str], None]
"""Takes one line for the log."""

EVERY: Final = 5.0  # seconds between two lines


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
