"""What `wordfreq ingest` and `wordfreq redrive` print of loads and dry runs."""

from __future__ import annotations

from wordfreq_batch.cli.options import first, say, show
from wordfreq_batch.csv.dry_run import RATE, Cost
from wordfreq_batch.plans.formats import ItemReceipt, Receipt, RejectedRow, RowFigures


def say_rejected(row: RejectedRow) -> None:
    """A rejected row, on stderr."""
    say(f"rejected: line {row.line}: {row.reason}: {row.text!r}")


def report_dry_run(
    name: str,
    rows: RowFigures,
    *,
    table: str,
    rate: int | None,
    million: float | None,
    hour: float | None,
) -> None:
    """What a load would do, on stdout; rate and prices as `csv.dry_run.Cost` has them."""
    rate = rate or RATE
    cost = Cost.of(rows.capacity, rate=rate, million=million, hour=hour)
    shared = f", {rows.shared:,} of their keys are in later files too" if rows.shared else ""
    show(
        f"{name}: {rows.read:,} rows read; {rows.written:,} items would be written to "
        f"{table}{shared}, {rows.rejected:,} rejected, {rows.superseded:,} superseded; "
        f"{rows.capacity:,.0f} write units, {cost.on_demand:,.6f} USD on demand or "
        f"{cost.provisioned:,.2f} USD provisioned, {cost.seconds:,.1f} s at {rate:,} write units "
        "a second. Nothing was written"
    )


def report_task(receipt: Receipt, table: str) -> None:
    """What a task of a plan did."""
    where = "the receipt"
    first(receipt.failed, lambda item: say(f"error: {item.error}"), "error", "failed", where)
    done = [item for item in receipt.items if item.error is None]
    first(done, lambda item: _report_item(item, table), "note", "are loaded", where)
    show(f"task {receipt.task}: {len(done):,} of {len(receipt.items):,} files")


def _report_item(item: ItemReceipt, table: str) -> None:
    if item.rows is None:
        show(f"{item.name}: loaded already")
    else:
        report_load(item.name, table, item.rows, where="in the plan's destination")


def report_load(name: str, table: str, rows: RowFigures, *, where: str) -> None:
    """What a load did; `where` are the rejects."""
    if rows.rejected:
        say(f"warning: {name}: {rows.rejected:,} rows were rejected; they are {where}")
    others = f" (in {', '.join(rows.others)})" if rows.others else ""
    if rows.shared:
        say(f"warning: {name}: {rows.shared:,} keys were those of other uploads{others}")
    if rows.newer:
        say(
            f"warning: {name}: {rows.newer:,} rows were left out: a newer upload holds their keys "
            "(with --write absent: any other)"
        )
    show(
        f"{name}: {rows.read:,} rows read, {rows.written:,} items written to {table}, "
        f"{rows.rejected:,} rejected, {rows.superseded:,} superseded; "
        f"{rows.capacity:,.1f} write units, {rows.write_seconds:.1f} s"
    )
