"""Write units a second, kept to by all containers of a run together.

For `csv.dynamo_writer`, which takes units before each request, and `csv.ingest_task`, whose
containers share a rate by small objects in the plan's folder: each renews its own and counts those
that are renewed. A container that starts beside others waits until they must have seen it; one that
ends, or dies, leaves its share to the others soon after.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from wordfreq_batch.errors import WordfreqError
from wordfreq_batch.progress import Progress
from wordfreq_batch.storage.store import Store

ON_DEMAND = 0.625
"""US dollars for a million write request units (Amazon DynamoDB pricing, us-east-1)."""

PROVISIONED = 0.00065
"""US dollars for a write capacity unit and hour (Amazon DynamoDB pricing, us-east-1)."""

EVERY = 5.0
"""Seconds between two renewals."""

_LONGEST_PAUSE = 0.5  # the rate may change meanwhile
_SEEN = 2 * EVERY  # by then every other container has counted again
_GONE = 4 * EVERY  # a container that hasn't renewed for so long takes no part


class TokenBucket:
    """Lets `rate` units a second through, on average and from the beginning; for several threads.

    A request may be larger than what has gathered: those behind it wait the longer.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._lock = threading.Lock()
        self._tokens = 0.0
        self._filled = time.monotonic()

    @property
    def rate(self) -> float:
        """Units a second; 0: nothing is let through for now."""
        return self._rate

    @rate.setter
    def rate(self, rate: float) -> None:
        with self._lock:
            self._fill()
            self._rate = rate

    def _fill(self) -> None:
        now = time.monotonic()
        gathered = self._tokens + (now - self._filled) * self._rate
        self._tokens = min(gathered, self._rate)  # a second's worth, not what a pause would give
        self._filled = now

    def take(self, units: float, stop: threading.Event) -> None:
        """Return once so many units may be used, or when `stop` is set."""
        while not stop.is_set():
            with self._lock:
                self._fill()
                if self._tokens > 0:
                    self._tokens -= units
                    return
                pause = -self._tokens / self._rate if self._rate else _LONGEST_PAUSE
            stop.wait(min(max(pause, 0.001), _LONGEST_PAUSE))

    def also_used(self, units: float) -> None:
        """More was used than was taken: by the table's indexes, for example."""
        with self._lock:
            self._tokens -= units


@contextmanager
def shared(
    bucket: TokenBucket, store: Store, name: str, *, progress: Progress
) -> Iterator[TokenBucket]:
    """Let the bucket have its share of its rate among all that use `store` meanwhile.

    Args:
        bucket: with the rate of all together.
        store: the folder that they have in common.
        name: of this one there.
        progress: gets a line when the share changes, or can't be renewed.
    """
    member = _Member(bucket, store, name, progress)
    thread = threading.Thread(target=member.renew, name="wordfreq-rate", daemon=True)
    member.join()
    thread.start()
    try:
        yield bucket
    finally:
        member.leave()
        thread.join()


class _Member:
    """One of those that share a rate."""

    def __init__(self, bucket: TokenBucket, store: Store, name: str, progress: Progress) -> None:
        self._bucket = bucket
        self._total = bucket.rate
        self._store = store
        self._name = f"rate-{name}"
        self._progress = progress
        self._renewed = time.monotonic()
        self._end = threading.Event()

    def join(self) -> None:
        self._bucket.rate = 0.0
        if (members := self._count()) > 1:
            self._end.wait(_SEEN)
            members = self._count()
        self._set(members)

    def renew(self) -> None:
        while not self._end.wait(EVERY):
            try:
                self._set(self._count())
            except WordfreqError as error:
                if time.monotonic() - self._renewed > _GONE / 2:
                    self._bucket.rate = 0.0  # the others may count without this one soon
                    self._progress(f"writing waits: its share can't be renewed ({error})")

    def leave(self) -> None:
        self._end.set()
        try:
            self._store.put(self._name, b"")  # the role may write, but perhaps not delete
        except WordfreqError as error:
            self._progress(f"{error} (this costs others some seconds)")

    def _count(self) -> int:
        """Renew, and count those that do. Moments are the store's, so clocks don't matter."""
        began = time.monotonic()
        self._store.put(self._name, b"writing")
        members = {each.key: each for each in self._store.list("rate-") if each.size}
        self._renewed = began
        now = members[self._name].last_modified if self._name in members else None
        return sum(
            now is None or (now - each.last_modified).total_seconds() < _GONE
            for each in members.values()
        )

    def _set(self, members: int) -> None:
        share = self._total / max(members, 1)
        if share != self._bucket.rate:
            self._progress(
                f"writing up to {share:,.1f} write units a second ({members} at work together)"
            )
        self._bucket.rate = share
