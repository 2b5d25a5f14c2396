"""Adding up counts, in memory and on disk, and choosing and drawing the most used words."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from wordfreq import tally as tally_module
from wordfreq import totals as totals_module
from wordfreq.errors import StorageError, UsageError
from wordfreq.formats import RankedWord, RankingOptions
from wordfreq.ranking import ranked, stop_words, table
from wordfreq.tally import Tally
from wordfreq.totals import summed

ODD = [
    "NULL",
    "null",
    '"',
    "'",
    "a,b",
    "a:b",
    "\\N",
    "\u202fx",
    "日本",
    "𝒜",
    "\uffff",
    "é",
    "e\u0301",
]


def numbers(seed: int, size: int) -> list[tuple[str, int]]:
    rng = random.Random(seed)
    items = [
        (f"w{min(rng.randrange(size), rng.randrange(size))}", rng.randrange(1, 200))
        for _ in range(size)
    ]
    return items + [(word, n + 1) for n, word in enumerate(ODD)]


def summary(items: list[tuple[str, int]]) -> Counter[str]:
    expected: Counter[str] = Counter()
    for word, count in items:
        expected[word] += count
    return expected


def in_order(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


@pytest.mark.parametrize("most_runs", [2, 64])
def test_a_tally_on_disk_equals_one_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most_runs: int
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(tally_module, "_SMALLEST", 100_000)
    monkeypatch.setattr(tally_module, "_MOST_RUNS", most_runs)
    items = numbers(1, 12_000)
    expected = summary(items)
    with Tally(memory=0) as tally:
        for start in range(0, len(items), 1000):
            tally.add(items[start : start + 1000])
        assert list(tmp_path.rglob("run-*"))
        assert tally.total == expected.total()
        assert list(tally.by_word()) == sorted(expected.items())
        assert list(tally.by_count()) == in_order(expected)
        assert tally.distinct == len(expected)
        tally.add([("w1", 5), ("zz", 1)])
        expected.update({"w1": 5, "zz": 1})
        assert list(tally.by_word()) == sorted(expected.items())
        assert list(tally.by_count()) == in_order(expected)
    assert not list(tmp_path.iterdir())


def blocks(items: list[tuple[str, int]]) -> list[tuple[list[str], list[str]]]:
    return [
        ([word for word, _ in part], [str(count) for _, count in part])
        for start in range(0, len(items), 777)
        if (part := items[start : start + 777])
    ]


@pytest.mark.parametrize("expansion", [6, 1 << 14])
def test_totals_are_sorted_sums_whether_partitioned_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expansion: int
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(totals_module, "_EXPANSION", expansion)
    items = numbers(2, 5000)
    expected = summary(items)
    with summed(blocks(items), memory=1) as totals:
        assert (totals.words, totals.distinct) == (expected.total(), len(expected))
        assert list(totals) == in_order(expected)
        import duckdb

        columns = duckdb.sql(f"DESCRIBE SELECT * FROM '{totals.path}'").fetchall()
        assert [column[:2] for column in columns] == [("word", "VARCHAR"), ("count", "BIGINT")]
        first = duckdb.sql(f"SELECT word FROM '{totals.path}' LIMIT 1").fetchall()
        assert first == [(in_order(expected)[0][0],)]
    assert not list(tmp_path.iterdir())


def test_no_counts_at_all_give_empty_totals() -> None:
    with summed([], memory=1 << 28) as totals:
        assert (totals.words, totals.distinct, list(totals)) == (0, 0, [])


def test_the_temporary_files_go_when_something_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def failing():
        yield (["a"], ["1"])
        raise StorageError("gone")

    with pytest.raises(StorageError, match="gone"), summed(failing(), memory=1):
        pass
    assert not list(tmp_path.iterdir())


def test_the_ranking_keeps_order_length_count_and_number() -> None:
    items = [("aa", 9), ("the", 7), ("abc", 5), ("abd", 5), ("東京都", 4), ("cat", 3), ("dog", 2)]
    everything = RankingOptions()
    assert ranked(items, everything) == (
        RankedWord("the", 7),
        RankedWord("abc", 5),
        RankedWord("abd", 5),
        RankedWord("東京都", 4),
        RankedWord("cat", 3),
    )
    assert ranked(items, RankingOptions(top=2)) == (RankedWord("the", 7), RankedWord("abc", 5))
    assert ranked(items, RankingOptions(top=0)) == ()
    assert len(ranked(items, RankingOptions(min_length=1, min_count=1))) == len(items)
    assert ranked(items, RankingOptions(stop_words=("en",), top=1)) == (RankedWord("abc", 5),)


def test_stop_words_come_in_the_form_of_our_words() -> None:
    english = stop_words(["en"])
    assert {"the", "and", "don't", "don’t"} <= english
    assert {"und", "für"} <= stop_words(["en", "de"])
    assert stop_words([]) == frozenset()


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(UsageError, match=r"no stop words for xx; there are lists for .* de .* en "):
        stop_words(["en", "xx"])


def test_the_table_is_the_documented_box() -> None:
    assert table([RankedWord("lorem", 11), RankedWord("dolor", 8)]) == (
        "┌───────┬───────┐\n"
        "│ Key   │ Value │\n"
        "├───────┼───────┤\n"
        "│ lorem │  11   │\n"
        "│ dolor │   8   │\n"
        "└───────┴───────┘\n"
    )


def test_an_empty_table_has_its_headings() -> None:
    assert table([]).splitlines()[1] == "│ Key │ Value │"


def test_the_table_stays_straight_with_wide_and_odd_words() -> None:
    from wcwidth import wcswidth

    words = ["東京", "e\u0301te\u0301", "หนังสือ", "\u202eabc", "x" * 4000, "漢" * 100, "שלום"]
    lines = table([RankedWord(word, 1_234_567) for word in words]).splitlines()
    assert {wcswidth(line) for line in lines} == {wcswidth(lines[0])}
    assert wcswidth(lines[0]) < 80
    assert "\u202e" not in "".join(lines)
