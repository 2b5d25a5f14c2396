"""The two ways to store counted words: the counts object of a file, and a group's partial.

For `wordfreq.migrate` and `wordfreq.merge`; the orchestrator may read counts objects with it.

* **Counts object** (one a file, for people and for the merge): UTF-8 lines `word:count` LF, highest
  count first, equal counts in code point order. Read by the *last* colon, as words may hold one.
* **Partial** (one a group of files, for the merge): lines `word TAB count` LF in the byte order of
  the words' UTF-8, which is code point order, as one zstd frame. No word holds TAB or LF.

Neither has a header, so concatenated text is still the same format.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from wordfreq.errors import DataError
from wordfreq.tally import Item
from wordfreq.text import decompressed

Block = tuple[list[str], list[str]]
"""Words, and as many counts: decimal digits."""

_LINES: Final = 1 << 13  # written at a time
_BLOCK: Final = 1 << 18  # bytes; the same
_LONGEST_LINE: Final = 1 << 20  # bytes; the longest word is 16 KiB
_SHOWN: Final = 80  # characters of a bad line in a message
_MOST_DIGITS: Final = 18  # so that sums stay far below 2^63
_COUNT: Final = re.compile(rf"[1-9][0-9]{{0,{_MOST_DIGITS - 1}}}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def write_counts(by_count: Iterable[Item]) -> Iterator[bytes]:
    """Yield the bytes of a counts object; the items come as `Tally.by_count` gives them."""
    return _written(by_count, ":")


def write_partial(by_word: Iterable[Item]) -> Iterator[bytes]:
    """Yield the bytes of a partial; the items come as `Tally.by_word` gives them."""
    import zstandard

    compressor = zstandard.ZstdCompressor(level=3, write_checksum=True).compressobj()
    for lines in _written(by_word, "\t"):
        yield compressor.compress(lines)
    yield compressor.flush()


def read_counts(chunks: Iterable[bytes], *, name: str) -> Iterator[Item]:
    """Yield the words and counts of a counts object, in its order.

    Raises:
        DataError: a line isn't `word:count`; the message has `name` (the URI) and the line number.
    """
    return _items(counts_blocks(chunks, name=name))


def read_partial(chunks: Iterable[bytes], *, name: str) -> Iterator[Item]:
    """Yield the words and counts of a partial, in its order.

    Raises:
        DataError: it is damaged; the message has `name` (the URI) and, for a line, its number.
    """
    return _items(partial_blocks(chunks, name=name))


def _written(items: Iterable[Item], separator: str) -> Iterator[bytes]:
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


def counts_blocks(chunks: Iterable[bytes], *, name: str) -> Iterator[Block]:
    """Like `read_counts`, some thousand lines at a time; the counts, checked, are still text."""
    return _blocks(chunks, ":", name)


def partial_blocks(chunks: Iterable[bytes], *, name: str) -> Iterator[Block]:
    """Like `read_partial`, some thousand lines at a time; the counts, checked, are still text."""
    return _blocks(decompressed(chunks, name=name, suffix=".zst"), "\t", name)


def _items(blocks: Iterable[Block]) -> Iterator[Item]:
    for words, counts in blocks:
        yield from zip(words, map(int, counts), strict=True)


def _blocks(chunks: Iterable[bytes], separator: str, name: str) -> Iterator[Block]:
    number = 0
    for block in _whole_lines(chunks, name):
        try:
            text = block.decode()
        except UnicodeDecodeError as error:
            number += block.count(b"\n", 0, error.start) + 1
            raise _not_counts(name, number, "it isn't UTF-8") from None
        text = text.removesuffix("\n")
        lines = 1 + text.count("\n")
        # One split for all lines is six times as fast as one a line. A word with a colon spoils it:
        # then the number of fields is wrong.
        fields = text.replace("\n", separator).split(separator)
        words, counts = fields[0::2], fields[1::2]
        if len(fields) == 2 * lines and _plausible(words, counts):
            yield words, counts
        else:
            yield _block_line_by_line(text.split("\n"), separator, name, number)
        number += lines


def _whole_lines(chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Cut chunks behind line ends; the last line may lack its end."""
    rest = b""
    for chunk in chunks:
        cut = chunk.rfind(b"\n") + 1
        if cut:
            yield rest + chunk[:cut]
            rest = chunk[cut:]
        else:
            rest += chunk
            if len(rest) > _LONGEST_LINE:
                raise DataError(f"{name} holds no counts: no line end in {len(rest)} bytes")
    if rest:
        yield rest


def _plausible(words: list[str], counts: list[str]) -> bool:
    """Whether all fields are what `_LINE` asks for, checked in a few calls for thousands of lines.

    A count may not be empty, begin with 0 or hold anything but ASCII digits; `isdecimal` alone
    would let other digits pass.
    """
    numbers = "\n" + "\n".join(counts)
    digits = numbers.replace("\n", "")
    return (
        digits.isdecimal()
        and digits.isascii()
        and "\n0" not in numbers
        and all(counts)
        and all(words)
        and max(map(len, counts)) <= _MOST_DIGITS
        and not _CONTROL.search("".join(words))
    )


def _block_line_by_line(lines: list[str], separator: str, name: str, before: int) -> Block:
    """For words that hold the separator, and to find the bad line."""
    words, counts = [], []
    for number, line in enumerate(lines, before + 1):
        word, _, count = line.rpartition(separator)
        if not (word and _COUNT.fullmatch(count)) or _CONTROL.search(word):
            shown = line if len(line) <= _SHOWN else line[:_SHOWN] + "…"
            raise _not_counts(name, number, f"{shown!r} is not word, {separator!r}, count")
        words.append(word)
        counts.append(count)
    return words, counts


def _not_counts(name: str, number: int, reason: str) -> DataError:
    return DataError(f"{name} line {number}: {reason}; remove the object or count its file again")
