"""How many threads count: as many as the container has vCPUs. For `wordfreq.cli`.

The standard library knows the process's CPU affinity only, not the limits of a container, so these
are read where Linux has them: the CPU quota of the control group (Docker `--cpus`, Kubernetes and
EKS limits, Fargate), and what Amazon ECS, which runs the jobs of AWS Batch, tells about the
container: on EC2 a job's vCPUs are a share of the machine and no limit that the kernel would show.
"""

from __future__ import annotations

import json
import math
import os
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from wordfreq import engine
from wordfreq.errors import UsageError

VARIABLE: Final = "WORDFREQ_THREADS"
METADATA: Final = "ECS_CONTAINER_METADATA_URI_V4"

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
    limits = [float(_affinity()), *_quotas(system), *_ecs_limit(environment)]
    return max(1, math.ceil(min(limits)))


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS


def _quotas(system: Path) -> Iterator[float]:
    """The CPU limits of this process's control group and of those around it, in CPUs."""
    with suppress(OSError, ValueError):
        for line in (system / "proc/self/cgroup").read_text().splitlines():
            _, kinds, path = line.split(":", 2)
            if kinds == "":
                yield from _above(system / "sys/fs/cgroup", path, _quota_v2)
            elif "cpu" in kinds.split(","):
                yield from _above(system / "sys/fs/cgroup/cpu", path, _quota_v1)


def _above(root: Path, path: str, quota: Callable[[Path], float]) -> Iterator[float]:
    group = root / path.lstrip("/")
    # In a container the path may be the host's while the files are those of its own group: then
    # only the last of these is there.
    for folder in (group, *group.parents):
        with suppress(OSError, ValueError):
            if (found := quota(folder)) > 0:
                yield found
        if folder == root:
            return


def _quota_v2(folder: Path) -> float:
    quota, period = (folder / "cpu.max").read_text().split()
    return 0 if quota == "max" else int(quota) / int(period)


def _quota_v1(folder: Path) -> float:
    quota = int((folder / "cpu.cfs_quota_us").read_text())
    return quota / int((folder / "cpu.cfs_period_us").read_text())  # -1: none


def _ecs_limit(environment: Mapping[str, str]) -> Iterator[float]:
    """The container's vCPUs on Amazon ECS ("task metadata endpoint version 4", `Limits`)."""
    uri = environment.get(METADATA, "")
    if not uri.startswith("http://"):
        return
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        with direct.open(uri, timeout=2) as answer:
            units = int(json.load(answer)["Limits"]["CPU"])
        if units >= _UNITS:  # less stands for "none given", as a job of AWS Batch has a whole one
            yield units / _UNITS
