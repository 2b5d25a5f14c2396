"""The last stage: add up the counts of all files and rank the words.

Called by `wordfreq merge`, once a container; `merge_plan` takes exactly a plan's files and says
which are missing, `merge_source` whatever lies below a prefix. Memory is bounded by
`MergeOptions.memory`, whatever the vocabulary (`wordfreq.totals`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from wordfreq.counting import SMALL
from wordfreq.counts import Block, counts_blocks, partial_blocks
from wordfreq.errors import InputError, StorageError, UsageError, WordfreqError
from wordfreq.formats import PARTIALS, RESERVED, Ranking, RankingOptions
from wordfreq.known import look_up
from wordfreq.partials import partial_key, store_partial
from wordfreq.plan import Counted, Item, Plan
from wordfreq.plan_store import load_plan
from wordfreq.ranking import ranked, stop_words
from wordfreq.receipts import read_receipts
from wordfreq.storage import Store, open_store
from wordfreq.tally import Item as WordCount
from wordfreq.tally import Tally
from wordfreq.totals import Totals, summed
from wordfreq.words import COUNTER_VERSION

RANKING: Final = "ranking.json"
TOTALS: Final = "totals.parquet"

Blocks = Callable[..., Iterator[Block]]

_EVERY: Final = 5.0  # seconds between two lines of progress
_NAMED: Final = 10  # missing files that a message names
_COPIED: Final = 8 << 20  # bytes of the result uploaded at a time


def _silent(_: str) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeOptions:
    """How to merge.

    `output` is the URI of the folder or prefix that gets `ranking.json` and `totals.parquet`;
    `memory` (bytes) is what the process may take: never less than 256 MiB, whatever is given.
    `progress` gets a line every few seconds of long work.
    """

    ranking: RankingOptions = field(default_factory=RankingOptions)
    output: str | None = None
    memory: int = 512 << 20
    progress: Callable[[str], None] = _silent


def merge_plan(plan_uri: str, options: MergeOptions) -> Ranking:
    """Rank the words of exactly the files of the plan at this URI.

    Partials that are not there are made first.

    Raises:
        InputError: files have no valid counts, or the plan is for another version of the counter.
        DataError: plan, counts or partials are damaged.
    """
    plan = load_plan(plan_uri)
    if plan.head.counter_version not in ("", COUNTER_VERSION):
        raise InputError(
            f"{plan_uri} was made for counter {plan.head.counter_version}, this is "
            f"{COUNTER_VERSION}; plan and count again with this version"
        )
    stop_words(options.ranking.stop_words)  # an unknown language is told before the work
    store = open_store(plan.head.destination.uri)
    items = _counted_items(plan, store, options)
    groups = _groups(plan, items)
    files = _Ticker(options.progress, len(items))
    return _rank(
        _group_blocks(store, groups, options, files),
        files,
        options,
        source=store.uri,
        plan_id=plan.id,
        counter_version=COUNTER_VERSION,
    )


def merge_source(source_uri: str, options: MergeOptions) -> Ranking:
    """Rank the words of all counts objects below a prefix, except what lies below `.wordfreq/`.

    Raises:
        DataError: an object there doesn't hold counts; the message has its URI and the line.
        UsageError: the output would lie among the counts.
    """
    store = open_store(source_uri)
    if options.output is not None and open_store(options.output).uri.startswith(store.uri):
        raise UsageError(
            f"the output {options.output} lies inside the source {source_uri}, where the next "
            "merge would read it as counts; put it elsewhere"
        )
    stop_words(options.ranking.stop_words)
    files = _Ticker(options.progress)
    return _rank(_all_blocks(store, files), files, options, source=store.uri)


class _Ticker:
    """Counts files, with a line of progress every few seconds."""

    def __init__(self, progress: Callable[[str], None], total: int | None = None) -> None:
        self._progress = progress
        self._of = "" if total is None else f" of {total:,}"
        self._due = time.monotonic() + _EVERY
        self.files = 0

    def add(self, files: int) -> None:
        self.files += files
        if time.monotonic() > self._due:
            self._progress(f"merge: {self.files:,}{self._of} files read")
            self._due = time.monotonic() + _EVERY


def _rank(
    blocks: Iterable[Block],
    files: _Ticker,
    options: MergeOptions,
    *,
    source: str,
    plan_id: str = "",
    counter_version: str = "",
) -> Ranking:
    with summed(blocks, memory=options.memory) as totals:
        ranking = Ranking(
            words=ranked(totals, options.ranking),
            files=files.files,
            total_words=totals.words,
            distinct_words=totals.distinct,
            source=source,
            plan_id=plan_id,
            counter_version=counter_version,
            options=options.ranking,
        )
        if options.output is not None:
            _store_results(open_store(options.output), totals, ranking)
    return ranking


def _store_results(store: Store, totals: Totals, ranking: Ranking) -> None:
    """Write the totals, then the ranking: who finds a ranking finds its totals."""
    with store.writer(TOTALS) as writer, totals.path.open("rb") as file:
        while chunk := file.read(_COPIED):
            writer.write(chunk)
    store.put(RANKING, ranking.dumps().encode())


def _counted_items(plan: Plan, store: Store, options: MergeOptions) -> Sequence[Item]:
    """The plan's items, each with the counts that are valid for it."""
    known = look_up(
        store,
        plan.items,
        counter_version=COUNTER_VERSION,
        progress=options.progress,
        warn=options.progress,
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


def _groups(plan: Plan, items: Sequence[Item]) -> list[Sequence[Item]]:
    ends = [*plan.groups[1:], len(items)]
    # Not strict: an empty plan has no group, but one end.
    return [items[first:end] for first, end in zip(plan.groups, ends, strict=False) if end > first]


def _group_blocks(
    store: Store, groups: Sequence[Sequence[Item]], options: MergeOptions, files: _Ticker
) -> Iterator[Block]:
    """The counts of all groups: of a single file its own, of several their partial."""
    # Of an empty plan there may not even be a destination folder.
    sizes = {info.key: info.size for info in store.list(PARTIALS)} if groups else {}
    alone: list[Item] = []
    stored: dict[str, int] = {}
    for group in groups:
        if len(group) == 1:
            alone += group
            continue
        key = partial_key(COUNTER_VERSION, _members(group))
        if key in sizes:
            stored[key] = len(group)
        else:
            yield from _new_partial(store, key, group, options)
            files.add(len(group))
    yield from _item_blocks(store, alone, files)
    small = [key for key in stored if sizes[key] <= SMALL]
    large = [key for key in stored if sizes[key] > SMALL]
    for key, blocks in _objects(store, small, large, partial_blocks):
        yield from blocks
        files.add(stored[key])


def _members(group: Iterable[Item]) -> list[tuple[str, str]]:
    return [(item.name, item.counted.counts_etag) for item in group if item.counted is not None]


def _new_partial(
    store: Store, key: str, group: Sequence[Item], options: MergeOptions
) -> Iterator[Block]:
    """Make the partial that a group lacks, and yield what is in it."""
    with Tally(memory=options.memory // 4) as tally:
        for words, counts in _item_blocks(store, group, _Ticker(_silent)):
            tally.add(zip(words, map(int, counts), strict=True))
        try:
            store_partial(store, key, tally)
        except StorageError as error:
            options.progress(f"merge: {error} (the next merge takes longer, that is all)")
        yield from _blocks_of(tally.by_word())


def _blocks_of(items: Iterator[WordCount]) -> Iterator[Block]:
    while batch := list(islice(items, 1 << 13)):
        words, counts = zip(*batch, strict=True)
        yield list(words), list(map(str, counts))


def _item_blocks(store: Store, items: Iterable[Item], files: _Ticker) -> Iterator[Block]:
    """The counts objects of these items, each as it was when it was found valid."""
    items = list(items)
    etags = dict(_members(items))
    small = [item.name for item in items if item.size <= SMALL]
    large = [item.name for item in items if item.size > SMALL]
    for _, blocks in _objects(store, small, large, counts_blocks, etags=etags):
        yield from blocks
        files.add(1)


def _all_blocks(store: Store, files: _Ticker) -> Iterator[Block]:
    """Every object below a prefix. The listing is not kept: it may be of millions."""
    large: list[str] = []

    def small() -> Iterator[str]:
        for info in store.list():
            if info.key.endswith("/") or f"/{RESERVED}" in f"/{info.key}":
                continue
            if info.size > SMALL:
                large.append(info.key)
            else:
                yield info.key

    for _, blocks in _objects(store, small(), large, counts_blocks):
        yield from blocks
        files.add(1)


def _objects(
    store: Store,
    small: Iterable[str],
    large: Iterable[str],
    parse: Blocks,
    *,
    etags: Mapping[str, str] | None = None,
) -> Iterator[tuple[str, Iterator[Block]]]:
    """Read objects, small ones many at a time, large ones (looked at last) as streams."""
    for key, answer in store.get_many(small, etags=etags):
        if isinstance(answer, WordfreqError):
            raise answer
        yield key, parse([answer], name=store.url(key))
    for key in large:
        with store.open(key, etag=None if etags is None else etags.get(key)) as reader:
            yield key, parse(reader, name=store.url(key))
