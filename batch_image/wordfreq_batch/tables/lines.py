"""Lines `word separator count LF`, the one form of all counts: checked, cut, sorted by count.

A line is read by its *last* separator, as words may hold one. The kernel does the same in C
(lines.c); here is what serves without it, and what says why a line is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import Final, NamedTuple, Protocol
from zlib import crc32

from wordfreq_batch.errors import DataError

WordCount = tuple[str, int]

MOST_COUNTED: Final = 10**18 - 1
"""So that a sum, too, is a line of at most 18 digits, and fits into signed 64 bits."""

LONGEST_LINE: Final = 1 << 20
"""Bytes; the longest word is 16 KiB."""

_SHOWN: Final = 80  # characters of a bad line in a message
_MOST_DIGITS: Final = 18
_COUNT: Final = re.compile(rf"[1-9][0-9]{{0,{_MOST_DIGITS - 1}}}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


class Share(NamedTuple):
    """Share `part` (from 0) of `parts` of all words: which, the hash of a word decides."""

    part: int
    parts: int

    def has(self, word: str) -> bool:
        """Whether this share has the word; the kernel's `part_of` agrees."""
        return self.parts <= 1 or crc32(word.encode()) * self.parts >> 32 == self.part


ALL: Final = Share(0, 1)


class Text(Protocol):
    """Sorted lines `word TAB count LF`; `name` is what messages call them."""

    @property
    def name(self) -> str:
        """What it is."""

    def read(self) -> Iterator[bytes]:
        """Yield the text, cut anywhere."""


def parse(text: bytes, separator: bytes) -> tuple[list[str], list[int], int]:
    """The words and counts of lines, and how many bytes of `text` they are.

    That is less than all of it where a line isn't right, see `bad_line`.
    """
    if not text:
        return [], [], 0
    try:
        decoded, between = text.decode().removesuffix("\n"), separator.decode()
    except UnicodeDecodeError:
        return _line_by_line(text, separator)
    # One split for all lines is six times as fast as one per line. A word with the separator spoils
    # it, and so does a line without one: then not every other field begins where a line does.
    fields = decoded.replace("\n", f"{between}\n").split(between)
    words, counts = "".join(fields[0::2]).split("\n"), fields[1::2]
    all_right = len(fields) == 2 * len(words) == 2 * (1 + decoded.count("\n"))
    if all_right and _plausible(words, counts):
        return words, list(map(int, counts)), len(text)
    return _line_by_line(text, separator)


def bad_line(name: str, number: int, line: bytes, separator: bytes) -> DataError:
    """The error for line `number` of the object `name`, which `parse` stopped at."""
    if len(line) > LONGEST_LINE:
        return DataError(f"{name} holds no counts: no line end in {len(line)} bytes")
    try:
        text, between = line.decode(), separator.decode()
    except UnicodeDecodeError:
        reason = "it isn't UTF-8"
    else:
        shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
        reason = f"{shown!r} is not word, {between!r}, count"
        if _item(line, separator) is not None:
            reason = f"{shown!r} is not in order"
    return DataError(f"{name} line {number}: {reason}; remove the object or count its file again")


def too_many() -> OverflowError:
    """The error for sums that nothing could store."""
    return OverflowError("the counts add up to more than 10^18 - 1")


def whole_lines(chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Cut chunks behind line ends; the last line may lack its end."""
    rest = b""
    for chunk in chunks:
        cut = chunk.rfind(b"\n") + 1
        if cut:
            yield rest + chunk[:cut]
            rest = chunk[cut:]
        else:
            rest += chunk
            if len(rest) > LONGEST_LINE:
                raise bad_line(name, 0, rest, b"")
    if rest:
        yield rest


def sort_by_count(text: bytes) -> bytes:
    """Lines with TAB, the highest count first; those of equal counts stay in order."""
    words, counts, _ = parse(text, b"\t")
    items = sorted(zip(words, counts, strict=True), key=itemgetter(1), reverse=True)
    return "".join(f"{word}\t{count}\n" for word, count in items).encode()


def _plausible(words: list[str], counts: list[str]) -> bool:
    """Whether all fields are what `_item` asks for, checked in a few calls for thousands of lines.

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


def _line_by_line(text: bytes, separator: bytes) -> tuple[list[str], list[int], int]:
    """For words that hold the separator, and up to a bad line."""
    words: list[str] = []
    counts: list[int] = []
    good = 0
    for line in text.removesuffix(b"\n").split(b"\n"):
        item = _item(line, separator)
        if item is None:
            return words, counts, good
        words.append(item[0])
        counts.append(item[1])
        good += len(line) + 1
    return words, counts, min(good, len(text))


def _item(line: bytes, separator: bytes) -> WordCount | None:
    try:
        word, _, count = line.decode().rpartition(separator.decode())
    except UnicodeDecodeError:
        return None
    if not (word and _COUNT.fullmatch(count)) or _CONTROL.search(word):
        return None
    return word, int(count)
