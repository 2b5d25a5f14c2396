"""After a run's loads: items whose rows or uploads are gone are deleted, if so set."""

from __future__ import annotations

from typing import Any

import dagster as dg

from dagster_aws_batch import BatchJobs
from wordfreq_batch.csv.mirror import DRY_RUN, STAGE
from wordfreq_batch.plans.plan import Plan
from wordfreq_batch.plans.receipts import read_receipts
from wordfreq_dagster.defs.csv_to_dynamodb.resource import CsvPlaces
from wordfreq_dagster.files.places import listed_reasons
from wordfreq_dagster.files.plans import unread
from wordfreq_dagster.files.stages import Stages


def mirrored(
    context: dg.AssetExecutionContext,
    planned: Plan,
    *,
    batch: BatchJobs,
    csv: CsvPlaces,
    stages: Stages,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Let one job delete what the uploads of the plan don't hold, or count it; the figures.

    Raises:
        dagster.Failure: the job failed; the next run goes on.
    """
    stage = DRY_RUN if dry_run else STAGE
    command = ["mirror", "--plan", planned.head.plan.uri, "--table", csv.table, *csv.rate()]
    command += ["--dry-run"] if dry_run else []
    outcome = batch.run(
        context=context,
        job=stages.job("ingest", command, name=stage, environment=csv.environment()),
        tasks=1,
        receipts=lambda tasks: read_receipts(planned.head, stage, tasks),
    )
    if not outcome.receipts:
        raise dg.Failure(
            f"items whose uploads are gone are still in {csv.table}: {outcome.tasks[0].reason}. "
            "The next run deletes them",
            metadata=outcome.failure_metadata(),
        )
    items = [item for each in outcome.receipts.values() for item in each.items]
    deleted = {item.name: item.rows.deleted for item in items if item.rows is not None}
    if not dry_run:
        gone = deleted.keys() - {item.name for item in planned.items}
        csv.forget_loads(gone - unread(planned, gone))
    what = "items that would be deleted" if dry_run else "items deleted"
    return {
        what: sum(deleted.values()),
        f"{what} by upload": listed_reasons(
            {name: f"{number:,} items" for name, number in deleted.items() if number}
        ),
    }
