"""Adding up counts, in memory and on disk, and choosing and drawing the most used words."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from zlib import crc32

import pytest
import zstandard

from wordfreq_batch.counts.counts import (
    add_sorted_partial,
    load_partial,
    write_partial,
)
from wordfreq_batch.errors import (
    DataError,
    UsageError,
)
from wordfreq_batch.merge.document import RankedWord, RankingOptions
from wordfreq_batch.merge.ranking import (
    ranked,
    stop_words,
    word_table,
)
from wordfreq_batch.merge.totals import totals_of
from wordfreq_batch.tables.lines import Share
from wordfreq_batch.tables.tally import Tally

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


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("memory", [10_000, 100_000])
@pytest.mark.usefixtures("either_engine")
def test_a_tally_on_disk_equals_one_in_memory(temporary: Path, memory: int) -> None:
    items = numbers(1, 12_000)
    expected = summary(items)
    with Tally(memory=memory, least=0) as tally:
        for start in range(0, len(items), 1000):
            tally.add(items[start : start + 1000])
        assert list(temporary.rglob("run-*"))
        assert tally.on_disk
        assert tally.total == expected.total()
        assert list(tally.by_word()) == sorted(expected.items())
        assert list(tally.by_count()) == in_order(expected)
        assert tally.distinct == len(expected)
        tally.add([("w1", 5), ("zz", 1)])
        expected.update({"w1": 5, "zz": 1})
        assert list(tally.by_word()) == sorted(expected.items())
        assert list(tally.by_count()) == in_order(expected)
        assert (tally.total, tally.distinct) == (expected.total(), len(expected))
    assert not list(temporary.iterdir())


def partial_of(counts: dict[str, int]) -> bytes:
    return b"".join(write_partial(sorted(counts.items())))


@pytest.mark.parametrize("memory", [10_000, 100_000])
@pytest.mark.usefixtures("either_engine")
def test_partials_can_be_added_as_they_are(temporary: Path, memory: int) -> None:
    parts = [summary(numbers(seed, 3000)) for seed in range(5)]
    expected: Counter[str] = sum(parts, Counter())
    with Tally(memory=memory, least=0) as tally:
        tally.add(parts[0].items())
        for number, part in enumerate(parts[1:]):
            data = partial_of(part)
            add_sorted_partial(tally, [data[:100], data[100:]], name=f"p{number}")
        assert list(tally.by_word()) == sorted(expected.items())
        assert (tally.total, tally.distinct) == (expected.total(), len(expected))
        assert list(tally.by_count()) == in_order(expected)
    assert not list(temporary.iterdir())


GOOD = {f"w{n:05}": n + 1 for n in range(20_000)}


@pytest.mark.parametrize(
    ("damaged", "message"),
    [
        (partial_of(GOOD)[:-3], "p is no intact zstd archive"),
        (zstandard.compress(b"a\t1\nb\tx\n"), r"p line 2: 'b\\tx' is not word"),
        (zstandard.compress(b"a\t1\nb\xff\t1\n"), "p line 2: it isn't UTF-8"),
        (zstandard.compress(b"b\t1\na\t1\n"), r"p line 2: 'a\\t1' is not in order"),
        (zstandard.compress(b"a\t1\nb\t1\nb\t2\n"), r"p line 3: 'b\\t2' is not in order"),
        (zstandard.compress(b"a\t1\n" + b"b" * (3 << 20)), "p holds no counts: no line end"),
    ],
)
@pytest.mark.usefixtures("either_engine", "temporary")
def test_a_damaged_partial_that_was_added_is_named(damaged: bytes, message: str) -> None:
    with Tally(memory=100_000, least=0) as tally:
        add_sorted_partial(tally, [partial_of(GOOD)], name="good")
        with pytest.raises(DataError, match=message):
            add_sorted_partial(tally, [damaged], name="p")


@pytest.mark.usefixtures("either_engine", "temporary")
def test_a_sum_beyond_what_can_be_stored_is_refused_on_disk_as_well() -> None:
    most = zstandard.compress(b"a\t%d\n" % (10**18 - 1))
    with Tally(memory=100_000, least=0) as tally:
        for _ in range(10):
            add_sorted_partial(tally, [most], name="p")
        with pytest.raises(DataError, match="add up to more than"):
            list(tally.by_word())
        with pytest.raises(DataError, match="add up to more than"):
            list(tally.by_count())


@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.usefixtures("either_engine", "temporary")
def test_shares_of_the_words_make_up_the_whole(on_disk: bool) -> None:
    counts = summary(numbers(3, 3000))
    data, found = partial_of(counts), []
    for part in range(3):
        with Tally(memory=100_000 if on_disk else 1 << 24, share=Share(part, 3), least=0) as tally:
            if on_disk:
                add_sorted_partial(tally, [data], name="p")
                load_partial(tally, [data], name="p")
            else:
                load_partial(tally, [data, data], name="p")
            share = list(tally.by_count())
        # The hash decides the share for good: parts made by other versions must fit together.
        assert all(crc32(word.encode()) * 3 >> 32 == part for word, _ in share)
        found += share
    assert dict(found) == {word: 2 * count for word, count in counts.items()}
    assert len(found) == len(counts)


@pytest.mark.parametrize("memory", [100_000, 1 << 26])
@pytest.mark.usefixtures("either_engine")
def test_totals_are_sorted_sums_in_memory_and_on_disk(temporary: Path, memory: int) -> None:
    import duckdb

    items = numbers(2, 5000)
    expected = summary(items)
    (temporary / "out").mkdir()
    path = temporary / "out" / "totals.parquet"
    with Tally(memory=memory, least=0) as tally:
        tally.add(items)
        assert tally.on_disk == (memory == 100_000)
        with totals_of(tally) as totals:
            assert (totals.words, totals.distinct) == (expected.total(), len(expected))
            assert list(totals) == in_order(expected)
            totals.write_parquet(path, memory=1)
        columns = duckdb.sql(f"DESCRIBE SELECT * FROM '{path}'").fetchall()
        assert [column[:2] for column in columns] == [("word", "VARCHAR"), ("count", "BIGINT")]
        assert duckdb.sql(f"SELECT * FROM '{path}'").fetchall() == in_order(expected)
    assert [each.name for each in temporary.iterdir()] == ["out"]


def test_no_counts_at_all_give_empty_totals(tmp_path: Path) -> None:
    import duckdb

    path = tmp_path / "t.parquet"
    with Tally(memory=1 << 24) as tally, totals_of(tally) as totals:
        assert (totals.words, totals.distinct, list(totals)) == (0, 0, [])
        totals.write_parquet(path, memory=1 << 28)
    assert duckdb.sql(f"SELECT word, count FROM '{path}'").fetchall() == []


def test_the_temporary_files_go_when_something_fails(temporary: Path) -> None:
    with Tally(memory=100_000, least=0) as tally:
        tally.add(numbers(2, 5000))
        assert tally.on_disk
        most = partial_of({"a": 10**18 - 1})
        add_sorted_partial(tally, [most], name="p")
        with pytest.raises(DataError, match="add up to more than"), totals_of(tally):
            pass
    assert not list(temporary.iterdir())


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
    assert word_table([RankedWord("lorem", 11), RankedWord("dolor", 8)]) == (
        "┌───────┬───────┐\n"
        "│ word  │ count │\n"
        "├───────┼───────┤\n"
        "│ lorem │  11   │\n"
        "│ dolor │   8   │\n"
        "└───────┴───────┘"
    )


def test_an_empty_table_has_its_headings() -> None:
    assert word_table([]).splitlines()[1] == "│ word │ count │"


def test_the_table_stays_straight_with_wide_and_odd_words() -> None:
    from wcwidth import wcswidth

    words = ["東京", "e\u0301te\u0301", "หนังสือ", "\u202eabc", "x" * 4000, "漢" * 100, "שלום"]
    lines = word_table([RankedWord(word, 1_234_567) for word in words]).splitlines()
    assert {wcswidth(line) for line in lines} == {wcswidth(lines[0])}
    assert wcswidth(lines[0]) < 80
    assert "\u202e" not in "".join(lines)
