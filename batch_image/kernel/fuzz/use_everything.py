"""Goes through the counting with the C kernel: results, spills, threads, errors. For leaks.sh."""

from __future__ import annotations

import os
from contextlib import closing, suppress

from wordfreq_batch.tables import engine, icu
from wordfreq_batch.tables.tally import Tally
from wordfreq_batch.text.parallel import SplitCounter
from wordfreq_batch.text.words import WordCounter

TEXT = (
    "It's “don’t”, U.S. 3.14 ΟΔΥΣΣΕΥΣ ΑΣ·Α É e\u0301 हिन्दी ภาษาไทย 东京タワー 한국어a 👩‍💻 🇩🇪🇫🇷 "
    "incomprehensibilities-of-words-longer-than-sixteen-bytes "
).encode() + b"bad\xff\xe2\x80x "


def count_streams() -> None:
    """Counts text of all kinds, with little memory, again after a reset, and by threads."""
    many = " ".join(f"{'long' * 5}{n} w{n} é{n}" for n in range(60_000)).encode()
    counter = WordCounter(memory=1)
    for data in (TEXT * 500, many, "东京".encode() * 50_000, b"\xf0\x9f" * 5_000, b""):
        counter.feed(data)
        with counter.finish() as counted:
            assert sum(1 for _ in counted.tally.by_word()) == counted.distinct
            counted.tally.by_count()
        counter.reset()
    with Tally(memory=1) as total:
        assert len(counter.count_each([TEXT, b"", TEXT * 100, many], total)) == 3
    counter.feed("unfinished “é” 东".encode())
    counter.reset()
    with closing(SplitCounter(threads=3, memory=1)) as split:
        for _ in range(3):
            split.feed(many + TEXT)
        with split.finish() as counted:
            assert counted.words > 100_000


def make_errors() -> None:
    """Uses the types in wrong ways; each has to let go of what it got."""
    kernel = engine.kernel()
    assert kernel is not None
    table = kernel.Table(1 << 24)
    addresses = icu.addresses()
    scanner = kernel.Scanner(table, unicode=True, icu=addresses)
    scanner.feed(TEXT * 200, 0, 200 * len(TEXT))
    half_read = table.by_word()
    next(half_read)
    for action in (
        lambda: kernel.Scanner(table, unicode=True, icu=addresses[1:]),
        lambda: kernel.Scanner(table, unicode=True, icu=(0,) * len(addresses)),
        lambda: kernel.Scanner(object(), unicode=True),
        lambda: kernel.Table("x"),
        lambda: table.add(iter([("a", 1), ("b", -1)])),
        lambda: table.add(iter([("\ud800", 1)])),
        lambda: table.add(table.by_word()),
        lambda: table.add(1 // 0 for _ in "x"),
        lambda: table.by_count().lines(b"::", 1),
        lambda: scanner.feed(TEXT, 5, 4),
        lambda: scanner.count_each([TEXT], b":", None),
        lambda: kernel.Scanner(kernel.Table(1 << 24), unicode=True).count_each([1], b":", None),
        lambda: next(half_read),
    ):
        with suppress(Exception):
            action()
            raise SystemExit("no error")
    kernel.Scanner(table, unicode=False).take_pieces()


if __name__ == "__main__":
    os.environ[engine.VARIABLE] = "kernel"
    for _ in range(2):
        count_streams()
        make_errors()
    print("everything was used")  # noqa: T201
