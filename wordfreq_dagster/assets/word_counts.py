"""The counts of each file: one dynamic partition a file, one array job for all of a run."""

import time
from collections.abc import Iterator, Sequence

import dagster as dg
from wordfreq.formats import ItemReceipt, Plan

from wordfreq_dagster.assets.file_report import report_files
from wordfreq_dagster.assets.partitions import source_files_partitions, unusable_partition_key
from wordfreq_dagster.assets.plan import plan, plan_of_run
from wordfreq_dagster.assets.source_files import GROUP, OWNERS
from wordfreq_dagster.batch import BatchJobs
from wordfreq_dagster.batch.identity import origin_run_id
from wordfreq_dagster.stages import Stages
from wordfreq_dagster.storage import Locations, describe_uri

_REPORT_SECONDS = 5.0


@dg.asset(
    deps=[plan],
    partitions_def=source_files_partitions,
    # Any contiguous set of partitions is one run, and so one array job.
    backfill_policy=dg.BackfillPolicy.single_run(),
    # One AssetMaterialization a file, no output: files that are done stay green when others fail.
    output_required=False,
    group_name=GROUP,
    owners=OWNERS,
    kinds={"aws", "s3"},
    tags={"domain": "text"},
)
def word_counts(
    context: dg.AssetExecutionContext, batch: BatchJobs, locations: Locations, stages: Stages
) -> Iterator[dg.AssetMaterialization | dg.MaterializeResult]:  # type: ignore[type-arg]
    """The words of each file with their counts, one object a file, one partition a file.

    In the job `word_frequency` the pending files of the plan are counted: those that are new or
    have changed. With partitions chosen in the UI exactly these files are counted again. Either
    way it is one AWS Batch array job; each file is reported with its own figures, and a file that
    fails doesn't take its neighbours with it.
    """
    keys = _chosen_keys(context)
    planned = _plan_for(context, locations, keys)
    outcome = batch.run(
        context=context,
        job=stages.migrate(plan=planned.head.plan.uri),
        tasks=len(planned.tasks),
        receipts=lambda tasks: locations.read_receipts(planned, "migrate", tasks),
    )
    report = report_files(planned, outcome, chosen=keys)
    yield from _materializations(context, report.done, locations)

    totals = {"plan": planned.head.plan.uri, **report.totals(), **outcome.metadata()}
    if report.failed:
        raise dg.Failure(
            "\n".join([report.explain(), *([outcome.explain()] if outcome.failed else [])]),
            metadata=totals,
            # Containers were tried again already where that helps; a bad file stays bad.
            allow_retries=False,
        )
    if keys is None:
        # Without partition keys the asset itself is reported too, else `ranking` is skipped.
        yield dg.MaterializeResult(metadata=totals)


def _chosen_keys(context: dg.AssetExecutionContext) -> list[str] | None:
    """The partitions this run was asked for; None if it was asked for none."""
    if not (context.has_partition_key or context.has_partition_key_range):
        return None
    keys = list(context.partition_keys)
    if not keys:
        raise dg.Failure(
            "the partition range of this run is empty: its end comes before its start; "
            "ranges follow the order in which files were added",
            allow_retries=False,
        )
    return keys


def _plan_for(
    context: dg.AssetExecutionContext, locations: Locations, keys: list[str] | None
) -> Plan:
    if keys is None:
        planned = plan_of_run(context, locations)
        if planned is None:
            raise dg.Failure(
                "this run has no plan: materialize `plan` with it (the job `word_frequency` does), "
                "or choose the partitions to count",
                allow_retries=False,
            )
        return planned
    uri = locations.plan_uri(origin_run_id(context.instance, context.run), kind="files")
    # A retry of this step finds the same plan, and by it the same jobs and receipts.
    planned = locations.read_plan(uri)
    if planned is None or {item.name for item in planned.items if item.wanted} != set(keys):
        planned = locations.look(plan=uri, only=keys)
        locations.save_plan(planned)
    return planned


def _materializations(
    context: dg.AssetExecutionContext, done: Sequence[ItemReceipt], locations: Locations
) -> Iterator[dg.AssetMaterialization]:
    """One event a file; writing them takes Dagster some milliseconds each, so say how far it is."""
    due = time.monotonic() + _REPORT_SECONDS
    for number, item in enumerate(done):
        if time.monotonic() > due:
            context.log.info(f"reported {number:,} of {len(done):,} files to Dagster")
            due = time.monotonic() + _REPORT_SECONDS
        if unusable_partition_key(item.name) is None:
            yield _materialization(context.asset_key, item, locations)


def _materialization(
    asset_key: dg.AssetKey, item: ItemReceipt, locations: Locations
) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(
        asset_key=asset_key,
        partition=item.name,
        metadata={
            "words": item.words,
            "distinct words": item.distinct,
            "bytes": item.bytes,
            "bytes not UTF-8": item.invalid,
            "seconds": round(item.seconds, 4),
            "source": describe_uri(f"{locations.source.rstrip('/')}/{item.name}"),
            "counts": describe_uri(f"{locations.destination.rstrip('/')}/{item.name}"),
            "ETag": item.etag,
        },
        tags={"dagster/data_version": item.etag},
    )
