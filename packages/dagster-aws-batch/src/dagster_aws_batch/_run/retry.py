"""Which failed tasks run again, and with what. Pure.

There is a count for each cause, so that a lost host never uses up a user's retry.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from dagster_aws_batch._job import Retries
from dagster_aws_batch._results import FailureClass

__all__ = ["RetryBudget", "RetryPlan"]

HOST = frozenset(
    {FailureClass.SPOT_EC2, FailureClass.SPOT_FARGATE, FailureClass.AGENT, FailureClass.IMAGE_PULL}
)
SPOT = frozenset({FailureClass.SPOT_EC2, FailureClass.SPOT_FARGATE})
KILLED = 137
"""SIGKILL. Without a word of AWS about memory: a host short of it, or a `kill -9`."""


@dataclass(frozen=True, slots=True)
class RetryPlan:
    """How a task is to run again. None: as the job says."""

    memory_mib: int | None
    queue: str | None


class RetryBudget:
    """The retries of one execution. `first_memory_mib` is what the job started with, if known.

    `sizes`: from the wanted memory (MiB) to the one to ask for, or None where there is no more.
    """

    def __init__(
        self,
        retries: Retries,
        first_memory_mib: int | None,
        *,
        sizes: Callable[[int], int | None] = lambda memory: memory,
    ) -> None:
        self._retries = retries
        self.sizes = sizes
        self.first_memory_mib = first_memory_mib
        self._used: Counter[tuple[int, str]] = Counter()

    def plan(
        self,
        task: int,
        failure: FailureClass,
        *,
        memory_mib: int | None,
        queue: str | None,
        exit_code: int | None = None,
        attempts: int = 1,
    ) -> RetryPlan | None:
        """How to repeat a task that failed so with this memory and queue; None: not at all.

        `attempts`: how often AWS Batch itself has tried it in a job, for this kind of failure.
        """
        if failure is FailureClass.OUT_OF_MEMORY:
            more = self._more(memory_mib or self.first_memory_mib)
            if more is None or not self._use(task, "memory", self._retries.out_of_memory):
                return None
            return RetryPlan(more, queue)
        if failure in HOST:
            allowed = (self._retries.host_loss + 1) // attempts - 1
            elsewhere = self._retries.fallback_queue if failure in SPOT else None
            if elsewhere and self._retries.host_loss:
                allowed = max(1, allowed)
            if not self._use(task, "host", allowed):
                return None
            return RetryPlan(memory_mib, elsewhere or queue)
        if failure is FailureClass.LOST:
            # Once only: a container that never leaves its receipt must not run for ever.
            if not self._use(task, "lost", min(1, self._retries.host_loss)):
                return None
            return RetryPlan(memory_mib, queue)
        # No program ends so by itself. Once, as it was: only AWS's word asks for more memory.
        killed = failure is FailureClass.USER_CODE and exit_code == KILLED
        if killed and self._use(task, "killed", min(1, self._retries.host_loss)):
            return RetryPlan(memory_mib, queue)
        if failure is FailureClass.USER_CODE and self._use(task, "user", self._retries.user_code):
            return RetryPlan(memory_mib, queue)
        return None

    def _use(self, task: int, cause: str, allowed: int) -> bool:
        if self._used[task, cause] >= allowed:
            return False
        self._used[task, cause] += 1
        return True

    def _more(self, memory_mib: int | None) -> int | None:
        if memory_mib is None:
            return None
        first = self.first_memory_mib or memory_mib
        ceiling = self._retries.memory_ceiling_mib or first * 4
        more = self.sizes(min(ceiling, int(memory_mib * self._retries.memory_factor)))
        return more if more is not None and memory_mib < more <= ceiling else None
