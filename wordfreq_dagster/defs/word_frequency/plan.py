"""The plan: what lies in the source, what is counted, and what each container will count."""

import dagster as dg

from dagster_aws_batch import BatchJobs, origin_run_id
from dagster_aws_batch.automation.turns import take_turn
from wordfreq_batch.plans.plan import Plan
from wordfreq_batch.progress import size
from wordfreq_dagster.defs.word_frequency.source_files import GROUP, source_files
from wordfreq_dagster.files.partitions import source_files_partitions
from wordfreq_dagster.files.places import WordPlaces, describe_uri, listed_names, listed_reasons
from wordfreq_dagster.files.plans import sync_with_plan
from wordfreq_dagster.files.stages import Stages
from wordfreq_dagster.files.tags import OWNERS, SOURCE_TAG


@dg.asset(
    deps=[source_files],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"aws", "s3"},
    tags={"domain": "text"},
)
def plan(
    context: dg.AssetExecutionContext, batch: BatchJobs, locations: WordPlaces, stages: Stages
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """What to count: one container lists the source and compares it with what is counted.

    The plan holds every file with its size and ETag. Files that are new or have other bytes than
    when they were counted are packed into tasks, one container each. The partitions of
    `word_counts` are then made equal to the source: added, kept, removed.
    """
    take_turn(context, locations.source, tag=SOURCE_TAG)
    uri = locations.plan_uri(origin_run_id(context.instance, context.run))
    command = ["plan", "--source", locations.source, "--destination", locations.destination]
    command += ["--plan", uri, "--pack", str(locations.pack), "--pending"]
    command += ["--encoding", locations.encoding] if locations.encoding else []
    command += ["--fold"] if locations.fold else []
    command += ["--retry-unusable"] if locations.retry_unusable else []
    outcome = batch.run(
        context=context,
        job=stages.job("plan", command),
        tasks=1,
        receipts=lambda _: _written(locations, uri),  # the receipt of this stage is the plan itself
    )
    outcome.raise_for_failure()
    made = outcome.receipts[0]
    changes, refused = sync_with_plan(
        context, made, locations, source_files_partitions, observes=source_files.key
    )
    total = sum(item.size for item in made.items)
    to_count = sum(item.size for item in made.items if item.pending)
    return dg.MaterializeResult(
        metadata={
            "plan": uri,
            "plan file": describe_uri(uri),
            "dagster/row_count": len(made.items) + len(made.unusable),
            "bytes": total,
            "files to count": len(made.pending),
            "bytes to count": to_count,
            "size": f"{size(total)}, to count {size(to_count)}",
            "tasks": len(made.tasks),
            "partitions added": len(changes.added),
            "partitions removed": len(changes.removed),
            "removed files": listed_names(changes.removed),
            "refused files": listed_reasons(refused),
            "bad files": listed_reasons({each.name: each.reason for each in made.unusable}),
            **outcome.metadata(plots=False),
        },
        data_version=dg.DataVersion(made.id),
    )


def _written(locations: WordPlaces, uri: str) -> dict[int, Plan]:
    made = locations.read_plan(uri)
    return {} if made is None else {0: made}
