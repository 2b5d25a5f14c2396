"""After a run's loads: items whose rows or uploads are gone are deleted, if so set."""

from __future__ import annotations

import dagster as dg

from dagster_aws_batch import BatchJobs
from wordfreq_batch.csv.mirror import STAGE, is_mirrored
from wordfreq_batch.plans.plan import Plan
from wordfreq_batch.plans.receipts import read_receipts
from wordfreq_dagster.defs.csv_to_dynamodb.resource import CsvPlaces
from wordfreq_dagster.files.places import listed_reasons
from wordfreq_dagster.files.stages import Stages


def mirrored(
    context: dg.AssetExecutionContext,
    planned: Plan,
    *,
    batch: BatchJobs,
    csv: CsvPlaces,
    stages: Stages,
) -> dict[str, object]:
    """Let one job delete what the uploads of the plan don't hold; returns the figures.

    Nothing is done where neither uploads nor loads have changed since the last time.

    Raises:
        dagster.Failure: the job failed; the next run goes on.
    """
    if csv.removed == "keep" or is_mirrored(csv.source, csv.destination):
        return {}
    command = ["mirror", "--plan", planned.head.plan.uri, "--table", csv.table]
    outcome = batch.run(
        context=context,
        job=stages.job(
            "ingest", [*command, *csv.rate()], name=STAGE, environment=csv.environment()
        ),
        tasks=1,
        receipts=lambda tasks: read_receipts(planned.head, STAGE, tasks),
    )
    if not outcome.receipts:
        raise dg.Failure(
            f"items whose uploads are gone are still in {csv.table}: {outcome.tasks[0].reason}. "
            "The next run deletes them",
            metadata=outcome.failure_metadata(),
        )
    items = [item for each in outcome.receipts.values() for item in each.items]
    deleted = {item.name: item.rows.deleted for item in items if item.rows is not None}
    csv.forget_loads(deleted.keys() - {item.name for item in planned.items})
    return {
        "items deleted": sum(deleted.values()),
        "items deleted by upload": listed_reasons(
            {name: f"{number:,} items" for name, number in deleted.items() if number}
        ),
    }
