"""What a plan's files add up to: which counts are valid, and reading them into a tally.

Of a group of several files their partial is read, which is made first where it lacks; of a single
file its counts object.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

from wordfreq_batch.counts.counting import SMALL
from wordfreq_batch.counts.counts import (
    add_sorted_partial,
    load_counts,
    load_partial,
)
from wordfreq_batch.counts.partials import (
    partial_key,
    remove_superseded,
    store_partial,
)
from wordfreq_batch.errors import (
    InputError,
    NotFoundError,
    StorageError,
    WordfreqError,
)
from wordfreq_batch.merge.document import SetAside
from wordfreq_batch.plans.formats import (
    PARTIALS,
    RESERVED,
)
from wordfreq_batch.plans.known import look_up
from wordfreq_batch.plans.plan import (
    NOT_THERE,
    Item,
    KnownCounts,
    Plan,
    PlanHead,
)
from wordfreq_batch.plans.receipts import finished_items, read_receipts
from wordfreq_batch.progress import Progress, Ticker
from wordfreq_batch.storage.store import Store
from wordfreq_batch.tables.tally import Tally
from wordfreq_batch.text.words import counter_version, options_of
from wordfreq_batch.together import (
    Shared,
    Stop,
    together,
)

_NAMED: Final = 10  # missing files that a message names

Job: TypeAlias = "Callable[[Tally, Stop], None]"  # adds some files


class FilesRead:
    """Counts files, with a line of progress now and then; for several threads."""

    def __init__(self, progress: Progress, total: int | None = None) -> None:
        self.progress = progress
        self._of = "" if total is None else f" of {total:,}"
        self._ticker = Ticker(progress)
        self._lock = threading.Lock()
        self.files = 0

    def add(self, files: int) -> None:
        """Count so many more files."""
        with self._lock:
            self.files += files
        self._ticker.tick(lambda: f"merge: {self.files:,}{self._of} files read")


def version_of(head: PlanHead) -> str:
    """The version of the counts that the plan is about.

    Raises:
        InputError: it is for another version of the counter.
    """
    return counter_version(options_of(head.counter_version, plan=head.plan.uri))


class Counts(NamedTuple):
    """What of a plan is counted, and what isn't."""

    plan: Plan
    """The plan with the counted files only, each with its valid counts."""
    missing: tuple[str, ...]

    @property
    def set_aside(self) -> tuple[SetAside, ...]:
        """The files without text, and those that the plan has left out, by kind."""
        kinds = [
            *((item.counted.aside, item.size) for item in self.plan.items if item.counted),
            *((each.kind, each.size) for each in self.plan.refused if each.kind != NOT_THERE),
        ]
        files = Counter(kind for kind, _ in kinds if kind)
        sizes: Counter[str] = Counter()
        for kind, size in kinds:
            sizes[kind] += size
        return tuple(SetAside(kind, number, sizes[kind]) for kind, number in files.most_common())


def counts_of(
    plan: Plan, store: Store, progress: Progress, *, allow_missing: bool = False
) -> Counts:
    """The plan's files with the counts that are valid for them.

    Raises:
        InputError: files have no valid counts, unless they may be missing; or the plan is for
            another version of the counter.
    """
    version = version_of(plan.head)
    known = look_up(
        store, plan.items, version_of=lambda _: version, progress=progress, warn=progress
    )
    items = known.items
    reasons: dict[str, str] = {}
    if any(item.counted is None for item in items):
        items, reasons = _with_receipts(plan, store, items)
    missing = [item.name for item in items if item.counted is None]
    if missing and not allow_missing:
        raise InputError(_missing(plan, store, missing, reasons))
    return Counts(plan._replace(items=tuple(items)).only_counted(), tuple(missing))


def _missing(plan: Plan, store: Store, missing: list[str], reasons: Mapping[str, str]) -> str:
    """What to say of files that have no counts, and what to do about them."""
    named = ", ".join(map(repr, missing[:_NAMED])) + (", …" if missing[_NAMED:] else "")
    failed = [reasons[name] for name in missing if name in reasons]
    advice = "run `wordfreq migrate` for them, then merge again"
    if failed:
        advice = (
            f"{len(failed):,} of them can't be counted ({'; '.join(failed[:3])}"
            f"{'; …' if failed[3:] else ''}): mend or remove them and plan again"
        )
    return (
        f"{plan.head.plan.uri}: {len(missing):,} of {len(plan.items):,} files have no valid counts "
        f"in {store.uri}: {named}; {advice}, or rank the others by --allow-missing"
    )


