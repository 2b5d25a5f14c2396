"""Which plan a run works by, its receipts, and what the latest materialization of an asset says.

For assets and their checks. A run reads its plan once per process: `Places.read_plan` keeps it.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import dagster as dg

from dagster_aws_batch import origin_run_id
from dagster_aws_batch.automation import UNFINISHED
from dagster_aws_batch.events.partition_sets import (
    PartitionChanges,
    ends_of_range,
    sync_partitions,
    unusable_partition_key,
)
from dagster_aws_batch.events.partitions import delete_partitions
from wordfreq_batch.plans.plan import NOT_THERE, Plan
from wordfreq_batch.plans.plan_store import KEPT_DAYS, remove_old_plans
from wordfreq_batch.progress import size
from wordfreq_batch.storage.fingerprint import Fingerprint
from wordfreq_dagster.files.places import Places, describe_uri
from wordfreq_dagster.files.tags import LISTING

_VERSION_TAG = "dagster/data_version"
#: Kinds of refusals that are no matter of who looks, and when: nothing is made of such a name.
_CERTAIN = ("unusable name", "second name", NOT_THERE)
#: Runs without a plan, of this process: their other steps and checks don't look for one again.
_without_plan: set[str] = set()


def plan_of_run(
    context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext, places: Places
) -> Plan | None:
    """The plan that this run made, the run that it is a retry of, or another of its backfill.

    None if there is none.
    """
    run = context.run
    if run.run_id in _without_plan:
        return None
    origin = origin_run_id(context.instance, run)
    runs = [origin, run.run_id, run.parent_run_id, run.root_run_id, *_others_of_backfill(context)]
    for run_id in dict.fromkeys(runs):
        if run_id and (found := places.read_plan(places.plan_uri(run_id))):
            return found
    _without_plan.add(run.run_id)
    return None


def _others_of_backfill(
    context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext,
) -> list[str]:
    """The runs of other assets in this run's backfill, latest first.

    *Materialize all* of an asset group makes a run per asset: Dagster joins only assets with the
    same partitions.
    """
    backfill = context.run.tags.get("dagster/backfill")
    if not backfill:
        return []
    runs = context.instance.get_runs(dg.RunsFilter(tags={"dagster/backfill": backfill}))
    own = context.run.asset_selection or frozenset()
    return [run.run_id for run in runs if run.asset_selection and not run.asset_selection & own]


def plan_of_choice(
    context: dg.AssetExecutionContext,
    places: Places,
    keys: Collection[str] | None,
    *,
    kind: str,
    again: bool = False,
) -> Plan:
    """The plan of exactly these files. A retry of the step finds it, and by it jobs and receipts.

    Args:
        context: of the asset that works by the plan.
        places: where the files and the results are.
        keys: the files; None: all.
        kind: tells the plans of one run apart.
        again: files whose results are valid are done again, not only confirmed.
    """
    uri = places.plan_uri(origin_run_id(context.instance, context.run), kind=kind)
    planned = places.read_plan(uri)
    if planned is None or (keys is not None and not _is_of(planned, set(keys))):
        planned = places.compare(plan=uri, only=keys, again=again)
        places.save_plan(planned)
    return planned


def remove_ended(
    instance: dg.DagsterInstance, places: Places, *, now: datetime | None = None
) -> int:
    """Remove what ended runs left below `places.plans` long ago; returns how many objects."""
    live: set[str | None] = set()
    for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED)):
        live |= {run.run_id, run.parent_run_id, run.root_run_id}
    return remove_old_plans(places.plans, places.destination, live=live, now=now)


def _is_of(planned: Plan, keys: set[str]) -> bool:
    wanted = {item.name for item in planned.items if item.wanted}
    return wanted <= keys <= wanted | {each.name for each in planned.refused}


def unread(planned: Plan, names: Collection[str]) -> set[str]:
    """Those of the names whose files the plan's listing couldn't look at, there or not.

    A folder that can't be read now, or an archived object, is no reason to forget what is known.
    """
    refused = [each for each in planned.refused if each.kind not in _CERTAIN]
    same = {each.name for each in refused}
    # A link that leads nowhere may have led to a folder.
    folders = tuple(f"{each.name.rstrip('/')}/" for each in refused if each.kind != "archived")
    return {name for name in names if name in same or name.startswith(folders)}


def sync_with_plan(
    context: dg.AssetExecutionContext,
    planned: Plan,
    places: Places,
    partitions: dg.DynamicPartitionsDefinition,
    *,
    observes: dg.AssetKey,
) -> tuple[PartitionChanges, dict[str, str]]:
    """Make the partitions equal to the files of the plan; files that are gone lose their results.

    Args:
        context: of the asset that plans.
        planned: the plan of this run.
        places: where the results are.
        partitions: the partitions to change.
        observes: the source's asset, of which the plan's listing is an observation.

    Returns:
        The partitions that were added and removed, and why which files of the source have none.
    """
    # In the listing's order: of the partitions, ranges follow it.
    names = sorted(_names(planned))
    without_partition = {name: why for name in names if (why := unusable_partition_key(name))}
    now = context.instance.get_dynamic_partitions(str(partitions.name)) if planned.refused else ()
    changes = sync_partitions(
        context.instance,
        partitions,
        [*(name for name in names if name not in without_partition), *unread(planned, now)],
        remove_results=places.remove_results,
        # What is gone already can still be chosen; `forget_ends` removes it later in the run.
        keep=ends_of_range(context.run),
    )
    listing, source = planned.head.listing, places.source
    for seen in observed(context.instance, observes, listing=listing, source=source):
        context.log_event(seen)
    if removed := remove_ended(context.instance, places):
        context.log.info(f"removed {removed:,} objects of runs of over {KEPT_DAYS} days ago")
    context.log.info(
        f"{len(names):,} files in the source, {len(planned.pending):,} to do in "
        f"{len(planned.tasks):,} tasks; partitions: {len(changes.added):,} added, "
        f"{len(changes.removed):,} removed"
        + (
            f"; {len(planned.unusable):,} are known to be bad data and not tried again"
            if planned.unusable
            else ""
        )
    )
    return changes, {found.name: found.reason for found in planned.refused} | without_partition


def _names(planned: Plan) -> list[str]:
    return [*(item.name for item in planned.items), *(each.name for each in planned.unusable)]


def forget_ends(
    context: dg.AssetExecutionContext, planned: Plan, partitions: dg.DynamicPartitionsDefinition
) -> None:
    """Delete the ends of the run's range if their files are gone, after the asset that has them."""
    gone = ends_of_range(context.run) - set(_names(planned))
    if gone := gone - unread(planned, gone):
        delete_partitions(context.instance, str(partitions.name), sorted(gone))


