"""What loading CSVs would do, found out without writing to the table: figures, shared keys, price.

For `cli.ingest` (`--dry-run --plan`). The dry run of a plan leaves a receipt of the stage
`rehearse`, which the orchestrator reads; no task of the plan is taken for done by it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil

from wordfreq_batch.csv.ingest import dry_run
from wordfreq_batch.csv.last import LastOfKey
from wordfreq_batch.csv.rate import ON_DEMAND, PROVISIONED
from wordfreq_batch.csv.settings import Settings
from wordfreq_batch.csv.upload import Source, Target, is_newest_load
from wordfreq_batch.errors import WordfreqError
from wordfreq_batch.job import JobInfo
from wordfreq_batch.plans.formats import ItemReceipt, RowFigures
from wordfreq_batch.plans.plan import Item, PlanHead
from wordfreq_batch.plans.plan_store import load_task
from wordfreq_batch.plans.receipts import SingleTask
from wordfreq_batch.plans.tasks import failure
from wordfreq_batch.progress import Progress
from wordfreq_batch.storage.opening import open_store

STAGE = "rehearse"

RATE = 1000
"""Write units a second of one partition, the least that an on-demand table can take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What so many write units cost, and how long they take at the rate.

    `provisioned`: USD for the hours, begun ones counted whole, of a table with just that rate.
    """

    seconds: float
    on_demand: float
    provisioned: float

    @classmethod
    def of(
        cls, units: float, *, rate: float, million: float | None = None, hour: float | None = None
    ) -> Cost:
        """Of `units` at `rate` units a second, by the prices of a million and of a unit-hour."""
        seconds = units / rate
        return cls(
            seconds=seconds,
            on_demand=units * (ON_DEMAND if million is None else million) / 1e6,
            provisioned=ceil(seconds / 3600) * rate * (PROVISIONED if hour is None else hour),
        )


def dry_run_plan(
    plan: str,
    target: Target,
    settings: Settings,
    *,
    job: JobInfo,
    progress: Progress,
) -> tuple[ItemReceipt, ...] | None:
    """What loading all tasks of a plan would do; None where another job does the same already.

    `RowFigures.shared` of a file counts its keys that come again in a later file of the plan.

    Raises:
        WordfreqError: the plan can't be read, or the receipt not be written.
    """
    single = SingleTask(plan, STAGE, job)
    if single.taken_by() is not None:
        return None
    head = single.head
    version = settings.version(target.table.name, absent=target.mode == "absent")
    ends: list[int] = []
    found: list[ItemReceipt] = []
    with LastOfKey() as keys:
        for item in _items(head):
            own = replace(target, schema=settings.schema(item.name))
            found.append(_dry_run_item(head, item, own, version, keys, progress))
            ends.append(keys.rows)
        keys.finish()
        shared = [
            sum(not keys.is_last(row) for row in range(start, end))
            for start, end in zip([0, *ends], ends, strict=False)
        ]
    items = tuple(
        each if each.rows is None else each._replace(rows=each.rows._replace(shared=again))
        for each, again in zip(found, shared, strict=True)
    )
    single.succeeded(version, items)
    return items


def _items(head: PlanHead) -> Iterator[Item]:
    for number in range(head.total_tasks):
        yield from (item for item in load_task(head, number).items if item.wanted)


def _dry_run_item(
    head: PlanHead,
    item: Item,
    target: Target,
    version: str,
    keys: LastOfKey,
    progress: Progress,
) -> ItemReceipt:
    destination = open_store(head.destination.uri)
    try:
        if (
            head.counter_version == version
            and item.counted is not None
            and is_newest_load(destination, item.name, item.counted.counts_etag)
        ):
            return ItemReceipt.reuse(item)
        source = Source.of_plan(head, item)
        loaded = dry_run(source, target, progress=progress, key=keys.add)
    except WordfreqError as error:
        return failure(item, error)
    return ItemReceipt.done(item, loaded.info, seconds=loaded.seconds, rows=loaded.figures)


def totals(items: tuple[ItemReceipt, ...]) -> RowFigures:
    """The figures of all files together; samples and rejects are left out."""
    rows = [item.rows for item in items if item.rows is not None]
    return RowFigures(
        read=sum(each.read for each in rows),
        written=sum(each.written for each in rows),
        rejected=sum(each.rejected for each in rows),
        superseded=sum(each.superseded for each in rows),
        capacity=sum(each.capacity for each in rows),
        shared=sum(each.shared for each in rows),
    )
