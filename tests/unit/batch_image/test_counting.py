"""Counting many files by threads: what goes wrong with one of them is that file's alone."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from wordfreq_batch.counts.counting import Stores, count_items
from wordfreq_batch.plans.formats import ItemReceipt
from wordfreq_batch.plans.plan import Item
from wordfreq_batch.storage.opening import open_store
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
    counting = threading.Thread(
        target=lambda: count_items(
            stores, items, total=None, memory=1 << 22, threads=threads, done=receipts.append
        ),
        daemon=True,
    )
    counting.start()
    counting.join(60)
    assert not counting.is_alive()
    assert sorted(receipt.name for receipt in receipts) == names
    assert sum(receipt.error is not None for receipt in receipts) == 1
