"""Counting streams: any chunking, hostile input, bounded memory."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import pytest

from wordfreq_batch.text.words import PIECE_LIMIT, Counted, WordCounter, tokens

HOSTILE = {
    "letters": "x",
    "random letters": None,
    "Han": "漢字",
    "Thai": "ภาษาไทย",
    "Khmer": "ភាសាខ្មែរ",
    "Katakana": "カタカナ",
    "Hangul": "한국어",
    "marks": "a" + "\u0301\u0323\u0345\u05b0" * 50,
    "only marks": "\u0323\u0301",
    "apostrophes": "a'",
    "joiners": "\u200d🅰",
    "flags": "🇩🇪",
    "sigmas": "Σ\u0301",
    "no-break spaces": "a\u00a0",
    "zero bytes": "\0",
    "bad bytes": None,
}


def hostile(kind: str, size: int) -> bytes:
    """About `size` bytes without an ASCII blank."""
    if kind == "bad bytes":
        return b"\xe2\x82\xff\xc0" * (size // 4)
    if kind == "random letters":
        return bytes(random.Random(1).choices(b"abcdefgh'.", k=size))
    unit = (HOSTILE[kind] or "").encode()
    return unit * (size // len(unit))


def count(chunks: list[bytes]) -> Counted:
    counter = WordCounter()
    for chunk in chunks:
        counter.feed(chunk)
    return counter.finish()


def chunked(data: bytes, seed: int) -> list[bytes]:
    rng = random.Random(seed)
    cuts = sorted({0, len(data), *(rng.randrange(len(data)) for _ in range(30))})
    return [data[a:b] for a, b in pairwise(cuts)]


@pytest.mark.usefixtures("either_engine")
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_megabyte_without_a_blank_gives_the_same_words_however_it_is_chunked(kind: str) -> None:
    data = hostile(kind, 1_100_000) + b" end " + hostile(kind, 20_000)
    expected = Counter(tokens(data.decode("utf-8", "replace")))
    whole = count([data])
    assert whole.counts == expected
    for seed in range(2):
        parts = count(chunked(data, seed))
        assert (parts.counts, parts.invalid) == (whole.counts, whole.invalid)


@pytest.mark.parametrize("kind", HOSTILE)
def test_time_is_linear_in_the_input(kind: str) -> None:
    def seconds(size: int) -> float:
        started = time.process_time()
        count([hostile(kind, size)])
        return time.process_time() - started

    # Quadratic work would need 64 times as long for 8 times the size.
    assert seconds(1_600_000) < 24 * max(seconds(200_000), 0.02)


@pytest.mark.usefixtures("either_engine")
def test_pieces_are_counted_the_same_when_there_are_very_many() -> None:
    text = " ".join(f"“w{n % 700}”, x{n}" for n in range(150_000))
    assert count([text.encode()]).counts == Counter(tokens(text))


def test_more_words_than_memory_are_counted_on_disk(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    rng = random.Random(3)
    text = [f"w{min(rng.randrange(150_000), rng.randrange(150_000))}" for _ in range(250_000)]
    expected = Counter(text)
    counter = WordCounter(memory=1)  # the least that it works with: 4 MiB
    counter.feed(" ".join(text).encode())
    with counter.finish() as counted:
        assert list(tmp_path.iterdir()), "nothing was spilled"
        assert (counted.words, counted.distinct) == (len(text), len(expected))
        assert list(counted.tally.by_word()) == sorted(expected.items())
        by_count = sorted(expected.items(), key=lambda item: (-item[1], item[0]))
        assert list(counted.tally.by_count()) == by_count
    assert not list(tmp_path.iterdir())


def child(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout


def test_a_huge_file_without_a_blank_takes_little_memory() -> None:
    peak = child(
        "from pathlib import Path\n"
        "from wordfreq_batch.text.words import WordCounter\n"
        "counter = WordCounter()\n"
        "for _ in range(20):\n"
        "    counter.feed(b'no-blank,in:this;file.' * 48_000)\n"
        "status = Path('/proc/self/status').read_text()\n"
        "print(counter.finish().words, status.split('VmHWM:')[1].split()[0])\n"
    )
    found, kibibytes = map(int, peak.split())
    assert found > 20 * 48_000 * 3  # 'file.no' is one word
    assert kibibytes < 60 << 10


def pieces() -> Iterator[str]:
    yield from ("a" * n for n in (PIECE_LIMIT - 1, PIECE_LIMIT, PIECE_LIMIT + 1))


def test_the_limit_itself_is_not_cut() -> None:
    lengths = [[len(word) for word in tokens(piece)] for piece in pieces()]
    assert lengths[:2] == [[PIECE_LIMIT - 1], [PIECE_LIMIT]]
    assert len(lengths[2]) == 2
