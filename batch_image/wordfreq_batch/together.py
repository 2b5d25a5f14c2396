"""Several threads at one work: each does its share, and what goes wrong in one ends all.

For `merge.group_sums` and `tables.by_count`. The kernel lets go of the interpreter while it
adds up, sorts and merges, and so do the libraries that compress.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from queue import SimpleQueue
from typing import Final, Generic, TypeVar

from wordfreq_batch.ahead import ended

T = TypeVar("T")

_PATIENCE: Final = 3.0  # seconds to wait for threads when all is lost anyway


class GivenUpError(Exception):
    """The work is given up; nobody wants to know of this share any more."""


class Stop:
    """Whether the work is given up."""

    def __init__(self) -> None:
        self.wanted = False

    def check(self) -> None:
        """Raise `GivenUpError` if it is; to be called every now and then."""
        if self.wanted:
            raise GivenUpError

    def checked(self, chunks: Iterable[T]) -> Iterator[T]:
        """The same, with a check before each."""
        for chunk in chunks:
            self.check()
            yield chunk


class Shared(Generic[T]):
    """An iterator that several threads may take from."""

    # Not a generator: that can be in use by one thread only.

    def __init__(self, items: Iterable[T]) -> None:
        self._items = iter(items)
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        with self._lock:
            return next(self._items)


def together(shares: Sequence[Callable[[Stop], T]]) -> list[T]:
    """Call all of these at once, in a thread each; return what they return.

    The first error is raised, and the others are told to stop; so they are by a signal.
    """
    stop = Stop()
    if len(shares) == 1:
        return [shares[0](stop)]
    results: list[T | None] = [None] * len(shares)
    done: SimpleQueue[BaseException | None] = SimpleQueue()

    def run(number: int) -> None:
        try:
            results[number] = shares[number](stop)
        except BaseException as error:  # noqa: BLE001 - it is raised below
            done.put(error)
        else:
            done.put(None)

    threads = [
        threading.Thread(target=run, args=(number,), name="wordfreq-together")
        for number in range(len(shares))
    ]
    try:
        for thread in threads:
            thread.start()
        for _ in threads:
            if (error := done.get()) is not None:
                raise error
    finally:
        stop.wanted = True
        deadline = time.monotonic() + _PATIENCE
        for thread in threads:
            ended(thread, deadline)
    return [result for result in results if result is not None]
