"""What counts as a word: against the Unicode test file, against plain ICU, and by example."""

from __future__ import annotations

import unicodedata
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from icu4py.breakers import WordBreaker

from wordfreq_batch.tables import icu
from wordfreq_batch.text import words
from wordfreq_batch.text.words import (
    PIECE_LIMIT,
    PIECE_MARGIN,
    Counted,
    WordCounter,
    tokens,
)

WORD_BREAK_TEST = Path("/usr/share/unicode/auxiliary/WordBreakTest.txt")  # Debian: unicode-data

# ICU 78 is newer (Unicode 17) than the test file may be (15.0 on Debian 12). Its rules are data
# driven, with one tailoring that the file shows: U+2701 (UPPER BLADE SCISSORS) lost the property
# Extended_Pictographic in Unicode 16, so that WB3c no longer joins it to a ZWJ.
TAILORED = {"\u2701\u200d\u2701", "a\u200d\u2701"}


SAMPLES = {
    "english": "It's the dogs' bowl; don't touch U.S. state-of-the-art 3.14 e-mail a_b, O’Neill!",
    "german": "Die Straße führt übers Gebirge. STRASSE, Größe und „Füße“ – 1.000,50 Euro.",
    "french": "L’été, qu’est-ce que c’est\u202f? «\u202fÇa va\u202f», dit-il à 10\u202f000 élèves.",
    "greek": "Ο ΟΔΥΣΣΕΥΣ είναι σοφός. ΣΑΣ ΛΈΩ: ο λόγος του ΘΕΟΣ, τοῦ ἀνθρώπου.",
    "russian": "Ёлка стоит в лесу. ЁЛКА, что-то и кое-где — «Война и мир».",
    "turkish": "İstanbul'da IŞIK ışık; DİYARBAKIR diyarbakır ılık I i İ ı.",
    "arabic": "السَّلامُ عليكم، كتابٌ جديد في ٢٠٢٤ والمكتبة العامة.",
    "hebrew": "צה\"ל הודיע; ג'ירפה ושַׁלוֹם, ארה״ב.",
    "hindi": "हिन्दी में क्षत्रिय लोग, नमस्ते दुनिया। १२३ किताबें पढ़ीं।",
    "thai": "ภาษาไทยไม่มีช่องว่างระหว่างคำ สวัสดีชาวโลก",
    "chinese": "我们明天去北京大学图书馆看书。他说:“中文没有空格!”",
    "japanese": "東京タワーでコーヒーを飲みながら、日本語を勉強しました。ｶﾞｷﾞ",
    "korean": "안녕하세요, 저는 한국어를 공부합니다. 감사합니다!",
    "emoji": "Family 👩‍👩‍👧‍👦 party 🎉🏳️‍🌈 1️⃣ 👍🏽ok 🇩🇪🇫🇷 ☕break",
    "astral": "𝒜𝓁𝓅𝒽𝒶 𐐷𐐲𐑌𐐼 x𝟙y 𠀀𠀁 🅰bc \u200d🅰bc",
    "blanks": "a\u00a0b\u3000c\u2003d\u2028e\u0085f\tg\x1ch\u202fi j",
}


def by_icu_alone(text: str) -> list[str]:
    """The definition, straight: nothing of ours but the two UnicodeSets, Python's own Unicode."""
    found = []
    for segment in WordBreaker(text, ""):
        if any(is_word_character(c) for c in segment):
            trimmed = segment.strip(BLANKS_AND_CONTROLS)
            lowered = unicodedata.normalize("NFC", trimmed).lower()
            found.append(unicodedata.normalize("NFC", lowered))
    return found


def is_word_character(c: str) -> bool:
    return unicodedata.category(c)[0] in "LN" and c not in "\uff9e\uff9f"


BLANKS_AND_CONTROLS = "".join(
    chr(c) for c in range(0x3001) if unicodedata.category(chr(c)) in ("Zs", "Zl", "Zp", "Cc")
)


def count(data: bytes, *sizes: int) -> Counted:
    """Count `data`, fed in chunks of these sizes, again and again."""
    counter = WordCounter()
    position = turn = 0
    while position < len(data):
        size = sizes[turn % len(sizes)] if sizes else len(data)
        counter.feed(data[position : position + size])
        position, turn = position + size, turn + 1
    return counter.finish()


@pytest.mark.skipif(not WORD_BREAK_TEST.exists(), reason="apt-get install unicode-data")
def test_segments_are_those_of_the_unicode_test_file() -> None:
    cases = 0
    for line in WORD_BREAK_TEST.read_text("utf-8").splitlines():
        case = line.partition("#")[0].split()
        if not case:
            continue
        cases += 1
        expected = [""]
        for sign in case[1:-1]:
            if sign == "÷":
                expected.append("")
            elif sign != "×":
                expected[-1] += chr(int(sign, 16))
        text = "".join(expected)
        if text not in TAILORED:
            assert list(icu.segments(text)) == expected, line
    assert cases > 1800


