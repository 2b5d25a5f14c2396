"""Which files are counted already: the destination's listing and the ledger, put together.

The cost is one listing and a few objects, whatever the number of files.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from wordfreq_batch.errors import NotFoundError, WordfreqError
from wordfreq_batch.plans import ledger
from wordfreq_batch.plans.formats import LEDGER, RESERVED, UNUSABLE, CountedFile
from wordfreq_batch.plans.plan import Item
from wordfreq_batch.progress import Progress, Ticker
from wordfreq_batch.storage.store import ObjectInfo, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The items with `counted` filled in; and, for a compaction, the ledger they come from."""

    store: Store
    items: Sequence[Item]
    objects: Sequence[str]
    """Keys of the ledger's objects that were read."""
    rows: Sequence[CountedFile]
    stale: Sequence[str]
    """Names of results that are there though their file is none of the items."""
    outdated: frozenset[str]
    """Names of items whose result is there, but of other bytes or another version."""
    unusable: Sequence[str]
    """Names below `UNUSABLE`, see `plans.unusable`."""


@dataclass(frozen=True, slots=True)
class _Listed:
    """What the destination's listing shows."""

    results: dict[str, str] = field(default_factory=dict)
    """The ETag of each item's result."""
    others: dict[str, str] = field(default_factory=dict)
    """The same of results that are none of the items'."""
    ledger: list[ObjectInfo] = field(default_factory=list)
    unusable: list[str] = field(default_factory=list)


def look_up(
    store: Store,
    items: Sequence[Item],
    *,
    version_of: Callable[[str], str],
    progress: Progress,
    warn: Progress,
    results: str = "",
    modified: Mapping[str, datetime] | None = None,
) -> Known:
    """Compare `items` with the destination `store`.

    An item is counted if a ledger row has its name, size, ETag (any, where the item has none) and
    version (`version_of` its name), and the destination lists the result with the ETag of that
    row. What an item brings along in `counted` is ignored. Results are named like the items, below
    the prefix `results` of the destination. With `modified`, the time of each item's upload, a
    result from before is none: the same bytes uploaded again are a new upload.

    Raises:
        NotFoundError: the destination's bucket doesn't exist. (A folder that doesn't is empty.)
    """
    found = {
        item.name: item if item.counted is None else item._replace(counted=None) for item in items
    }
    listed = _list(store, found, progress, results, modified)
    rows: list[CountedFile] = []
    stale: set[str] = set()
    unread: set[str] = set()
    for row in ledger.read(store, listed.ledger, warn=warn, unread=unread):
        item = found.get(row.name)
        if item is None:
            if listed.others.get(row.name) != row.counts.counts_etag:
                continue
            stale.add(row.name)  # its file is gone, or of another source
        elif (
            item.counted is None
            and row.counts.counts_etag == listed.results.get(row.name)
            and (not item.etag or (row.etag, row.size) == (item.etag, item.size))
            and row.counter_version == version_of(row.name)
        ):
            found[row.name] = item._replace(counted=row.counts)
        else:
            continue
        if len(listed.ledger) > ledger.COMPACT_ABOVE:
            rows.append(row)
    return Known(
        store=store,
        items=[found[item.name] for item in items],
        objects=[info.key for info in listed.ledger if info.key not in unread],
        rows=rows,
        stale=sorted(stale),
        outdated=frozenset(name for name in listed.results if found[name].counted is None),
        unusable=listed.unusable,
    )


def _list(
    store: Store,
    items: Collection[str],
    progress: Progress,
    results: str,
    modified: Mapping[str, datetime] | None,
) -> _Listed:
    """List the destination; arguments as those of `look_up`."""
    listed = _Listed()
    try:
        for info in ticking(store.list(), store.uri, progress):
            name = info.key.removeprefix(results)
            if info.key.startswith(LEDGER):
                listed.ledger.append(info)
            elif info.key.startswith(UNUSABLE):
                listed.unusable.append(info.key.removeprefix(UNUSABLE))
            elif not info.key.startswith(results):
                continue
            elif name not in items:
                if not name.startswith(RESERVED):
                    listed.others[name] = info.etag
            elif modified is None or modified[name] <= info.last_modified:
                listed.results[name] = info.etag
    except NotFoundError:
        if store.uri.startswith("s3:"):
            raise
    return listed


def compact_ledger(known: Known, *, warn: Progress) -> None:
    """Rewrite the ledger as one object if it has become many."""
    if len(known.objects) <= ledger.COMPACT_ABOVE:
        return
    try:
        ledger.compact(known.store, known.rows, known.objects)
    except WordfreqError as error:
        warn(f"the ledger could not be compacted ({error}); this costs only time")


def ticking(infos: Iterable[ObjectInfo], what: str, progress: Progress) -> Iterator[ObjectInfo]:
    """Pass a listing on, with a line of progress every few seconds."""
    ticker = Ticker(progress)
    for number, info in enumerate(infos, 1):
        yield info
        if number % 1000 == 0:
            ticker.tick(lambda number=number: f"listing {what}: {number:,} objects so far")  # type: ignore[misc]
