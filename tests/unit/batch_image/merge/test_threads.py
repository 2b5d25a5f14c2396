"""Adding up by several threads: the same sums in the same order, and errors and stops get out."""

from __future__ import annotations

import random
import threading
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from wordfreq_batch.counts.counts import add_sorted_partial
from wordfreq_batch.errors import DataError
from wordfreq_batch.tables.by_count import LineFile
from wordfreq_batch.tables.runs import SortedFile
from wordfreq_batch.tables.tally import Tally
from wordfreq_batch.together import (
    GivenUpError,
    Shared,
    Stop,
    together,
)

LEAST = 8_000  # bytes: so little memory is enough for temporary files, and for threads


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def made_up(size: int, highest: int) -> list[tuple[str, int]]:
    """Words that come again, some longer than others, with counts that are often the same."""
    chance = random.Random(size)
    return [
        (
            f"{chance.choice(['é', 'w', 'long' * 9])}{chance.randrange(size)}",
            highest // (n % 90 + 1),
        )
        for n in range(1, size)
    ]


# All counts low, all high, and both; so few words that memory holds them.
@pytest.mark.parametrize(
    ("size", "highest"), [(30_000, 90), (30_000, 10**6), (30_000, 900), (50, 9)]
)
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.usefixtures("kernel")
def test_sums_by_threads_are_those_of_one(
    temporary: Path, size: int, highest: int, threads: int
) -> None:
    items = [item for item in made_up(size, highest) if item[1]]
    expected: Counter[str] = Counter()
    for word, count in items:
        expected[word] += count
    in_order = sorted(expected.items(), key=lambda item: (-item[1], item[0]))
    batches = Shared(items[start : start + 500] for start in range(0, len(items), 500))

    def work(tally: Tally, stop: Stop) -> None:
        for batch in stop.checked(batches):
            tally.add(batch)
        tally.settle()

    with Tally(memory=threads * 100_000, threads=threads, least=LEAST) as tally:
        with tally.divided() as tallies:
            assert len(tallies) == threads
            together([partial(work, each) for each in tallies])
        assert tally.on_disk == (size > 50)
        path = temporary / "by-count"
        tally.write_by_count(path)
        assert list(LineFile(path)) == in_order
        assert list(tally.by_count()) == in_order
        lines = tally.by_count()
        text = b"".join(iter(lambda: lines.lines(b":", 1000), b""))
        assert text.decode() == "".join(f"{word}:{count}\n" for word, count in in_order)
        assert list(tally.by_word()) == sorted(expected.items())
        assert (tally.total, tally.distinct) == (expected.total(), len(expected))
    assert list(temporary.iterdir()) == [path]


@pytest.mark.usefixtures("kernel")
def test_threads_together_add_up_no_more_than_can_be_stored(temporary: Path) -> None:
    words = [(f"w{n:06}", 1) for n in range(30_000)]
    with Tally(memory=300_000, threads=3, least=LEAST) as tally:
        for most in ("a", "z"):
            tally.add(words)
            add_sorted_partial(
                tally, [_partial(temporary, f"{most}\t{10**18 - 1}\n".encode())], name="p"
            )
        with pytest.raises(DataError, match="add up to more than"):
            tally.by_count()


def _partial(folder: Path, lines: bytes) -> bytes:
    run = SortedFile(folder / "partial")
    run.write([lines])
    data = run.path.read_bytes()
    run.remove()
    return data


@pytest.mark.parametrize("size", [1, 300, 5000])
def test_a_run_can_be_read_from_any_word_to_any_other(tmp_path: Path, size: int) -> None:
    words = sorted({str(n * n) for n in range(size)} | {"0é"})
    lines = [f"{word}\t1\n".encode() for word in words]
    run = SortedFile(tmp_path / "run")
    run.write(b"".join(lines[start : start + 64]) for start in range(0, len(lines), 64))
    assert b"".join(run.read()) == b"".join(lines)
    chance = random.Random(size)
    for _ in range(300):
        first, second = (chance.choice([*words, "", "5", "0é1", "~"]).encode() for _ in "ab")
        wanted = [line for line in lines if first <= line.split(b"\t")[0] < second]
        assert b"".join(run.read(first, second)) == b"".join(wanted)


def test_the_first_error_of_a_thread_is_raised_and_stops_the_others() -> None:
    before = threading.enumerate()
    stopped = threading.Event()

    def fails(_: Stop) -> int:
        raise DataError("no counts")

    def goes_on(stop: Stop) -> int:
        try:
            while True:
                stop.check()
        except GivenUpError:
            stopped.set()
            raise

    with pytest.raises(DataError, match="no counts"):
        together([goes_on, fails, goes_on])
    assert stopped.is_set()
    assert [thread for thread in threading.enumerate() if thread not in before] == []
    assert together([lambda _, n=n: n for n in range(5)]) == list(range(5))
