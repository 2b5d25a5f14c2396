"""Several threads at one work: what goes wrong in one of them is raised where the work is awaited.

For everything here that counts, adds up, reads ahead or sorts by threads. The kernel lets go of the
interpreter while it works, and so do the libraries that compress.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from math import inf
from queue import SimpleQueue
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_PATIENCE: Final = 3.0  # seconds to wait for threads when all is lost anyway
_AHEAD: Final = 4  # chunks made before they are wanted


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


class Crew:
    """The threads of one work, and a context that ends when they have ended.

    An error or a signal in it gives the work up: then they have some seconds to end, as one that
    waits for a silent network isn't worth waiting for.
    """

    # SimpleQueue throughout, as a signal handler that raises an exception can't harm it.

    def __init__(self) -> None:
        self.stop = Stop()
        self._threads: list[threading.Thread] = []
        self._done: SimpleQueue[None] = SimpleQueue()
        self._errors: list[BaseException] = []

    def start(
        self, work: Callable[[], object], *, then: Callable[[], object] | None = None
    ) -> None:
        """Begin some work in a thread of its own; `then` is called when it is over, however."""

        def run() -> None:
            try:
                work()
            except GivenUpError:
                pass
            except BaseException as error:  # noqa: BLE001 - `check` raises it
                self._errors.append(error)
            finally:
                self._done.put(None)
                if then is not None:
                    then()

        thread = threading.Thread(target=run, name="wordfreq-crew")
        self._threads.append(thread)
        thread.start()

    def check(self) -> None:
        """Raise the first error of any thread."""
        if self._errors:
            raise self._errors[0]

    def wait(self) -> None:
        """Wait until all work is done, or raise the first error as soon as it is there."""
        for _ in self._threads:
            self._done.get()
            self.check()

    @property
    def ended(self) -> bool:
        """Whether no thread is left."""
        return not any(thread.is_alive() for thread in self._threads)

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.stop.wanted |= kind is not None
        deadline = time.monotonic() + _PATIENCE if self.stop.wanted else inf
        for thread in self._threads:
            _join(thread, deadline)


def together(shares: Sequence[Callable[[Stop], T]]) -> list[T]:
    """Call all of these at once, in a thread each; return what they return.

    The first error is raised, and the others are told to stop; so they are by a signal.
    """
    crew = Crew()
    if len(shares) == 1:  # nothing is gained by another thread
        return [shares[0](crew.stop)]
    results: dict[int, T] = {}

    def run(number: int) -> None:
        results[number] = shares[number](crew.stop)

    with crew:
        for number in range(len(shares)):
            crew.start(lambda number=number: run(number))  # type: ignore[misc]
        crew.wait()
    return [results[number] for number in range(len(shares))]


@contextmanager
def ahead(chunks: Iterable[bytes]) -> Iterator[Iterator[bytes]]:
    """Give the same chunks, made by a thread some chunks ahead: so others count meanwhile.

    What `chunks` raises is raised here, at its place among them.
    """
    made: SimpleQueue[bytes | None] = SimpleQueue()
    room: SimpleQueue[None] = SimpleQueue()
    crew = Crew()

    def make() -> None:
        for chunk in chunks:
            made.put(chunk)
            room.get()
            crew.stop.check()

    def taken() -> Iterator[bytes]:
        while (chunk := made.get()) is not None:
            room.put(None)
            yield chunk
        crew.check()

    for _ in range(_AHEAD):
        room.put(None)
    with crew:
        crew.start(make, then=lambda: made.put(None))
        try:
            yield taken()
        finally:
            crew.stop.wanted = True
            room.put(None)


def _join(thread: threading.Thread, deadline: float) -> None:
    """Wait for the end of a thread until `time.monotonic()` is `deadline`.

    Unlike `join` it can cope with a signal whose exception came up within `thread.start()`.
    """
    for _ in range(100):
        try:
            thread.join(None if deadline == inf else max(0.0, deadline - time.monotonic()))
        except RuntimeError:  # not started, or about to say that it is
            time.sleep(0.01)
        else:
            return
