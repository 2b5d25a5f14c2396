"""Counting files: read each, store its counts, say what came of it.

Many files are counted at once, each by one thread from its opening to its stored counts: so nothing
is handed over, and a container's vCPUs are all in use. Tiny ones of a folder are counted some at a
time by each. Where a store is far away there are more
threads than vCPUs, to wait for it; but only so many count at a time as there are tables for. Large
files come last, one at a time, each counted by all threads. So memory is bounded by the tables and
some dozen megabytes of text, whatever the files' number and size.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from functools import partial
from queue import SimpleQueue
from typing import Final

from wordfreq_batch.counts.counts import write_counts
from wordfreq_batch.counts.outage import PATIENCE, Outage, Stores
from wordfreq_batch.counts.texts import Texts, TinyText, is_utf_8, receipt_of
from wordfreq_batch.errors import StorageError
from wordfreq_batch.plans.formats import Figures, ItemReceipt
from wordfreq_batch.plans.plan import Item
from wordfreq_batch.plans.tasks import failure
from wordfreq_batch.storage.store import ObjectInfo
from wordfreq_batch.tables.tally import Tally
from wordfreq_batch.text.detect import Guess
from wordfreq_batch.text.options import DEFAULT_OPTIONS, TextOptions
from wordfreq_batch.text.parallel import SplitCounter
from wordfreq_batch.text.text import OtherEncodingError, Utf8Text
from wordfreq_batch.text.unpack import beginning, is_archive
from wordfreq_batch.text.words import (
    Counted,
    CountedText,
    WordCounter,
)
from wordfreq_batch.together import Crew, GivenUpError, ahead

SMALL: Final = 1 << 20
"""Objects up to this many bytes are fetched whole, several at a time."""

_TINY: Final = 64 << 10  # bytes; files up to that are counted many at a time where that helps
_AT_A_TIME: Final = 16
_LARGE: Final = 16 << 20  # bytes; larger files are counted by all threads together
_FETCHED: Final = 64 << 20  # bytes of files that wait for a table
_RANGES: Final = 6  # of a large object on their way
_ONE_REQUEST: Final = 8 << 20  # bytes of counts that are stored by one put


def _ignore(_: str, __: int) -> None:
    pass


def count_items(
    stores: Stores,
    items: Sequence[Item],
    *,
    total: Tally | None,
    memory: int,
    threads: int,
    done: Callable[[ItemReceipt], None],
    read: Callable[[str, int], None] = _ignore,
    options: TextOptions = DEFAULT_OPTIONS,
    patience: float = PATIENCE,
) -> None:
    """Count these files, store their counts, and call `done` with each one's receipt, in any order.

    `read` gets a file's name and a number of bytes whenever some of it have been read.

    The words are also added to `total`. `memory` bounds, in bytes and for each of the `threads`,
    the words of the files at hand, and as much again their sums before they get into `total`. A
    file that holds no text has no words; one that fails gets its error in its receipt. The others
    go on, unless neither the source nor the destination answers for `patience` seconds
    (`counts.outage`).
    """
    small = [item for item in items if item.size <= _LARGE]
    large = [item for item in items if item.size > _LARGE]
    # What takes no time isn't worth a thread. A foreign plan knows no sizes.
    worthwhile = 1 + sum(item.size if item.etag else SMALL for item in small) // SMALL
    tables = min(threads, worthwhile, max(len(small), 1))
    waiting = max(stores.source.concurrency, stores.destination.concurrency)
    texts = Texts(stores.source, options, read)
    work = _Work(stores, texts, memory, done, patience=patience)
    work.count_small(small, total, tables=tables, workers=min(max(tables, waiting), len(small)))
    for item in large + work.too_large:
        work.count_large(item, total, threads=threads)


class _Work:
    """What the threads share."""

    def __init__(
        self,
        stores: Stores,
        texts: Texts,
        memory: int,
        done: Callable[[ItemReceipt], None],
        *,
        patience: float,
    ) -> None:
        self._stores = stores
        self._texts = texts
        self._memory = memory
        self._done = done
        self._lock = threading.Lock()
        self._todo: deque[Item] = deque()
        self._free: SimpleQueue[_CountingTable] = SimpleQueue()
        self._room = _Room(_FETCHED)
        self._crew = Crew()
        self._outage = Outage(stores, stop=self._crew.stop, patience=patience)
        self.too_large: list[Item] = []
        """Files that turned out to be large when they were opened."""

    def count_small(
        self, items: Iterable[Item], total: Tally | None, *, tables: int, workers: int
    ) -> None:
        """Count these files, each by one thread, `tables` of them at a time."""
        self._todo.extend(items)
        made = [_CountingTable(self._memory, total, own=number > 0) for number in range(tables)]
        for table in made:
            self._free.put(table)
        try:
            with self._crew as crew:
                if workers == 1:
                    self._count_todo(self._todo.popleft)  # nothing is gained by another thread
                else:
                    # From both ends: in one folder threads wait for each other to make files.
                    for number in range(workers):
                        take = self._todo.pop if number % 2 else self._todo.popleft
                        crew.start(partial(self._count_todo, take))
                    crew.wait()
            for table in made[1:]:
                if total is not None and table.total is not None:
                    total.absorb(table.total)
                    total.grow(self._memory)
        finally:
            if self._crew.ended:
                with ExitStack() as stack:  # all of them, whatever goes wrong with one
                    for table in made:
                        stack.callback(table.close)

    def _count_todo(self, take: Callable[[], Item]) -> None:
        while not self._crew.stop.wanted and (items := self._next_items(take)):
            if len(items) > 1:
                self._count_tiny(items)
            else:
                self._attempt(items[0], self._count_small)

    def _next_items(self, take: Callable[[], Item]) -> list[Item]:
        """A file, or several tiny ones; none: there are no more."""
        # Far away each is a request, and so many of them are under way at once.
        near = self._stores.source.concurrency == 1
        most = min(_AT_A_TIME, 1 + len(self._todo) // 8) if near else 1
        found: list[Item] = []
        with suppress(IndexError):
            while len(found) < most:
                found.append(take())
                if found[-1].size > _TINY or not found[-1].etag:
                    break
        return found

    def count_large(self, item: Item, total: Tally | None, *, threads: int) -> None:
        """Count one file by several threads."""

        def count(item: Item, known: Guess | None) -> None:
            started = time.monotonic()
            memory = self._memory * threads
            with (
                self._stores.source.open(
                    item.name, etag=item.etag or None, ranges=_RANGES
                ) as reader,
                closing(_counter(reader.info, memory=memory, threads=threads)) as counting,
            ):
                text = self._texts.text(item, reader.info, reader, known)
                elsewhere = threads > 1 and is_archive(item.name)
                with ahead(text) if elsewhere else nullcontext(text) as chunks:
                    for chunk in chunks:
                        counting.feed(chunk)
                counted = counting.finish()
                with counted:
                    counted = counted._replace(invalid=counted.invalid + text.invalid)
                    self._texts.check_damage(item, reader.info, text, counted)
                    first, rest = _text_of(counted)
                    # While one part is written, a thread makes the text of the next.
                    beside = threads > 1 and rest is not None
                    with ahead(rest or ()) if beside else nullcontext(rest) as more:
                        etag = self._stored(item.name, first, more)
                    if total is not None:
                        total.absorb(counted.tally)
            self._succeeded(receipt_of(item, reader.info, text, counted, started, etag))

        self._attempt(item, count)

    def _attempt(self, item: Item, count: Callable[[Item, Guess | None], None]) -> None:
        """Count a file, once more if its encoding is found to be another; errors are receipts."""
        try:
            if reason := self._outage.reason():
                url = self._stores.source.url(item.name)
                raise StorageError(f"{url}: not tried, as no file can be read or written: {reason}")
            try:
                count(item, None)
            except OtherEncodingError as other:
                count(item, other.found)
        except GivenUpError:
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this file's
            self._outage.failed(error)
            with self._lock:
                if not self._crew.stop.wanted:
                    self._done(failure(item, error))

    def _count_small(self, item: Item, known: Guess | None) -> None:
        source, started = self._stores.source, time.monotonic()
        # From far away all of it first, so that a table isn't held while waiting.
        far = source.concurrency > 1
        with source.open(item.name, etag=item.etag or None) as reader:
            info = reader.info
            if info.size > _LARGE:
                self.too_large.append(item)
                return
            with self._room.taken(info.size) if far else nullcontext():
                chunks: Iterable[bytes] = [b"".join(reader)] if far else reader
                text = self._texts.text(item, info, chunks, known)
                with self._free_table() as table:
                    counted = self._counted(text, table.counter)
                    self._texts.check_damage(item, info, text, counted)
                    first, rest = _text_of(counted)
                    etag = self._stored(item.name, first, rest) if rest is not None else ""
                    if table.total is not None:
                        table.total.absorb(counted.tally)
        if not etag:
            etag = self._stored(item.name, first, None)
        self._succeeded(receipt_of(item, info, text, counted, started, etag))

    def _count_tiny(self, items: list[Item]) -> None:
        """Count files together: threads then work side by side for some milliseconds each.

        One by one the threads would hand the interpreter to each other ten times per file, which
        takes longer than the counting.
        """
        texts: list[TinyText] = []
        for item in items:
            self._attempt(item, partial(self._read, texts))
        counted: list[CountedText] = []

        def count() -> None:
            with self._free_table() as table:
                counted.extend(
                    table.counter.count_each([each.content for each in texts], table.total)
                )

        try:
            count()
        except Exception as error:  # noqa: BLE001 - nobody knows which of them are in the sums
            for text in texts:
                self._attempt(text.item, partial(_fail, error))
            return
        for text, figures in zip(texts, counted, strict=False):
            self._attempt(text.item, partial(self._store_tiny, text, figures))
        for text in texts[len(counted) :]:  # too many words, or something for ICU
            self._attempt(text.item, self._count_small)

    def _read(self, texts: list[TinyText], item: Item, known: Guess | None) -> None:
        """Read a tiny file; count it as any other if it isn't, or if it isn't UTF-8 throughout."""
        source, started = self._stores.source, time.monotonic()
        found: list[bytes] = []
        size = 0
        with source.open(item.name, etag=item.etag or None) as reader:
            text = self._texts.text(item, reader.info, reader, known)
            for chunk in text if reader.info.size <= _TINY else ():
                found.append(chunk)
                size += len(chunk)
                if size > SMALL:  # an archive
                    break
            else:
                content = b"".join(found)
                if reader.info.size <= _TINY and not text.invalid and is_utf_8(content):
                    texts.append(TinyText(item, reader.info, text, content, started))
                    return
        self._count_small(item, known)

    def _store_tiny(
        self, text: TinyText, counted: CountedText, item: Item, _: Guess | None
    ) -> None:
        figures = Figures(
            words=counted.words,
            distinct=counted.distinct,
            bytes=len(text.content),
            invalid=counted.invalid,
        )
        etag = self._stored(item.name, counted.lines, None)
        self._succeeded(receipt_of(item, text.info, text.text, figures, text.started, etag))

    @contextmanager
    def _free_table(self) -> Iterator[_CountingTable]:
        table = self._free.get()
        try:
            # Before its use: should it fail, then that is this file's, and the table is given back.
            table.counter.reset()
            yield table
        finally:
            self._free.put(table)

    def _counted(self, text: Utf8Text, counter: WordCounter) -> Counted:
        for chunk in text:
            for start in range(0, len(chunk), SMALL):
                self._crew.stop.check()
                counter.feed(chunk, start, min(start + SMALL, len(chunk)))
        counted = counter.finish()
        return counted._replace(invalid=counted.invalid + text.invalid) if text.invalid else counted

    def _stored(self, name: str, first: bytes, rest: Iterator[bytes] | None) -> str:
        """Store the text of one file's counts and return its ETag."""
        if rest is None:
            return self._stores.destination.put(name, first)
        with self._stores.destination.writer(name) as writer:
            writer.write(first)
            for chunk in rest:
                writer.write(chunk)
        return writer.etag

    def _succeeded(self, receipt: ItemReceipt) -> None:
        self._outage.succeeded()
        with self._lock:
            if not self._crew.stop.wanted:
                self._done(receipt)


