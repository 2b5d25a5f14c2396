"""One task of a plan, whatever its stage: lease, earlier receipt, the work itself, new receipt.

The order makes a task safe to kill at any point and to run twice at once: the receipt comes last,
and a task without one isn't done.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timezone
from typing import NamedTuple

from wordfreq_batch.errors import (
    OUT_OF_MEMORY,
    ChangedError,
    InputError,
    WordfreqError,
    is_out_of_memory,
)
from wordfreq_batch.job import JobInfo
from wordfreq_batch.plans import ledger
from wordfreq_batch.plans.formats import ItemReceipt, Receipt
from wordfreq_batch.plans.plan import Item, PlanHead, Task
from wordfreq_batch.plans.plan_store import load_head, load_task
from wordfreq_batch.plans.receipts import read_receipt, take_lease, write_receipt
from wordfreq_batch.plans.unusable import record_unusable
from wordfreq_batch.storage.store import Store
from wordfreq_batch.temporary import no_room


class TaskOutcome(NamedTuple):
    """How a task ended. `receipt` is None when another job has the task (`holder` is its id).

    `earlier` says that the receipt was there before, so that nothing was done.
    """

    receipt: Receipt | None
    earlier: bool = False
    holder: str = ""


class Stage(NamedTuple):
    """What a stage does with a task.

    `version` says of that of a plan what its results have; a plan made for another is refused
    unless `accepts` it.
    `work` gets the plan's head, the task and the receipt of an earlier, partly failed run.
    """

    name: str
    version: Callable[[str], str]
    work: Callable[[PlanHead, Task, Receipt | None], Sequence[ItemReceipt]]
    accepts: Callable[[str], bool] = lambda _: False


def run_stage(plan: str, number: int, stage: Stage, *, job: JobInfo) -> TaskOutcome:
    """Do task `number` of the plan at the URI `plan`.

    Raises:
        WordfreqError: the task as a whole could not be done; no receipt is left.
    """
    head = load_head(plan)
    task = load_task(head, number)
    if holder := take_lease(head, stage.name, number, job):
        return TaskOutcome(receipt=None, holder=holder)
    earlier = read_receipt(head, stage.name, number)
    # A receipt of another version is no receipt of this work, and there is room for one only.
    made_for = earlier.counter_version if earlier else head.counter_version
    version = stage.version(head.counter_version)
    if made_for not in ("", version) and (earlier or not stage.accepts(made_for)):
        raise InputError(
            f"{plan} was made for {stage.name} {made_for}, this is {version}; "
            "plan again with this version"
        )
    if earlier is not None and earlier.final:
        return TaskOutcome(receipt=earlier, earlier=True)
    started = datetime.now(timezone.utc)
    items = tuple(stage.work(head, task, earlier))
    code = worst(item.exit_code for item in items)
    receipt = Receipt.of(
        head, stage.name, number, items, version=version, started=started, job=job, exit_code=code
    )
    return TaskOutcome(receipt=write_receipt(head, receipt))


def worst(codes: Iterable[int]) -> int:
    """The exit code of a task: 1 (may pass, worth another try) before 2, 4, 3 and 0."""
    return max(codes, key=(0, 3, 4, 2, 1).index, default=0)


def failure(item: Item, error: Exception) -> ItemReceipt:
    """The receipt of a file that failed; an error that nobody foresaw is printed in full."""
    if isinstance(error, WordfreqError):
        message, exit_code = str(error), error.exit_code
    elif is_out_of_memory(error):
        message, exit_code = f"{item.name}: {OUT_OF_MEMORY}", 1
    elif isinstance(error, OSError):
        message, exit_code = f"{item.name}: {no_room(error)}", 1
    else:
        import traceback

        traceback.print_exception(error, file=sys.stderr)
        message, exit_code = f"{item.name}: unexpected {error!r}; please report this", 1
    if isinstance(error, ChangedError) and item.name not in message:
        message = f"{item.name}: {message}"
    return ItemReceipt.failed(item, message, exit_code=exit_code)


def record(
    store: Store,
    done: Collection[ItemReceipt],
    head: PlanHead,
    task: Task,
    *,
    version: str,
    limit: str = "",
) -> None:
    """Note in the destination `store` which files are done, and which are bad data.

    See `plans.ledger` and `plans.unusable`; `limit` is what else decides that a file is bad.

    Raises:
        WordfreqError: it could not be stored; that costs only time, so callers just say so.
    """
    rows = [each.row(version) for each in done if each.error is None and not each.reused]
    # Not the task alone: a second attempt must not replace the rows of the first.
    ledger.append(store, rows, origin=f"{head.id}-{task.number:05d}-{os.urandom(4).hex()}")
    record_unusable(store, done, version=version + limit)


def error_line(error: WordfreqError, task: Task) -> str:
    """A line about something that went wrong and doesn't matter."""
    return f"task {task.number}: {error} (this costs only time)"
