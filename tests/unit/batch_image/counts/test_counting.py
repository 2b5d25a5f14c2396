"""Counting many files by threads: what goes wrong with one of them is that file's alone."""

from __future__ import annotations

import gzip
import math
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from wordfreq_batch.counts.counting import count_items
from wordfreq_batch.counts.outage import IN_A_ROW, Stores
from wordfreq_batch.errors import PermissionDeniedError, StorageError
from wordfreq_batch.plans.formats import ItemReceipt
from wordfreq_batch.plans.plan import Item
from wordfreq_batch.storage.local import LocalStore
from wordfreq_batch.storage.opening import open_store
from wordfreq_batch.storage.store import ByteReader, ObjectInfo, Store
from wordfreq_batch.tables.tally import Tally
from wordfreq_batch.text.words import WordCounter


@pytest.mark.parametrize("threads", [1, 2])
def test_a_table_that_cannot_be_cleared_fails_one_file_and_holds_up_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    (tmp_path / "in").mkdir()
    names = [f"{number}.txt" for number in range(6)]
    for name in names:
        (tmp_path / "in" / name).write_text("some words")
    reset, calls = WordCounter.reset, []

    def failing(counter: WordCounter) -> None:
        calls.append(counter)
        if len(calls) == 3:
            raise MemoryError
        reset(counter)

    monkeypatch.setattr(WordCounter, "reset", failing)
    stores = Stores(open_store(str(tmp_path / "in")), open_store(str(tmp_path / "out")))
    receipts: list[ItemReceipt] = []
    items = [Item(name, 10, "") for name in names]
    thread = threading.Thread(
        target=lambda: count_items(
            stores, items, total=None, memory=1 << 22, threads=threads, done=receipts.append
        ),
        daemon=True,
    )
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    assert sorted(receipt.name for receipt in receipts) == names
    assert sum(receipt.error is not None for receipt in receipts) == 1


def counted(folder: Path, names: list[str], *, threads: int, total: Tally) -> dict[str, object]:
    """What the receipts say, and the stored counts."""
    stores = Stores(open_store(str(folder / "in")), open_store(str(folder / "out")))
    receipts: list[ItemReceipt] = []
    known = {info.key: info for info in stores.source.list()}
    items = [Item(name, known[name].size, known[name].etag) for name in names]
    count_items(stores, items, total=total, memory=1 << 22, threads=threads, done=receipts.append)
    assert sorted(receipt.name for receipt in receipts) == sorted(names)
    return {
        receipt.name: (
            receipt.error is None,
            receipt.words,
            receipt.distinct,
            receipt.bytes,
            receipt.invalid,
            receipt.error is None and stores.destination.get(receipt.name),
        )
        for receipt in receipts
    }


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.usefixtures("kernel")
def test_tiny_files_counted_together_are_counted_as_each_alone(
    tmp_path: Path, threads: int
) -> None:
    contents = {f"{n}.txt": f"word{n % 7} It’s 東京 été {n} ".encode() * n for n in range(60)}
    contents["none.txt"] = b""
    contents["bad.txt"] = "été ".encode() * 99 + b"bad \xff\xfe bytes \xe2\x80"
    contents["latin.txt"] = "été bréve".encode("latin-1")
    contents["picture.txt"] = b"\x89PNG\r\n\x1a\n" + bytes(99)
    contents["wide.txt"] = "utf-16 text".encode("utf-16")
    contents["many.txt"] = " ".join(f"{n:x}" for n in range(11_000)).encode()
    contents["piece.txt"] = b"x.y" * 9_000 + "ไทย".encode() * 2_000
    contents["grows.txt.gz"] = gzip.compress(b"a few words " * (1 << 20))
    contents["cut.txt.gz"] = gzip.compress(b"cut off " * 1000)[:-9]
    for name, content in contents.items():
        path = tmp_path / "in" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    with Tally(memory=1 << 22) as total, Tally(memory=1 << 22) as total_alone:
        together = counted(tmp_path, list(contents), threads=threads, total=total)
        alone: dict[str, object] = {}
        for name in contents:
            alone |= counted(tmp_path, [name], threads=threads, total=total_alone)
        assert together == alone
        assert list(total.by_word()) == list(total_alone.by_word())
    failed = {name for name, figures in together.items() if not figures[0]}
    assert failed == {"cut.txt.gz", "latin.txt"}


@pytest.mark.usefixtures("kernel")
def test_texts_that_need_more_room_than_there_is_are_left_to_be_fed() -> None:
    texts = [" ".join(f"w{n}x{m}" for m in range(900)).encode() for n in range(200)]
    counter = WordCounter(memory=1 << 30)
    with Tally(memory=1) as total:
        first = counter.count_each(texts, total)
        assert 0 < len(first) < len(texts)
        assert total.distinct == total.total == 900 * len(first)
        assert all((each.words, each.distinct, each.invalid) == (900, 900, 0) for each in first)
    counter.feed(b"it goes on")
    with pytest.raises(ValueError, match="in use"):
        counter._scanner.count_each(texts, b":", None)  # type: ignore[union-attr]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("limits", [{}, {"_LARGE": 1 << 16}, {"_ONE_REQUEST": 1 << 19}])
