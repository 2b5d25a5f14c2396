"""How fast each AWS API may be called by this process, and how long to wait after a refusal.

One `RateBudget` an API, shared by every stage of the process. AWS allows 50 SubmitJob calls a
second for an account
and Region; half of that is the default here, because others live in the account too.
"""

from __future__ import annotations

import random
import threading

from dagster_aws_batch._aws.clock import Clock

__all__ = ["Backoff", "RateBudget"]


class RateBudget:
    """A token bucket that halves its rate on a 429 and wins it back slowly. Thread-safe.

    `rate`: calls a second at most; `burst`: calls that may go at once after a pause.
    """

    def __init__(self, clock: Clock, *, rate: float, burst: int = 1, floor: float = 0.2) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self.limit = rate
        self.rate = rate
        self._burst = burst
        self._floor = min(floor, rate)
        self._next = float("-inf")
        self._good = 0

    def take(self) -> None:
        """Wait for this call's turn. The turn is booked before the wait, so threads queue in
        order.
        """
        with self._lock:
            now = self._clock.now()
            spacing = 1 / self.rate
            self._next = max(self._next, now - (self._burst - 1) * spacing)
            wait = self._next - now
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


class Backoff:
    """Waits between tries of one call: full jitter, and a number of tries and a time, both at least
    to be reached.

    `give_up()` is true only after `tries` tries AND `seconds` since the first.
    """

    def __init__(
        self,
        clock: Clock,
        rng: random.Random,
        *,
        tries: int = 10,
        seconds: float = 120.0,
        base: float = 0.5,
        cap: float = 30.0,
    ) -> None:
        self._clock, self._rng = clock, rng
        self._tries, self._seconds = tries, seconds
        self._base, self._cap = base, cap
        self._start = clock.now()
        self.count = 0

    def give_up(self) -> bool:
        """Whether the caller has tried often and long enough; counts the try that just failed."""
        self.count += 1
        return self.count >= self._tries and self._clock.now() - self._start >= self._seconds

    def wait(self) -> None:
        """Sleep a random part of the growing pause, so that many processes don't come back
        together.
        """
        ceiling = min(self._cap, self._base * 2 ** min(self.count, 16))
        self._clock.sleep(self._rng.uniform(0, ceiling))
