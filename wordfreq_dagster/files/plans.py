"""Which plan a run works by, its receipts, and what the latest materialization of an asset says.

For assets and their checks. A run reads its plan once per process: `Places.read_plan` keeps it.
"""

from collections.abc import Collection
from typing import Any

import dagster as dg

from dagster_aws_batch import origin_run_id
from wordfreq_batch.plans.formats import Receipt
from wordfreq_batch.plans.plan import Plan
from wordfreq_batch.plans.receipts import listed_receipts, read_receipts
from wordfreq_dagster.files.partitions import (
    PartitionChanges,
    sync_partitions,
    unusable_partition_key,
)
from wordfreq_dagster.files.places import Places


def plan_of_run(
    context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext, places: Places
) -> Plan | None:
    """The plan that this run made, or the run that it is a retry of; None if there is none."""
    run = context.run
    origin = origin_run_id(context.instance, run)
    for run_id in dict.fromkeys([origin, run.run_id, run.parent_run_id, run.root_run_id]):
        if run_id and (found := places.read_plan(places.plan_uri(run_id))):
            return found
    return None


def plan_of_choice(
    context: dg.AssetExecutionContext, places: Places, keys: Collection[str], *, kind: str
) -> Plan:
    """The plan of exactly these files. `kind` tells the plans of one run apart.

    A retry of the step finds the same plan, and by it the same jobs and receipts.
    """
    uri = places.plan_uri(origin_run_id(context.instance, context.run), kind=kind)
    planned = places.read_plan(uri)
    if planned is None or {item.name for item in planned.items if item.wanted} != set(keys):
        planned = places.compare(plan=uri, only=keys)
        places.save_plan(planned)
    return planned


def sync_with_plan(
    context: dg.AssetExecutionContext,
    planned: Plan,
    places: Places,
    partitions: dg.DynamicPartitionsDefinition,
) -> tuple[PartitionChanges, dict[str, str]]:
    """Make the partitions equal to the files of the plan; files that are gone lose their results.

    Args:
        context: of the asset that plans.
        planned: the plan of this run.
        places: where the results are.
        partitions: the partitions to change.

    Returns:
        The partitions that were added and removed, and why which files of the source have none.
    """
    names = [item.name for item in planned.items]
    unusable = {name: reason for name in names if (reason := unusable_partition_key(name))}
    changes = sync_partitions(
        context.instance,
        partitions,
        [name for name in names if name not in unusable],
        remove_results=places.remove_results,
    )
    context.log.info(
        f"{len(names):,} files in the source, {len(planned.pending):,} to do in "
        f"{len(planned.tasks):,} tasks; partitions: {len(changes.added):,} added, "
        f"{len(changes.removed):,} removed"
    )
    return changes, {found.name: found.reason for found in planned.refused} | unusable


def new_receipts(planned: Plan, stage: str, *, known: Collection[int]) -> dict[int, Receipt]:
    """The receipts that are there now and whose tasks aren't among `known`, by task number."""
    tasks = [task for task in listed_receipts(planned.head, stage) if task not in known]
    return read_receipts(planned.head, stage, tasks)


def latest_metadata(instance: dg.DagsterInstance, key: dg.AssetKey) -> dict[str, Any]:
    """The metadata values of the asset's latest materialization; empty if there is none."""
    event = instance.get_latest_materialization_event(key)
    made = event.asset_materialization if event else None
    return {name: found.value for name, found in made.metadata.items()} if made else {}