@pytest.mark.usefixtures("either_engine")
def test_counts_of_more_words_than_memory_are_stored_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int, limits: dict[str, int]
) -> None:
    for name, limit in limits.items():
        monkeypatch.setattr(f"wordfreq_batch.counts.counting.{name}", limit)
    words = [f"w{n:06}" for n in range(150_000)]
    (tmp_path / "in").mkdir()
    for name in ("a.txt", "b.txt"):
        (tmp_path / "in" / name).write_text(" ".join(words))
    whole = "".join(f"{word}:1\n" for word in words).encode()
    with Tally(memory=1 << 22) as total:
        found = counted(tmp_path, ["a.txt", "b.txt"], threads=threads, total=total)
        assert total.on_disk, "nothing was spilled"
        assert (total.total, total.distinct) == (300_000, 150_000)
    for figures in found.values():
        assert figures == (True, 150_000, 150_000, 8 * 150_000 - 1, 0, whole)


class OutOfReach(LocalStore):
    """A folder of a file server that gives no answer for so many questions, or for some files."""

    def __init__(
        self, folder: str, *, silent: float = 0, broken: Mapping[str, Exception] | None = None
    ) -> None:
        super().__init__(folder)
        self.silent = silent
        self.broken = broken or {}

    def _answer(self) -> None:
        self.silent -= 1
        if self.silent >= 0:
            raise StorageError("the file server doesn't answer")

    def list(self, prefix: str = "", *, start_after: str = "") -> Iterator[ObjectInfo]:
        self._answer()
        return super().list(prefix, start_after=start_after)

    def open(
        self, key: str, *, etag: str | None = None, ranges: int = 1
    ) -> AbstractContextManager[ByteReader]:
        self._answer()
        if key in self.broken:
            raise self.broken[key]
        return super().open(key, etag=etag, ranges=ranges)


def made(folder: Path, names: list[str]) -> str:
    """A folder with these files."""
    (folder / "in").mkdir()
    for name in names:
        (folder / "in" / name).write_text("some words")
    return str(folder / "in")


def outcome(source: Store, folder: Path, names: list[str], **more: float) -> dict[str, str]:
    """The error of each file, or nothing."""
    stores = Stores(source, open_store(str(folder / "out")))
    receipts: list[ItemReceipt] = []
    items = [Item(name, 10, "") for name in names]
    count_items(stores, items, total=None, memory=1 << 22, threads=1, done=receipts.append, **more)
    return {receipt.name: receipt.error or "" for receipt in receipts}


@pytest.mark.parametrize("error", [PermissionDeniedError, StorageError])
def test_files_that_cannot_be_read_keep_nobody_from_counting_their_neighbours(
    tmp_path: Path, error: type[Exception]
) -> None:
    bad = [f"a{number:02d}.txt" for number in range(3 * IN_A_ROW)]
    good = [f"z{number}.txt" for number in range(5)]
    folder = made(tmp_path, bad + good)
    source = OutOfReach(folder, broken={name: error(f"{name} is bad") for name in bad})
    assert outcome(source, tmp_path, bad + good) == {
        name: f"{name} is bad" if name in bad else "" for name in bad + good
    }


def test_an_outage_that_passes_costs_only_the_files_that_were_tried(tmp_path: Path) -> None:
    names = [f"{number:02d}.txt" for number in range(2 * IN_A_ROW)]
    source = OutOfReach(made(tmp_path, names), silent=IN_A_ROW + 2)
    errors = outcome(source, tmp_path, names, patience=60)
    assert [name for name in names if errors[name]] == names[:IN_A_ROW]


def test_an_outage_that_stays_leaves_the_rest_untried_and_says_why(tmp_path: Path) -> None:
    names = [f"{number:02d}.txt" for number in range(100)]
    source = OutOfReach(made(tmp_path, names), silent=math.inf)
    errors = outcome(source, tmp_path, names, patience=1)
    assert all("not tried" in errors[name] for name in names[IN_A_ROW:])
    assert all("the file server doesn't answer" in errors[name] for name in names)


def test_a_task_starts_without_what_it_does_not_need() -> None:
    """`dataclasses` imports `inspect`: a sixth of all that a task does before it counts."""
    program = "import sys, wordfreq_batch.cli.stages, wordfreq_batch.counts.migrate\n"
    program += "print({'dataclasses', 'boto3', 'chardet', 'pyarrow'} & sys.modules.keys())"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout == "set()\n", ran.stderr
