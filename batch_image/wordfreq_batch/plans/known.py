"""Which files are counted already: the destination's listing and the ledger, put together.

For `plans.planning` (what is left to do) and `merge.merge` (whether all of a plan is done).
The cost is one listing and a few objects, whatever the number of files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from wordfreq_batch.errors import (
    NotFoundError,
    WordfreqError,
)
from wordfreq_batch.plans import ledger
from wordfreq_batch.plans.formats import (
    LEDGER,
    RESERVED,
    UNUSABLE,
    CountedFile,
)
from wordfreq_batch.plans.plan import Item
from wordfreq_batch.progress import Progress, Ticker
from wordfreq_batch.storage.store import (
    ObjectInfo,
    Store,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The items with `counted` filled in; and, for a compaction, the ledger they come from."""

    store: Store
    items: Sequence[Item]
    objects: Sequence[ObjectInfo]
    rows: Sequence[CountedFile]
    stale: Sequence[str]
    """Names of results that are there though their file is none of the items."""
    outdated: frozenset[str]
    """Names of items whose result is there, but of other bytes or another version."""
    unusable: Sequence[str]
    """Names below `UNUSABLE`, see `plans.unusable`."""


def look_up(
    store: Store,
    items: Sequence[Item],
    *,
    counter_version: str,
    progress: Progress,
    warn: Progress,
    results: str = "",
    modified: Mapping[str, datetime] | None = None,
    version_of: Callable[[str], str] | None = None,
) -> Known:
    """Compare `items` with the destination `store`.

    An item is counted if a ledger row has its name, size, ETag (any, where the item has none) and
    the counter's version, and the destination lists the result with the ETag of that row. What an
    item brings along in `counted` is ignored. Results are named like the items, below the
    prefix `results` of the destination. With `modified`, the time of each item's upload, a result
    from before is none: the same bytes uploaded again are a new upload. `version_of` gives the
    version by the name of an item, where it isn't `counter_version` for all.

    Raises:
        NotFoundError: the destination's bucket doesn't exist. (A folder that doesn't is empty.)
    """
    numbers = {item.name: number for number, item in enumerate(items)}
    found_etags: list[str | None] = [None] * len(items)
    others: dict[str, str] = {}
    objects: list[ObjectInfo] = []
    unusable: list[str] = []
    try:
        for info in ticking(store.list(), store.uri, progress):
            if info.key.startswith(LEDGER):
                objects.append(info)
                continue
            if info.key.startswith(UNUSABLE):
                unusable.append(info.key.removeprefix(UNUSABLE))
                continue
            if not info.key.startswith(results):
                continue
            name = info.key.removeprefix(results)
            number = numbers.get(name)
            if number is None:
                if not name.startswith(RESERVED):
                    others[name] = info.etag
            elif modified is None or modified[name] <= info.last_modified:
                found_etags[number] = info.etag
    except NotFoundError:
        if store.uri.startswith("s3:"):
            raise
    found = [item if item.counted is None else item._replace(counted=None) for item in items]
    rows: list[CountedFile] = []
    stale: set[str] = set()
    keep = len(objects) > ledger.COMPACT_ABOVE
    for row in ledger.read(store, objects, warn=warn):
        number = numbers.get(row.name)
        if number is None:
            if others.get(row.name) == row.counts_etag:
                stale.add(row.name)  # its file is gone, or of another source
                if keep:
                    rows.append(row)
            continue
        item = found[number]
        if (
            item.counted is None
            and row.counts_etag == found_etags[number]
            and (not item.etag or (row.etag, row.size) == (item.etag, item.size))
            and row.counter_version == (version_of(row.name) if version_of else counter_version)
        ):
            found[number] = item._replace(counted=row.known)
            if keep:
                rows.append(row)
    return Known(
        store=store,
        items=found,
        objects=objects,
        rows=rows,
        stale=sorted(stale),
        outdated=frozenset(
            item.name
            for item, etag in zip(found, found_etags, strict=True)
            if etag is not None and item.counted is None
        ),
        unusable=unusable,
    )


def compact_ledger(known: Known, *, warn: Progress) -> None:
    """Rewrite the ledger as one object if it has become many."""
    if len(known.objects) <= ledger.COMPACT_ABOVE:
        return
    try:
        ledger.compact(known.store, known.rows, [info.key for info in known.objects])
    except WordfreqError as error:
        warn(f"the ledger could not be compacted ({error}); this costs only time")


def ticking(infos: Iterable[ObjectInfo], what: str, progress: Progress) -> Iterator[ObjectInfo]:
    """Pass a listing on, with a line of progress every few seconds."""
    ticker = Ticker(progress)
    for number, info in enumerate(infos, 1):
        yield info
        if number % 1000 == 0:
            ticker.tick(lambda number=number: f"listing {what}: {number:,} objects so far")  # type: ignore[misc]
