"""The two ways to store counted words: the counts object of a file, and a group's partial.

The orchestrator may read counts objects with it.

* **Counts object** (one per file, for people and for the merge): UTF-8 lines `word:count` LF,
  highest count first, equal counts in code point order. Read by the *last* colon, as words may hold
  one.
* **Partial** (one per group of files, for the merge): lines `word TAB count` LF in the byte order
  of the words' UTF-8, which is code point order, as one zstd frame. No word holds TAB or LF.

Neither has a header, so concatenated text is still the same format.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from wordfreq_batch.errors import DataError
from wordfreq_batch.tables.lines import (
    WordCount,
    bad_line,
    parse,
    whole_lines,
)
from wordfreq_batch.tables.tally import Tally
from wordfreq_batch.text.unpack import decompressed

_LINES: Final = 1 << 13  # written at a time
_BLOCK: Final = 1 << 18  # bytes; the same


def write_counts(by_count: Iterable[WordCount]) -> Iterator[bytes]:
    """Yield the bytes of a counts object; the items come as `Tally.by_count` gives them."""
    return _written(by_count, ":")


def write_partial(by_word: Iterable[WordCount]) -> Iterator[bytes]:
    """Yield the bytes of a partial; the items come as `Tally.by_word` gives them."""
    import zstandard

    compressor = zstandard.ZstdCompressor(level=3, write_checksum=True).compressobj()
    for lines in _written(by_word, "\t"):
        yield compressor.compress(lines)
    yield compressor.flush()


def read_counts(
    chunks: Iterable[bytes], *, name: str, distinct: int | None = None
) -> Iterator[WordCount]:
    """Yield the words and counts of a counts object, in its order.

    Raises:
        DataError: a line isn't `word:count`; the message has `name` (the URI) and the line number.
            Or there are not `distinct` words, where that is known.
    """
    number = 0
    for block in whole_lines(chunks, name):
        words, counts, good = parse(block, b":")
        yield from zip(words, counts, strict=True)
        _check(block, good, name, number, b":")
        number += len(words)
    _check_number(number, distinct, name)


def load_counts(
    tally: Tally, chunks: Iterable[bytes], *, name: str, distinct: int | None = None
) -> None:
    """Add a counts object to `tally`.

    Raises:
        DataError: as `read_counts`; what is before the bad line may have been added.
    """
    _check_number(_load(tally, chunks, name, b":"), distinct, name)


def load_partial(tally: Tally, chunks: Iterable[bytes], *, name: str) -> None:
    """Add a partial to `tally`; `add_sorted_partial` does so as well.

    Raises:
        DataError: it is damaged; the message has `name` (the URI) and, for a line, its number.
    """
    _load(tally, decompressed(chunks, name=name, suffix=".zst"), name, b"\t")


def add_sorted_partial(tally: Tally, chunks: Iterable[bytes], *, name: str) -> None:
    """The same, past the table: for a tally of which there is more than memory holds.

    Raises:
        DataError: as `load_partial`.
    """
    tally.add_sorted(decompressed(chunks, name=name, suffix=".zst"), name=name)


def _load(tally: Tally, chunks: Iterable[bytes], name: str, separator: bytes) -> int:
    """Returns the number of lines."""
    number = 0
    for block in whole_lines(chunks, name):
        _check(block, tally.load(block, separator), name, number, separator)
        number += block.count(b"\n") + (not block.endswith(b"\n"))
    return number


def _check(block: bytes, good: int, name: str, before: int, separator: bytes) -> None:
    if good < len(block):
        number = before + block.count(b"\n", 0, good) + 1
        raise bad_line(name, number, block[good:].partition(b"\n")[0], separator)


def _check_number(found: int, distinct: int | None, name: str) -> None:
    if distinct not in (None, found):
        raise DataError(
            f"{name} holds {found:,} different words where {distinct:,} were counted; remove the "
            "object and count its file again"
        )


def _written(items: Iterable[WordCount], separator: str) -> Iterator[bytes]:
    if lines_of := getattr(items, "lines", None):  # an `engine.Cursor`: text many words at a time
        while block := lines_of(separator.encode(), _BLOCK):
            yield block
        return
    lines: list[str] = []
    for word, count in items:
        lines.append(f"{word}{separator}{count}\n")
        if len(lines) >= _LINES:
            yield "".join(lines).encode()
            lines.clear()
    yield "".join(lines).encode()
