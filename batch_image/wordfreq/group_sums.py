"""What a plan's files add up to: which counts are valid, and reading them into a tally.

For `wordfreq.merge` and `wordfreq.merge_parts`. Of a group of several files their partial is read,
which is made first where it lacks; of a single file its counts object.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Final

from wordfreq.counting import SMALL
from wordfreq.counts import load_counts, load_partial
from wordfreq.errors import InputError, NotFoundError, StorageError, WordfreqError
from wordfreq.formats import PARTIALS, RESERVED
from wordfreq.known import look_up
from wordfreq.partials import partial_key, remove_superseded, store_partial
from wordfreq.plan import Counted, Item, Plan
from wordfreq.receipts import read_receipts
from wordfreq.storage import Store
from wordfreq.tally import Tally
from wordfreq.words import COUNTER_VERSION

_EVERY: Final = 5.0  # seconds between two lines of progress
_NAMED: Final = 10  # missing files that a message names

Progress = Callable[[str], None]


class Ticker:
    """Counts files, with a line of progress every few seconds."""

    def __init__(self, progress: Progress, total: int | None = None) -> None:
        self.progress = progress
        self._of = "" if total is None else f" of {total:,}"
        self._due = time.monotonic() + _EVERY
        self.files = 0

    def add(self, files: int) -> None:
        """Say that so many more files have been read."""
        self.files += files
        if time.monotonic() > self._due:
            self.progress(f"merge: {self.files:,}{self._of} files read")
            self._due = time.monotonic() + _EVERY


def counted_items(plan: Plan, store: Store, progress: Progress) -> Sequence[Item]:
    """The plan's items, each with the counts that are valid for it.

    Raises:
        InputError: files have no valid counts, or the plan is for another version of the counter.
    """
    if plan.head.counter_version not in ("", COUNTER_VERSION):
        raise InputError(
            f"{plan.head.plan.uri} was made for counter {plan.head.counter_version}, this is "
            f"{COUNTER_VERSION}; plan and count again with this version"
        )
    known = look_up(
        store, plan.items, counter_version=COUNTER_VERSION, progress=progress, warn=progress
    )
    items = known.items
    if any(item.counted is None for item in items):
        items = _with_receipts(plan, store, items)
    missing = [item.name for item in items if item.counted is None]
    if missing:
        named = ", ".join(map(repr, missing[:_NAMED])) + (", …" if missing[_NAMED:] else "")
        raise InputError(
            f"{plan.head.plan.uri}: {len(missing):,} of {len(items):,} files have no valid counts "
            f"in {store.uri}: {named}; run `wordfreq migrate` for them, then merge again"
        )
    return items


def _with_receipts(plan: Plan, store: Store, items: Sequence[Item]) -> list[Item]:
    """Fill in from the tasks' receipts what the ledger, which may be lost, doesn't know."""
    receipts = read_receipts(plan.head, "migrate", range(len(plan.tasks)))
    told = {
        done.name: done
        for receipt in receipts.values()
        if receipt.counter_version == COUNTER_VERSION
        for done in receipt.items
        if done.error is None
    }
    found = list(items)
    for number, item in enumerate(items):
        done = told.get(item.name)
        if item.counted is not None or done is None or item.etag not in ("", done.etag):
            continue
        try:
            stored = store.head(item.name).etag
        except InputError:
            continue
        if stored == done.counts_etag:
            counted = Counted(done.counts_etag, done.words, done.distinct, done.invalid)
            found[number] = Item(item.name, item.size, item.etag, counted, item.wanted)
    return found


def partial_keys(plan: Plan, items: Sequence[Item]) -> dict[str, Sequence[Item]]:
    """The partials that belong to a plan, each with its group; `items` are `counted_items`."""
    groups = [group for group in _groups(plan, items) if len(group) > 1]
    return {partial_key(COUNTER_VERSION, _members(group)): group for group in groups}


def _groups(plan: Plan, items: Sequence[Item]) -> list[Sequence[Item]]:
    ends = [*plan.groups[1:], len(items)]
    # Not strict: an empty plan has no group, but one end.
    return [items[first:end] for first, end in zip(plan.groups, ends, strict=False) if end > first]


def add_groups(
    tally: Tally, store: Store, plan: Plan, items: Sequence[Item], files: Ticker, *, memory: int
) -> None:
    """Add the counts of all files; `memory` (bytes) is what making a partial may take as well."""
    # Of an empty plan there may not even be a destination folder.
    sizes = {info.key: info.size for info in store.list(PARTIALS)} if items else {}
    groups = partial_keys(plan, items)
    for key in groups.keys() - sizes.keys():
        _add_new_partial(tally, store, key, groups[key], files, memory=memory)
        files.add(len(groups[key]))
    alone = [group[0] for group in _groups(plan, items) if len(group) == 1]
    _add_items(tally, store, alone, files)
    stored = [key for key in groups if key in sizes]
    small = [key for key in stored if sizes[key] <= SMALL]
    # A merge of a newer plan may have removed one since.
    gone: list[str] = []
    for key, answer in store.get_many(small):
        if isinstance(answer, NotFoundError):
            gone.append(key)
            continue
        load_partial(tally, [_known(answer)], name=store.url(key))
        files.add(len(groups[key]))
    for key in stored:
        if sizes[key] > SMALL:
            if not _add_large_partial(tally, store, key):
                gone.append(key)
                continue
            files.add(len(groups[key]))
    for key in gone:
        _add_new_partial(tally, store, key, groups[key], files, memory=memory)
        files.add(len(groups[key]))


def tidy(store: Store, plan: Plan, items: Sequence[Item], progress: Progress) -> None:
    """Delete partials that have been superseded, if the plan speaks for the whole destination."""
    if not plan.head.listing or not items:
        return  # a plan of some of the files doesn't know the others' partials
    try:
        remove_superseded(store, plan.id, partial_keys(plan, items).keys())
    except WordfreqError as error:
        progress(f"merge: old partials could not be removed ({error}); they only take space")


def add_all(tally: Tally, store: Store, files: Ticker) -> None:
    """Add every object below a prefix. The listing is not kept: it may be of millions."""
    large: list[str] = []

    def small() -> Iterator[str]:
        for info in store.list():
            if info.key.endswith("/") or f"/{RESERVED}" in f"/{info.key}":
                continue
            if info.size > SMALL:
                large.append(info.key)
            else:
                yield info.key

    _add_counts(tally, store, small(), large, files)


def _add_items(tally: Tally, store: Store, items: Iterable[Item], files: Ticker) -> None:
    """The counts objects of these items, each as it was when it was found valid."""
    items = list(items)
    small = [item.name for item in items if item.size <= SMALL]
    large = [item.name for item in items if item.size > SMALL]
    _add_counts(tally, store, small, large, files, etags=dict(_members(items)))


def _add_counts(
    tally: Tally,
    store: Store,
    small: Iterable[str],
    large: Iterable[str],
    files: Ticker,
    *,
    etags: Mapping[str, str] | None = None,
) -> None:
    """Read counts objects, small ones many at a time, large ones (looked at last) as streams."""
    for key, answer in store.get_many(small, etags=etags):
        load_counts(tally, [_known(answer)], name=store.url(key))
        files.add(1)
    for key in large:
        with store.open(key, etag=None if etags is None else etags.get(key)) as reader:
            load_counts(tally, reader, name=store.url(key))
        files.add(1)


def _add_large_partial(tally: Tally, store: Store, key: str) -> bool:
    """Add a stored partial; false if it isn't there."""
    with ExitStack() as stack:
        try:
            reader = stack.enter_context(store.open(key))
        except NotFoundError:  # any later it is an error: half of it may be in the sums
            return False
        if tally.on_disk:
            # Everything will be merged, and this is sorted already.
            tally.adopt(reader, name=store.url(key))
        else:
            load_partial(tally, reader, name=store.url(key))
    return True


def _add_new_partial(
    tally: Tally,
    store: Store,
    key: str,
    group: Sequence[Item],
    files: Ticker,
    *,
    memory: int,
) -> None:
    """Make the partial that a group lacks, and add what is in it."""
    with Tally(memory=memory) as partial:
        _add_items(partial, store, group, Ticker(lambda _: None))
        try:
            store_partial(store, key, partial)
        except StorageError as error:
            files.progress(f"merge: {error} (the next merge takes longer, that is all)")
        tally.add_lines(partial.by_word())


def _known(answer: bytes | WordfreqError) -> bytes:
    if isinstance(answer, WordfreqError):
        raise answer
    return answer


def _members(group: Iterable[Item]) -> list[tuple[str, str]]:
    return [(item.name, item.counted.counts_etag) for item in group if item.counted is not None]
