"""Sorting by count outside memory: runs that are sorted by word become one file of lines.

Most words are rare. So those of each low count are written to a file of their own while the runs
are merged: there they are in the order of the words, as they have to be. Only words of high counts
have to be sorted. Where there are several threads, each merges the words from one to another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Final

from wordfreq_batch.errors import DataError
from wordfreq_batch.tables import engine
from wordfreq_batch.tables.lines import (
    MOST_COUNTED,
    sort_by_count,
    too_many,
    whole_lines,
)
from wordfreq_batch.tables.runs import (
    BLOCK,
    RUN_BYTES,
    Folder,
    LineCursor,
    Merged,
    Slice,
    SortedFile,
    append,
    blocks_of,
)
from wordfreq_batch.together import (
    Stop,
    together,
)

_LOW: Final = 64  # counts below this have files: 98 of 100 different words of a long text
_SPLIT: Final = 4 << 20  # bytes of lines merged between writing to files
# Memory that sorting by count takes for a byte of lines, the shortest lines being the worst.
_SORTING_NATIVE: Final = 9
_SORTING: Final = 48


class LineFile(LineCursor):
    """Reads a file of lines `word TAB count LF`."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._blocks = whole_lines(read(path), str(path))

    def lines(self, separator: bytes, size: int, /) -> bytes:
        """The next words."""
        text = b"".join(_some(self._blocks, size))
        return text.replace(b"\t", separator)  # no word holds TAB


def read(path: Path) -> Iterator[bytes]:
    """The bytes of a temporary file."""
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(BLOCK):
            yield chunk


def sort_runs(
    runs: Sequence[SortedFile], path: Path, folder: Folder, *, memory: int, threads: int
) -> int:
    """Write the words to a file by count, highest first, then by word, equal words added up.

    Returns how many there are.
    """
    most = max(memory // (len(runs) * RUN_BYTES + 3 * _SPLIT), 1)
    bounds = _bounds(runs, min(threads, most))
    ends: list[bytes | None] = [*bounds, None]
    names = [folder.path / f"{number}" for number in range(len(ends))]
    shares = [
        partial(_merge, name, [Slice(run, start, end) for run in runs])
        for name, start, end in zip(names, [b"", *bounds], ends, strict=True)
    ]
    merges = together(shares)
    if sum(merged.total for merged in merges) > MOST_COUNTED:
        raise DataError(str(too_many()))
    append(path, _sorted(_moved(names, 0), folder, memory))
    for count in range(_LOW - 1, 0, -1):
        append(path, _moved(names, count))
    return sum(merged.distinct for merged in merges)


def _bounds(runs: Sequence[SortedFile], parts: int) -> list[bytes]:
    """Words between which there are about as many lines of the runs in each of so many parts."""
    words = sorted(chain.from_iterable(run.words for run in runs))
    found = {words[len(words) * part // parts] for part in range(1, parts)} if words else ()
    return sorted(found)


def _file(name: Path, count: int) -> Path:
    return name.with_suffix(f".{count}")


def _merge(name: Path, slices: Sequence[Slice], stop: Stop) -> Merged:
    """Write the words of each low count to a file, and all others to one."""
    merged = Merged(slices, outputs=_LOW)
    while any(texts := merged.split(b"\t", _SPLIT)):
        stop.check()
        for count, text in enumerate(texts):
            if text:
                append(_file(name, count), [text])
    return merged


def _moved(names: Iterable[Path], count: int) -> Iterator[bytes]:
    """Yield what was written for that count, and delete it."""
    for name in names:
        path = _file(name, count)
        if path.exists():
            yield from read(path)
            path.unlink()


def _sorted(chunks: Iterable[bytes], folder: Folder, memory: int) -> Iterator[bytes]:
    """Sort lines by count: as much as fits into memory at a time, then merge these runs."""
    kernel = engine.kernel()
    sort = kernel.sort_by_count if kernel else sort_by_count
    room = memory // (_SORTING_NATIVE if kernel else _SORTING)
    blocks = whole_lines(chunks, str(folder.path))
    runs = []
    while text := b"".join(_some(blocks, room)):
        text = sort(text)
        pieces = (text[start : start + BLOCK] for start in range(0, len(text), BLOCK))
        runs.append(folder.run(whole_lines(pieces, str(folder.path))))
    runs = folder.fewer(runs, memory, by_count=True)
    yield from blocks_of(Merged(runs, by_count=True))
    for run in runs:
        run.remove()


def _some(blocks: Iterator[bytes], size: int) -> Iterator[bytes]:
    """The next blocks, until they reach that size."""
    for block in blocks:
        yield block
        size -= len(block)
        if size <= 0:
            return
