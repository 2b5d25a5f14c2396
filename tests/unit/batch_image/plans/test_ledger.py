"""What is known to be counted stays known, whatever can't be read for a while."""

from __future__ import annotations

from pathlib import Path

import pytest

from wordfreq_batch.errors import StorageError
from wordfreq_batch.plans import ledger
from wordfreq_batch.plans.formats import LEDGER, CountedFile
from wordfreq_batch.plans.known import compact_ledger, look_up
from wordfreq_batch.plans.plan import Item, KnownCounts
from wordfreq_batch.storage.local import LocalReader, LocalStore

ITEMS = [Item(f"{number}.txt", 1, "e") for number in range(2 * ledger.COMPACT_ABOVE)]


class Flaky(LocalStore):
    """Fails to open an object of these names once."""

    fails = ""

    def open(self, key: str, *, etag: str | None = None, ranges: int = 1) -> LocalReader:
        if self.fails and key.startswith(LEDGER + self.fails):
            self.fails = ""
            raise StorageError("the network was down")
        return super().open(key, etag=etag, ranges=ranges)


def counted(store: Flaky) -> tuple[int, list[str]]:
    """How many items are known to be counted, by a plan that compacts, and what it complains of."""
    said: list[str] = []
    known = look_up(store, ITEMS, version_of=lambda _: "1", progress=print, warn=said.append)
    compact_ledger(known, warn=said.append)
    return sum(item.counted is not None for item in known.items), said


@pytest.mark.parametrize(("fails", "lost"), [("compact-", 150), ("last", 1)])
def test_what_could_not_be_read_once_is_not_removed(tmp_path: Path, fails: str, lost: int) -> None:
    store = Flaky(str(tmp_path))
    rows = [
        CountedFile(item.name, "e", 1, "1", KnownCounts(store.put(item.name, b"a:1\n"), 1, 1, 0))
        for item in ITEMS
    ]
    for number, row in enumerate(rows[: ledger.COMPACT_ABOVE + 1]):
        ledger.append(store, [row], origin=f"task-{number}")
    assert counted(store) == (ledger.COMPACT_ABOVE + 1, [])
    [first] = (tmp_path / LEDGER).iterdir()
    assert first.name.startswith("compact-")

    ledger.compact(store, rows[:150], [LEDGER + first.name])
    for number in range(ledger.COMPACT_ABOVE + 2):
        ledger.append(store, [rows[min(150 + number, 198)]], origin=f"task-{number}")
    ledger.append(store, [rows[199]], origin="last")
    store.fails = fails
    found, said = counted(store)
    assert found == len(ITEMS) - lost
    assert "the network was down" in said[0]
    assert len(list((tmp_path / LEDGER).iterdir())) == 2
    assert counted(store) == (len(ITEMS), [])
