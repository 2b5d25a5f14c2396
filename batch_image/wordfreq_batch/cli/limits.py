"""What the container has: vCPUs, so many threads count, and memory for words.

The standard library knows the process's CPU affinity only, not the limits of a container, so these
are read where Linux has them: quotas of the control group (Docker `--cpus` and `--memory`,
Kubernetes and EKS limits, Fargate; a job's memory also on EC2), and what Amazon ECS, which runs the
jobs of AWS Batch, tells about the container: on EC2 a job's vCPUs are a share of the machine and no
limit that the kernel would show.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from wordfreq_batch.errors import UsageError
from wordfreq_batch.tables import engine

VARIABLE: Final = "WORDFREQ_THREADS"
METADATA: Final = "ECS_CONTAINER_METADATA_URI_V4"

LEAST_MEMORY: Final = 256 << 20
"""Bytes for words, whatever the container has."""

_THREAD_MEMORY: Final = 1 << 30  # bytes for words that a thread takes of a machine without limits
_UNITS: Final = 1024  # of ECS's CPU units are one vCPU
_MOST: Final = 256  # threads; more than that is a typing error


def threads(wanted: int | None, environment: Mapping[str, str]) -> int:
    """The number of threads: `wanted`, else `WORDFREQ_THREADS`, else one for each vCPU.

    It is 1 where the C kernel isn't in use: counting in Python doesn't get faster by threads.

    Raises:
        UsageError: the variable has no number in it, or one that can't be meant.
    """
    text = environment.get(VARIABLE, "")
    if wanted is None and text not in ("", "auto"):
        if not text.isascii() or not text.isdecimal() or not 0 < int(text[:9]) <= _MOST:
            raise UsageError(f"{VARIABLE}={text!r} is no number of threads; set 1 to {_MOST}")
        wanted = int(text)
    if engine.kernel() is None:
        return 1
    return min(wanted or available(environment), _MOST)


def available(environment: Mapping[str, str], *, system: Path = Path("/")) -> int:
    """The vCPUs that this process may use, at least 1."""
    quotas = _limits(system, "cpu", v1=_cpus_v1, v2=_cpus_v2)
    limits = [float(_affinity()), *quotas, *_ecs_limit(environment)]
    return max(1, math.ceil(min(limits)))


def memory(threads: int, *, system: Path = Path("/")) -> int:
    """The bytes that this process may use for words by itself: half of the container's memory.

    The other half is for text on its way and libraries. Without a limit each thread takes half of
    what the machine has for each CPU, and no more than 1 GiB. Never less than `LEAST_MEMORY`.
    """
    machine = _physical() // (os.cpu_count() or 1)
    limits = [
        threads * min(2 * _THREAD_MEMORY, machine),
        *map(int, _limits(system, "memory", v1=_memory_v1, v2=_memory_v2)),
    ]
    return max(min(limits) // 2, LEAST_MEMORY)


def _physical() -> int:
    """Bytes of memory of this machine; 0 if the system doesn't say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 0


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS


def _limits(
    system: Path, kind: str, *, v1: Callable[[Path], float], v2: Callable[[Path], float]
) -> Iterator[float]:
    """The limits of this process's control group and of those around it.

    `v1` and `v2` read one from the folder of a group of that version; 0 or less means none.
    """
    with suppress(OSError, ValueError):
        for line in (system / "proc/self/cgroup").read_text().splitlines():
            _, kinds, path = line.split(":", 2)
            if kinds == "":
                yield from _above(system / "sys/fs/cgroup", path, v2)
            elif kind in kinds.split(","):
                yield from _above(system / "sys/fs/cgroup" / kind, path, v1)


def _above(root: Path, path: str, limit: Callable[[Path], float]) -> Iterator[float]:
    group = root / path.lstrip("/")
    # In a container the path may be the host's while the files are those of its own group: then
    # only the last of these is there.
    for folder in (group, *group.parents):
        with suppress(OSError, ValueError):
            if (found := limit(folder)) > 0:
                yield found
        if folder == root:
            return


def _cpus_v2(folder: Path) -> float:
    quota, period = (folder / "cpu.max").read_text().split()
    return 0 if quota == "max" else int(quota) / int(period)


def _cpus_v1(folder: Path) -> float:
    quota = int((folder / "cpu.cfs_quota_us").read_text())
    return quota / int((folder / "cpu.cfs_period_us").read_text())  # -1: none


def _memory_v2(folder: Path) -> float:
    text = (folder / "memory.max").read_text().strip()
    return 0 if text == "max" else int(text)


def _memory_v1(folder: Path) -> float:
    return int((folder / "memory.limit_in_bytes").read_text())  # without one it is beyond any RAM


def _ecs_limit(environment: Mapping[str, str]) -> Iterator[float]:
    """The container's vCPUs on Amazon ECS ("task metadata endpoint version 4", `Limits`)."""
    uri = environment.get(METADATA, "")
    if not uri.startswith("http://"):
        return
    import urllib.request  # takes longer than all else that starting up needs

    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        with direct.open(uri, timeout=2) as answer:
            units = int(json.load(answer)["Limits"]["CPU"])
        if units >= _UNITS:  # less stands for "none given", as a job of AWS Batch has a whole one
            yield units / _UNITS
