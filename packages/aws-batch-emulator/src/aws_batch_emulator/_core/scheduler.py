"""Which job starts next: queues by priority, shares by use, jobs by priority and age.

Pure bookkeeping under the engine's lock; it starts nothing itself.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from aws_batch_emulator._core.model import ComputeEnvironment, Job, JobQueue, Status

TOO_BIG_FOR_ENVIRONMENT = (
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - CE(s) associated with the job queue have "
    "a maxvCpus setting that is smaller than the job requirements."
)
TOO_BIG_FOR_HOST = (
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement (vCPU/memory/GPU) is "
    "higher than that can be met by the CE(s) attached to the job queue."
)
NO_CAPACITY = (
    "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested for "
    "instance type [{}]"
)


@dataclass(slots=True)
class Capacity:
    """The machine below all compute environments; None: without limit."""

    vcpus: float | None = None
    memory_mib: int | None = None
    gpus: int | None = None
    used_vcpus: float = 0.0
    used_memory_mib: int = 0
    used_gpus: int = 0

    def fits(self, job: Job) -> bool:
        """Whether the job would fit now."""
        spec = job.spec
        return (
            (self.vcpus is None or self.used_vcpus + spec.vcpus <= self.vcpus)
            and (
                self.memory_mib is None or self.used_memory_mib + spec.memory_mib <= self.memory_mib
            )
            and (self.gpus is None or self.used_gpus + spec.gpus <= self.gpus)
        )

    def could_fit(self, job: Job) -> bool:
        """Whether the job would fit on the empty machine."""
        return Capacity(self.vcpus, self.memory_mib, self.gpus).fits(job)


@dataclass(slots=True)
class _Waiting:
    """The runnable jobs of one queue, one heap per share identifier."""

    heaps: dict[str, list[tuple[int, int, Job]]] = field(default_factory=dict)
    used: dict[str, float] = field(default_factory=dict)


Weight = Callable[[JobQueue, str], float]


class Scheduler:
    """The runnable jobs and the capacity in use.

    Jobs that can never start are set aside with their reason and don't block those behind them (in
    AWS they hold up the head of a FIFO queue).
    """

    def __init__(
        self,
        queues: dict[str, JobQueue],
        environments: dict[str, ComputeEnvironment],
        host: Capacity,
        weight: Weight,
    ) -> None:
        self._queues = queues
        self._environments = environments
        self._weight = weight
        self._waiting: dict[str, _Waiting] = {}
        self.host = host
        self.aside: dict[str, Job] = {}
        """Jobs that can't be placed, by id; their status reason says why."""
        self._newly_aside: list[Job] = []

    def queue(self, name: str) -> JobQueue | None:
        """Return a queue by name."""
        return self._queues.get(name)

    def set_aside(self, job: Job, reason: str) -> None:
        """Keep a runnable job from starting until `retry_aside`."""
        job.status_reason = reason
        self.aside[job.id] = job
        self._newly_aside.append(job)

    def take_newly_aside(self) -> list[Job]:
        """Return the jobs that were set aside since the last call."""
        jobs, self._newly_aside = self._newly_aside, []
        return jobs

    def forget(self, job: Job) -> None:
        """Leave out a job that ended."""
        self.aside.pop(job.id, None)

    def add(self, job: Job) -> None:
        """Put a job that became RUNNABLE in line."""
        waiting = self._waiting.setdefault(job.spec.queue, _Waiting())
        share = job.spec.share_identifier or ""
        heap = waiting.heaps.setdefault(share, [])
        heapq.heappush(heap, (-job.spec.scheduling_priority, job.seq, job))

    def retry_aside(self) -> None:
        """Put the set-aside jobs in line again, after capacity was added or a fault was lifted."""
        jobs, self.aside = list(self.aside.values()), {}
        for job in jobs:
            job.status_reason = None
            self.add(job)

    def take(self) -> tuple[Job, ComputeEnvironment] | None:
        """Remove and return the next job that fits now, with its place; None if nothing fits.

        The capacity is reserved; `release` gives it back.
        """
        for name in sorted(self._waiting, key=self._rank):
            if (found := self._take_from(name)) is not None:
                return found
        return None

    def release(self, job: Job, environment: str) -> None:
        """Give back the capacity that `take` reserved for the job."""
        spec = job.spec
        place = self._environments.get(environment)
        if place is not None:
            place.used_vcpus = max(0.0, place.used_vcpus - spec.vcpus)
        self.host.used_vcpus = max(0.0, self.host.used_vcpus - spec.vcpus)
        self.host.used_memory_mib = max(0, self.host.used_memory_mib - spec.memory_mib)
        self.host.used_gpus = max(0, self.host.used_gpus - spec.gpus)
        waiting = self._waiting.get(spec.queue)
        if waiting is not None:
            share = spec.share_identifier or ""
            waiting.used[share] = max(0.0, waiting.used.get(share, 0.0) - spec.vcpus)

    def in_order(self, queue: str) -> Iterator[Job]:
        """Yield the queue's runnable jobs in the order in which they would start."""
        waiting = self._waiting.get(queue)
        for job in self.aside.values():
            if job.spec.queue == queue and job.status is Status.RUNNABLE:
                yield job
        if waiting is None:
            return
        entries = (entry for heap in waiting.heaps.values() for entry in heap)
        for _, _, job in sorted(entries, key=lambda entry: entry[:2]):
            if job.status is Status.RUNNABLE and job.id not in self.aside:
                yield job

    def used_by_share(self, queue: str) -> dict[str, float]:
        """Return the vCPUs in use per share identifier."""
        waiting = self._waiting.get(queue)
        return {k: v for k, v in waiting.used.items() if v} if waiting else {}

    def _rank(self, name: str) -> tuple[int, str]:
        queue = self._queues.get(name)
        return (-queue.priority if queue else 0, name)

    def _take_from(self, name: str) -> tuple[Job, ComputeEnvironment] | None:
        queue = self._queues.get(name)
        waiting = self._waiting[name]
        if queue is None:
            return None
        shares = [share for share, heap in waiting.heaps.items() if heap]
        if queue.fair_share:
            shares.sort(key=lambda s: (waiting.used.get(s, 0.0) * self._weight(queue, s), s))
        for share in shares:
            heap = waiting.heaps[share]
            while heap:
                job = heap[0][2]
                if job.status is not Status.RUNNABLE or job.id in self.aside:
                    heapq.heappop(heap)  # ended or set aside meanwhile
                    continue
                places = self._places(queue)
                if (reason := self._never(job, places)) is not None:
                    heapq.heappop(heap)
                    self.set_aside(job, reason)
                    continue
                place = next((p for p in places if self._room(p, job)), None)
                if place is None or not self.host.fits(job):
                    break
                heapq.heappop(heap)
                self._reserve(job, place, waiting, share)
                return job, place
            if not heap:
                del waiting.heaps[share]
        return None

    def _places(self, queue: JobQueue) -> list[ComputeEnvironment]:
        entries = sorted(queue.document["computeEnvironmentOrder"], key=lambda e: e["order"])
        names = (entry["computeEnvironment"].rpartition("/")[2] for entry in entries)
        return [self._environments[name] for name in names if name in self._environments]

    def _never(self, job: Job, places: list[ComputeEnvironment]) -> str | None:
        if not any(place.usable for place in places):
            return None  # waits without a reason until an environment is enabled
        limits = [place.max_vcpus for place in places if place.usable]
        if all(limit is not None and job.spec.vcpus > limit for limit in limits):
            return TOO_BIG_FOR_ENVIRONMENT
        return None if self.host.could_fit(job) else TOO_BIG_FOR_HOST

    @staticmethod
    def _room(place: ComputeEnvironment, job: Job) -> bool:
        limit = place.max_vcpus
        return place.usable and (limit is None or place.used_vcpus + job.spec.vcpus <= limit)

    def _reserve(self, job: Job, place: ComputeEnvironment, waiting: _Waiting, share: str) -> None:
        spec = job.spec
        place.used_vcpus += spec.vcpus
        self.host.used_vcpus += spec.vcpus
        self.host.used_memory_mib += spec.memory_mib
        self.host.used_gpus += spec.gpus
        waiting.used[share] = waiting.used.get(share, 0.0) + spec.vcpus
