"""The dynamic partitions `source_files`: one a file, the key is the file's name below the source.

Used by the assets; the arithmetic is pure and knows no Dagster instance.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import dagster as dg

source_files_partitions = dg.DynamicPartitionsDefinition(name="source_files")


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
