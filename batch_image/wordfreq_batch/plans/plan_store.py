"""Writing a plan to its place and reading it: whole, its head only, or one task's slice.

For `plans.planning` (write), the tasks (head and slice: kilobytes, whatever the plan's size) and
the orchestrator (whole).
"""

from __future__ import annotations

import json
from array import array

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
from wordfreq_batch.storage.opening import open_object, open_store

HEAD_BYTES = 32 * 1024
"""The head of a plan is shorter than that: three locations of up to 1,024 bytes each, escaped."""

WHOLE_BYTES = 256 * 1024
"""Slices of up to so many bytes in all are read by one request, others by two."""

COMPANION = "tasks"


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
