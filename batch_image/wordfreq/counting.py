"""Counting single files: read one, store its counts, say what came of it. For `wordfreq.migrate`.

Small files are fetched many at a time, and their results stored many at a time; in between one
thread counts, as counting holds the interpreter anyway. Large files are streamed. So memory is
bounded by a few dozen megabytes and two tables of words, whatever the files' number and size.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace

from wordfreq.counts import write_counts
from wordfreq.errors import StorageError, WordfreqError
from wordfreq.formats import ItemReceipt
from wordfreq.plan import Item
from wordfreq.storage import Store
from wordfreq.tally import Tally
from wordfreq.tasks import failure
from wordfreq.text import Utf8Text
from wordfreq.words import Counted, WordCounter

SMALL = 1 << 20
"""Files up to this many bytes are fetched whole, several at once."""

CONCURRENCY = 32
GIVE_UP_AFTER = 10
"""So many storage errors in a row mean that it's not the files: the rest isn't tried."""

_ONE_REQUEST = 8 << 20  # bytes of counts that are stored by one put


@dataclass(frozen=True, slots=True)
class Stores:
    """Where the files come from and where the counts go."""

    source: Store
    destination: Store


def count_items(
    stores: Stores,
    items: Sequence[Item],
    *,
    total: Tally | None,
    memory: int,
    done: Callable[[ItemReceipt], None],
) -> None:
    """Count these files, store their counts, and call `done` with each one's receipt, in any order.

    The words are also added to `total`. `memory` bounds the words of one file held at a time, in
    bytes. A file that fails gets its error in its receipt, the others go on.
    """
    with _Storing(stores.destination, done) as storing:
        for item, chunks in _opened(stores.source, items, storing):
            started = time.monotonic()
            try:
                counted, item_read = _count(stores.source, item, chunks, memory=memory)
                with counted:
                    if total is not None:
                        total.add(counted.tally.by_word())
                    storing.store(
                        ItemReceipt(
                            name=item.name,
                            etag=item_read.etag,
                            size=item_read.size,
                            bytes=counted.bytes,
                            words=counted.words,
                            distinct=counted.distinct,
                            invalid=counted.invalid,
                            seconds=time.monotonic() - started,
                        ),
                        counted,
                    )
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this file's
                storing.failed(item, error)


def _opened(
    source: Store, items: Sequence[Item], storing: _Storing
) -> Iterator[tuple[Item, bytes | None]]:
    """Each item with its bytes, or with None where it is to be streamed."""
    # Without an ETag (a foreign plan) it has to be streamed: only that way the ETag is learnt.
    small = {item.name: item for item in items if item.etag and item.size <= SMALL}
    etags = {name: item.etag for name, item in small.items()}
    wanted = (name for name in list(small) if not storing.hopeless)
    for name, answer in source.get_many(wanted, concurrency=CONCURRENCY, etags=etags):
        item = small.pop(name)
        if isinstance(answer, WordfreqError):
            storing.failed(item, answer)
        else:
            yield item, answer
    for item in items:
        if item.name in small or not (item.etag and item.size <= SMALL):
            if storing.hopeless:
                storing.failed(item, StorageError("not tried: the storage failed too often"))
            else:
                yield item, None


def _count(source: Store, item: Item, data: bytes | None, *, memory: int) -> tuple[Counted, Item]:
    """The words of one file, and the item with size and ETag of what was read."""
    if data is not None:
        return _words_of([data], source.url(item.name), memory), item
    with source.open(item.name, etag=item.etag or None) as reader:
        counted = _words_of(reader, source.url(item.name), memory)
        return counted, replace(item, size=reader.info.size, etag=reader.info.etag)


def _words_of(chunks: Iterable[bytes], uri: str, memory: int) -> Counted:
    text = Utf8Text(chunks, name=uri)
    counter = WordCounter(memory=memory)
    for chunk in text:
        counter.feed(chunk)
    counted = counter.finish()
    return replace(counted, invalid=counted.invalid + text.invalid)


class _Storing:
    """Stores counts in the background, at most `CONCURRENCY` at a time."""

    def __init__(self, store: Store, done: Callable[[ItemReceipt], None]) -> None:
        self._store = store
        self._done = done
        self._pool = ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="wordfreq-put")
        self._running: dict[Future[str], ItemReceipt] = {}
        self._in_a_row = 0

    @property
    def hopeless(self) -> bool:
        """Whether the storage has failed so often that trying on is no use."""
        return self._in_a_row >= GIVE_UP_AFTER

    def __enter__(self) -> _Storing:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._settle(leave=0)
        self._pool.shutdown(wait=kind is None, cancel_futures=True)

    def store(self, receipt: ItemReceipt, counted: Counted) -> None:
        """Store one file's counts: small ones in the background, large ones here and now."""
        chunks = write_counts(counted.tally.by_count())
        first = bytearray()
        for chunk in chunks:
            first += chunk
            if len(first) > _ONE_REQUEST:
                break
        else:
            self._running[self._pool.submit(self._store.put, receipt.name, bytes(first))] = receipt
            self._settle(leave=CONCURRENCY - 1)
            return
        with self._store.writer(receipt.name) as writer:
            writer.write(bytes(first))
            first.clear()
            for chunk in chunks:
                writer.write(chunk)
        self._succeeded(receipt, writer.etag)

    def failed(self, item: Item, error: Exception) -> None:
        """Report that a file could not be counted."""
        self._in_a_row = self._in_a_row + 1 if isinstance(error, StorageError) else 0
        self._done(failure(item, error))

    def _settle(self, *, leave: int) -> None:
        """Report what has been stored; wait until at most `leave` puts are on their way."""
        while self._running:
            enough = len(self._running) <= leave
            done, _ = wait(
                self._running, return_when=FIRST_COMPLETED, timeout=0 if enough else None
            )
            if not done:
                return
            for future in done:
                receipt = self._running.pop(future)
                error = future.exception()
                if error is None:
                    self._succeeded(receipt, future.result())
                elif isinstance(error, Exception):
                    self.failed(Item(receipt.name, receipt.size, receipt.etag), error)
                else:
                    raise error

    def _succeeded(self, receipt: ItemReceipt, etag: str) -> None:
        self._in_a_row = 0
        self._done(replace(receipt, counts_etag=etag))
