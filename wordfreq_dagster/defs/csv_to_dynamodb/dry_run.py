"""A run of `csv_rows` that writes nothing: what would be written, rejected and paid."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import dagster as dg

from dagster_aws_batch import BatchJobs
from wordfreq_batch.csv.dry_run import RATE, STAGE, Cost, totals
from wordfreq_batch.plans.formats import Receipt
from wordfreq_batch.plans.plan import Plan
from wordfreq_batch.plans.receipts import read_receipts
from wordfreq_dagster.defs.csv_to_dynamodb.mirror import mirrored
from wordfreq_dagster.defs.csv_to_dynamodb.resource import CsvPlaces
from wordfreq_dagster.files.places import listed_reasons
from wordfreq_dagster.files.stages import Stages


def dry_run(
    context: dg.AssetExecutionContext,
    planned: Plan,
    *,
    batch: BatchJobs,
    csv: CsvPlaces,
    stages: Stages,
    stale: bool,
) -> dg.AssetObservation:
    """Try the uploads of the plan in one job; where the table is `stale`, the mirror in another.

    Raises:
        dagster.Failure: the job failed; a file that can't be loaded is no failure but listed.
    """
    command = [*csv.ingest_command(plan=planned.head.plan.uri), "--dry-run"]
    outcome = batch.run(
        context=context,
        job=stages.job("ingest", command, name="rehearse", environment=csv.environment()),
        tasks=1 if planned.tasks else 0,
        receipts=lambda tasks: read_receipts(planned.head, STAGE, tasks),
    )
    if planned.tasks and not outcome.receipts:
        raise dg.Failure(
            f"the dry run left no receipt: {outcome.tasks[0].reason}", metadata=outcome.metadata()
        )
    gone = {}
    if stale:
        gone = mirrored(context, planned, batch=batch, csv=csv, stages=stages, dry_run=True)
    found = _figures(context, outcome.receipts.values(), csv)
    return dg.AssetObservation(
        asset_key=context.asset_key,
        metadata={"dry run": True, **found, **gone, **outcome.metadata()},
    )


def _figures(
    context: dg.AssetExecutionContext, receipts: Collection[Receipt], csv: CsvPlaces
) -> dict[str, Any]:
    items = tuple(item for each in receipts for item in each.items)
    rows = totals(items)
    rate = csv.max_write_units or RATE
    cost = Cost.of(rows.capacity, rate=rate)
    context.log.info(
        f"dry run of {len(items):,} CSVs: {rows.written:,} items would be written to {csv.table}, "
        f"{rows.rejected:,} rows rejected; {rows.capacity:,.0f} write units. Nothing was written"
    )
    reasons = {
        f"{item.name}, line {row.line}": row.reason
        for item in items
        if item.rows is not None
        for row in item.rows.rejects
    }
    return {
        "CSVs": len(items),
        "CSVs that can't be loaded": listed_reasons(
            {item.name: item.error for item in items if item.error is not None}
        ),
        "rows read": rows.read,
        "items that would be written": rows.written,
        "rows rejected": rows.rejected,
        "first rejects": listed_reasons(reasons),
        "rows superseded": rows.superseded,
        "keys in several CSVs": rows.shared,
        "write units": rows.capacity,
        "USD on demand": round(cost.on_demand, 6),
        "USD provisioned": round(cost.provisioned, 2),
        f"seconds at {rate:,} write units a second": round(cost.seconds, 1),
    }
