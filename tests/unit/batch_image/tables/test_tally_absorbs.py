"""Sums put together out of several: all is there, in order, in the memory allowed."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from wordfreq_batch.counts.counts import load_counts
from wordfreq_batch.errors import DataError
from wordfreq_batch.tables.lines import MOST_COUNTED
from wordfreq_batch.tables.tally import Tally


@pytest.mark.parametrize("sizes", [(), (0,), (10, 10), (90_000, 10, 80_000), (10, 0, 120_000)])
def test_absorbed_sums_are_all_there(either_engine, sizes, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    expected: Counter[str] = Counter()
    with Tally(memory=1) as whole:
        for part, size in enumerate(sizes):
            items = {f"{'long' * 5}word{n * (part + 1)}": n % 5 + 1 for n in range(size)}
            expected.update(items)
            other = Tally(memory=1)
            other.add(items.items())
            whole.absorb(other)
            assert (other.total, other.distinct, list(other.by_word())) == (0, 0, [])
            whole.grow(4 << 20)
            other.add([("again", 1)])  # it can be used again
            assert list(other.by_word()) == [("again", 1)]
            other.close()
        assert bool(list(tmp_path.iterdir())) == (max(sizes, default=0) > 10)
        assert whole.total == expected.total()
        assert whole.distinct == len(expected)
        assert list(whole.by_word()) == sorted(expected.items())
    assert not list(tmp_path.iterdir())


def _added(tally: Tally, word: str, count: int) -> None:
    tally.add([(word, count)])


def _added_by_a_cursor(tally: Tally, word: str, count: int) -> None:
    with Tally(memory=1) as other:
        other.add([(word, count)])
        tally.absorb(other)


def _loaded(tally: Tally, word: str, count: int) -> None:
    load_counts(tally, [f"{word}:{count}\n".encode()], name="counts")


@pytest.mark.parametrize("add", [_added, _added_by_a_cursor, _loaded])
@pytest.mark.parametrize("word", ["a", "x" * 40])
def test_no_way_of_adding_counts_exceeds_what_can_be_stored(either_engine, add, word) -> None:
    with Tally(memory=1) as tally:
        add(tally, word, MOST_COUNTED - 1)
        add(tally, "other", 1)
        for _ in range(20):
            with pytest.raises(DataError, match="add up to more than"):
                add(tally, word, MOST_COUNTED // 2)
        assert tally.total == MOST_COUNTED
        assert list(tally.by_count()) == [(word, MOST_COUNTED - 1), ("other", 1)]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_large_sums_are_the_same_whatever_the_number_of_threads(threads) -> None:
    draw = random.Random(threads)
    expected: Counter[str] = Counter()
    with Tally(memory=1 << 30) as whole, Tally(memory=1 << 30) as other:
        whole.use_threads(threads)
        for tally in (whole, other):
            items = {
                f"{draw.randrange(10**6):x}{'-' * length}": draw.choice((1, 1, 1, 300, 70_000))
                for length in (1, 8, 20, 50)
                for _ in range(25_000)
            }
            expected.update(items)
            tally.add(items.items())
        whole.absorb(other)
        assert (whole.total, whole.distinct) == (expected.total(), len(expected))
        assert list(whole.by_word()) == sorted(expected.items())
        assert list(whole.by_count()) == sorted(expected.items(), key=lambda i: (-i[1], i[0]))
        whole.add([("added later", 1)])
        assert (whole.total, whole.distinct) == (expected.total() + 1, len(expected) + 1)
