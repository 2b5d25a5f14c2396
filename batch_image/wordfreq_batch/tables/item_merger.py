"""Merges sorted lines k ways where there is no kernel."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import chain, compress, islice, pairwise
from operator import lt, neg
from typing import Any

from wordfreq_batch.errors import DataError
from wordfreq_batch.tables.lines import (
    MOST_COUNTED,
    Share,
    Text,
    WordCount,
    bad_line,
    parse,
    too_many,
    whole_lines,
)


class ItemMerger:
    """An `engine.Merger` that feeds itself."""

    def __init__(self, texts: Sequence[Text], outputs: int, by_count: bool, share: Share) -> None:
        self.total = self.distinct = 0
        self._outputs = outputs
        heads = [_Head(text, share, by_count=by_count) for text in texts]
        self._items = _ranked(heads) if by_count else _added_up(heads)

    def feed(self, number: int, text: bytes, /) -> None:
        """Never needed."""

    def merge(self, separator: bytes, size: int, /) -> list[bytes]:
        """The next words as lines."""
        between, total, outputs = separator.decode(), 0, self._outputs
        found: list[list[str]] = [[] for _ in range(outputs)]
        for word, count in self._items:
            line = f"{word}{between}{count}\n"
            found[count if count < outputs else 0].append(line)
            total += count
            size -= len(line)
            if size <= 0:
                break
        self.total += total
        self.distinct += sum(map(len, found))
        if self.total > MOST_COUNTED:
            raise too_many()
        return ["".join(lines).encode() for lines in found]


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


def _added_up(heads: list[_Head]) -> Iterator[WordCount]:
    """Merge heads that are sorted by word, adding up the counts of equal words."""
    for batch in _batches(heads):
        sums: dict[str, int] = {}
        for head in batch:
            for word, count in head.taken():
                sums[word] = sums[word] + count if word in sums else count
        for word in sorted(sums):
            yield word, sums[word]


def _ranked(heads: list[_Head]) -> Iterator[WordCount]:
    """Merge heads that are sorted by count, then by word."""
    for batch in _batches(heads):
        # The sort finds the heads' own order, and merges.
        keys = sorted(chain.from_iterable(head.keys[head.start : head.end] for head in batch))
        for negative, word in keys:
            yield word, -negative


class _Head:
    """The block at hand of a text that is being merged, and which part of it is taken."""

    def __init__(self, text: Text, share: Share, *, by_count: bool) -> None:
        self._name = text.name
        self._blocks = whole_lines(text.read(), text.name)
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

    def taken(self) -> Iterator[WordCount]:
        """The items taken, of a text that is sorted by word."""
        taken = slice(self.start, self.end)
        return zip(self.keys[taken], self._counts[taken], strict=True)
