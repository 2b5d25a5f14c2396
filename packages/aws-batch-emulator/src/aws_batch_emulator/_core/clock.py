"""Time for the emulator: the system's clock, or a virtual one that tests move by hand.

The engine keeps its own list of timers (`Timers`). With the system's clock a background thread
runs them when they are due; with `VirtualClock` nothing runs until somebody calls `advance` or
`sleep`.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """What the emulator and its clients need of time; seconds since the epoch."""

    def now(self) -> float:
        """Return the present time in seconds since 1970-01-01 UTC."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        """Return the present time in seconds since 1970-01-01 UTC."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Block the calling thread for `seconds`."""
        time.sleep(max(0.0, seconds))


class Timers:
    """Functions to be called at given times, in order of time and then of registration.

    Not safe for use by several threads: the engine guards it with its own lock.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def at(self, when: float, function: Callable[[], None]) -> None:
        """Call `function` once the clock shows `when`."""
        heapq.heappush(self._heap, (when, next(self._order), function))

    def next_due(self) -> float | None:
        """Return the time of the earliest timer, None if there is none."""
        return self._heap[0][0] if self._heap else None

    def run_due(self, now: float) -> None:
        """Call every function that is due at `now`, also those added meanwhile."""
        while self._heap and self._heap[0][0] <= now:
            heapq.heappop(self._heap)[2]()


class Timed(Protocol):
    """A participant of a `VirtualClock`."""

    def next_due(self) -> float | None:
        """Return when this participant next has something to do."""
        ...

    def run_due(self, now: float) -> None:
        """Do everything that is due at `now`."""
        ...


class VirtualClock:
    """A clock that stands still until `advance` or `sleep` moves it: hours pass in milliseconds.

    Everything that falls due on the way runs in the calling thread, at exactly its own time. The
    same object can be given to the emulator and to the client under test: the client's `sleep`
    lets jobs progress.
    """

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._now = start
        self._participants: list[Timed] = []
        self._lock = threading.RLock()

    def now(self) -> float:
        """Return the virtual time in seconds since 1970-01-01 UTC."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Advance by `seconds`."""
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Move the clock by `seconds` (0: run what is due now); run what falls due on the way."""
        if seconds < 0:
            raise ValueError(f"a clock can't go back: {seconds} s")
        with self._lock:
            target = self._now + seconds
            while True:
                dues = [d for p in self._participants if (d := p.next_due()) is not None]
                due = min(dues, default=None)
                if due is None or due > target:
                    break
                self._now = max(self._now, due)
                for participant in list(self._participants):
                    participant.run_due(self._now)
            self._now = target

    def join(self, participant: Timed) -> None:
        """Let `participant` take part; the emulator calls this."""
        self._participants.append(participant)

    def leave(self, participant: Timed) -> None:
        """Forget `participant`; unknown ones are ignored."""
        if participant in self._participants:
            self._participants.remove(participant)
