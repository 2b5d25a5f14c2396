"""Sorted runs: temporary files of sorted lines, and their merge k ways in bounded memory.

A run is sorted by word or by count; merging runs takes a few hundred kilobytes for each, whatever
the number of words. The kernel merges in C (merger.c), `tables.item_merger` serves without it.
"""

from __future__ import annotations

import weakref
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import zstandard

from wordfreq_batch.errors import (
    DataError,
    StorageError,
    is_out_of_memory,
)
from wordfreq_batch.tables import engine
from wordfreq_batch.tables.lines import (
    ALL,
    Share,
    Text,
    WordCount,
    bad_line,
    parse,
)
from wordfreq_batch.temporary import no_room, remove_folder, temporary_path

BLOCK: Final = 1 << 17
"""Bytes of lines handed on at a time, and compressed together."""

RUN_BYTES: Final = 5 * BLOCK
"""Memory for reading a run; without the kernel it is `_ITEMS_BYTES`."""

_ITEMS_BYTES: Final = 4 << 20
_MOST_RUNS: Final = 64  # read at once; more are first merged into fewer
_LEAST_RUNS: Final = 8
_PARAMETERS: Final = zstandard.ZstdCompressionParameters.from_level(1, write_checksum=1)


class SortedFile:
    """A file of sorted lines, compressed some at a time: zstd frames of whole lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)
        self.words: list[bytes] = []
        """The first of each frame."""
        self._ends = [0]  # of the frames, behind the beginning of the first

    def write(self, blocks: Iterable[bytes]) -> None:
        """Store sorted lines, cut behind line ends."""
        compressor = zstandard.ZstdCompressor(compression_params=_PARAMETERS)
        append(self.path, (self._frame(compressor, lines) for lines in blocks))

    def _frame(self, compressor: zstandard.ZstdCompressor, lines: bytes) -> bytes:
        frame = compressor.compress(lines)
        self.words.append(lines[: lines.index(b"\t")])
        self._ends.append(self._ends[-1] + len(frame))
        return frame

    def read(self, start: bytes = b"", end: bytes | None = None) -> Iterator[bytes]:
        """Yield the lines of the words from `start` up to `end`, of a run that is sorted by word.

        Without these all lines of any run.
        """
        first = max(bisect_right(self.words, start) - 1, 0) if start else 0
        last = len(self.words) if end is None else bisect_left(self.words, end)
        decompressor = zstandard.ZstdDecompressor()
        with self.path.open("rb") as file:
            file.seek(self._ends[first])
            for number in range(first, last):
                frame = file.read(self._ends[number + 1] - self._ends[number])
                try:
                    lines = decompressor.decompress(frame)
                except zstandard.ZstdError as error:
                    if is_out_of_memory(error):
                        raise MemoryError from error
                    raise StorageError(f"{self.name} has been damaged: {error}") from error
                begin = _position(lines, start) if number == first else 0
                stop = len(lines) if end is None or number < last - 1 else _position(lines, end)
                if begin < stop:
                    yield lines[begin:stop]

    def remove(self) -> None:
        """Delete the file."""
        self.path.unlink(missing_ok=True)


class Slice:
    """The words of a run from `start` up to `end`."""

    def __init__(self, run: SortedFile, start: bytes, end: bytes | None) -> None:
        self.name = run.name
        self._run, self._start, self._end = run, start, end

    def read(self) -> Iterator[bytes]:
        """Yield the lines."""
        return self._run.read(self._start, self._end)


class LineStream:
    """Sorted lines that come from elsewhere, once, cut anywhere; `name` is for messages."""

    def __init__(self, chunks: Iterable[bytes], *, name: str) -> None:
        self.name = name
        self._chunks = chunks

    def read(self) -> Iterator[bytes]:
        """Yield the lines, once."""
        return filter(None, self._chunks)  # to the kernel nothing means the end


def append(path: Path, chunks: Iterable[bytes]) -> None:
    """Append to a temporary file."""
    try:
        with path.open("ab", buffering=0) as file:
            for chunk in chunks:
                left = memoryview(chunk)
                while left:
                    left = left[file.write(left) :]
    except OSError as error:
        raise StorageError(no_room(error)) from error


def _position(lines: bytes, word: bytes) -> int:
    """Where in lines sorted by word those of `word` and what comes after it begin."""
    low, high = 0, len(lines)
    while low < high:
        start = lines.rfind(b"\n", low, (low + high) // 2) + 1 or low
        end = lines.index(b"\n", start) + 1
        if lines[start : lines.index(b"\t", start)] < word:
            low = end
        else:
            high = start
    return low


def blocks_of(cursor: engine.Cursor) -> Iterator[bytes]:
    """What a cursor has left, as lines with TAB."""
    return iter(lambda: cursor.lines(b"\t", BLOCK), b"")


class LineCursor:
    """An `engine.Cursor` of which only `lines` has to be made."""

    def __init__(self) -> None:
        self._items: Iterator[WordCount] | None = None

    def lines(self, separator: bytes, size: int, /) -> bytes:
        """The next words as lines `word separator count LF`, about `size` bytes or all."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[WordCount]:
        return self

    def __next__(self) -> WordCount:
        if self._items is None:
            self._items = self._parsed()
        return next(self._items)

    def _parsed(self) -> Iterator[WordCount]:
        for block in blocks_of(self):
            words, counts, _ = parse(block, b"\t")
            yield from zip(words, counts, strict=True)


