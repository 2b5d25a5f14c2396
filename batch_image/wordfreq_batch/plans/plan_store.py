"""A plan in its place: written, read (whole, its head only, or a task's slice), removed when old.

For `plans.planning` (write), the tasks (head and slice: kilobytes, whatever the plan's size) and
the orchestrator (whole, and old ones).
"""

from __future__ import annotations

import json
import os
import re
from array import array
from collections.abc import Collection
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from itertools import chain, islice
from pathlib import Path
from typing import Final
from uuid import uuid4

from wordfreq_batch.errors import (
    DataError,
    NotFoundError,
    UsageError,
)
from wordfreq_batch.plans.checked import checked
from wordfreq_batch.plans.plan import (
    INDEX_WIDTH,
    Item,
    KnownCounts,
    Plan,
    PlanHead,
    Task,
    head_loads,
)
from wordfreq_batch.storage.local import TEMPORARY
from wordfreq_batch.storage.opening import open_object, open_store

HEAD_BYTES = 32 * 1024
"""The head of a plan is shorter than that: three locations of up to 1,024 bytes each, escaped."""

WHOLE_BYTES = 256 * 1024
"""Slices of up to so many bytes in all are read by one request, others by two."""

COMPANION = "tasks"

KEPT_DAYS: Final = 90
"""Days after which the plans, receipts and scratch notes of ended runs go; on AWS the bucket's rule
(`infra/`) has the same number."""

_LISTED: Final = 5_000  # objects per call: five pages of S3
_OF_RUN = re.compile(r"(?:scratch/|(?P<run>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-)")


def write_plan(plan: Plan) -> Plan:
    """Write the companion object with the slices, then the plan itself; return what was written.

    The plan appears last and at once, so whoever finds it finds the slices as well.
    """
    starts = array("Q", [0])
    with open_store(plan.head.folder).writer(COMPANION) as writer:
        for task in plan.all_tasks():
            starts.append(starts[-1] + writer.write(task_dumps(task)))
        index = b"".join(b"%0*d\n" % (INDEX_WIDTH - 1, start) for start in starts)
        writer.write(index)
    written = plan._replace(head=plan.head._replace(task_index=starts[-1]))
    store, key = open_object(plan.head.plan.uri)
    with store.writer(key) as writer:
        writer.write(written.dumps().encode())
    return written


def load_plan(uri: str) -> Plan:
    """Read the whole plan.

    Raises:
        NotFoundError: there is none at `uri`.
        DataError: what is there is no plan.
    """
    store, key = open_object(uri)
    return Plan.loads(store.get(key), uri=uri)


def load_head(uri: str) -> PlanHead:
    """Read the beginning of the plan, or all of it where that isn't enough (a foreign plan)."""
    store, key = open_object(uri)
    beginning = store.get_range(key, 0, HEAD_BYTES).decode("utf-8", "replace")
    return head_loads(beginning, uri=uri) or load_plan(uri).head


def load_task(head: PlanHead, number: int) -> Task:
    """Read one task's slice.

    Raises:
        UsageError: the plan has no such task.
        DataError: the slices are damaged.
    """
    if not 0 <= number < head.total_tasks:
        raise UsageError(
            f"{head.plan.uri} has {head.total_tasks} tasks, numbered from 0; there is no task "
            f"{number}. Submit an array of that size, or plan again"
        )
    if head.task_index is None:
        return load_plan(head.plan.uri).task(number)
    store = open_store(head.folder)
    where = head.task_index + number * INDEX_WIDTH
    try:
        if head.task_index + (head.total_tasks + 1) * INDEX_WIDTH <= WHOLE_BYTES:
            whole = store.get(COMPANION)
            entry = whole[where : where + 2 * INDEX_WIDTH].split()
        else:
            whole, entry = b"", store.get_range(COMPANION, where, 2 * INDEX_WIDTH).split()
    except NotFoundError:  # somebody copied the plan alone
        return load_plan(head.plan.uri).task(number)
    try:
        start, end = (int(text) for text in entry)
    except ValueError:
        raise DataError(
            f"{store.url(COMPANION)} is damaged: no entry for task {number}; make the plan anew"
        ) from None
    line = whole[start:end] if whole else store.get_range(COMPANION, start, end - start)
    task = task_loads(line, uri=store.url(COMPANION))
    if task.number != number:
        raise DataError(f"{store.url(COMPANION)} is damaged; make the plan anew")
    return task


def task_dumps(task: Task) -> bytes:
    """One line of the companion object."""
    items = [
        [
            item.name,
            item.size,
            item.etag,
            item.wanted,
            None if item.counted is None else item.counted.to_json(),
        ]
        for item in task.items
    ]
    line = {"Task": task.number, "Group": task.group, "First": task.first, "Items": items}
    return (json.dumps(line, separators=(",", ":")) + "\n").encode()


def task_loads(line: bytes, *, uri: str) -> Task:
    """The reverse of `task_dumps`."""
    try:
        document = json.loads(line)
        items = tuple(
            checked(
                Item(
                    name,
                    size,
                    etag,
                    None if counted is None else checked(KnownCounts(*counted)),
                    wanted,
                )
            )
            for name, size, etag, wanted, counted in document["Items"]
        )
        return checked(Task(document["Task"], document["Group"], document["First"], items))
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{uri} is damaged ({error!r}); make the plan anew") from None


def remove_old_plans(
    plans: str, destination: str, *, live: Collection[str | None], now: datetime | None = None
) -> int:
    """Remove what runs left below `plans` long ago, so that nothing grows for ever.

    Each call lists a part that is drawn at random: what a run adds is little beside that.

    Args:
        plans: the place; objects of runs are named by the run's id.
        destination: where results are; in local folders also files that a killed process began.
        live: ids of runs that are under way, or that these retry; theirs stay however old.
        now: with a time zone; None: the clock's.

    Returns:
        How many objects were removed.
    """
    now = now or datetime.now(timezone.utc)
    store = open_store(plans)
    old = {
        info.key
        for info in islice(chain(store.list(start_after=str(uuid4())), store.list()), _LISTED)
        if info.last_modified < now - timedelta(days=KEPT_DAYS)
        and (found := _OF_RUN.match(info.key))
        and (found["run"] is None or found["run"] not in live)
    }
    store.delete(sorted(old))
    for place in (plans, destination):
        _tidy_folder(place, before=now - timedelta(days=1), empty=place == plans)
    return len(old)


def _tidy_folder(place: str, *, before: datetime, empty: bool) -> None:
    """Remove files that killed writers left, and old folders that are `empty` if so asked.

    Only in local folders: S3 has neither.
    """
    if "://" in place and not place.startswith("file://"):
        return
    for folder, _, names in os.walk(place.removeprefix("file://"), topdown=False):
        left = [Path(folder, name) for name in names if name.startswith(TEMPORARY)]
        for path in [*left, *([Path(folder)] if empty and not names else [])]:
            # What isn't empty stays, and another run may be removing it, too.
            with suppress(OSError):
                if path.stat().st_mtime < before.timestamp():
                    path.rmdir() if path.is_dir() else path.unlink()
