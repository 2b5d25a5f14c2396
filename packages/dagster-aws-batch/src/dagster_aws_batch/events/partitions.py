"""Events and states of many partitions, as few writes and few queries, for assets.

What Dagster's public API lacks is used here, and each has a fallback in public API:

* `DagsterEvent.asset_materialization`, `asset_observation` with `DagsterEventBatchMetadata`: many
  events in one write; else `context.log_event`.
* `build_asset_materialization_planned_event`: a failed partition is red although the run has no
  partitions; else there is only the observation with the reason.
* `event_log_storage.get_latest_tags_by_partition`: the data versions of all partitions in one
  query; else only which partitions are materialized.
* `event_log_storage.get_latest_asset_check_execution_by_key`: checks that a run was to evaluate and
  ended before; else they stay as they are until something else asks for a run.
* `SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION`: an output without events of Dagster's own, which
  in a run with chosen partitions would be one more per partition, without its figures; else there
  are these.
* `event_log_storage.index_connection` and `DynamicPartitionsTable`: many partitions deleted in one
  statement; else `delete_dynamic_partition`, one transaction per partition.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TypeVar
from uuid import uuid4

import dagster as dg
from sqlalchemy.exc import IntegrityError

try:
    from dagster._core.events import (
        AssetMaterializationPlannedData,
        DagsterEvent,
        DagsterEventBatchMetadata,
        DagsterEventType,
    )
except ImportError:  # another line of Dagster: everything still works, slower and less coloured
    DagsterEvent = None  # type: ignore[assignment, misc]

try:
    from dagster._core.storage.event_log import SqlEventLogStorage
    from dagster._core.storage.event_log.schema import DynamicPartitionsTable
except ImportError:
    SqlEventLogStorage = None  # type: ignore[assignment, misc]

try:
    from dagster._core.definitions.source_asset import (
        SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION as _OWN_EVENTS,
    )
except ImportError:
    _OWN_EVENTS = ""

__all__ = [
    "add_partitions",
    "delete_partitions",
    "done_without_events",
    "failed_partitions",
    "failed_versions",
    "log_failed",
    "log_materializations",
    "materialized_versions",
    "unevaluated_checks",
    "write_in_batches",
]

_T = TypeVar("_T")
_ADD_ATTEMPTS = 5
_DELETED_AT_ONCE = 500  # partitions; databases bound the parameters of one statement
_VERSION_TAG = "dagster/data_version"


def write_in_batches() -> None:
    """Let Dagster hand over up to 500 events for one write, unless its variable says otherwise."""
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "500")


def log_materializations(
    context: dg.AssetExecutionContext,
    materializations: Sequence[dg.AssetMaterialization | dg.AssetObservation],
) -> None:
    """Write the events, many at a time where the instance's storage can.

    Args:
        context: of the step that reports.
        materializations: one per file, or observations, in the order in which they are written.
    """
    for event, batch in _in_batches(materializations):
        if DagsterEvent is None or batch is None:
            context.log_event(event)
        elif isinstance(event, dg.AssetMaterialization):
            DagsterEvent.asset_materialization(context.get_step_execution_context(), event, batch)
        else:
            DagsterEvent.asset_observation(context.get_step_execution_context(), event, batch)


def _in_batches(what: Collection[_T]) -> Iterator[tuple[_T, DagsterEventBatchMetadata | None]]:
    """Each with the batch that Dagster is to write it with; None: by itself."""
    write_in_batches()
    batch, batched = uuid4().hex, DagsterEvent is not None and len(what) > 1
    for number, each in enumerate(what, start=1):
        yield each, DagsterEventBatchMetadata(batch, number == len(what)) if batched else None


def log_failed(
    context: dg.AssetExecutionContext,
    reasons: Mapping[str, str],
    *,
    versions: Mapping[str, str],
    whole: bool,
) -> None:
    """Leave the reason on the page of each partition, and let it be red once this run has failed.

    Args:
        context: of the step that reports; it has to fail afterwards.
        reasons: why, by partition key.
        versions: of which data version that is said, by partition key; `failed_versions` reads it.
        whole: in a run without partitions nothing was planned for these yet; Dagster calls a
            partition failed whose latest planned materialization belongs to a failed run.
    """
    if whole and DagsterEvent is not None:
        step = context.get_step_execution_context().step.key
        for key, batch in _in_batches(reasons):
            planned = AssetMaterializationPlannedData(context.asset_key, partition=key)
            context.instance.report_dagster_event(
                DagsterEvent.build_asset_materialization_planned_event(
                    context.job_name, step, planned
                ),
                context.run.run_id,
                batch_metadata=batch,
            )
    observations = [
        dg.AssetObservation(
            context.asset_key,
            partition=key,
            metadata={"failed": reason},
            tags={_VERSION_TAG: versions[key]} if versions.get(key) else None,
        )
        for key, reason in reasons.items()
    ]
    log_materializations(context, observations)


def done_without_events() -> dg.MaterializeResult:  # type: ignore[type-arg]
    """The result of a step that has reported its partitions itself.

    Without a result Dagster skips what depends on the asset in the same run.
    """
    return dg.MaterializeResult(metadata={_OWN_EVENTS: True} if _OWN_EVENTS else None)


def materialized_versions(instance: dg.DagsterInstance, key: dg.AssetKey) -> Mapping[str, str]:
    """The data version of each partition's latest materialization, in one query.

    Args:
        instance: the Dagster instance.
        key: the partitioned asset.

    Returns:
        Data versions by partition key; `''` where only the fact is known.
    """
    query = getattr(instance.event_log_storage, "get_latest_tags_by_partition", None)
    if DagsterEvent is None or query is None:
        return dict.fromkeys(instance.get_materialized_partitions(key), "")
    found = query(key, DagsterEventType.ASSET_MATERIALIZATION, tag_keys=[_VERSION_TAG])
    return {partition: tags[_VERSION_TAG] for partition, tags in found.items()}


def failed_versions(
    instance: dg.DagsterInstance, key: dg.AssetKey, partitions: dg.DynamicPartitionsDefinition
) -> Mapping[str, str]:
    """The data version for which each partition is red now, in few queries.

    Args:
        instance: the Dagster instance.
        key: the partitioned asset.
        partitions: its partitions.

    Returns:
        Data versions by partition key; `''` where it isn't known.
    """
    red = dict.fromkeys(failed_partitions(instance, key, partitions), "")
    query = getattr(instance.event_log_storage, "get_latest_tags_by_partition", None)
    if not red or DagsterEvent is None or query is None:
        return red
    found = query(key, DagsterEventType.ASSET_OBSERVATION, tag_keys=[_VERSION_TAG])
    return red | {name: tags[_VERSION_TAG] for name, tags in found.items() if name in red}


def add_partitions(instance: dg.DagsterInstance, name: str, keys: Sequence[str]) -> None:
    """Add dynamic partitions, also where another run adds some of them at the same moment.

    Args:
        instance: the Dagster instance.
        name: of the partitions definition.
        keys: what to add; those that are there already are no error.
    """
    for attempt in range(_ADD_ATTEMPTS):
        there = set(instance.get_dynamic_partitions(name)) if attempt else set()
        missing = [key for key in keys if key not in there]
        if not missing:
            return
        try:
            instance.add_dynamic_partitions(name, missing)
        except IntegrityError:  # Dagster looks first and then inserts, as two runs may do at once
            if attempt == _ADD_ATTEMPTS - 1:
                raise
        else:
            return


def delete_partitions(instance: dg.DagsterInstance, name: str, keys: Sequence[str]) -> None:
    """Delete dynamic partitions, many at a time where the instance's storage can.

    Args:
        instance: the Dagster instance.
        name: of the partitions definition.
        keys: what to delete; those that aren't there are no error.
    """
    storage = instance.event_log_storage
    if SqlEventLogStorage is None or not isinstance(storage, SqlEventLogStorage):
        for key in keys:
            instance.delete_dynamic_partition(name, key)
        return
    columns = DynamicPartitionsTable.c
    for first in range(0, len(keys), _DELETED_AT_ONCE):
        some = keys[first : first + _DELETED_AT_ONCE]
        with storage.index_connection() as connection:
            connection.execute(
                DynamicPartitionsTable.delete()
                .where(columns.partitions_def_name == name)
                .where(columns.partition.in_(some))
            )


def failed_partitions(
    instance: dg.DagsterInstance, key: dg.AssetKey, partitions: dg.DynamicPartitionsDefinition
) -> frozenset[str]:
    """The partitions that are red now.

    Args:
        instance: the Dagster instance.
        key: the partitioned asset.
        partitions: its partitions.

    Returns:
        Their keys.
    """
    keys = instance.get_dynamic_partitions(str(partitions.name))
    status = instance.get_status_by_partition(key, keys, partitions) or {}
    return frozenset(name for name, found in status.items() if found and found.value == "FAILED")


def unevaluated_checks(
    instance: dg.DagsterInstance, keys: Sequence[dg.AssetCheckKey]
) -> frozenset[dg.AssetCheckKey]:
    """The checks that the latest run was to evaluate, and that it ended without.

    Args:
        instance: the Dagster instance.
        keys: the checks asked about.

    Returns:
        Those that show nothing of what is there now.
    """
    query = getattr(instance.event_log_storage, "get_latest_asset_check_execution_by_key", None)
    found = query(keys) if query else {}
    planned = {key: each.run_id for key, each in found.items() if each.status.value == "PLANNED"}
    runs = {run_id: instance.get_run_by_id(run_id) for run_id in set(planned.values())}
    return frozenset(
        key for key, run_id in planned.items() if (run := runs[run_id]) is None or run.is_finished
    )
