"""Counts one large stream by several threads. For `counts.counting`.

The stream is cut at ASCII blanks, where a word can't be (`text.words`, "Pieces"), and each
thread has a counter of its own; at the end their tables are put together. So the result is that of
one `WordCounter`, whoever counted which part. The kernel lets go of the interpreter while it
counts; without the kernel, threads would only take turns.
"""

from __future__ import annotations

from queue import SimpleQueue
from typing import Final

from wordfreq_batch.text.words import (
    Counted,
    WordCounter,
)
from wordfreq_batch.together import Crew, Stop

_Part = tuple[bytes, int, int]  # the bytes of a chunk from the first position to the second

_SEGMENT: Final = 2 << 20
_WAITING: Final = 2  # segments that a thread has: one it works on, and the next
_BLANKS: Final = b" \n\r\t\v\f"


class SplitCounter:
    """Like `WordCounter`, with several threads. Close it; after that none of them is left."""

    def __init__(
        self, *, threads: int, memory: int, size: int = 0, segment: int = _SEGMENT
    ) -> None:
        """Make a counter.

        Args:
            threads: how many count.
            memory: bytes for the tables of all of them.
            size: of the stream in bytes, if it is known.
            segment: bytes that a thread gets at a time. Less than a sixteenth of that is kept until
                there is more.
        """
        self._segment = segment
        self._memory = memory // threads
        self._size = size // threads
        self._most = threads
        self._crew = Crew()
        self._workers: list[_Worker] = []
        self._free: SimpleQueue[_Worker] = SimpleQueue()
        self._unfinished: _Worker | None = None
        self._rest = bytearray()  # goes before what comes next

    def feed(self, chunk: bytes) -> None:
        """Count the next bytes of the stream."""
        if len(self._rest) + len(chunk) < self._segment // 16:
            self._rest += chunk
            return
        for start in range(0, len(chunk), self._segment):
            end = min(start + self._segment, len(chunk))
            cut = _behind_last_blank(chunk, start, end)
            if cut > start:
                self._send((chunk, start, cut), ends=True)
                self._rest += chunk[cut:end]
            elif len(self._rest) + end - start < self._segment:
                self._rest += chunk[start:end]
            else:  # a piece without end stays with one thread
                self._send((chunk, start, end), ends=False)

    def finish(self) -> Counted:
        """Count what is left and return the result."""
        self._send((b"", 0, 0), ends=True)
        self._no_more()
        self._crew.wait()
        results = [worker.counted for worker in self._workers if worker.counted is not None]
        results.sort(key=lambda each: each.words, reverse=True)
        whole = results[0]
        whole.tally.use_threads(self._most)
        for each in results[1:]:
            whole.tally.absorb(each.tally)
            whole.tally.grow(self._memory)
        return whole._replace(
            words=whole.tally.total,
            distinct=whole.tally.distinct,
            bytes=sum(each.bytes for each in results),
            invalid=sum(each.invalid for each in results),
        )

    def close(self) -> None:
        """Stop the threads and drop everything that `finish` hasn't returned."""
        with self._crew:
            self._crew.stop.wanted = True
            self._no_more()
        for worker in self._workers:
            if worker.counted is None:
                worker.drop()

    def _send(self, part: _Part, *, ends: bool) -> None:
        """Give what waits and `part` to a thread; `ends`: with that the piece at its end ends."""
        worker = self._next_free()
        self._crew.check()
        rest = bytes(self._rest)
        self._rest.clear()
        worker.inbox.put(((rest, 0, len(rest)), part))
        self._unfinished = None if ends else worker

    def _next_free(self) -> _Worker:
        """Wait for a thread that has room: the one with the beginning of the piece, if one has."""
        if len(self._workers) < self._most and self._unfinished is None:
            counter = WordCounter(memory=self._memory, size=self._size)
            worker = _Worker(counter, self._free, self._crew.stop)
            self._workers.append(worker)
            # The last time so that whoever waits for room sees what went wrong.
            self._crew.start(worker.run, then=worker.has_room)
            return worker
        found = self._free.get()
        others = []
        while self._unfinished not in (None, found):
            others.append(found)
            found = self._free.get()
        for each in others:
            self._free.put(each)
        return found

    def _no_more(self) -> None:
        for worker in self._workers:
            worker.inbox.put(None)


class _Worker:
    """Counts what comes; puts itself into `free` once for each segment that it has room for."""

    def __init__(self, counter: WordCounter, free: SimpleQueue[_Worker], stop: Stop) -> None:
        self.inbox: SimpleQueue[tuple[_Part, ...] | None] = SimpleQueue()
        self.counted: Counted | None = None
        self._counter = counter
        self._free = free
        self._stop = stop
        for _ in range(_WAITING - 1):  # the first segment is on its way
            self.has_room()

    def has_room(self) -> None:
        """Say that there is room for one segment more."""
        self._free.put(self)

    def run(self) -> None:
        """Count until there is nothing more to come."""
        while (parts := self.inbox.get()) is not None:
            for part in parts:
                self._stop.check()
                self._counter.feed(*part)
            del parts  # the chunk may be large
            self.has_room()
        self._stop.check()
        self.counted = self._counter.finish()

    def drop(self) -> None:
        """Drop what was counted."""
        self._counter.close()


def _behind_last_blank(chunk: bytes, start: int, end: int) -> int:
    """The position behind the last ASCII blank of a part of the chunk; `start` if there is none."""
    # There is nearly always a blank near the end: it is looked for there first.
    for begin in ((start + 511 * end) // 512, start):
        cut = 1 + max(chunk.rfind(blank, begin, end) for blank in _BLANKS)
        if cut:
            return cut
    return start
