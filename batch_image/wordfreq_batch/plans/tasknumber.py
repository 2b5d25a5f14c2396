"""Which task is this container's: from the option, or from what AWS Batch and its client set.

Pure but for reading an object that `BATCH_TASKS=@uri` names. The client writes the range list
(`dagster_aws_batch`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from wordfreq_batch.errors import UsageError
from wordfreq_batch.storage.opening import open_object

ARRAY_INDEX = "AWS_BATCH_JOB_ARRAY_INDEX"
TASKS = "BATCH_TASKS"

_RANGE = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")


def parse_ranges(text: str) -> list[range]:
    """Read a list of task numbers such as `3,7-9,12`: ranges are inclusive, blanks are allowed.

    Raises:
        UsageError: it isn't one, or a range runs backwards.
    """
    ranges: list[range] = []
    for part in text.replace("\n", ",").split(","):
        stripped = part.strip()
        if not stripped and ranges:
            continue  # the line end of a file
        match = _RANGE.fullmatch(stripped)
        if match is None:
            raise UsageError(
                f"{TASKS}: {stripped[:40]!r} is no task number or range; write e.g. 3,7-9,12"
            )
        first = int(match[1])
        last = int(match[2]) if match[2] else first
        if last < first:
            raise UsageError(f"{TASKS}: the range {stripped} runs backwards; write {last}-{first}")
        ranges.append(range(first, last + 1))
    return ranges


def nth(ranges: Sequence[range], position: int) -> int:
    """The task at `position` (from 0) of the list.

    Raises:
        UsageError: the list is shorter.
    """
    left = position
    for part in ranges:
        if left < len(part):
            return part[left]
        left -= len(part)
    raise UsageError(
        f"{ARRAY_INDEX} is {position}, but {TASKS} names only {position - left} tasks; "
        "submit an array of as many children as it names"
    )


def task_number(index: int | None, environment: Mapping[str, str]) -> int:
    """This container's task: `--index`, else by `BATCH_TASKS`, else the array index itself.

    `BATCH_TASKS` is a range list, or `@uri` of an object holding one; the array index (0 in a job
    that is no array) is a position in it.

    Raises:
        UsageError: nothing says which, or it is no number.
    """
    if index is not None:
        return _natural(str(index), "--index")
    own = environment.get(ARRAY_INDEX, "").strip()
    tasks = environment.get(TASKS, "").strip()
    if tasks:
        position = _natural(own, ARRAY_INDEX) if own else 0
        if tasks.startswith("@"):
            store, key = open_object(tasks[1:])
            tasks = store.get(key).decode("utf-8", "replace")
        return nth(parse_ranges(tasks), position)
    if own:
        return _natural(own, ARRAY_INDEX)
    raise UsageError(
        f"which task? Give --index N, or set {ARRAY_INDEX} (AWS Batch does so in the children of "
        f"an array job) or {TASKS}"
    )


def _natural(text: str, name: str) -> int:
    if re.fullmatch("[0-9]{1,9}", text) is None:
        raise UsageError(f"{name} is {text!r}; it must be a task number, 0 or more")
    return int(text)