@pytest.mark.parametrize("language", SAMPLES)
def test_samples_are_counted_as_icu_alone_counts_them(language: str) -> None:
    text = SAMPLES[language] * 3 + "\n" + SAMPLES[language].upper()
    expected = by_icu_alone(text)
    assert list(tokens(text)) == expected
    assert count(text.encode()).counts == Counter(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't can’t", ["don't", "can’t"]),
        ("U.S.A. 3.14 1,000.5 a:b", ["u.s.a", "3.14", "1,000.5", "a:b"]),
        ("foo_bar well-known end?", ["foo_bar", "well", "known", "end"]),
        ("word\nnext\ttab\r\nline", ["word", "next", "tab", "line"]),
        ("ΟΔΟΣ ΣΑΣ Σ ὈΔΥΣΣΕΎΣ", ["οδος", "σας", "σ", "ὀδυσσεύς"]),
        ("İI", ["i\u0307i"]),
        ("A\u030aNGSTRO\u0308M Ångström", ["ångström", "ångström"]),
        ("J\u030c", ["ǰ"]),
        ("10\u202f000 «\u202fmot\u202f»", ["10\u202f000", "mot"]),
        ("- -- ... !? 🎉 \u0301 \uff9e", []),
        ("Ⅷ ② ½ ٣", ["ⅷ", "②", "½", "٣"]),
        ("", []),
    ],
)
def test_words_by_example(text: str, expected: list[str]) -> None:
    assert list(tokens(text)) == expected
    assert count(text.encode()).counts == Counter(expected)


def test_every_code_point_between_letters_is_counted_as_icu_alone_counts_it() -> None:
    points = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
    wanted = [c for c in points if unicodedata.category(chr(c)) not in ("Cn", "Co")]
    # Han and Hangul by the ten thousand behave alike; every 37th of them will do.
    wanted = [c for c in wanted if not (0x3400 <= c < 0xD7A4 or c >= 0x17000) or c % 37 == 0]
    pieces = [f"a{chr(c)}b 1{chr(c)}2 {chr(c)}x{chr(c)} \u200d{chr(c)}" for c in wanted]
    text = " ".join(pieces)
    assert count(text.encode()).counts == Counter(by_icu_alone(text))


def test_lower_case_and_nfc_are_those_of_python_where_both_know_the_character() -> None:
    for c in range(0x110000):
        text = chr(c)
        if 0xD800 <= c <= 0xDFFF or unicodedata.category(text) == "Cn":
            continue
        assert icu.nfc(text) == unicodedata.normalize("NFC", text), hex(c)
        # A mapping may be newer than this Python, then Python has none.
        assert icu.lower(text) == text.lower() or text.lower() == text, hex(c)


def test_lowering_ascii_first_changes_no_word() -> None:
    marks = [c for c in map(chr, range(0x300, 0x370)) if unicodedata.combining(c)]
    for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ":
        for mark in marks:
            for text in (f"{letter}{mark}", f"{letter}{mark}\u0307"):
                first = icu.nfc(icu.lower(icu.nfc(text.replace(letter, letter.lower()))))
                assert first == icu.nfc(icu.lower(icu.nfc(text))), text


JOINERS = (
    "\u200d\u0301\u00ad'’.:,_\"\u202f\u3000 \t\n\r\x1c\uff9e\U0001f170\u05d0Σς1aA☕🇩漢กアか각İ"
)
TEXTS = st.one_of(
    st.text(st.sampled_from(JOINERS), max_size=40),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
)


@settings(max_examples=600, deadline=None)
@example("\t\u200d🅰bc \u200d🅰", 1)
@example("\u3000 \u200d🅰b", 1)
@given(TEXTS, st.integers(1, 7))
def test_any_text_is_counted_as_icu_alone_counts_it(text: str, size: int) -> None:
    whole = [w for s in icu.segments(text) if (w := words._word(s))]
    assert list(tokens(text)) == whole
    assert count(text.encode(), size).counts == Counter(whole)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60), st.integers(1, 5))
def test_bad_bytes_are_replaced_as_python_does_it(data: bytes, size: int) -> None:
    text = data.decode("utf-8", "replace")
    counted = count(data, size)
    assert counted.counts == Counter(tokens(text))
    assert counted.bytes == len(data)
    escaped = data.decode("utf-8", "surrogateescape")
    assert counted.invalid == sum(0xDC80 <= ord(c) <= 0xDCFF for c in escaped)


def test_a_words_totals_are_reported() -> None:
    counted = count(b"the cat and the dog \xff")
    assert (counted.words, counted.distinct, counted.invalid) == (5, 4, 1)
    assert list(counted.tally.by_count()) == [("the", 2), ("and", 1), ("cat", 1), ("dog", 1)]
    assert list(counted.tally.by_word()) == [("and", 1), ("cat", 1), ("dog", 1), ("the", 2)]


def test_the_counter_version_names_semantics_and_icu() -> None:
    assert f"{words.SEMANTICS}/icu-{icu.ICU_VERSION}" == words.COUNTER_VERSION
    assert float(icu.unicode_version()) >= 17


def test_a_piece_within_the_limit_is_cut_by_icu_alone() -> None:
    text = ("漢字かな混じり文、" * PIECE_LIMIT)[:PIECE_LIMIT]
    assert list(tokens(text)) == by_icu_alone(text)


def test_a_longer_piece_with_boundaries_loses_nothing() -> None:
    text = "don't,stop;the-music:" * 2000 + "can't"
    assert list(tokens(text)) == by_icu_alone(text)


def test_a_longer_run_of_letters_is_cut_to_words_of_bounded_length() -> None:
    lengths = [len(word) for word in tokens("x" * 10_000)]
    window = PIECE_LIMIT - PIECE_MARGIN
    assert lengths == [window, window, 10_000 - 2 * window]
