"""The sizes that Fargate offers. Pure; used before a call and by the doctor.

Source: AWS Batch, "Fargate resource requirements" (ResourceRequirement, MEMORY and VCPU).
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["fargate_memory", "fargate_problem"]

# vCPUs: the least and the most memory, and the step between (MiB).
_MEMORY: Mapping[float, tuple[int, int, int]] = {
    0.25: (512, 2048, 512),
    0.5: (1024, 4096, 1024),
    1: (2048, 8192, 1024),
    2: (4096, 16_384, 1024),
    4: (8192, 30_720, 1024),
    8: (16_384, 61_440, 4096),
    16: (32_768, 122_880, 8192),
}


def _offered(vcpus: float) -> list[int]:
    low, high, step = _MEMORY[vcpus]
    # With a quarter of a vCPU there are three sizes: 512, 1024, 2048.
    return [512, 1024, 2048] if vcpus == 0.25 else list(range(low, high + 1, step))


def fargate_problem(vcpus: float, memory_mib: int) -> str | None:
    """Why Fargate does not offer this size; None if it does."""
    if vcpus not in _MEMORY:
        sizes = ", ".join(f"{size:g}" for size in _MEMORY)
        return f"Fargate has no {vcpus:g} vCPUs (it has {sizes})"
    if memory_mib not in _offered(vcpus):
        low, high, step = _MEMORY[vcpus]
        return f"with {vcpus:g} vCPUs Fargate has {low:,} to {high:,} MiB in steps of {step:,}"
    return None


def fargate_memory(vcpus: float, memory_mib: int) -> int | None:
    """The least memory (MiB) offered that is not below this; None if there is none."""
    if vcpus not in _MEMORY:
        return memory_mib
    return next((size for size in _offered(vcpus) if size >= memory_mib), None)
