"""One look at AWS Batch for all stages of a process: fifty that wait at once make one DescribeJobs
call a cycle.

Used by the waiting loop. There is no thread of its own: whichever stage wakes first asks for
everybody.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING

from dagster_aws_batch._aws.calls import BatchApi
from dagster_aws_batch._aws.clock import Clock

if TYPE_CHECKING:
    from types_boto3_batch.type_defs import JobDetailTypeDef

__all__ = ["Describer", "poll_interval"]


def poll_interval(elapsed: float, *, shortest: float, longest: float) -> float:
    """Seconds to the next look, for a stage that has waited `elapsed`: a third of that, within
    bounds.

    A short stage is seen to end soon, a long one costs few calls; after an hour twice `longest` is
    allowed.
    """
    ceiling = longest * 2 if elapsed > 3600 else longest
    return max(shortest, min(ceiling, elapsed / 3))


class Describer:
    """The shared snapshot of all jobs that this process waits for. Thread-safe."""

    def __init__(self, api: BatchApi, clock: Clock, rng: random.Random) -> None:
        self._api, self._clock, self._rng = api, clock, rng
        self._lock = threading.Lock()
        self._watched: Counter[str] = Counter()
        self._seen: dict[str, JobDetailTypeDef | None] = {}
        self._last: float | None = None
        self._jitter = 1.0

    def watch(self, job_ids: Collection[str]) -> None:
        """Include these ids in every look from now on."""
        with self._lock:
            self._watched.update(job_ids)

    def leave(self, job_ids: Collection[str]) -> None:
        """Stop asking for these ids (as often as they were watched)."""
        with self._lock:
            self._watched.subtract(job_ids)
            for job_id in job_ids:
                if self._watched[job_id] <= 0:
                    del self._watched[job_id]
                    self._seen.pop(job_id, None)

    def look(
        self, job_ids: Collection[str], *, interval: float, not_before: float
    ) -> dict[str, JobDetailTypeDef | None]:
        """Wait for the next cycle and return what AWS then says; None for an id it does not know.

        A look of another stage that is not older than half an interval serves as well, and sets the
        pace: so
        stages with different starts fall into step.
        """
        with self._lock:
            target = not_before
            if self._last is not None:
                target = max(target, self._last + interval * self._jitter)
        self._clock.sleep(max(0.0, target - self._clock.now()))
        with self._lock:
            now = self._clock.now()
            fresh = self._last is not None and now - self._last <= interval / 2
            if not fresh or any(job_id not in self._seen for job_id in job_ids):
                ids = list(self._watched)
                found = self._api.describe(ids)
                self._seen = {job_id: found.get(job_id) for job_id in ids}
                self._last = now
                # Only ever shorter, so that the interval stays the bound of the lag.
                self._jitter = self._rng.uniform(0.9, 1.0)
            return {job_id: self._seen.get(job_id) for job_id in job_ids}
