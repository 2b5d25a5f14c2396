"""Task numbers as text (`3,7-9,12`) and the balanced split into arrays. Pure; used by both submit
and reattach.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from dagster_aws_batch._errors import InvalidJobError

__all__ = ["balanced", "format_ranges", "parse_ranges"]

_PART = re.compile(r"(\d+)(?:-(\d+))?")


def format_ranges(tasks: Iterable[int]) -> str:
    """Write ascending task numbers as `3,7-9,12`; two neighbours become a range as well."""
    parts: list[str] = []
    start = end = -1
    for task in tasks:
        if task == end + 1 and start >= 0:
            end = task
            continue
        if start >= 0:
            parts.append(str(start) if start == end else f"{start}-{end}")
        start = end = task
    if start >= 0:
        parts.append(str(start) if start == end else f"{start}-{end}")
    return ",".join(parts)


def parse_ranges(text: str) -> tuple[int, ...]:
    """Read what `format_ranges` wrote. Raises InvalidJobError on anything else."""
    tasks: list[int] = []
    for part in text.split(",") if text else []:
        match = _PART.fullmatch(part.strip())
        if match is None:
            raise InvalidJobError(
                f"not a list of task numbers: {text[:80]!r} (wanted like 3,7-9,12)"
            )
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise InvalidJobError(f"a range runs backwards in {text[:80]!r}")
        tasks.extend(range(first, last + 1))
    return tuple(tasks)


def balanced(tasks: Sequence[int], limit: int) -> list[tuple[int, ...]]:
    """Cut `tasks` into as few parts of at most `limit` as possible, sizes differing by at most one.

    10,001 tasks become 5,001 and 5,000: never a full array and a rest of one.
    """
    if not tasks:
        return []
    parts = -(-len(tasks) // limit)
    small, larger = divmod(len(tasks), parts)
    cut, result = 0, []
    for number in range(parts):
        size = small + (1 if number < larger else 0)
        result.append(tuple(tasks[cut : cut + size]))
        cut += size
    return result
