"""`--fold`: what becomes one spelling, wherever a stream is cut, and what stays as it is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wordfreq_batch.text.folding import fold_chunks, folded
from wordfreq_batch.text.options import TextOptions
from wordfreq_batch.text.words import COUNTER_VERSION, WordCounter, counter_version, options_of


def _counts(chunks: list[bytes]) -> tuple[dict[str, int], int]:
    counter = WordCounter()
    for chunk in fold_chunks(chunks):
        counter.feed(chunk)
    with counter.finish() as counted:
        return counted.counts, counted.invalid


@pytest.mark.parametrize(
    ("written", "word"),
    [
        ("don’t", "don't"),
        ("don‘t", "don't"),
        ("donʼt", "don't"),
        ("don＇t", "don't"),
        ("Donau\u00addampf", "donaudampf"),
        ("x\ufeffy", "xy"),
        ("می\u200cخواهم", "میخواهم"),
        ("ﬁne", "fine"),
        ("１４th", "14th"),
        ("ｶﾞ", "ガ"),
        ("محـــمد", "محمد"),
        ("e\u00ad\u0301", "é"),
    ],
)
def test_spellings_that_look_alike_are_one_word(written: str, word: str) -> None:
    assert _counts([written.encode()]) == ({word: 1}, 0)


@pytest.mark.parametrize("text", ["straße", "Ελλάς", "naïve", "it's", "漢字", "a_b 3.14"])
def test_nothing_else_is_folded(text: str) -> None:
    assert folded(text) == text


PARTS = ["a", "e\u0301", "é", "ﬁ", "don’t", "\u00ad", "か\u3099", "ｶﾞ", "\u1112\u1161\u11ab", "한"]
TEXTS = st.lists(st.sampled_from([*PARTS, " ", "\n", "😀", "ـ", "\u0323", "漢字", "Σ"])).map(
    "".join
)


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.integers(1, 7))
def test_the_words_do_not_depend_on_where_a_stream_is_cut(text: str, size: int) -> None:
    data = text.encode()
    whole = _counts([data])
    assert _counts([data[i : i + size] for i in range(0, len(data), size)]) == whole


@pytest.mark.parametrize("text", ["e" + "ｶﾞ" * 200, "e\uff9eﬁ\u0345ｶ" * 99, "e\u3099ｶ\u0301ﾞ" * 99])
@pytest.mark.parametrize("size", [1, 12, 26, 700])
def test_the_words_of_a_long_run_of_what_combines_do_not_either(text: str, size: int) -> None:
    data = text.encode()
    assert _counts([data[i : i + size] for i in range(0, len(data), size)]) == _counts([data])


def test_bytes_that_are_no_utf_8_are_still_counted_as_such() -> None:
    assert _counts([b"don\xe2\x80", b"\x99t \xff\xfe caf\xc3"]) == ({"don't": 1, "caf": 1}, 3)


def test_folded_counts_are_of_another_version() -> None:
    version = counter_version(TextOptions.make(encoding="cp1252", fold=True))
    assert version == f"{COUNTER_VERSION};encoding=cp1252;fold=1"
    assert options_of(version, plan="p").fold
    assert not options_of(COUNTER_VERSION, plan="p").fold
