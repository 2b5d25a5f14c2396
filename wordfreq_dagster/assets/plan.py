"""The plan: what lies in the source, what is counted, and what each container will count."""

from collections.abc import Collection, Iterable

import dagster as dg
from wordfreq.formats import Plan

from wordfreq_dagster.assets.partitions import (
    PartitionChanges,
    partition_changes,
    source_files_partitions,
    unusable_partition_key,
)
from wordfreq_dagster.assets.source_files import GROUP, OWNERS, source_files
from wordfreq_dagster.batch import BatchJobs
from wordfreq_dagster.batch.identity import origin_run_id
from wordfreq_dagster.stages import Stages
from wordfreq_dagster.storage import Locations, describe_uri

_NAMES_SHOWN = 50


@dg.asset(
    deps=[source_files],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"aws", "s3"},
    tags={"domain": "text"},
)
def plan(
    context: dg.AssetExecutionContext, batch: BatchJobs, locations: Locations, stages: Stages
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """What to count: one container lists the source and compares it with what is counted.

    The plan holds every file with its size and ETag. Files that are new or have other bytes than
    when they were counted are packed into tasks, one container each. The partitions of
    `word_counts` are then made equal to the source: added, kept, removed.
    """
    uri = locations.plan_uri(origin_run_id(context.instance, context.run))
    job = stages.plan(
        source=locations.source, destination=locations.destination, plan=uri, pack=locations.pack
    )
    outcome = batch.run(
        context=context, job=job, tasks=1, receipts=lambda _: _written(locations, uri)
    )
    outcome.raise_for_failure()
    made = locations.read_plan(uri)
    if made is None:  # the receipt of this stage is the plan itself
        raise dg.Failure(f"the plan {uri} has been removed since it was written; run again")

    names = [item.name for item in made.items]
    unusable = {name: reason for name in names if (reason := unusable_partition_key(name))}
    changes = _sync_partitions(
        context.instance, locations, [name for name in names if name not in unusable]
    )
    context.log.info(
        f"{len(names):,} files in the source, {len(made.pending):,} to count in "
        f"{len(made.tasks):,} tasks; partitions: {len(changes.added):,} added, "
        f"{len(changes.removed):,} removed"
    )
    return dg.MaterializeResult(
        metadata={
            "plan": uri,
            "plan file": describe_uri(uri),
            "dagster/row_count": len(names),
            "bytes": sum(item.size for item in made.items),
            "files to count": len(made.pending),
            "bytes to count": sum(item.size for item in made.items if item.pending),
            "tasks": len(made.tasks),
            "partitions added": len(changes.added),
            "partitions removed": len(changes.removed),
            "removed files": _names(changes.removed),
            "refused files": _reasons(
                {found.name: found.reason for found in made.refused} | unusable
            ),
            **outcome.metadata(),
        },
        data_version=dg.DataVersion(made.id),
    )


def plan_of_run(context: dg.AssetExecutionContext, locations: Locations) -> Plan | None:
    """The plan that this run made, or the run that it is a retry of; None if there is none."""
    run = context.run
    origin = origin_run_id(context.instance, run)
    for run_id in dict.fromkeys([origin, run.run_id, run.parent_run_id, run.root_run_id]):
        if run_id and (found := locations.read_plan(locations.plan_uri(run_id))):
            return found
    return None


def _written(locations: Locations, uri: str) -> dict[int, Plan]:
    made = locations.read_plan(uri)
    return {} if made is None else {0: made}


def _sync_partitions(
    instance: dg.DagsterInstance, locations: Locations, wanted: Collection[str]
) -> PartitionChanges:
    """Make the partitions equal to `wanted`, and remove the counts of files that are gone."""
    name = str(source_files_partitions.name)
    changes = partition_changes(current=instance.get_dynamic_partitions(name), wanted=wanted)
    if changes.added:
        instance.add_dynamic_partitions(name, list(changes.added))
    # Counts first: if that fails, the partition is still there to be noticed next time.
    locations.remove_counts(changes.removed)
    for key in changes.removed:
        instance.delete_dynamic_partition(name, key)
    return changes


def _names(names: Iterable[str]) -> dg.MetadataValue:
    return _reasons(dict.fromkeys(names, ""))


def _reasons(reasons: dict[str, str]) -> dg.MetadataValue:
    lines = [f"- `{name}` {reason}".rstrip() for name, reason in list(reasons.items())]
    more = len(lines) - _NAMES_SHOWN
    if more > 0:
        lines = [*lines[:_NAMES_SHOWN], f"- and {more:,} more"]
    return dg.MetadataValue.md("\n".join(lines) or "none")
