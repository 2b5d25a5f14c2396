"""Time as the engine sees it, so that tests can run hours in milliseconds.

Used by every module that waits.
"""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """What the engine needs of a clock: seconds that only grow, and a way to wait."""

    def now(self) -> float:
        """Seconds since any fixed moment."""
        ...

    def sleep(self, seconds: float) -> None:
        """Return after `seconds`; an exception raised by a signal handler ends the wait."""
        ...


class SystemClock:
    """The machine's monotonic clock."""

    def now(self) -> float:
        """Seconds since an arbitrary start."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait in the calling thread; in the main one a signal handler may end it by raising."""
        if seconds > 0:
            time.sleep(seconds)
