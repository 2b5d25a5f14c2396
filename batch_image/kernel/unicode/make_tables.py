"""Writes `unicode_tables.h` beside it from the ICU that the package uses.

Run `python kernel/unicode/make_tables.py` when `icu4py` brings another ICU; until then the kernel
leaves all text that isn't ASCII to ICU (`wordfreq_batch.tables.engine` compares the versions). The
header answers, for every code point, what `unicode.c` asks of it: how it takes part in word
breaking, what it becomes in lower case, and whether the kernel may handle it at all. Whatever needs
more than that (a dictionary, composition, a lower case of several characters) is FOREIGN there and
goes to ICU.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wordfreq_batch.tables import icu
from wordfreq_batch.text.words import (
    TRIMMED_CHARACTERS,
    WORD_CHARACTERS,
)

CODE_POINTS: Final = 0x110000
HEADER: Final = Path(__file__).with_name("unicode_tables.h")
SURROGATES: Final = range(0xD800, 0xE000)

# Characters that NFC joins to the one right before them if that is a certain one, and else leaves
# alone: vowel signs of Indic scripts (the vowels and finals of Hangul are so many more pairs).
SECOND: Final = (
    "[[:NFC_Quick_Check=Maybe:]&[:Canonical_Combining_Class=0:]-[:Hangul_Syllable_Type=V:]"
    "-[:Hangul_Syllable_Type=T:]]"
)

# The classes of unicode.h, in its order. Sets are ICU's names for Word_Break values; a later line
# wins. ICU's word.txt tailors UAX #29: see unicode.c.
CLASSES: Final = (
    ("OTHER", "[]"),
    ("LETTER", "[:Word_Break=ALetter:]"),
    ("HEBREW", "[:Word_Break=Hebrew_Letter:]"),
    ("NUMBER", "[:Word_Break=Numeric:]"),
    ("JOINER", "[:Word_Break=ExtendNumLet:]"),
    ("MID_LETTER", "[:Word_Break=MidLetter:]"),
    ("MID_NUMBER", "[:Word_Break=MidNum:]"),
    ("MID_BOTH", "[:Word_Break=MidNumLet:]"),
    ("SINGLE_QUOTE", "[:Word_Break=Single_Quote:]"),
    ("DOUBLE_QUOTE", "[:Word_Break=Double_Quote:]"),
    ("EXTEND", "[[:Word_Break=Extend:][:Word_Break=Format:]]"),
    ("ZWJ", "[:Word_Break=ZWJ:]"),
    ("HANGUL", "[\\uAC00-\\uD7A3]"),
    ("NEWLINE", "[[:Word_Break=CR:][:Word_Break=LF:][:Word_Break=Newline:]]"),
    ("PAIRED", "[[:Word_Break=Regional_Indicator:][:Word_Break=WSegSpace:]]"),
    (
        "FOREIGN",
        "[[:Line_Break=Complex_Context:][:Han:][:Hiragana:][:Katakana:][:Word_Break=Katakana:]"
        f"[[^[:NFC_Quick_Check=Yes:]]-{SECOND}]]",
    ),
)
FLAGS: Final = (
    ("IS_WORD", WORD_CHARACTERS),
    ("IS_TRIMMED", TRIMMED_CHARACTERS),
    ("IS_PICTOGRAPH", "[[:Extended_Pictographic:][:Emoji:]]"),
    ("IS_CASED", "[:Cased:]"),
    ("IS_CASE_IGNORABLE", "[:Case_Ignorable:]"),
    ("IS_FIRST", "[]"),  # of a pair that NFC makes one; filled in by `firsts`
    ("IS_SECOND", SECOND),
    (
        "IS_PLAIN",  # a letter about which nothing needs care, unless IS_FIRST before another
        f"[[:Word_Break=ALetter:][:Word_Break=Hebrew_Letter:]-[\\uAC00-\\uD7A3]&{WORD_CHARACTERS}"
        f"-{TRIMMED_CHARACTERS}-[:Extended_Pictographic:]-[:Emoji:]-[:Case_Ignorable:]"
        f"-[^[:Canonical_Combining_Class=0:]]-{SECOND}-[\\u03A3]]",
    ),
)


@dataclass(frozen=True, slots=True, order=True)
class Character:
    """What the kernel knows of a code point; `lower` is added to it to get the lower case."""

    kind: int = 0
    combining: int = 0
    flags: int = 0
    lower: int = 0


def points(pattern: str) -> Iterator[int]:
    """Yield the code points of an ICU UnicodeSet."""
    for first, last in icu.character_ranges(pattern):
        yield from range(first, last + 1)


def firsts() -> set[int]:
    """Return the characters that NFC joins with a SECOND right behind them."""
    found = set()
    others = list(points("[[:L:][:M:]-[:Han:]-[:Hangul:]]"))
    for second in points(SECOND):
        text = icu.nfc("".join(f"{chr(first)}{chr(second)}\n" for first in others))
        pairs = zip(text.removesuffix("\n").split("\n"), others, strict=True)
        found |= {first for pair, first in pairs if not pair.endswith(chr(second))}
    return found


def characters() -> list[Character]:
    """Return what is known of every code point."""
    names = [name for name, _ in CLASSES]
    kinds = [0] * CODE_POINTS
    flags = [0] * CODE_POINTS
    combining = [0] * CODE_POINTS
    lower = [0] * CODE_POINTS
    for kind, (_, pattern) in enumerate(CLASSES):
        for point in points(pattern):
            kinds[point] = kind
    for bit, (_, pattern) in enumerate(FLAGS):
        for point in points(pattern):
            flags[point] |= 1 << bit
    first = next(1 << bit for bit, (name, _) in enumerate(FLAGS) if name == "IS_FIRST")
    for point in firsts():
        flags[point] |= first
    for value in range(1, 255):
        for point in points(f"[:Canonical_Combining_Class={value}:]"):
            combining[point] = value
    foreign = names.index("FOREIGN")
    kept = sum(1 << bit for bit, (name, _) in enumerate(FLAGS) if name in ("IS_WORD", "IS_TRIMMED"))
    for point in points("[:Changes_When_Lowercased:]"):
        lowered = icu.lower(chr(point))
        simple = len(lowered) == 1 and combining[point] == combining[ord(lowered[0])] == 0
        simple = simple and not flags[ord(lowered[0])] & first
        if simple and kinds[ord(lowered)] != foreign:
            lower[point] = ord(lowered) - point
        else:
            kinds[point] = foreign
    for point in SURROGATES:  # none comes out of the decoder
        kinds[point] = foreign
    fields = zip(kinds, combining, flags, lower, strict=True)
    return [
        Character(kind, *rest) if kind != foreign else Character(kind, 0, rest[1] & kept)
        for kind, *rest in fields
    ]


def plain_letters(known: list[Character]) -> list[int]:
    """Return the lower case of plain letters of up to two bytes as these bytes, little endian.

    0 stands for everything else, and for letters whose lower case takes another number of bytes.
    """
    plain = next(1 << bit for bit, (name, _) in enumerate(FLAGS) if name == "IS_PLAIN")
    found = []
    for point in range(0x800):
        encoded = chr(point + known[point].lower).encode()
        fits = known[point].flags & plain and len(encoded) == len(chr(point).encode())
        found.append(int.from_bytes(encoded, "little") if fits else 0)
    return found


def rows(values: Iterable[int], *, width: int = 32) -> str:
    """Write numbers as lines of an initialiser."""
    items = list(values)
    lines = [items[start : start + width] for start in range(0, len(items), width)]
    return "".join(f"    {','.join(map(str, line))},\n" for line in lines)


def header() -> str:
    """Return the whole of `unicode_tables.h`."""
    known = characters()
    kinds = sorted(set(known))
    assert len(kinds) <= 256, "an index of the table is one byte"
    number = {character: index for index, character in enumerate(kinds)}
    indices = bytes(number[character] for character in known)
    shift = min(range(5, 10), key=lambda shift: sum(map(len, compressed(indices, shift))))
    blocks, content = compressed(indices, shift)
    assert max(blocks) < 65536
    classes = "".join(f"    {name},\n" for name, _ in CLASSES)
    flags = "".join(f"    {name} = {1 << bit},\n" for bit, (name, _) in enumerate(FLAGS))
    table = "".join(f"    {{{c.kind}, {c.combining}, {c.flags}, {c.lower}}},\n" for c in kinds)
    version = f"{icu.ICU_VERSION.partition('.')[0]}/{icu.unicode_version()}"
    return (
        "/* Written by make_tables.py. Don't edit. */\n"
        "#ifndef WORDFREQ_UNICODE_TABLES_H\n#define WORDFREQ_UNICODE_TABLES_H\n\n"
        "#include <stdint.h>\n\n"
        f'/* Major version of ICU, version of Unicode. */\n#define UNICODE_TABLES "{version}"\n\n'
        f"enum character_class {{\n{classes}}};\n\nenum character_flag {{\n{flags}}};\n\n"
        "/* class, canonical combining class, flags, what to add for the lower case */\n"
        "struct character {\n    uint8_t kind, combining, flags;\n    int32_t lower;\n};\n\n"
        f"static const struct character CHARACTERS[] = {{\n{table}}};\n\n"
        f"/* CHARACTER_INDEX[CHARACTER_BLOCK[c >> {shift}] << {shift} | low bits of c] */\n"
        f"#define CHARACTER_SHIFT {shift}\n"
        f"static const uint16_t CHARACTER_BLOCK[] = {{\n{rows(blocks)}}};\n\n"
        f"static const uint8_t CHARACTER_INDEX[] = {{\n{rows(content)}}};\n\n"
        "/* Plain letters below U+0800 in lower case, as bytes, the first the lowest; else 0. */\n"
        f"static const uint16_t PLAIN_LETTERS[] = {{\n{rows(plain_letters(known), width=16)}}};\n\n"
        "#endif\n"
    )


def compressed(indices: bytes, shift: int) -> tuple[list[int], bytes]:
    """Cut a table into blocks and keep each different block once."""
    size = 1 << shift
    known: dict[bytes, int] = {}
    blocks = [
        known.setdefault(indices[start : start + size], len(known))
        for start in range(0, len(indices), size)
    ]
    return blocks, b"".join(known)


def main() -> int:
    """Write the header, or with `--check` say whether it is up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail on a difference")
    text = header()
    if parser.parse_args().check:
        return int(HEADER.read_text() != text)
    HEADER.write_text(text)
    sys.stderr.write(f"wrote {HEADER} for ICU {icu.ICU_VERSION}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
