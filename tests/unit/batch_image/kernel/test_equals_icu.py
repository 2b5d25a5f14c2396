"""The C kernel counts what ICU alone counts: every rule, character, chunk and kind of text."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wordfreq_batch.tables import engine
from wordfreq_batch.text.words import (
    PIECE_LIMIT,
    PIECE_MARGIN,
    WordCounter,
)

WORD_BREAK_TEST = Path("/usr/share/unicode/auxiliary/WordBreakTest.txt")  # Debian: unicode-data


pytestmark = pytest.mark.usefixtures("kernel")


@contextmanager
def using(name: str) -> Iterator[None]:
    before = os.environ.get(engine.VARIABLE)
    os.environ[engine.VARIABLE] = name
    try:
        yield
    finally:
        if before is None:
            del os.environ[engine.VARIABLE]
        else:
            os.environ[engine.VARIABLE] = before


def counted_by(name: str, data: bytes, *cuts: int, memory: int = 1 << 28) -> tuple[object, ...]:
    with using(name):
        counter = WordCounter(memory=memory)
        for start, end in itertools.pairwise([0, *cuts, len(data)]):
            counter.feed(data[start:end])
        with counter.finish() as counted:
            in_order = list(counted.tally.by_word()), list(counted.tally.by_count())
            return in_order, counted.words, counted.distinct, counted.bytes, counted.invalid


def assert_same(data: bytes, *cuts: int) -> None:
    assert counted_by("kernel", data, *cuts) == counted_by("icu", data)


def test_every_ascii_string_of_up_to_five_characters_of_all_classes() -> None:
    # letter, digit, _, ., ', :, a comma, and three that join nothing (one of them a control)
    for length in range(1, 6):
        pieces = map("".join, itertools.product("aB1_.':,-\"\x01", repeat=length))
        assert_same(" ".join(pieces).encode())


def test_long_random_ascii_text() -> None:
    chance = random.Random(5)
    everything = "".join(map(chr, range(128)))
    for alphabet in ("ab1_.':,;- ", "aaaaaaaa. ", "_' ", everything, everything.replace(" ", "")):
        for length in (63, 64, 65, 1000, 8191, 8192, 8193, 50_000):
            assert_same("".join(chance.choices(alphabet, k=length)).encode())


def test_every_code_point_among_letters_digits_and_alone() -> None:
    points = [chr(c) for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
    # The tens of thousands of Han, Hangul and unassigned characters behave alike.
    alike = (range(0x3400, 0xD7A4), range(0xE000, 0xF900), range(0x17000, 0x110000))
    wanted = [c for c in points if not any(ord(c) in some for some in alike) or ord(c) % 61 == 0]
    wanted += [c for c in points if 0x1F000 <= ord(c) < 0x20000 or 0xE0000 <= ord(c) < 0xE0200]
    for form in ("a{0}b", "1{0}2", "{0}x{0}", "я{0}{0}", "א{0}ב", "\u200d{0}", "_{0}", "Σ{0}Σ{0}"):
        assert_same(" ".join(map(form.format, wanted)).encode())


@pytest.mark.skipif(not WORD_BREAK_TEST.exists(), reason="apt-get install unicode-data")
def test_every_case_of_the_unicode_test_file() -> None:
    cases = []
    for line in WORD_BREAK_TEST.read_text("utf-8").splitlines():
        signs = line.partition("#")[0].split()
        cases.append("".join(chr(int(s, 16)) for s in signs if s not in "÷×"))
    assert len(cases) > 1800
    for case in cases:
        assert_same(case.encode())
        assert_same(f"x{case}Σ 1{case}{case}".encode())


HARD = (
    "It's “don’t”, U.S. 3.14 a_b __ x: a:b\r\nΟΔΥΣΣΕΥΣ, ΣΑΣ.Α σας ΑΣ·Α É E\u0301 İI ŐÉ "
    "צה\"ל ג'ירפה ש' 1'2 ١٢٣٬٤ السَّلامُ हिन्दी ภาษาไทย 东京タワー 한국어a 한국 👩‍💻 🇩🇪🇫🇷 a\u200d🅰 "
    "10\u202f000 «\u202fmot\u202f» a\u00adb Ⅷ ② 𐐷𐑌 𝒜 \u0301x \u200dx e\u0327\u0301 ẍ\u0323 K ſ ẞ "
).encode() + b"bad\xff\xe2\x80x\xf0\x9f\x98 \xed\xa0\x80 \xc3 a\x00b \xc0\xafz "


def test_every_position_of_a_chunk_boundary() -> None:
    expected = counted_by("icu", HARD)
    for cut in range(len(HARD) + 1):
        assert counted_by("kernel", HARD, cut) == expected
    assert counted_by("kernel", HARD, *range(1, len(HARD))) == expected


def test_every_position_of_a_block_boundary() -> None:
    for padding in range(8192 - len(HARD) - 70, 8200):
        data = b"pad " * (padding // 4) + b"p" * (padding % 4) + b" " + HARD
        assert counted_by("kernel", data) == counted_by("icu", data)


CHARACTERS = st.one_of(
    st.sampled_from("aBz19_.,:;'’\"-” \néÉßΣσςЖאבגݐ\u0301\u0327\u064e\u00ad\u200d\u200c\u202f·٬"),
    st.sampled_from("日本ひカー한글ก👩💻🇩🇫İıǅǰJ\u030c①Ⅷ½\u1e9e\u0345ᾳ𐐀𝒜\U000e0001\ufb01Å"),
    st.characters(exclude_categories=["Cs"]),
)


@settings(max_examples=1500, deadline=None)
@given(st.lists(CHARACTERS, max_size=60).map("".join), st.integers(0, 200))
@example("ΑΣ\u202f ΑΣ:Σ", 3)
def test_random_text(text: str, cut: int) -> None:
    data = text.encode()
    assert_same(data, min(cut, len(data)))


@settings(max_examples=800, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=3), CHARACTERS.map(str.encode)), max_size=50))
def test_random_bytes(parts: list[bytes]) -> None:
    assert_same(b"".join(parts))


LONG_PARTS = {
    "ascii": "abc.def,12",
    "latin": "naïve–été ".replace(" ", "/"),
    "han": "东京abc",
    "flags": "🇩🇪x",
    "blank": "é\u2003\u2003b",
    "emoji": "a👩‍💻b",
    "one word": "ä",
    "marks": "\u0327\u0327",
}


@pytest.mark.parametrize("name", LONG_PARTS)
def test_long_pieces(name: str) -> None:
    chance = random.Random(name)
    limit, cut = PIECE_LIMIT, PIECE_LIMIT - PIECE_MARGIN
    lengths = [cut - 1, cut, cut + 1, limit - 1, limit, limit + 1, limit + cut, 8192, 8193, 30_000]
    for length in lengths:
        part = LONG_PARTS[name]
        piece = (part * (length // len(part) + 1))[:length]
        data = f"before x{piece} after {piece}\n".encode()
        assert_same(data, chance.randrange(len(data)), len(data) - 1)


def test_long_pieces_that_change_their_kind() -> None:
    chance = random.Random(3)
    for _ in range(25):
        parts = [
            chance.choice([*LONG_PARTS.values(), "w", "w", " "]) * chance.randrange(1, 3000)
            for _ in range(chance.randrange(1, 6))
        ]
        data = "".join(parts).encode()
        if chance.random() < 0.3:
            data = data.replace(b"x", b"\xff")
        assert_same(data, *sorted(chance.randrange(len(data)) for _ in range(3)))


def test_more_work_for_icu_than_fits() -> None:
    text = " ".join(f"东{number}" for number in range(80_000))
    assert_same(text.encode())
    assert_same(("东京" * 800_000).encode())


def test_more_words_from_icu_than_memory_holds() -> None:
    names = (f"ж{number}東京ก{number * 7919 % 90_001}" for number in range(70_000))
    data = " ".join(names).encode()
    expected = counted_by("icu", data)
    assert counted_by("kernel", data, memory=1) == expected
    assert counted_by("kernel", data, len(data) // 2) == expected
