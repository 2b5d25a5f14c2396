"""Objects read by parallel ranges: in order, whole, also over connections that break."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timezone

import pytest

from wordfreq_batch.errors import (
    ChangedError,
    StorageError,
)
from wordfreq_batch.storage import s3_reader
from wordfreq_batch.storage.s3_reader import S3Reader
from wordfreq_batch.storage.store import ObjectInfo

DATA = bytes(n * 31 % 251 for n in range(10_000))
INFO = ObjectInfo("k", len(DATA), "e", datetime.now(timezone.utc))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(s3_reader, "RANGE", 1000)
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join()


class Server:
    """Answers 70 bytes at a time; every `breaks`th answer breaks after 200 bytes."""

    def __init__(self, breaks: int = 0, *, fails_at: int = -1) -> None:
        self.breaks = breaks
        self.fails_at = fails_at
        self.asked: list[tuple[int, int]] = []

    def __call__(self, *, start: int, end: int | None = None) -> tuple[ObjectInfo, Iterator[bytes]]:
        self.asked.append((start, end or len(DATA)))
        if start == self.fails_at:
            raise ChangedError("s3://b/k has changed")
        broken = self.breaks and len(self.asked) % self.breaks == 0
        return INFO, self.body(start, end or len(DATA), bool(broken))

    def body(self, start: int, end: int, broken: bool) -> Iterator[bytes]:
        for at in range(start, end, 70):
            if broken and at > start + 200:
                raise OSError("connection reset")
            yield DATA[at : min(at + 70, end)]


@pytest.mark.parametrize("ranges", [1, 2, 3, 50])
@pytest.mark.parametrize("breaks", [0, 2, 3])
def test_all_bytes_come_in_order(ranges: int, breaks: int) -> None:
    server = Server(breaks)
    info, first = server(start=0)
    with closing(S3Reader("s3://b/k", info, first, server, ranges)) as reader:
        assert b"".join(reader) == DATA
    if ranges > 1 and not breaks:
        assert sorted(server.asked)[1:] == [(n, n + 1000) for n in range(1000, 10_000, 1000)]


def test_a_connection_that_always_breaks_is_an_error() -> None:
    server = Server(1)
    info, first = server(start=0)
    with (
        closing(S3Reader("s3://b/k", info, first, server, 3)) as reader,
        pytest.raises(StorageError, match="s3://b/k: the connection broke after"),
    ):
        list(reader)


def test_only_so_many_ranges_are_asked_for_at_once_and_a_change_is_noticed() -> None:
    server = Server(fails_at=7000)
    info, first = server(start=0)
    seen = []
    with closing(S3Reader("s3://b/k", info, first, server, 3)) as reader:
        chunks = iter(reader)
        seen.append(next(chunks))
        assert len(server.asked) <= 1 + 3
        with pytest.raises(ChangedError):
            seen.extend(chunk for chunk in chunks)
    assert len(server.asked) <= 11
