"""What an execution used.

Seconds, vCPU-hours, GiB-hours, waste and an estimate of cost from the user's own prices. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dagster_aws_batch._job import Price
from dagster_aws_batch._results import Attempt

__all__ = ["Usage"]


@dataclass(slots=True)
class Usage:
    """Sums over all ended jobs of an execution.

    Attempts that AWS Batch repeated inside an array child are only known for children that were
    described (failed ones), so for arrays the sums are a lower bound where hosts were lost.
    """

    run_seconds: float = 0.0
    vcpu_seconds: float = 0.0
    gib_seconds: float = 0.0
    gpu_seconds: float = 0.0
    wasted_vcpu_seconds: float = 0.0
    wasted_gib_seconds: float = 0.0
    wasted_gpu_seconds: float = 0.0
    queue_seconds: list[float] = field(default_factory=list)

    def add(self, seconds: float, resources: tuple[float, int, int], *, wasted: bool) -> None:
        """One container that ran so long with (vCPUs, MiB, GPUs)."""
        vcpus, mib, gpus = resources
        self.run_seconds += seconds
        self.vcpu_seconds += seconds * vcpus
        self.gib_seconds += seconds * mib / 1024
        self.gpu_seconds += seconds * gpus
        if wasted:
            self.wasted_vcpu_seconds += seconds * vcpus
            self.wasted_gib_seconds += seconds * mib / 1024
            self.wasted_gpu_seconds += seconds * gpus

    def add_attempts(
        self, attempts: tuple[Attempt, ...], resources: tuple[float, int, int]
    ) -> None:
        """The attempts before the last one: all of them wasted."""
        for attempt in attempts[:-1]:
            self.add(attempt.seconds, resources, wasted=True)

    @property
    def longest_queue_seconds(self) -> float:
        """The longest wait from creation to start."""
        return max(self.queue_seconds, default=0.0)

    @property
    def median_queue_seconds(self) -> float:
        """The middle wait from creation to start."""
        ordered = sorted(self.queue_seconds)
        return ordered[len(ordered) // 2] if ordered else 0.0

    def cost(self, price: Price) -> float:
        """What it came to, in the price's currency."""
        return self._priced(price, self.vcpu_seconds, self.gib_seconds, self.gpu_seconds)

    def wasted_cost(self, price: Price) -> float:
        """The part of it that went into attempts without a result."""
        return self._priced(
            price, self.wasted_vcpu_seconds, self.wasted_gib_seconds, self.wasted_gpu_seconds
        )

    @staticmethod
    def _priced(price: Price, vcpu: float, gib: float, gpu: float) -> float:
        hours = vcpu * price.vcpu_hour + gib * price.gib_hour + gpu * price.gpu_hour
        return hours / 3600
