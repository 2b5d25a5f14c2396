"""Reading an object of S3: again where a connection broke, by parallel requests if it is large.

For `storage.s3` only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Protocol

import botocore.exceptions as botocore_errors
import obstore.exceptions as obstore_errors

from wordfreq_batch.errors import StorageError
from wordfreq_batch.storage.store import ObjectInfo

RANGE = 8 << 20
RESUMES = 5

_BROKEN = (obstore_errors.GenericError, botocore_errors.BotoCoreError, OSError)


class Stream(Protocol):
    """Starts a request for the bytes from `start` to `end` (all) of one version of the object."""

    def __call__(self, *, start: int, end: int | None = None) -> tuple[ObjectInfo, Iterator[bytes]]:
        """The object's information, and the bytes."""
        ...


class S3Reader:
    """The chunks of one object; takes the reading up again where a connection broke."""

    def __init__(
        self,
        uri: str,
        info: ObjectInfo,
        first: Iterator[bytes],
        stream: Stream,
        ranges: int,
    ) -> None:
        self._uri = uri
        self._stream = stream
        self._first = first
        self._ranges = ranges if info.size > 2 * RANGE else 1
        self._pool: ThreadPoolExecutor | None = None
        self.info = info

    def __iter__(self) -> Iterator[bytes]:
        if self._ranges == 1:
            yield from self._in_sequence(self.info.size)
            return
        self._pool = ThreadPoolExecutor(self._ranges, thread_name_prefix="wordfreq-range")
        starts = iter(range(RANGE, self.info.size, RANGE))
        running = deque(self._pool.submit(self._range, s) for s in islice(starts, self._ranges))
        yield from self._in_sequence(RANGE)
        while running:
            chunk = running.popleft().result()
            if (start := next(starts, None)) is not None:
                running.append(self._pool.submit(self._range, start))
            yield chunk

    def close(self) -> None:
        """Stop fetching."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _in_sequence(self, end: int) -> Iterator[bytes]:
        """The bytes up to `end`, one request after the other."""
        done, resumes, chunks = 0, 0, self._first
        while True:
            failure: Exception | None = None
            try:
                for chunk in chunks:
                    yield chunk if done + len(chunk) <= end else chunk[: end - done]
                    done += len(chunk)
                    if done >= end:
                        break
            except _BROKEN as error:
                failure = error
            if done >= end:
                self._first = iter(())  # lets go of the connection
                return
            resumes += 1
            if resumes > RESUMES:
                raise self._broken(done, failure)
            _, chunks = self._stream(start=done)

    def _range(self, start: int) -> bytes:
        """The bytes from `start` on that one request fetches."""
        end = min(start + RANGE, self.info.size)
        failure: Exception | None = None
        for _ in range(1 + RESUMES):
            try:
                _, chunks = self._stream(start=start, end=end)
                found = b"".join(chunks)
                if len(found) == end - start:
                    return found
            except _BROKEN as error:
                failure = error
        raise self._broken(start, failure)

    def _broken(self, done: int, failure: Exception | None) -> StorageError:
        return StorageError(
            f"{self._uri}: the connection broke after {done:,} of "
            f"{self.info.size:,} bytes, {RESUMES + 1} times over ({failure}); run this again"
        )
