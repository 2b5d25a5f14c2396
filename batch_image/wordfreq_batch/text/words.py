r"""What a word is, and how the words of a byte stream are counted.

The meaning:

1. The text is cut by ICU's word break iterator for the root locale: Unicode UAX #29 with ICU's
   dictionaries for Chinese, Japanese, Thai, Lao, Khmer and Burmese (`tables.icu`).
2. A segment is a word if it holds a letter or a number: General_Category L* or N*, except those
   that only extend what stands before them (Word_Break Extend or Format: U+FF9E, U+FF9F).
3. White space and control characters at the ends of a segment are removed. ICU joins them to a
   word in two cases: U+202F counts as a letter-joining character, and a pictograph that is also a
   letter sticks through U+200D to anything before it.
4. The word is NFC(toLowercase(NFC(segment))): UAX #15; Unicode 3.13 rule R2, full mappings, no
   language. NFC first, so that canonically equal texts give one word; again, because lowering can
   leave a composable pair (`J` + U+030C). The segment alone is the context for the final sigma.

**Pieces.** Cutting the text at ASCII white space first, and each piece by itself, never changes the
words, so that is how it is done, and a stream may be cut there. Proof, by UAX #29: before and after
CR, LF, VT and FF there is always a boundary (WB3a, WB3b; CR x LF holds no letter). Before TAB and
SPACE as well, except in a run of spaces (WB3d), which has no letter either. After them there is one
too, except before Extend, Format and ZWJ characters (WB4), which can hold a letter only after a
ZWJ (WB3c); then the segment is the same with and without the blank in front, which rule 3 removes.
No rule looks across such a boundary, and ICU's dictionaries work inside one rule segment.

**Bounds.** A piece of more than `PIECE_LIMIT` code points (no prose has one; Chinese without any
line end, or a hostile file, may) is cut into windows: at the last segment boundary that leaves
`PIECE_MARGIN` code points of the window to look ahead, and where there is none, there. So no word
is longer than that, time is linear in whatever comes, and as the cuts depend on nothing but the
piece, they don't depend on how a stream was chunked.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from math import log
from typing import Final, NamedTuple

from wordfreq_batch.errors import InputError
from wordfreq_batch.tables import engine, icu
from wordfreq_batch.tables.tally import Tally
from wordfreq_batch.text.options import TextOptions
from wordfreq_batch.text.text import decode

SEMANTICS: Final = 4  # 4: counts of files whose words went to disk were stored cut off
"""Raised by hand whenever the rules of this module's docstring, or of `text.text`, change, or
stored counts turn out to be wrong."""

COUNTER_VERSION: Final = f"{SEMANTICS}/icu-{icu.ICU_VERSION}"
"""Changes whenever the same bytes could give other counts; counts of another version are stale."""


def counter_version(options: TextOptions) -> str:
    """The version of counts of texts that were read so."""
    return COUNTER_VERSION + options.suffix


def options_of(version: str, *, plan: str) -> TextOptions:
    """The options in the version that the plan at the URI `plan` was made for; empty: defaults.

    Raises:
        InputError: counts of this version are none that this program makes.
    """
    try:
        if version.startswith(COUNTER_VERSION) or not version:
            return TextOptions.parse(version.removeprefix(COUNTER_VERSION))
    except ValueError:
        pass
    raise InputError(
        f"{plan} was made for counter {version}, this is {COUNTER_VERSION}; "
        "plan and count again with this version"
    )


PIECE_LIMIT: Final = 4096
PIECE_MARGIN: Final = 1024

WORD_CHARACTERS: Final = "[[[:L:][:N:]]-[:Word_Break=Extend:]-[:Word_Break=Format:]]"
"""A segment with one of these is a word (an ICU UnicodeSet)."""
TRIMMED_CHARACTERS: Final = "[[:White_Space:][:Cc:]]"
"""Removed at both ends of a segment (an ICU UnicodeSet)."""

_BLANKS: Final = b" \t\n\v\f\r"  # where bytes.split() splits
_ASCII_TRIMMED: Final = "".join(map(chr, [*range(33), 127]))
_BLOCK: Final = 1 << 20  # bytes counted at a time
_FORESEEN_FROM: Final = 1 << 19  # bytes after which the number of words to come is estimated
_FORESEEN_SHARE: Final = 0.8  # of what is estimated: too large a table costs more than growing once
_DISTINCT_PIECES: Final = 1 << 17  # kept before they are turned into words
_LONG_PIECE: Final = 32  # bytes; a block of longer pieces has few repetitions to wait for
_REMEMBERED: Final = 32  # code points; the words of longer segments aren't kept for the next time
_BATCH: Final = 1 << 16  # code points given to ICU in one call
# ASCII characters that are no part of a word at its ends: all but letters, digits and `_`, which
# joins (WB13a, WB13b). Those that join letters or digits need one on either side (WB6, 7, 11, 12).
_ASCII_EDGES: Final = bytes(b for b in range(128) if not (chr(b).isalnum() or chr(b) == "_"))


def tokens(text: str) -> Iterator[str]:
    """Yield the words of `text` in their order, as `WordCounter` counts them.

    Lone surrogates count as U+FFFD.
    """
    pieces = text.encode("utf-8", "surrogatepass").lower().split()
    for _, word in _words([decode(piece)[0] for piece in pieces]):
        yield word


class Counted(NamedTuple):
    """The words of one stream. Close it (`with`) to remove its temporary files, if it has any."""

    tally: Tally
    """The words with their counts: `tally.by_word()`, `tally.by_count()`."""
    words: int
    """All words, repetitions included: the sum of the counts."""
    distinct: int
    bytes: int
    """Bytes fed: the size of the text in UTF-8."""
    invalid: int
    """Bytes of it that were no UTF-8 and became U+FFFD."""

    @property
    def counts(self) -> dict[str, int]:
        """All of it as a dictionary, which takes the memory that this takes."""
        return dict(self.tally.by_word())

    def __enter__(self) -> Counted:
        return self

    def __exit__(self, *exception: object) -> None:
        self.tally.close()


class CountedText(NamedTuple):
    """What became of one small text."""

    lines: bytes
    """`word:count` LF, highest count first, then by word (`counts.counts`)."""
    words: int
    distinct: int
    invalid: int


class WordCounter:
    """Counts the words of one UTF-8 stream: `feed` its chunks, then `finish`.

    The chunks may be cut anywhere, also inside a character. Bad bytes become U+FFFD as Unicode
    recommends (one for each maximal subpart) and are counted. Memory stays near `memory` bytes, as
    more distinct words than that go to sorted files in a temporary folder (`tables.tally`).

    Where the C kernel was built (`tables.engine`), it counts. It calls ICU itself; only if its
    tables are for another ICU, what isn't ASCII takes the way that all takes without it.
    """

    def __init__(self, *, memory: int = 256 << 20, size: int = 0) -> None:
        """Make a counter; `size` is that of a large stream in bytes, if it is known."""
        self._size = size
        self._early = (0, 0)  # different words, and bytes that they are of
        self._pending = bytearray()
        self._pieces: Counter[bytes] = Counter()
        self._tally = Tally(memory=memory)
        self._scanner = engine.new_scanner(self._tally.table)
        self._bytes = 0
        self._invalid = 0

    def feed(self, chunk: bytes, start: int = 0, end: int | None = None) -> None:
        """Count the next bytes of the stream: those of `chunk` from `start` to `end`."""
        end = len(chunk) if end is None else end
        self._bytes += end - start
        if self._scanner is None:
            self._feed_icu(chunk[start:end])
            return
        while (start := self._scanner.feed(chunk, start, end)) < end:
            self._take_over(self._scanner)
        if self._size and self._bytes > _FORESEEN_FROM:
            self._foresee()

    def _foresee(self) -> None:
        """Give the table its size by how the number of different words has grown so far.

        That is a power of the text's length (Heaps' law). Growing step by step instead takes a
        quarter of the time that counting a log takes, whose words are mostly new ones.
        """
        distinct, (before, size_before) = len(self._tally.table), self._early
        if not before:
            self._early = (distinct, self._bytes)
        elif self._bytes >= 2 * size_before:
            power = min(log(distinct / before) / log(self._bytes / size_before), 1.0)
            times = int(_FORESEEN_SHARE * (self._size / self._bytes) ** power)
            if times > 1 and not self._tally.on_disk:
                self._tally.table.expect_words(times)
            self._size = 0

    def _take_over(self, scanner: engine.Scanner) -> None:
        """Do what the kernel left to ICU, and give it room to go on."""
        if pieces := scanner.take_pieces():
            self._pieces.update(pieces)
            self._resolve()
        if foreign := scanner.take_foreign():
            self._feed_icu(foreign)
        self._tally.make_room()

    def _feed_icu(self, chunk: bytes) -> None:
        for start in range(0, len(chunk), _BLOCK):  # a huge chunk mustn't become huge lists
            self._pending += chunk[start : start + _BLOCK]
            if len(self._pending) >= _BLOCK:
                self._drain()

    def count_each(self, texts: Sequence[bytes], total: Tally | None) -> list[CountedText]:
        """Count small texts, each by itself, and add their words to `total`, all in one go.

        What `feed`, `finish` and `reset` do for each of them; but threads that count many small
        texts don't wait for each other between them. Returns what was counted: where that isn't
        all, the next text has to be fed.
        """
        self.reset()
        if self._scanner is None:
            return []
        table = None if total is None else total.table
        counted = self._scanner.count_each(texts, b":", table)
        return [CountedText(*figures) for figures in counted]

    def finish(self) -> Counted:
        """Count what is left and return the result. Next is `reset`, or nothing."""
        if self._scanner is not None:
            while not self._scanner.finish():
                self._take_over(self._scanner)
            self._take_over(self._scanner)
            self._invalid += self._scanner.invalid
        if self._pending:
            self._count(bytes(self._pending))
            self._pending.clear()
        self._resolve()
        return Counted(
            tally=self._tally,
            words=self._tally.total,
            distinct=self._tally.distinct,
            bytes=self._bytes,
            invalid=self._invalid,
        )

    def reset(self) -> None:
        """Start again with another stream, in the same memory; the last result is gone then."""
        self._pending.clear()
        self._pieces.clear()
        self._tally.close()
        if self._scanner is not None:
            self._scanner.reset()
        self._bytes = self._invalid = 0

    def close(self) -> None:
        """Drop everything, with its temporary files. Only needed when `finish` isn't reached."""
        self._tally.close()

    def _drain(self) -> None:
        """Count the pending bytes up to their last blank."""
        cut = 1 + max(self._pending.rfind(blank) for blank in _BLANKS)
        if cut:
            block = bytes(self._pending[:cut])
            del self._pending[:cut]
            self._count(block)
        if len(self._pending) >= _BLOCK // 2:
            self._drain_long_piece()

    def _drain_long_piece(self) -> None:
        """Count the windows of a piece whose end isn't known yet, all but the last of them."""
        piece, invalid, used = decode(self._pending, final=False)
        self._invalid += invalid
        *windows, rest = _windows(piece)
        self._tally.add((word, 1) for _, word in _words(windows))
        self._pending[:used] = rest.encode()

    def _count(self, block: bytes) -> None:
        """Count the pieces of a block that ends where a piece ends."""
        # ASCII letters are lowered here, all at once: that changes no boundary and, as NFC comes
        # last, no word.
        found = block.lower().split()
        self._pieces.update(found)
        if len(self._pieces) > _DISTINCT_PIECES or len(block) > _LONG_PIECE * len(found):
            self._resolve()

    def _resolve(self) -> None:
        """Turn the counted pieces into counted words."""
        if not self._pieces:
            return
        self._tally.add(self._words_of_pieces())
        self._pieces.clear()

    def _words_of_pieces(self) -> Iterator[tuple[str, int]]:
        others: list[str] = []
        repeats: list[int] = []
        for piece, times in self._pieces.items():
            core = piece.strip(_ASCII_EDGES)
            if core.isalnum() and len(piece) <= PIECE_LIMIT:
                yield core.decode("ascii"), times  # one segment: WB5, WB8-WB10
            elif core:
                text, invalid, _ = decode(piece)
                self._invalid += invalid * times
                others.append(text)
                repeats.append(times)
        for index, word in _words(others):
            yield word, repeats[index]


