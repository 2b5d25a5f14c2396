"""What is already counted: few objects beside the counts, never a request per file.

A finished task appends one object, a plan reads them all. A row is
valid only where the source's listing shows the ETag it was counted from and the destination's
listing the ETag it resulted in; so rows may be stale, doubled or lost, and the worst that comes of
it is that a file is counted again. Objects are JSON lines (`CountedFile.dumps`), many of them
compacted into one `.jsonl.zst`.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator

from wordfreq_batch.errors import DataError, WordfreqError
from wordfreq_batch.plans.formats import LEDGER, CountedFile
from wordfreq_batch.storage.store import ObjectInfo, Store
from wordfreq_batch.text.unpack import decompressed

COMPACT_ABOVE = 100
"""More objects than that are worth a compaction."""

_SMALL = 4 << 20


def append(store: Store, rows: Iterable[CountedFile], *, origin: str) -> None:
    """Add rows as one object of the destination `store`.

    `origin` becomes the object's name, so it has to be unique.
    """
    text = "".join(row.dumps() + "\n" for row in rows)
    if text:
        store.put(f"{LEDGER}{origin}.jsonl", text.encode())


def read(
    store: Store, objects: Iterable[ObjectInfo], *, warn: Callable[[str], None], unread: set[str]
) -> Iterator[CountedFile]:
    """Yield the rows of these ledger objects (keys as `store` lists them), in any order.

    What can't be read is reported by `warn` and left out. To `unread` go the keys of objects that
    may be read another time; a damaged one is none of them.
    """

    def failed(key: str, error: WordfreqError) -> None:
        warn(f"{store.url(key)}: {error}; its files are counted again")
        if not isinstance(error, DataError):
            unread.add(key)

    small: list[str] = []
    large: list[str] = []
    for info in objects:
        plain = info.size <= _SMALL and info.key.endswith(".jsonl")
        (small if plain else large).append(info.key)
    for key, answer in store.get_many(small):
        if isinstance(answer, WordfreqError):
            failed(key, answer)
        else:
            yield from _rows(answer.splitlines(), store.url(key), warn)
    for key in large:
        yield from _rows(_lines(store, key, failed), store.url(key), warn)


def _lines(store: Store, key: str, failed: Callable[[str, WordfreqError], None]) -> Iterator[bytes]:
    try:
        with store.open(key) as reader:
            chunks = decompressed(reader, name=store.url(key))
            yield from io.BufferedReader(_Chunks(chunks), 1 << 20)
    except WordfreqError as error:
        failed(key, error)


class _Chunks(io.RawIOBase):
    """An iterator of chunks as a file, for its lines."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._left = chunk
        taken = min(len(buffer), len(self._left))
        buffer[:taken] = self._left[:taken]
        self._left = self._left[taken:]
        return taken


def _rows(lines: Iterable[bytes], uri: str, warn: Callable[[str], None]) -> Iterator[CountedFile]:
    for line in lines:
        try:
            yield CountedFile.loads(line)
        except (ValueError, TypeError):
            warn(f"{uri} is damaged; files it names may be counted again")
            return


def compact(store: Store, rows: Iterable[CountedFile], replaced: Iterable[str]) -> None:
    """Write `rows` as one object, then delete the objects `replaced` that they came from.

    Safe against tasks that append and against a second compaction at the same time: only objects
    whose rows were read may be among `replaced`, and the new one has a name of its own.
    """
    import zstandard

    key = f"{LEDGER}compact-{os.urandom(8).hex()}.jsonl.zst"
    compressor = zstandard.ZstdCompressor(level=3, write_checksum=True).compressobj()
    with store.writer(key) as writer:
        for row in rows:
            if data := compressor.compress(row.dumps().encode() + b"\n"):
                writer.write(data)
        writer.write(compressor.flush())
    store.delete(replaced)
