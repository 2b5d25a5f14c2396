"""Sums of counts by word, in bounded memory: what does not fit goes to sorted files on disk.

The one table behind `wordfreq.words` (the words of one file), partials (of one group) and
`wordfreq.merge` (of all files). Items can be added in any order. When the table reaches its share
of memory it is written as a *run*, sorted by word, into a temporary folder; reading merges the
runs. So memory depends on the number of runs (a few hundred KB each), not on the vocabulary.
Measured against query engines in docs/merge-engine.md.
"""

from __future__ import annotations

import heapq
import tempfile
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from operator import itemgetter
from pathlib import Path
from sys import getsizeof
from typing import Final

import zstandard

from wordfreq import engine

Item = tuple[str, int]

# What a dictionary takes for an item besides the word itself: 50 to 90 bytes of table, and an
# integer of its own for counts above 256.
_ITEM_BYTES: Final = 110
_SMALLEST: Final = 4 << 20  # bytes; less memory than this would only mean very many runs
_MOST_RUNS: Final = 64  # read at once; more are first merged into fewer
_BLOCK_CHARACTERS: Final = 1 << 15  # of a run in one compressed block
_PLENTIFUL: Final = 64  # counts from here on are sorted, smaller ones only told apart


class Tally:
    """Adds up counts by word. Close it, or use it as a context, to remove its files."""

    def __init__(self, *, memory: int) -> None:
        """Make an empty table that takes about `memory` bytes before it uses the disk."""
        self._memory = max(memory, _SMALLEST)
        kernel = engine.kernel()
        self.table: engine.Table = (kernel.Table if kernel else DictTable)(self._memory)
        """The words in memory. Whoever adds to it directly calls `make_room` in between."""
        self._spilled = 0
        self._runs: list[_Run] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._absorbed: list[tempfile.TemporaryDirectory[str]] = []
        self._made = 0

    def __enter__(self) -> Tally:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def add(self, items: Iterable[Item]) -> None:
        """Add counts to words; a word may come again and again."""
        iterator = iter(items)
        while not self.table.add(iterator):
            self._spill()

    def make_room(self) -> None:
        """Move the words to disk if their share of memory is used up."""
        if self.table.full:
            self._spill()

    def absorb(self, other: Tally) -> None:
        """Take over the words of `other`, which is empty after that, and its files as they are."""
        self.add(other.table.unsorted())
        self._runs += other._runs
        self._spilled += other._spilled
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
        return self._spilled + self.table.total

    @property
    def distinct(self) -> int:
        """Number of different words (this merges the files, if there are any, into one)."""
        if not self._runs:
            return len(self.table)
        self._spill()
        if len(self._runs) > 1:
            self._runs = [self._merge(self._runs)]
        return self._runs[0].items

    def by_word(self) -> Iterator[Item]:
        """Yield each word once, in code point order (which is the byte order of UTF-8)."""
        if self._runs:
            self._spill()
            while len(self._runs) > _MOST_RUNS:
                self._runs = [*self._runs[_MOST_RUNS:], self._merge(self._runs[:_MOST_RUNS])]
            return _merged(self._runs)
        return self.table.by_word()

    def by_count(self) -> Iterator[Item]:
        """Yield each word once, highest count first, then in code point order."""
        if self._runs:
            return self._spilled_by_count()
        return self.table.by_count()

    def close(self) -> None:
        """Forget everything and remove the temporary files; it can be used again."""
        self.table.clear()
        self._runs.clear()
        self._spilled = 0
        while self._absorbed:
            self._absorbed.pop().cleanup()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _spilled_by_count(self) -> Iterator[Item]:
        """Sort by count outside memory.

        Most words are rare, so each small count has a file of its own, which the words reach in
        their order. Only the plentiful ones, at most a 64th of the total, need sorting.
        """
        rare = [self._new_run() for _ in range(_PLENTIFUL)]
        plentiful: list[_Run] = []
        waiting: list[Item] = []
        room = self._memory // (2 * _ITEM_BYTES)
        for word, count in self.by_word():
            if count < _PLENTIFUL:
                rare[count].append(word, count)
            else:
                waiting.append((word, count))
                if len(waiting) >= room:
                    plentiful.append(self._run_by_count(waiting))
                    waiting = []
        waiting.sort(key=itemgetter(1), reverse=True)
        sources: list[Iterable[Item]] = [waiting, *(run.read() for run in plentiful)]
        yield from heapq.merge(*sources, key=lambda item: (-item[1], item[0]))
        for run in reversed(rare):
            yield from run.read()
            run.remove()

    def _run_by_count(self, items: list[Item]) -> _Run:
        run = self._new_run()
        for word, count in sorted(items, key=itemgetter(1), reverse=True):
            run.append(word, count)
        run.flush()
        return run

    def _spill(self) -> None:
        """Move the table to a file."""
        if not len(self.table):
            return
        run = self._new_run()
        run.extend(self.table.by_word())
        self._runs.append(run)
        self._spilled += self.table.total
        self.table.clear()

    def _merge(self, runs: Sequence[_Run]) -> _Run:
        merged = self._new_run()
        for word, count in _merged(runs):
            merged.append(word, count)
        merged.flush()
        for run in runs:
            run.remove()
        return merged

    def _new_run(self) -> _Run:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="wordfreq-")
        self._made += 1
        return _Run(Path(self._folder.name) / f"run-{self._made:06d}")


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
        counts, total, size = self._counts, 0, self._size
        for word, count in items:
            total += count
            if word in counts:
                counts[word] += count
            else:
                counts[word] = count
                size += _ITEM_BYTES + getsizeof(word)
                if size > self._memory:
                    break
        self._size = size
        self.total += total
        return not self.full

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