def _words(pieces: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield each word of the pieces with the index of its piece, in order."""
    batch: list[str] = []
    indices: list[int] = []
    size = 0
    for index, piece in enumerate(pieces):
        windows = [piece] if len(piece) <= PIECE_LIMIT else _windows(piece)
        batch += windows
        indices += [index] * len(windows)
        size += len(piece)
        if size > _BATCH:
            yield from _batch_words(batch, indices)
            batch, indices, size = [], [], 0
    yield from _batch_words(batch, indices)


def _batch_words(batch: Iterable[str], indices: Sequence[int]) -> Iterator[tuple[int, str]]:
    """Segment several windows in one call of ICU; LF between them is always a boundary."""
    position = 0
    for segment in icu.segments("\n".join(batch)):
        if segment == "\n":
            position += 1
        elif word := _word(segment) if len(segment) > _REMEMBERED else _remembered_word(segment):
            yield indices[position], word


def _word(segment: str) -> str:
    """Return the word that a segment is, or an empty string."""
    if segment.isascii():
        word = segment.strip(_ASCII_TRIMMED).lower()
        return word if any(map(str.isalnum, word)) else ""
    if not _word_character().search(segment):
        return ""
    word = _trimmed().sub("", segment)
    return word if _unchanging().fullmatch(word) else icu.nfc(icu.lower(icu.nfc(word)))


_remembered_word = lru_cache(maxsize=1 << 15)(_word)


def _windows(piece: str) -> list[str]:
    """Cut a piece into windows of at most `PIECE_LIMIT` code points; the last may be short."""
    windows = []
    start = 0
    while len(piece) - start > PIECE_LIMIT:
        cut = 0
        for segment in icu.segments(piece[start : start + PIECE_LIMIT]):
            if cut + len(segment) > PIECE_LIMIT - PIECE_MARGIN:
                break
            cut += len(segment)
        end = start + (cut or PIECE_LIMIT - PIECE_MARGIN)
        windows.append(piece[start:end])
        start = end
    windows.append(piece[start:])
    return windows


@lru_cache(maxsize=1)
def _word_character() -> re.Pattern[str]:
    return re.compile(icu.regular_expression(WORD_CHARACTERS))


@lru_cache(maxsize=1)
def _trimmed() -> re.Pattern[str]:
    trimmed = icu.regular_expression(TRIMMED_CHARACTERS)
    return re.compile(f"^{trimmed}+|{trimmed}+$")


@lru_cache(maxsize=1)
def _unchanging() -> re.Pattern[str]:
    """Text that is in lower case and NFC whatever stands beside what, such as Han and Kana."""
    unchanging = "[:NFC_Quick_Check=Yes:]&[:Canonical_Combining_Class=0:]"
    return re.compile(icu.regular_expression(f"[{unchanging}-[:Changes_When_Lowercased:]]") + "+")
