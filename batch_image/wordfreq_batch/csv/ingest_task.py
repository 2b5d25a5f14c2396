"""One task of a plan of uploads: load its CSVs, each on its own, and leave rejects and receipt.

Called by `wordfreq ingest --plan`, once per container. A file that was loaded already from the same
bytes into the same table with the same settings is left alone; a file that fails doesn't keep its
neighbours from being loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from secrets import token_hex

from wordfreq_batch.csv.ingest import load
from wordfreq_batch.csv.rate import shared
from wordfreq_batch.csv.reading.rejects import limit_version
from wordfreq_batch.csv.settings import Settings
from wordfreq_batch.csv.upload import Source, Target, begin_load, is_newest_load, record_load
from wordfreq_batch.errors import WordfreqError
from wordfreq_batch.job import JobInfo
from wordfreq_batch.plans.formats import Figures, ItemReceipt, Receipt
from wordfreq_batch.plans.plan import Item, PlanHead, Task
from wordfreq_batch.plans.plan_store import load_head
from wordfreq_batch.plans.receipts import read_receipts
from wordfreq_batch.plans.tasks import Stage, TaskOutcome, error_line, failure, record, run_stage
from wordfreq_batch.progress import Progress
from wordfreq_batch.storage.opening import open_store
from wordfreq_batch.storage.store import Store

STAGE = "ingest"

VERSION_PREFIX = "csv"
"""Versions of this stage begin so; plans made for the word counter can be loaded as well."""


def ingest_task(
    plan: str,
    number: int,
    target: Target,
    settings: Settings,
    *,
    job: JobInfo,
    progress: Progress,
) -> TaskOutcome:
    """Load the files of task `number` of the plan at the URI `plan`.

    Raises:
        WordfreqError: the task as a whole could not be done; no receipt is left.
    """
    table, absent = target.table.name, target.mode == "absent"
    version = settings.version(table, absent=absent)

    def work(head: PlanHead, task: Task, earlier: Receipt | None) -> Sequence[ItemReceipt]:
        done = {item.name: item for item in earlier.items} if earlier else {}
        same_version = head.counter_version == version
        with ExitStack() as stack:
            if target.rate is not None:
                folder = open_store(head.folder)
                member = f"{number:05d}-{token_hex(4)}"
                stack.enter_context(shared(target.rate, folder, member, progress=progress))
            return _load_all(
                head,
                task,
                lambda name: replace(target, schema=settings.schema(name)),
                lambda name: settings.version_of(name, table, absent=absent),
                done,
                same_version=same_version,
                limit=limit_version(target.max_rejects),
                progress=progress,
            )

    stage = Stage(
        name=STAGE,
        version=lambda _: version,
        work=work,
        accepts=lambda made_for: not made_for.startswith(VERSION_PREFIX),
    )
    return run_stage(plan, number, stage, job=job)


def redrive(
    plan: str, target: Target, settings: Settings, *, job: JobInfo, progress: Progress
) -> Iterator[TaskOutcome]:
    """Do those tasks of a plan that have failed for reasons which may pass, or left no receipt.

    Files of them that are loaded already are left alone.

    Raises:
        WordfreqError: the plan can't be read, or a task as a whole not be done.
    """
    head = load_head(plan)
    receipts = read_receipts(head, STAGE, range(head.total_tasks))
    for number in range(head.total_tasks):
        receipt = receipts.get(number)
        if receipt is None or not receipt.final:
            yield ingest_task(plan, number, target, settings, job=job, progress=progress)


def _load_all(
    head: PlanHead,
    task: Task,
    target_of: Callable[[str], Target],
    version_of: Callable[[str], str],
    earlier: dict[str, ItemReceipt],
    *,
    same_version: bool,
    limit: str,
    progress: Progress,
) -> list[ItemReceipt]:
    stores = open_store(head.source.uri), open_store(head.destination.uri)
    receipts: list[ItemReceipt] = []
    for item in task.items:
        if not item.wanted:
            continue
        before = earlier.get(item.name)
        if (
            before is not None
            and before.error is None
            and before.etag == item.etag
            and is_newest_load(stores[1], item.name, before.counts_etag)
        ):
            receipts.append(before)
        elif (
            same_version
            and item.counted is not None
            and is_newest_load(stores[1], item.name, item.counted.counts_etag)
        ):
            receipts.append(ItemReceipt.reuse(item))
        else:
            version = version_of(item.name)
            receipts.append(_load(head, stores, item, target_of(item.name), version, progress))
            # After each file: loading is long, and a killed task should not do it all again.
            try:
                record(stores[1], receipts[-1:], head, task, version=version, limit=limit)
            except WordfreqError as error:
                progress(error_line(error, task))
    return receipts


def _load(
    head: PlanHead,
    stores: tuple[Store, Store],
    item: Item,
    target: Target,
    version: str,
    progress: Progress,
) -> ItemReceipt:
    source = Source.of_plan(head, item)
    try:
        loaded = load(
            source,
            target,
            rejects=(stores[1], item.name),
            progress=progress,
            before_writing=lambda: begin_load(stores[1], item.name),
        )
        etag = record_load(stores[1], item.name, loaded, version=version)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this file's
        return failure(item, error)
    rows, info = loaded.figures, loaded.info
    figures = Figures(info.size, rows.read, rows.written, rows.rejected)
    return ItemReceipt.done(
        item, info, figures, seconds=loaded.seconds, counts_etag=etag, rows=rows
    )