def _with_receipts(
    plan: Plan, store: Store, items: Sequence[Item]
) -> tuple[list[Item], dict[str, str]]:
    """Fill in from the tasks' receipts what the ledger, which may be lost, doesn't know.

    Also returns why files could not be counted, by name.
    """
    version = version_of(plan.head)
    receipts = read_receipts(plan.head, "migrate", range(len(plan.tasks))).values()
    finished = finished_items(each for each in receipts if each.counter_version == version)
    found = list(items)
    for number, item in enumerate(items):
        done = finished.get(item.name)
        if item.counted is not None or done is None or item.etag not in ("", done.etag):
            continue
        try:
            stored = store.head(item.name).etag
        except InputError:
            continue
        if stored == done.counts_etag:
            found[number] = item._replace(counted=done.known)
    return found, {each.name: each.error or "" for task in receipts for each in task.failed}


def partial_keys(plan: Plan) -> dict[str, Sequence[Item]]:
    """The partials that belong to a plan of counted files, each with its group."""
    groups = [group for group in _groups(plan) if len(group) > 1]
    return {partial_key(version_of(plan.head), _members(group)): group for group in groups}


def _groups(plan: Plan) -> list[Sequence[Item]]:
    return [plan.group_items(group) for group in range(len(plan.groups))]


