"""How fast each AWS API may be called by this process, and how long a failed call is repeated.

One `RateBudget` per API and connection. AWS allows 50 SubmitJob calls a
second for an account and Region; half of that is the default here, because others live in the
account too.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass

from dagster_aws_batch._aws.clock import Clock

__all__ = [
    "ONCE",
    "RESUMING",
    "SUBMITTING",
    "Backoff",
    "Patience",
    "RateBudget",
    "cancelling",
    "persisting",
    "watching",
]

SLOWEST_RATE = 0.2
REPORT_AFTER = 30.0
REPORT_EVERY = 900.0


class RateBudget:
    """A token bucket that halves its rate on a 429 and wins it back slowly. Thread-safe.

    `rate`: calls a second at most; `burst`: calls that may go at once after a pause.
    """

    def __init__(self, clock: Clock, *, rate: float, burst: int = 1) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self.limit = rate
        self.rate = rate
        self._burst = burst
        self._floor = min(SLOWEST_RATE, rate)
        self._next = float("-inf")
        self._good = 0

    def take(self, *, until: float = float("inf")) -> None:
        """Wait for this call's turn, but not longer than `until`, a time of the clock.

        The turn is booked before the wait, so threads queue in order.
        """
        with self._lock:
            now = self._clock.now()
            spacing = 1 / self.rate
            self._next = max(self._next, now - (self._burst - 1) * spacing)
            wait = min(self._next, until) - now
            self._next += spacing
        if wait > 0:
            self._clock.sleep(wait)

    def throttled(self) -> None:
        """AWS said 429: half the rate from now on."""
        with self._lock:
            self.rate = max(self._floor, self.rate / 2)
            self._good = 0

    def succeeded(self) -> None:
        """A call went through: after every ten in a row, a tenth faster again up to the limit."""
        with self._lock:
            self._good += 1
            if self._good >= 10 and self.rate < self.limit:
                self._good = 0
                self.rate = min(self.limit, self.rate * 1.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long one failing call is repeated. Seconds.

    It ends after `tries` tries AND `seconds` since the first, or at `deadline` (a time of the
    clock). `hopeless_seconds` takes their place for what waiting doesn't mend. `refusals`: whether
    a refused call is repeated too. `report` is called with a text once a call has failed for half
    a minute, then every 15 minutes, and when it is answered again.
    """

    tries: int = 10
    seconds: float = 120.0
    hopeless_seconds: float = float("inf")
    first_pause: float = 0.5
    longest_pause: float = 30.0
    deadline: float = float("inf")
    refusals: bool = False
    report: Callable[[str], None] | None = None


#: For a call that begins something: it may be given up, for nothing runs yet. A metadata service
#: that answers late and a network that is just coming up get some seconds.
SUBMITTING = Patience(hopeless_seconds=4.0)
#: For the same in a retry: jobs may run, and a retry that ends at once in an outage is used up.
RESUMING = Patience()
#: For a call that comes again by itself.
ONCE = Patience(tries=1, seconds=0.0)


def persisting(report: Callable[[str], None]) -> Patience:
    """For a call that begins something while other jobs run, whose work must not be given up."""
    return Patience(seconds=3600.0, longest_pause=60.0, report=report)


def watching(report: Callable[[str], None], deadline: float) -> Patience:
    """For a look at jobs: a failed look says nothing about them, so it goes on until `deadline`."""
    return Patience(
        seconds=float("inf"), longest_pause=60.0, deadline=deadline, refusals=True, report=report
    )


def cancelling(deadline: float) -> Patience:
    """For calls that end jobs: short pauses, up to a time of the clock."""
    return Patience(
        tries=1_000_000, first_pause=0.1, longest_pause=2.0, deadline=deadline, seconds=0.0
    )


class Backoff:
    """The waits between the tries of one call: full jitter, growing, within its patience."""

    def __init__(self, clock: Clock, rng: random.Random, patience: Patience) -> None:
        self._clock, self._rng, self._patience = clock, rng, patience
        self._start = clock.now()
        self._reported: float | None = None
        self._soon = False
        self.count = 0

    def give_up(self, *, hopeless: bool = False) -> bool:
        """Whether the caller has tried often and long enough; counts the try that just failed.

        `hopeless`: waiting doesn't mend what was wrong with it.
        """
        self.count += 1
        now, patience = self._clock.now(), self._patience
        if now >= patience.deadline:
            return True
        self._soon = hopeless and patience.hopeless_seconds < patience.seconds
        if self._soon:
            return now - self._start >= patience.hopeless_seconds
        return self.count >= patience.tries and now - self._start >= patience.seconds

    def failed(self, text: str) -> None:
        """Report a failure that lasts."""
        elapsed = self._clock.now() - self._start
        due = REPORT_AFTER if self._reported is None else self._reported + REPORT_EVERY
        if self._patience.report is not None and elapsed >= due:
            self._reported = elapsed
            self._patience.report(f"{text} (for {elapsed / 60:.1f} min)")

    def answered(self, operation: str) -> None:
        """Report that a failure which was reported is over."""
        if self._reported is not None and self._patience.report is not None:
            minutes = (self._clock.now() - self._start) / 60
            self._patience.report(f"{operation} is answered again after {minutes:.1f} min")

    def wait(self) -> None:
        """Sleep a random part of the growing pause: many processes must not come back together."""
        patience = self._patience
        ceiling = min(patience.longest_pause, patience.first_pause * 2 ** min(self.count, 16))
        if self._soon:
            ceiling = min(ceiling, patience.hopeless_seconds / 4)
        pause = self._rng.uniform(0, ceiling)
        self._clock.sleep(max(0.0, min(pause, patience.deadline - self._clock.now())))