class Merged(LineCursor):
    """A merge of sorted texts as an `engine.Cursor`, with the sums of what was merged so far.

    By word: equal words are added up. By count, highest first, then by word: no word may be in two
    texts. Only words of `share` are read. What is counted less than `outputs` times `split` gives
    separately.

    Raises:
        DataError: a text is damaged or isn't sorted; the message has its name and the line.
    """

    def __init__(
        self,
        texts: Sequence[Text],
        *,
        by_count: bool = False,
        share: Share = ALL,
        outputs: int = 1,
    ) -> None:
        super().__init__()
        kernel = engine.kernel()
        self._names = [text.name for text in texts]
        self._texts = [text.read() for text in texts]
        self._merger: engine.Merger
        if kernel:
            self._merger = kernel.Merger(len(texts), outputs, by_count, share.part, share.parts)
        else:
            from wordfreq_batch.tables.item_merger import ItemMerger

            self._merger = ItemMerger(texts, outputs, by_count, share)

    @property
    def total(self) -> int:
        """Sum of the counts."""
        return self._merger.total

    @property
    def distinct(self) -> int:
        """Different words."""
        return self._merger.distinct

    def lines(self, separator: bytes, size: int, /) -> bytes:
        """The next words, of a merge with one output."""
        [lines] = self.split(separator, size)
        return lines

    def split(self, separator: bytes, size: int, /) -> list[bytes]:
        """The next lines, about `size` bytes: of count n the n-th, all others the first."""
        while True:
            try:
                answer = self._merger.merge(separator, size)
            except OverflowError as error:
                raise DataError(str(error)) from None
            if isinstance(answer, list):
                return answer
            if isinstance(answer, tuple):
                text, number, line = answer
                raise bad_line(self._names[text], number, line, b"\t")
            self._merger.feed(answer, next(self._texts[answer], b""))


class Folder:
    """A temporary folder for runs, made when the first one is written."""

    def __init__(self) -> None:
        self._folders: list[Path] = []  # the first is its own
        self._made = 0
        weakref.finalize(self, _remove, self._folders)

    @property
    def path(self) -> Path:
        """Where it is."""
        if not self._folders:
            self._folders.append(temporary_path())
            self._folders[0].mkdir(mode=0o700)
        return self._folders[0]

    def run(self, blocks: Iterable[bytes]) -> SortedFile:
        """Store sorted lines, cut behind line ends, as a new run."""
        self._made += 1
        run = SortedFile(self.path / f"run-{self._made:06d}")
        run.write(blocks)
        return run

    def fewer(
        self, runs: Sequence[SortedFile], memory: int, *, by_count: bool = False
    ) -> list[SortedFile]:
        """Merge some runs if they are too many to be read at once in that memory."""
        each = RUN_BYTES if engine.kernel() else _ITEMS_BYTES
        most = min(max(memory // each, _LEAST_RUNS), _MOST_RUNS)
        runs = list(runs)
        while len(runs) > most:
            first, runs = runs[:most], runs[most:]
            runs.append(self.run(blocks_of(Merged(first, by_count=by_count))))
            for run in first:
                run.remove()
        return runs

    def take(self, other: Folder) -> None:
        """Keep what is in the other one, which is empty after that."""
        if other._folders:
            _ = self.path
            self._folders += other._folders
        other._folders.clear()

    def close(self) -> None:
        """Remove it. What a thread that hasn't ended yet may write meanwhile is no error."""
        _remove(self._folders)


def _remove(folders: list[Path]) -> None:
    while folders:
        remove_folder(folders[-1])  # a signal may interrupt it: then it is called again
        folders.pop()