def add_groups(tally: Tally, store: Store, plan: Plan, files: FilesRead, *, memory: int) -> None:
    """Add the counts of a plan of counted files; `memory` (bytes): making partials takes it too."""
    # Of an empty plan there may not even be a destination folder.
    sizes = {info.key: info.size for info in store.list(PARTIALS)} if plan.items else {}
    reading = _Reading(store, files)
    groups = partial_keys(plan)

    def jobs(threads: int) -> Iterator[Job]:
        make = partial(_add_new_partial, reading, memory=memory // threads)
        for key in groups.keys() - sizes.keys():
            yield partial(make, key, groups[key])
        yield from _item_jobs(reading, [group[0] for group in _groups(plan) if len(group) == 1])
        stored = [key for key in groups if key in sizes]
        # A merge of a newer plan may have removed one since: then it is made anew.
        for key, get in reading.small([key for key in stored if sizes[key] <= SMALL]):
            yield partial(_add_small_partial, reading, make, key, groups[key], get)
        for key in stored:
            if sizes[key] > SMALL:
                yield partial(_add_large_partial, reading, make, key, groups[key])

    _add_jobs(tally, jobs)


def add_items(tally: Tally, store: Store, items: Sequence[Item], files: FilesRead) -> None:
    """Add the counts of these files only; they are `counted_items`."""
    _add_jobs(tally, lambda _: _item_jobs(_Reading(store, files), items))


def tidy(store: Store, plan: Plan, progress: Progress) -> None:
    """Delete partials that have been superseded, if the plan speaks for the whole destination."""
    if not plan.head.listing or not plan.items:
        return  # a plan of some of the files doesn't know the others' partials
    try:
        remove_superseded(store, plan.id, partial_keys(plan).keys())
    except WordfreqError as error:
        progress(f"merge: old partials could not be removed ({error}); they only take space")


def add_all(tally: Tally, store: Store, files: FilesRead) -> None:
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

    _add_jobs(tally, lambda _: _count_jobs(_Reading(store, files), small(), large))


def _add_jobs(tally: Tally, jobs: Callable[[int], Iterable[Job]]) -> None:
    """Do the jobs (made for a number of threads) by all threads that the tally has."""

    def work(tally: Tally, stop: Stop) -> None:
        for job in stop.checked(shared):
            job(tally, stop)
        tally.settle()

    with tally.divided() as tallies:
        shared = Shared(jobs(len(tallies)))
        together([partial(work, each) for each in tallies])


@dataclass(frozen=True, slots=True)
class _Reading:
    """Where counts and partials are read from, and where messages go."""

    store: Store
    files: FilesRead

    def small(
        self, keys: Iterable[str], etags: Mapping[str, str] | None = None
    ) -> Iterator[tuple[str, Callable[[], bytes]]]:
        """Small objects, each with what gets its bytes."""
        store = self.store
        if store.concurrency == 1:  # whoever wants it, reads it
            for key in keys:
                yield key, partial(store.get, key, etag=etags.get(key) if etags else None)
            return
        for key, answer in store.get_many(keys, etags=etags):
            yield key, partial(_known, answer)


def _item_jobs(reading: _Reading, items: Sequence[Item]) -> Iterator[Job]:
    """The counts objects of these items, each as it was when it was found valid."""
    small = [item.name for item in items if item.size <= SMALL]
    large = [item.name for item in items if item.size > SMALL]
    known = {item.name: item.counted for item in items if item.counted is not None}
    return _count_jobs(reading, small, large, known)


def _count_jobs(
    reading: _Reading,
    small: Iterable[str],
    large: Iterable[str],
    known: Mapping[str, KnownCounts] = MappingProxyType({}),
) -> Iterator[Job]:
    """Counts objects, small ones many at a time, large ones (looked at last) as streams."""
    etags = {key: counts.counts_etag for key, counts in known.items()}
    for key, get in reading.small(small, etags):
        yield partial(_add_small, reading, key, known.get(key), get)
    for key in large:
        yield partial(_add_large, reading, key, known.get(key))


def _add_small(
    reading: _Reading,
    key: str,
    known: KnownCounts | None,
    get: Callable[[], bytes],
    tally: Tally,
    _: Stop,
) -> None:
    _load(reading, key, known, tally, [get()])


def _add_large(
    reading: _Reading, key: str, known: KnownCounts | None, tally: Tally, stop: Stop
) -> None:
    with reading.store.open(key, etag=known.counts_etag if known else None) as reader:
        _load(reading, key, known, tally, stop.checked(reader))


def _load(
    reading: _Reading,
    key: str,
    known: KnownCounts | None,
    tally: Tally,
    chunks: Iterable[bytes],
) -> None:
    distinct = known.distinct if known else None
    load_counts(tally, chunks, name=reading.store.url(key), distinct=distinct)
    reading.files.add(1)


def _add_small_partial(
    reading: _Reading,
    make: Callable[[str, Sequence[Item], Tally, Stop], None],
    key: str,
    group: Sequence[Item],
    get: Callable[[], bytes],
    tally: Tally,
    stop: Stop,
) -> None:
    try:
        data = get()
    except NotFoundError:
        make(key, group, tally, stop)
        return
    load_partial(tally, [data], name=reading.store.url(key))
    reading.files.add(len(group))


def _add_large_partial(
    reading: _Reading,
    make: Callable[[str, Sequence[Item], Tally, Stop], None],
    key: str,
    group: Sequence[Item],
    tally: Tally,
    stop: Stop,
) -> None:
    with ExitStack() as stack:
        try:
            reader = stack.enter_context(reading.store.open(key))
        except NotFoundError:  # any later it is an error: half of it may be in the sums
            make(key, group, tally, stop)
            return
        add = add_sorted_partial if tally.on_disk else load_partial
        add(tally, stop.checked(reader), name=reading.store.url(key))
    reading.files.add(len(group))


def _add_new_partial(
    reading: _Reading, key: str, group: Sequence[Item], tally: Tally, stop: Stop, *, memory: int
) -> None:
    """Make the partial that a group lacks, and add what is in it."""
    silent = _Reading(reading.store, FilesRead(lambda _: None))
    with Tally(memory=memory) as made:
        for job in stop.checked(_item_jobs(silent, group)):
            job(made, stop)
        try:
            store_partial(reading.store, key, made)
        except StorageError as error:
            message = f"merge: {error} (the next merge takes longer, that is all)"
            reading.files.progress(message)
        tally.add_lines(made.by_word())
    reading.files.add(len(group))


def _known(answer: bytes | WordfreqError) -> bytes:
    if isinstance(answer, WordfreqError):
        raise answer
    return answer


def _members(group: Iterable[Item]) -> list[tuple[str, str]]:
    return [(item.name, item.counted.counts_etag) for item in group if item.counted is not None]
