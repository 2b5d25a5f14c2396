"""Sums of counts by word, in bounded memory: what does not fit goes to sorted files on disk.

The one table behind `text.words` (the words of one file), partials (of one group) and
`merge.merge` (of all files). Items can be added in any order. When the table reaches its share
of memory it is written as a *run*, sorted by word, into a temporary folder; reading merges the
runs (`tables.runs`). So memory depends on the number of runs, of which at most 64 are read at
once, and not on the vocabulary. Measured against query engines in docs/merge-engine.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from math import inf
from operator import itemgetter
from pathlib import Path
from sys import getsizeof
from typing import Final

from wordfreq_batch.errors import DataError
from wordfreq_batch.tables import engine
from wordfreq_batch.tables.by_count import (
    LineFile,
    sort_runs,
)
from wordfreq_batch.tables.lines import (
    ALL,
    MOST_COUNTED,
    Share,
    WordCount,
    parse,
    too_many,
)
from wordfreq_batch.tables.runs import (
    Folder,
    LineCursor,
    LineStream,
    Merged,
    SortedFile,
    append,
    blocks_of,
)

# What a dictionary takes for an item besides the word itself: 50 to 90 bytes of table, and an
# integer of its own for counts above 256.
_ITEM_BYTES: Final = 110


class Tally:
    """Adds up counts by word. Close it, or use it as a context once, to remove its files."""

    def __init__(
        self, *, memory: int, share: Share = ALL, threads: int = 1, least: int = 4 << 20
    ) -> None:
        """Make an empty table.

        Args:
            memory: bytes that it takes, about, before it uses the disk.
            share: of lines that are loaded or added only those of this share count.
            threads: `divided` lets so many add words at once, and so many sort.
            least: bytes that are taken in any case, as less would only mean very many runs; a
                thread needs twelve times as much, four of them for the text that it reads.
        """
        self._memory = max(memory, least)
        self._least = least
        self._share = share
        self._threads = max(min(threads, self._memory // max(12 * least, 1)), 1)
        self._held = self._memory  # by the table
        if self._threads > 1:
            self._held = self._memory // self._threads - 4 * least
        kernel = engine.kernel()
        self.table: engine.WordTable = (kernel.Table if kernel else DictTable)(self._held)
        """The words in memory. Whoever adds to it directly calls `make_room` in between."""
        self._spilled = 0
        self._runs: list[SortedFile] = []
        self._distinct: int | None = None  # of all, if that is known though there are runs
        self._folder = Folder()

    def __enter__(self) -> Tally:
        return self

    def __exit__(self, *exception: object) -> None:
        # Not the table: when all is given up, a thread that hasn't ended yet may be at it.
        self._folder.close()

    def add(self, items: Iterable[WordCount]) -> None:
        """Add counts to words; a word may come again and again.

        Raises:
            DataError: the sum of the counts is beyond what can be stored.
        """
        if isinstance(items, LineCursor):
            self.add_lines(items)
            return
        iterator = iter(items)
        try:
            while not self.table.add(iterator):
                self._spill(full=True)
        except OverflowError as error:
            raise DataError(str(error)) from None

    def load(self, text: bytes, separator: bytes) -> int:
        """Add lines of a word, the separator and a count; return how many bytes were right.

        Raises:
            DataError: the sum of the counts is beyond what can be stored.
        """
        position, share = 0, self._share
        try:
            while (
                position := self.table.load(text, position, separator, share.part, share.parts)
            ) < len(text) and self.table.full:
                self._spill(full=True)
        except OverflowError as error:
            raise DataError(str(error)) from None
        return position

    def add_lines(self, cursor: engine.Cursor) -> None:
        """Add what a cursor has left, but only the words of this tally's share."""
        for block in blocks_of(cursor):
            self.load(block, b"\t")

    def add_sorted(self, chunks: Iterable[bytes], *, name: str) -> None:
        """Add lines whose words are in order, as those on disk are, past the table.

        Raises:
            DataError: a line is damaged, or not in order; the message has its name and the line.
        """
        merged = Merged([LineStream(chunks, name=name)], share=self._share)
        self._runs.append(self._folder.run(blocks_of(merged)))
        self._spilled += merged.total
        self._distinct = None

    @contextmanager
    def divided(self) -> Iterator[list[Tally]]:
        """Give this and other tallies, for a thread each to add to; then all of it is in this one.

        They share its memory, which later all is for this one: so it can be done once.
        """
        others = [
            Tally(memory=self._held, share=self._share, least=self._least)
            for _ in range(1, self._threads)
        ]
        try:
            yield [self, *others]
            for other in others:
                self.absorb(other)
        finally:
            for other in others:
                other._folder.close()
        self.table.grow(self._memory - self._held)
        self._held = self._memory

    @property
    def on_disk(self) -> bool:
        """Whether there are more words than memory, so that all have to be merged anyway."""
        return bool(self._runs)

    def settle(self) -> None:
        """Move all words to disk if some are there already."""
        if self._runs:
            self._spill()

    def make_room(self) -> None:
        """Move the words to disk if their share of memory is used up."""
        if self.table.full:
            self._spill(full=True)

    def absorb(self, other: Tally) -> None:
        """Take over the words of `other`, which is empty after that, and its files as they are."""
        if not self.table.absorb(other.table):
            # In order: in that of another's slots, a table that grows meanwhile would be filled in
            # places, and search long there.
            self.add(other.table.by_word())
        self._runs += other._runs
        self._spilled += other._spilled
        self._distinct = None
        self._folder.take(other._folder)
        other._runs, other._spilled = [], 0
        other.close()

    def grow(self, memory: int) -> None:
        """Allow it so many more bytes of memory: what another doesn't use any more."""
        self._memory += memory
        self._held += memory
        self.table.grow(memory)

    def use_threads(self, number: int) -> None:
        """Take over words, and bring them into an order, by so many threads from now on."""
        self.table.use_threads(number)

    @property
    def total(self) -> int:
        """Sum of all counts added."""
        return self._spilled + self.table.total

    @property
    def distinct(self) -> int:
        """Number of different words (this merges the files, if there are any, into one)."""
        if not self._runs:
            return len(self.table)
        if self._distinct is None or len(self.table):
            merged = self._merged()
            run = self._folder.run(blocks_of(merged))
            for each in self._runs:
                each.remove()
            self._runs, self._distinct = [run], merged.distinct
        return self._distinct

    def by_word(self) -> engine.Cursor:
        """Each word once, in code point order (which is the byte order of UTF-8)."""
        return self._merged() if self._runs else self.table.by_word()

    def by_count(self) -> engine.Cursor:
        """Each word once, highest count first, then in code point order."""
        if not self._runs:
            return self.table.by_count()
        path = self._folder.path / "sorted"
        path.unlink(missing_ok=True)
        self.write_by_count(path)
        return LineFile(path)

    def write_by_count(self, path: Path) -> None:
        """Write lines `word TAB count LF` in that order to a new file."""
        if not self._runs:
            append(path, blocks_of(self.table.by_count()))
            return
        self._gather()
        self._distinct = sort_runs(
            self._runs, path, self._folder, memory=self._memory, threads=self._threads
        )

    def close(self) -> None:
        """Forget everything and remove the temporary files; it can be used again."""
        self.table.clear()
        self._runs.clear()
        self._spilled, self._distinct = 0, None
        self._folder.close()

    def _merged(self) -> Merged:
        self._gather()
        return Merged(self._runs)

    def _gather(self) -> None:
        """Move all words to files that can be read at once."""
        self._spill()
        self._runs = self._folder.fewer(self._runs, self._memory)

    def _spill(self, *, full: bool = False) -> None:
        """Move the table to a file; `full`: to go on with it."""
        if not len(self.table):
            return
        self._runs.append(self._folder.run(blocks_of(self.table.by_word())))
        self._spilled += self.table.total
        self._distinct = None
        self.table.clear(keep=full)


