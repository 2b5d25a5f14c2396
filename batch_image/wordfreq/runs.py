"""Sorted runs: temporary files of sorted lines, and their merge k ways in bounded memory.

For `wordfreq.tally`. A run is sorted by word or by count; merging runs takes a few hundred
kilobytes for each, whatever the number of words. The kernel merges in C (merger.c), and here is
what serves without it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, compress, islice, pairwise
from operator import lt, neg
from pathlib import Path
from typing import Any, Final

import zstandard

from wordfreq import engine
from wordfreq.errors import DataError, StorageError
from wordfreq.lines import ALL, MOST_COUNTED, Item, Share, bad_line, parse, too_many, whole_lines
from wordfreq.text import decompressed

BLOCK: Final = 1 << 18
"""Bytes of lines handed on at a time."""

_READ: Final = 1 << 16  # bytes of lines taken from each run at a time
# A run that we write is read back within a window of 128 KiB: with 64 runs at once it matters.
_PARAMETERS: Final = zstandard.ZstdCompressionParameters.from_level(
    1, window_log=17, write_checksum=1
)


class Run:
    """A file of sorted lines `word TAB count LF`, as one zstd frame.

    `name` is what messages call it: the URI of the object that it is a copy of.
    """

    def __init__(self, path: Path, *, name: str = "") -> None:
        self.path = path
        self.name = name or str(path)

    def write(self, blocks: Iterable[bytes]) -> None:
        """Store sorted lines."""
        compressor = zstandard.ZstdCompressor(compression_params=_PARAMETERS).compressobj()
        self.copy(compressor.compress(block) for block in blocks)
        self.copy([compressor.flush()])

    def copy(self, chunks: Iterable[bytes]) -> None:
        """Store lines that are compressed already."""
        with self.path.open("ab") as file:
            for chunk in chunks:
                try:
                    file.write(chunk)
                except OSError as error:
                    raise StorageError(
                        f"the temporary folder (TMPDIR, now {self.path.parent.parent}) can't be "
                        f"written: {error}"
                    ) from error

    def read(self) -> Iterator[bytes]:
        """Yield the text, cut anywhere."""
        gathered = bytearray()
        with self.path.open("rb") as file:
            archive = iter(lambda: file.read(_READ), b"")
            for part in decompressed(archive, name=self.name, suffix=".zst"):
                gathered += part
                if len(gathered) >= _READ:
                    yield bytes(gathered)
                    gathered.clear()
        if gathered:
            yield bytes(gathered)

    def remove(self) -> None:
        """Delete the file."""
        self.path.unlink(missing_ok=True)


class Merged:
    """A merge of runs as an `engine.Cursor`, with the sums of what was merged so far.

    By word: equal words are added up. By count, highest first, then by word: no word may be in two
    runs. Only words of `share` are read.

    Raises:
        DataError: a run is damaged or isn't sorted; the message has its name and the line.
    """

    def __init__(self, runs: Sequence[Run], *, by_count: bool = False, share: Share = ALL) -> None:
        kernel = engine.kernel()
        self._runs = runs
        self._texts = [run.read() for run in runs]
        self._merger: engine.Merger
        if kernel:
            self._merger = kernel.Merger(len(runs), by_count, share.part, share.parts)
        else:
            self._merger = _ItemMerger(runs, by_count, share)
        self._items: Iterator[Item] | None = None

    @property
    def total(self) -> int:
        """Sum of the counts."""
        return self._merger.total

    @property
    def distinct(self) -> int:
        """Different words."""
        return self._merger.distinct

    def lines(self, separator: bytes, size: int, /) -> bytes:
        """The next words as lines `word separator count LF`, about `size` bytes or all."""
        while True:
            try:
                answer = self._merger.merge(separator, size)
            except OverflowError as error:
                raise DataError(str(error)) from None
            if isinstance(answer, bytes):
                return answer
            if isinstance(answer, tuple):
                run, number, line = answer
                raise bad_line(self._runs[run].name, number, line, b"\t")
            self._merger.feed(answer, next(self._texts[answer], b""))

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        if self._items is None:
            self._items = self._parsed()
        return next(self._items)

    def _parsed(self) -> Iterator[Item]:
        while block := self.lines(b"\t", BLOCK):
            words, counts, _ = parse(block, b"\t")
            yield from zip(words, counts, strict=True)


class _ItemMerger:
    """Merges where there is no kernel: an `engine.Merger` that feeds itself."""

    def __init__(self, runs: Sequence[Run], by_count: bool, share: Share) -> None:
        self.total = self.distinct = 0
        heads = [_Head(run, share, by_count=by_count) for run in runs]
        self._items = _ranked(heads) if by_count else _added_up(heads)

    def feed(self, run: int, text: bytes, /) -> None:
        """Never needed."""

    def merge(self, separator: bytes, size: int, /) -> bytes:
        """The next words as lines."""
        between, found, total = separator.decode(), [], 0
        for word, count in self._items:
            line = f"{word}{between}{count}\n"
            found.append(line)
            total += count
            size -= len(line)
            if size <= 0:
                break
        self.total += total
        self.distinct += len(found)
        if self.total > MOST_COUNTED:
            raise too_many()
        return "".join(found).encode()


def _batches(heads: list[_Head]) -> Iterator[list[_Head]]:
    """Cut sorted heads into batches, so that everything of one comes before all of the next.

    A heap of single items would cost the interpreter more than this does: of the block at hand of
    each run a batch has all items up to the smallest of the blocks' last ones, as none after that
    block can be smaller.
    """
    heads = [head for head in heads if head.load()]
    while heads:
        bound = min(head.keys[-1] for head in heads)
        for head in heads:
            head.take(bound)
        yield heads
        heads = [head for head in heads if head.end < len(head.keys) or head.load()]


def _added_up(heads: list[_Head]) -> Iterator[Item]:
    """Merge heads that are sorted by word, adding up the counts of equal words."""
    for batch in _batches(heads):
        sums: dict[str, int] = {}
        for head in batch:
            for word, count in head.taken():
                sums[word] = sums[word] + count if word in sums else count
        for word in sorted(sums):
            yield word, sums[word]


def _ranked(heads: list[_Head]) -> Iterator[Item]:
    """Merge heads that are sorted by count, then by word."""
    for batch in _batches(heads):
        # The sort finds the heads' own order, and merges.
        keys = sorted(chain.from_iterable(head.keys[head.start : head.end] for head in batch))
        for negative, word in keys:
            yield word, -negative


class _Head:
    """The block at hand of a run that is being merged, and which part of it is taken."""

    def __init__(self, run: Run, share: Share, *, by_count: bool) -> None:
        self._name = run.name
        self._blocks = whole_lines(run.read(), run.name)
        self._share = share
        self._by_count = by_count
        self._lines = 0
        self._last: Any = None
        self.keys: list[Any] = []  # in ascending order
        self._counts: list[int] = []
        self.start = self.end = 0

    def load(self) -> bool:
        """Go to the next block with words of the share; false if there is none."""
        self.keys, self.start, self.end = [], 0, 0
        while not self.keys:
            block = next(self._blocks, b"")
            if not block:
                return False
            words, counts, good = parse(block, b"\t")
            self._check(block, self._keys(words, counts))
            if good < len(block):
                raise self._bad(block, len(words))
            self._lines += len(words)
            if self._share.parts > 1:
                kept = list(map(self._share.has, words))
                words, counts = list(compress(words, kept)), list(compress(counts, kept))
            self.keys, self._counts = self._keys(words, counts), counts
        return True

    def _keys(self, words: list[str], counts: list[int]) -> list[Any]:
        return list(zip(map(neg, counts), words, strict=True)) if self._by_count else words

    def _check(self, block: bytes, keys: list[Any]) -> None:
        """Insist on the order, strictly."""
        known = [] if self._last is None else [self._last]
        keys = known + keys
        if not all(map(lt, keys, islice(keys, 1, None))):
            at = next(at for at, (one, two) in enumerate(pairwise(keys)) if not one < two)
            raise self._bad(block, at + 1 - len(known))
        self._last = keys[-1] if keys else None

    def _bad(self, block: bytes, index: int) -> DataError:
        return bad_line(self._name, self._lines + index + 1, block.split(b"\n")[index], b"\t")

    def take(self, bound: Any) -> None:
        """Take the items up to `bound`, inclusive."""
        self.start, self.end = self.end, bisect_right(self.keys, bound, self.end)

    def taken(self) -> Iterator[Item]:
        """The items taken, of a run that is sorted by word."""
        taken = slice(self.start, self.end)
        return zip(self.keys[taken], self._counts[taken], strict=True)
