"""A set of dynamic partitions made equal to a listing, and which of them a run was asked for.

For assets with a partition per file, row group or customer: the key is its name in the listing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

import dagster as dg

from dagster_aws_batch.events.partitions import add_partitions, delete_partitions

__all__ = [
    "PartitionChanges",
    "chosen_keys",
    "ends_of_range",
    "partition_changes",
    "sync_partitions",
    "unusable_partition_key",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionChanges:
    """What must happen to a partition set so that it equals a listing; each in listing order."""

    added: tuple[str, ...]
    removed: tuple[str, ...]


def partition_changes(*, current: Collection[str], wanted: Iterable[str]) -> PartitionChanges:
    """Compare the partitions that are there with the keys that should be there."""
    have = set(current)
    want = dict.fromkeys(wanted)
    return PartitionChanges(
        added=tuple(key for key in want if key not in have),
        removed=tuple(key for key in current if key not in want),
    )


def unusable_partition_key(key: str) -> str | None:
    """Why Dagster's tools can't carry `key` as a partition key, or None if they can.

    Dagster accepts any text when a partition is added, and fails later: `...` is its range
    separator on the command line and in run tags.
    """
    if not key:
        return "an empty key can't be chosen in any tool"
    if "..." in key:
        return "'...' separates the ends of a partition range"
    if any(ord(character) < 32 or ord(character) == 127 for character in key):
        return "it holds a control character"
    if key != key.strip():
        return "it begins or ends with a blank, which command lines and forms drop"
    return None


def sync_partitions(
    instance: dg.DagsterInstance,
    definition: dg.DynamicPartitionsDefinition,
    wanted: Collection[str],
    *,
    remove_results: Callable[[Collection[str]], None],
    keep: Collection[str] = (),
) -> PartitionChanges:
    """Make the partitions equal to `wanted`.

    Args:
        instance: The Dagster instance.
        definition: The set of partitions.
        wanted: The keys that there should be.
        remove_results: Called with the keys that are gone, before their partitions are deleted.
        keep: Partitions that lose only their results, such as `ends_of_range`.

    Returns:
        What was added and removed.
    """
    name = str(definition.name)
    changes = partition_changes(current=instance.get_dynamic_partitions(name), wanted=wanted)
    add_partitions(instance, name, changes.added)
    # Results first: if that fails, the partition is still there to be noticed next time.
    remove_results(changes.removed)
    delete_partitions(instance, name, [key for key in changes.removed if key not in keep])
    return changes


def ends_of_range(run: dg.DagsterRun) -> frozenset[str]:
    """The first and the last partition that the run was asked for, if it was asked for a range.

    Dagster looks them up until the step that has the partitions has ended.
    """
    found = (run.tags.get(f"dagster/asset_partition_range_{end}") for end in ("start", "end"))
    return frozenset(key for key in found if key is not None)


def chosen_keys(context: dg.AssetExecutionContext) -> list[str] | None:
    """The partitions this run was asked for; None if it was asked for none.

    Raises:
        dagster.Failure: they are an empty range.
    """
    if not (context.has_partition_key or context.has_partition_key_range):
        return None
    keys = list(context.partition_keys)
    if not keys:
        raise dg.Failure(
            "the partition range of this run is empty: its end comes before its start; "
            "ranges follow the order in which partitions were added",
            allow_retries=False,
        )
    return keys