class DictTable:
    """The words in memory, where there is no kernel: a `tables.engine.WordTable`."""

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._counts: dict[str, int] = {}
        self._size = 0
        self.total = 0

    def __len__(self) -> int:
        return len(self._counts)

    @property
    def full(self) -> bool:
        """Whether the memory is used up."""
        return self._size > self._memory

    def add(self, items: Iterator[WordCount], /) -> bool:
        """Add items until the memory is used up; false if there may be more of them."""
        self._put(items, self._memory)
        return not self.full

    def _put(self, items: Iterable[WordCount], limit: float) -> None:
        counts, total, size = self._counts, self.total, self._size
        try:
            for word, count in items:
                if total + count > MOST_COUNTED:
                    raise too_many()
                total += count
                if word in counts:
                    counts[word] += count
                else:
                    counts[word] = count
                    size += _ITEM_BYTES + getsizeof(word)
                    if size > limit:
                        break
        finally:
            self._size = size
            self.total = total

    def load(self, text: bytes, start: int, separator: bytes, part: int, parts: int, /) -> int:
        """Add all lines from `start` on up to a bad one, or none if the memory is used up."""
        if self.full:
            return start
        words, counts, good = parse(text[start:], separator)
        share = Share(part, parts)
        items = (item for item in zip(words, counts, strict=True) if share.has(item[0]))
        self._put(items, inf)  # it is parsed, so it takes its memory anyway
        return start + good

    def by_word(self) -> DictCursor:
        """The words in code point order."""
        counts = self._counts
        return DictCursor((word, counts[word]) for word in sorted(counts))

    def by_count(self) -> DictCursor:
        """The words by count, highest first, then in code point order."""
        # The sort is stable, also in reverse: equal counts stay in the order of their words.
        return DictCursor(sorted(self.by_word(), key=itemgetter(1), reverse=True))

    def grow(self, memory: int, /) -> None:
        """Allow it so many more bytes of memory."""
        self._memory += memory

    def absorb(self, other: engine.WordTable, /) -> bool:  # noqa: ARG002 - the kernel's can
        """False: what is in the other has to be added."""
        return False

    def use_threads(self, number: int, /) -> None:
        """Nothing: a dictionary has one."""

    def expect_words(self, times: int, /) -> None:
        """Nothing: a dictionary can't make room."""

    def clear(self, *, keep: bool = False) -> None:  # noqa: ARG002 - a dict can't keep it
        """Forget all words."""
        self._counts.clear()
        self._size = self.total = 0


class DictCursor:
    """Iterates sorted items, or yields the same as text."""

    def __init__(self, items: Iterable[WordCount]) -> None:
        self._items = iter(items)

    def __iter__(self) -> Iterator[WordCount]:
        return self._items

    def __next__(self) -> WordCount:
        return next(self._items)

    def lines(self, separator: bytes, size: int, /) -> bytes:
        """The next words as lines `word separator count LF`, about `size` bytes or all."""
        between, found = separator.decode(), []
        for word, count in self._items:
            line = f"{word}{between}{count}\n"
            found.append(line)
            size -= len(line)
            if size <= 0:
                break
        return "".join(found).encode()