class _Run:
    """A file of items: blocks of `word TAB count LF` lines, each compressed by itself (zstd)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: list[str] = []
        self._size = 0
        self.items = 0

    def append(self, word: str, count: int) -> None:
        self._lines.append(f"{word}\t{count}")
        self.items += 1
        self._size += len(word) + 8
        if self._size > _BLOCK_CHARACTERS:
            self.flush()

    def extend(self, items: engine.Cursor) -> None:
        """Append all of it, as `append` would."""
        self.flush()
        while lines := items.lines(b"\t", _BLOCK_CHARACTERS):
            self.items += lines.count(b"\n")
            self._write(lines[:-1])

    def flush(self) -> None:
        if self._lines:
            self._write("\n".join(self._lines).encode())
            self._lines.clear()
            self._size = 0

    def _write(self, lines: bytes) -> None:
        block = zstandard.compress(lines, 1)
        with self._path.open("ab") as file:
            file.write(len(block).to_bytes(4, "little"))
            file.write(block)

    def blocks(self) -> Iterator[tuple[list[str], list[int]]]:
        """Yield the words and the counts of each block."""
        self.flush()
        if not self.items:
            return
        with self._path.open("rb") as file:
            while size := file.read(4):
                block = zstandard.decompress(file.read(int.from_bytes(size, "little")))
                fields = block.decode().replace("\n", "\t").split("\t")
                yield fields[0::2], list(map(int, fields[1::2]))

    def read(self) -> Iterator[Item]:
        return chain.from_iterable(zip(*block, strict=True) for block in self.blocks())

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)


def _merged(runs: Iterable[_Run]) -> Iterator[Item]:
    """Merge runs that are sorted by word, adding up the counts of equal words.

    A heap of single items would cost the interpreter more than this does: of the block at hand of
    each run it takes all items up to the smallest of the blocks' last words (none after that block
    can be smaller), and puts them together in one dictionary.
    """
    heads = [head for run in runs if (head := _Head(run)).load()]
    while heads:
        bound = min(head.words[-1] for head in heads)
        batch: dict[str, int] = {}
        for head in heads:
            for word, count in head.take(bound):
                batch[word] = batch[word] + count if word in batch else count
        for word in sorted(batch):
            yield word, batch[word]
        heads = [head for head in heads if head.start < len(head.words) or head.load()]


class _Head:
    """The block at hand of a run that is being merged, and how much of it is used."""

    def __init__(self, run: _Run) -> None:
        self._blocks = run.blocks()
        self.words: list[str] = []
        self._counts: list[int] = []
        self.start = 0

    def load(self) -> bool:
        """Go to the next block; false if there is none."""
        self.words, self._counts = next(self._blocks, ([], []))
        self.start = 0
        return bool(self.words)

    def take(self, bound: str) -> Iterator[Item]:
        """Use the items up to the word `bound`, inclusive."""
        start, self.start = self.start, bisect_right(self.words, bound, self.start)
        return zip(self.words[start : self.start], self._counts[start : self.start], strict=True)