def observed(
    instance: dg.DagsterInstance, key: dg.AssetKey, *, listing: str, source: str
) -> list[dg.AssetObservation]:
    """The observation of a source that somebody has just listed; none where it says nothing new.

    Args:
        instance: where the latest observation is.
        key: the source's asset.
        listing: the fingerprint of all its files.
        source: the place.
    """
    latest = instance.fetch_observations(key, limit=1).records
    seen = latest[0].asset_observation if latest else None
    if seen is not None and seen.tags.get(_VERSION_TAG) == listing:
        return []
    metadata = listing_metadata(Fingerprint.parse(listing), source)
    return [dg.AssetObservation(key, metadata=metadata, tags={_VERSION_TAG: listing})]


def listing_metadata(listing: Fingerprint, source: str) -> dict[str, Any]:
    """What a listing of a source says of it."""
    return {
        "files": listing.files,
        "bytes": listing.size,
        "size": size(listing.size),
        "source": describe_uri(source),
    }


def latest_metadata(instance: dg.DagsterInstance, key: dg.AssetKey) -> dict[str, Any]:
    """The metadata values of the asset's latest materialization; empty if there is none."""
    event = instance.get_latest_materialization_event(key)
    made = event.asset_materialization if event else None
    return {name: found.value for name, found in made.metadata.items()} if made else {}


def made_from(instance: dg.DagsterInstance, key: dg.AssetKey, settings: Mapping[str, str]) -> str:
    """The fingerprint of the listing that the latest materialization of the asset is of.

    `''` where there is none, or not all of a listing is in it; with a note behind it where the
    metadata say of the settings something else than `settings`.
    """
    found = latest_metadata(instance, key)
    listing = str(found.get(LISTING, ""))
    same = not listing or settings.items() <= found.items()
    return listing if same else f"{listing} by other settings"
