"""Runs an iterator in a thread of its own, some chunks ahead. For `counts.counting`.

So decompressing goes on while others count: the libraries let go of the interpreter meanwhile.
Also what ends threads, for `text.parallel` too.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Final

_DEPTH: Final = 4  # chunks made before they are wanted


@contextmanager
def ahead(chunks: Iterable[bytes]) -> Iterator[Iterator[bytes]]:
    """Give the same chunks, made by a thread that is gone when the context has ended.

    What `chunks` raises is raised here, at its place among them.
    """
    producer = _Producer(chunks)
    producer.start()
    try:
        yield producer.taken()
    finally:
        producer.stop()


class _Producer(threading.Thread):
    # SimpleQueue, as a signal handler that raises an exception can't harm it.

    def __init__(self, chunks: Iterable[bytes]) -> None:
        super().__init__(name="wordfreq-ahead")
        self._chunks = chunks
        self._room: SimpleQueue[None] = SimpleQueue()
        self._made: SimpleQueue[bytes | None] = SimpleQueue()
        self._error: BaseException | None = None
        self._stopped = False
        for _ in range(_DEPTH):
            self._room.put(None)

    def run(self) -> None:
        try:
            for chunk in self._chunks:
                self._made.put(chunk)
                self._room.get()
                if self._stopped:
                    break
        except BaseException as error:  # noqa: BLE001 - it is raised by `taken`
            self._error = error
        self._made.put(None)

    def taken(self) -> Iterator[bytes]:
        while (chunk := self._made.get()) is not None:
            self._room.put(None)
            yield chunk
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        self._stopped = True
        self._room.put(None)
        ended(self)


def ended(thread: threading.Thread, deadline: float | None = None) -> bool:
    """Wait for the end of a thread (until `time.monotonic()` is `deadline`); whether it has ended.

    Unlike `join` it can cope with a signal whose exception came up within `thread.start()`.
    """
    for _ in range(100):
        try:
            thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
        except RuntimeError:  # not started, or about to say that it is
            time.sleep(0.01)
        else:
            return not thread.is_alive()
    return not thread.is_alive()
