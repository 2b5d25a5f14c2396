"""Sums of counts by word, in bounded memory: what does not fit goes to sorted files on disk.

The one table behind `wordfreq.words` (the words of one file), partials (of one group) and
`wordfreq.merge` (of all files). Items can be added in any order. When the table reaches its share
of memory it is written as a *run*, sorted by word, into a temporary folder; reading merges the
runs (`wordfreq.runs`). So memory depends on the number of runs, of which at most 64 are read at
once, and not on the vocabulary. Measured against query engines in docs/merge-engine.md.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from math import inf
from operator import itemgetter
from pathlib import Path
from sys import getsizeof
from typing import Final

from wordfreq import engine
from wordfreq.errors import DataError
from wordfreq.lines import ALL, MOST_COUNTED, Item, Share, parse, sort_by_count, too_many
from wordfreq.runs import BLOCK, Merged, Run

# What a dictionary takes for an item besides the word itself: 50 to 90 bytes of table, and an
# integer of its own for counts above 256.
_ITEM_BYTES: Final = 110
_SMALLEST: Final = 4 << 20  # bytes; less memory than this would only mean very many runs
_MOST_RUNS: Final = 64  # read at once; more are first merged into fewer
_LEAST_RUNS: Final = 8
# What reading an adopted partial takes, and without the kernel any run; else it is far less.
_PARTIAL_BYTES: Final = 4 << 20
# Memory that sorting by count takes for a byte of lines, the shortest lines being the worst.
_SORTING_NATIVE: Final = 9
_SORTING: Final = 48


class Tally:
    """Adds up counts by word. Close it, or use it as a context, to remove its files."""

    def __init__(self, *, memory: int, share: Share = ALL) -> None:
        """Make an empty table that takes about `memory` bytes before it uses the disk.

        Of lines that are loaded or adopted only those of `share` count.
        """
        self._memory = max(memory, _SMALLEST)
        self._share = share
        kernel = engine.kernel()
        self.table: engine.Table = (kernel.Table if kernel else DictTable)(self._memory)
        """The words in memory. Whoever adds to it directly calls `make_room` in between."""
        self._spilled = 0
        self._runs: list[Run] = []
        self._measured = True  # whether `_spilled` is right: nobody knows what adopted runs hold
        self._distinct: int | None = None  # of all, if that is known though there are runs
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._absorbed: list[tempfile.TemporaryDirectory[str]] = []
        self._made = 0

    def __enter__(self) -> Tally:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def add(self, items: Iterable[Item]) -> None:
        """Add counts to words; a word may come again and again."""
        if isinstance(items, Merged):
            self.add_lines(items)
            return
        iterator = iter(items)
        while not self.table.add(iterator):
            self._spill()

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
                self._spill()
        except OverflowError as error:
            raise DataError(str(error)) from None
        return position

    def add_lines(self, cursor: engine.Cursor) -> None:
        """Add what a cursor has left, but only the words of this tally's share."""
        for block in _blocks(cursor):
            self.load(block, b"\t")

    def adopt(self, chunks: Iterable[bytes], *, name: str) -> None:
        """Add a stored partial: kept on disk as it is, and only merged when it is needed.

        What is wrong with it shows then, as a `DataError` with its name.
        """
        run = self._new_run(name)
        run.copy(chunks)
        self._runs.append(run)
        self._measured, self._distinct = False, None

    @property
    def on_disk(self) -> bool:
        """Whether there are more words than memory, so that all have to be merged anyway."""
        return bool(self._runs)

    def make_room(self) -> None:
        """Move the words to disk if their share of memory is used up."""
        if self.table.full:
            self._spill()

    def absorb(self, other: Tally) -> None:
        """Take over the words of `other`, which is empty after that, and its files as they are."""
        self.add(other.table.unsorted())
        self._runs += other._runs
        self._spilled += other._spilled
        self._measured, self._distinct = self._measured and other._measured, None
        if other._folder is not None:
            self._absorbed.append(other._folder)
        self._absorbed += other._absorbed
        other._runs, other._spilled, other._folder, other._absorbed = [], 0, None, []
        other.close()

    def grow(self, memory: int) -> None:
        """Allow it so many more bytes of memory: what another doesn't use any more."""
        self._memory += memory
        self.table.grow(memory)

    @property
    def total(self) -> int:
        """Sum of all counts added."""
        if not self._measured:
            self._measure()
        return self._spilled + self.table.total

    @property
    def distinct(self) -> int:
        """Number of different words (this merges the files, if there are any, into one)."""
        if not self._runs:
            return len(self.table)
        if self._distinct is None or len(self.table):
            self._measure()
        assert self._distinct is not None
        return self._distinct

    def by_word(self) -> engine.Cursor:
        """Each word once, in code point order (which is the byte order of UTF-8)."""
        return self._merged() if self._runs else self.table.by_word()

    def by_count(self) -> engine.Cursor:
        """Each word once, highest count first, then in code point order."""
        return self._sorted_by_count() if self._runs else self.table.by_count()

    def close(self) -> None:
        """Forget everything and remove the temporary files; it can be used again."""
        self.table.clear()
        self._runs.clear()
        self._spilled, self._measured, self._distinct = 0, True, None
        while self._absorbed:
            self._absorbed.pop().cleanup()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _merged(self) -> Merged:
        self._spill()
        self._runs = self._fewer(self._runs)
        return Merged(self._runs, share=self._share)

    def _measure(self) -> None:
        """Make one run of all."""
        merged = self._merged()
        run = self._run_of(_blocks(merged))
        for each in self._runs:
            each.remove()
        self._runs = [run]
        self._note(merged)

    def _note(self, merged: Merged) -> None:
        """Remember the sums of a merge of all runs that has come to its end."""
        self._spilled, self._distinct, self._measured = merged.total, merged.distinct, True

    def _sorted_by_count(self) -> Merged:
        """Sort by count outside memory: as much as fits at a time, then those runs are merged."""
        kernel = engine.kernel()
        sort = kernel.sort_by_count if kernel else sort_by_count
        room = self._memory // (_SORTING_NATIVE if kernel else _SORTING)
        merged = self._merged()
        runs: list[Run] = []
        while text := b"".join(_some(_blocks(merged), room)):
            runs.append(self._run_of([sort(text)]))
        self._note(merged)
        return Merged(self._fewer(runs, by_count=True), by_count=True)

    def _spill(self) -> None:
        """Move the table to a file."""
        if not len(self.table):
            return
        self._runs.append(self._run_of(_blocks(self.table.by_word())))
        self._spilled += self.table.total
        self._distinct = None
        self.table.clear()

    def _fewer(self, runs: Sequence[Run], *, by_count: bool = False) -> list[Run]:
        """Merge some of them if they are too many to be read at once."""
        runs, most = list(runs), _MOST_RUNS
        if engine.kernel() is None or not (by_count or self._measured):
            most = min(max(self._memory // _PARTIAL_BYTES, _LEAST_RUNS), most)
        while len(runs) > most:
            first, runs = runs[:most], runs[most:]
            runs.append(self._run_of(_blocks(Merged(first, by_count=by_count, share=self._share))))
            for run in first:
                run.remove()
        return runs

    def _run_of(self, blocks: Iterable[bytes]) -> Run:
        run = self._new_run()
        run.write(blocks)
        return run

    def _new_run(self, name: str = "") -> Run:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="wordfreq-")
        self._made += 1
        return Run(Path(self._folder.name) / f"run-{self._made:06d}", name=name)


def _blocks(cursor: engine.Cursor) -> Iterator[bytes]:
    return iter(lambda: cursor.lines(b"\t", BLOCK), b"")


def _some(blocks: Iterator[bytes], size: int) -> Iterator[bytes]:
    """The next blocks, until they reach that size."""
    for block in blocks:
        yield block
        size -= len(block)
        if size <= 0:
            return


class DictTable:
    """The words in memory, where there is no kernel: a `wordfreq.engine.Table`."""

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

    def add(self, items: Iterator[Item], /) -> bool:
        """Add items until the memory is used up; false if there may be more of them."""
        self._put(items, self._memory)
        return not self.full

    def _put(self, items: Iterable[Item], limit: float) -> None:
        counts, total, size = self._counts, 0, self._size
        for word, count in items:
            total += count
            if word in counts:
                counts[word] += count
            else:
                counts[word] = count
                size += _ITEM_BYTES + getsizeof(word)
                if size > limit:
                    break
        self._size = size
        self.total += total

    def load(self, text: bytes, start: int, separator: bytes, part: int, parts: int, /) -> int:
        """Add all lines from `start` on up to a bad one, or none if the memory is used up."""
        if self.full:
            return start
        words, counts, good = parse(text[start:], separator)
        if self.total + sum(counts) > MOST_COUNTED:
            raise too_many()
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

    def unsorted(self) -> DictCursor:
        """The words in no order."""
        return DictCursor(self._counts.items())

    def grow(self, memory: int, /) -> None:
        """Allow it so many more bytes of memory."""
        self._memory += memory

    def clear(self) -> None:
        """Forget all words."""
        self._counts.clear()
        self._size = self.total = 0


class DictCursor:
    """Iterates sorted items, or yields the same as text."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = iter(items)

    def __iter__(self) -> Iterator[Item]:
        return self._items

    def __next__(self) -> Item:
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
