"""Several threads on one stream: the same result, whatever the cuts, and no thread left behind."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wordfreq_batch.tables import engine
from wordfreq_batch.text.parallel import SplitCounter
from wordfreq_batch.text.words import (
    PIECE_LIMIT,
    Counted,
    WordCounter,
)
from wordfreq_batch.together import ahead

HARD = (
    "It's “don’t”, U.S. 3.14 a_b __ x: a:b\r\nΟΔΥΣΣΕΥΣ ΑΣ·Α É E\u0301 İI\tצה\"ל\fहिन्दी\vภาษาไทย "
    "东京タワー 한국어a 👩‍💻 🇩🇪🇫🇷 a\u200d🅰 10\u202f000 \u0301x e\u0327\u0301 K ß "
).encode() + b"bad\xff\xe2\x80x\xf0\x9f\x98 \xed\xa0\x80 \xc3 a\x00b "
THREADS = (1, 2, 3, 7)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = threading.enumerate()  # some of other tests may be about to end
    yield
    assert [thread for thread in threading.enumerate() if thread not in before] == []


def figures(counted: Counted) -> tuple[object, ...]:
    with counted:
        in_order = list(counted.tally.by_word()), list(counted.tally.by_count())
        return in_order, counted.words, counted.distinct, counted.bytes, counted.invalid


def split(data: bytes, *cuts: int, threads: int, **options: int) -> tuple[object, ...]:
    options = {"memory": 1 << 28, **options}
    with closing(SplitCounter(threads=threads, **options)) as counter:
        for start, end in pairwise([0, *cuts, len(data)]):
            counter.feed(data[start:end])
        return figures(counter.finish())


def by_icu(data: bytes) -> tuple[object, ...]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(engine.VARIABLE, "icu")
        counter = WordCounter()
    counter.feed(data)
    return figures(counter.finish())


@pytest.mark.parametrize("threads", THREADS)
def test_every_position_of_a_chunk_boundary(threads: int) -> None:
    expected = by_icu(HARD)
    for cut in range(len(HARD) + 1):
        assert split(HARD, cut, threads=threads, segment=48) == expected
    assert split(HARD, *range(1, len(HARD)), threads=threads, segment=48) == expected


PARTS = st.one_of(
    st.sampled_from(
        [*"aBz19_.,:;'’ \n\t\r\v\f\x1c\x85", "日本", "ひカ", "한", "ก", "é", "ß", "word"]
    ),
    st.characters(exclude_categories=["Cs"]),
).map(str.encode)


@settings(max_examples=150)
@given(
    st.lists(st.one_of(PARTS, PARTS, st.binary(max_size=3)), max_size=200).map(b"".join),
    st.integers(1, 60),
    st.sampled_from(THREADS),
)
def test_random_text(data: bytes, size: int, threads: int) -> None:
    cuts = range(size, len(data), size)
    assert split(data, *cuts, threads=threads, segment=24) == by_icu(data)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("part", ["abc.def,12", "naïve–été/", "东京abc", "🇩🇪x", "\u0327", "ä"])
def test_pieces_longer_than_a_segment_stay_whole(part: str, threads: int) -> None:
    piece = part * (3 * PIECE_LIMIT // len(part))
    data = f"before x{piece} after {piece}\n {piece}".encode()
    cuts = range(700, len(data), 700)
    assert split(data, *cuts, threads=threads, segment=3000) == by_icu(data)


@pytest.mark.parametrize("threads", THREADS)
def test_more_words_than_memory(threads: int) -> None:
    chance = random.Random(threads)
    text = " ".join(f"{'long' * 9}{chance.randrange(40_000)} w{n % 31_003}" for n in range(70_000))
    counter = WordCounter()
    counter.feed(text.encode())
    assert split(text.encode(), threads=threads, memory=1) == figures(counter.finish())


def test_nothing_and_a_stream_without_a_blank() -> None:
    for threads in THREADS:
        assert split(b"", threads=threads)[1:] == (0, 0, 0, 0)
        assert split(b"word", 1, 2, threads=threads)[1:] == (1, 1, 4, 0)


def test_memory_stays_bounded_whatever_the_vocabulary() -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from wordfreq_batch.text.parallel import SplitCounter\n"
        "counter = SplitCounter(threads=int(sys.argv[1]), memory=24 << 20)\n"
        "for n in range(25):\n"
        "    words = (f'w{i * 7919 % 1000003}x{n}' for i in range(20_000))\n"
        "    counter.feed(' '.join(words).encode() + b' ')\n"
        "assert counter.finish().words == 500_000\n"
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])\n"
    )
    for threads in (1, 3):
        done = subprocess.run(
            [sys.executable, "-c", code, str(threads)], capture_output=True, text=True, check=True
        )
        # interpreter and ICU about 35 MB, texts on their way about 15
        assert int(done.stdout) < (24 + 75) << 10


def test_a_failing_thread_stops_the_counting(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    for name in ("feed", "finish"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(WordCounter, name, fail)
            with (
                pytest.raises(OSError, match="disk full"),
                closing(SplitCounter(threads=3, memory=1 << 24)) as counter,
            ):
                for _ in range(100):
                    counter.feed(b"some words " * 20_000)
                counter.finish()


def test_closing_early_drops_everything(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with closing(SplitCounter(threads=3, memory=1)) as counter:
        for number in range(10):
            counter.feed(b" ".join(b"%d-%d" % (number, n) for n in range(40_000)))
    assert not list(tmp_path.iterdir())


def test_a_counter_is_used_again_after_whatever_happened() -> None:
    counter = WordCounter()
    for before in (b"", b"left over", HARD, b"x" * 20_000, "东京".encode() * 9_000, b"\xe2\x80"):
        counter.feed(before)
        counter.reset()
        counter.feed(HARD + before)
        first = counter.finish()
        seen = list(first.tally.by_count()), first.words, first.distinct, first.bytes, first.invalid
        counter.reset()
        assert seen == (by_icu(HARD + before)[0][1], *by_icu(HARD + before)[1:])  # type: ignore[index]


def chunks_of(*items: bytes | Exception, made: list[int] | None = None) -> Iterator[bytes]:
    for number, item in enumerate(items):
        if made is not None:
            made.append(number)
        if isinstance(item, Exception):
            raise item
        yield item


def test_what_is_made_ahead_comes_in_order_with_its_error_last() -> None:
    seen = []
    with (
        pytest.raises(ValueError, match="damaged"),
        ahead(chunks_of(b"1", b"2", b"", b"3", ValueError("damaged"))) as chunks,
    ):
        seen.extend(chunks)  # keeps none if it fails
    with ahead(chunks_of(b"1", b"2", b"", b"3")) as chunks:
        seen.extend(chunks)
    assert seen[-4:] == [b"1", b"2", b"", b"3"]


def test_only_a_few_chunks_are_made_ahead_and_a_failing_consumer_ends_it() -> None:
    made: list[int] = []
    use: Callable[[bytes], int] = lambda _: 1 // 0  # noqa: E731
    with pytest.raises(ZeroDivisionError), ahead(chunks_of(*[b"x"] * 100, made=made)) as chunks:
        for chunk in chunks:
            use(chunk)
    assert len(made) < 10


def test_an_exception_in_the_middle_of_an_ahead_is_that_of_the_consumer() -> None:
    before = os.getpid()
    with pytest.raises(KeyError), ahead(chunks_of(b"x", ValueError("later"))) as chunks:
        next(chunks)
        raise KeyError(before)