def _fail(error: Exception, _: Item, __: Guess | None) -> None:
    raise error


class _CountingTable:
    """What one thread at a time counts with: a counter used again and again, and sums."""

    def __init__(self, memory: int, total: Tally | None, *, own: bool) -> None:
        self.counter = WordCounter(memory=memory)
        self.total = Tally(memory=memory) if own and total is not None else total
        self._own = own

    def close(self) -> None:
        self.counter.close()
        if self._own and self.total is not None:
            self.total.close()


class _Room:
    """Room for some bytes: who wants more than is left waits."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, size: int) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: self._left >= size)
            self._left -= size
        try:
            yield
        finally:
            with self._changed:
                self._left += size
                self._changed.notify_all()


def _counter(info: ObjectInfo, *, memory: int, threads: int) -> SplitCounter | WordCounter:
    """What counts a large file."""
    size = 0 if is_archive(info.key) else info.size
    if threads > 1:
        return SplitCounter(threads=threads, memory=memory, size=size)
    return WordCounter(memory=memory, size=size)


def _text_of(counted: Counted) -> tuple[bytes, Iterator[bytes] | None]:
    """The text of the counts: all of it, or its beginning and the rest if that is too much."""
    blocks = write_counts(counted.tally.by_count())
    first, rest = beginning(blocks, size=_ONE_REQUEST)  # of any number of blocks
    return first, rest if len(first) >= _ONE_REQUEST else None
