"""Putting many items into a table: full batches, several on their way, until each one has arrived.

For `csv.ingest`. Items must have different keys, so that their order doesn't matter. What
DynamoDB leaves unprocessed or throttles is sent again after a pause that doubles, with full jitter
(AWS Builders' Library, "Timeouts, retries and backoff with jitter"), as long as something gets
through; when nothing has for `patience` seconds, the whole is given up.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import botocore.exceptions as botocore_errors

from wordfreq_batch.csv import dynamo
from wordfreq_batch.csv.items import TableItem
from wordfreq_batch.errors import (
    StorageError,
    WordfreqError,
)

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient

T = TypeVar("T")

BATCH = 25
"""Puts of one BatchWriteItem (API reference)."""

BATCH_BYTES = 4 << 20
"""A request may have 16 MB; as JSON an item can have four times its size."""

IN_FLIGHT = 8
PATIENCE = 300.0

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 10.0


@dataclass(slots=True)
class WriteFigures:
    """What was done. `capacity`: write capacity units; `refused`: puts that had to be repeated."""

    written: int = 0
    requests: int = 0
    refused: int = 0
    capacity: float = 0.0
    request_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Put(Generic[T]):
    """An item, and whatever the caller knows it by."""

    item: TableItem
    origin: T


def batches(puts: Iterable[Put[T]]) -> Iterator[list[Put[T]]]:
    """Full batches: at most `BATCH` items and `BATCH_BYTES`, an item larger than that alone."""
    batch: list[Put[T]] = []
    size = 0
    for put in puts:
        if batch and (len(batch) == BATCH or size + put.item.size > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(put)
        size += put.item.size
    if batch:
        yield batch


class Writer(Generic[T]):
    """Writes to one table. `refused` gets what DynamoDB calls invalid, with its words.

    A context: at its end the threads are gone, and what is still waiting is dropped.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        table: str,
        *,
        refused: Callable[[T, str], None],
        in_flight: int = IN_FLIGHT,
        patience: float = PATIENCE,
    ) -> None:
        self._client = client
        self._table = table
        self._refused = refused
        self._patience = patience
        self._in_flight = in_flight
        self._pool = ThreadPoolExecutor(in_flight, thread_name_prefix="wordfreq-dynamo")
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._progress = time.monotonic()
        self.figures = WriteFigures()

    def __enter__(self) -> Writer[T]:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stop.set()
        self._pool.shutdown(wait=kind is None, cancel_futures=True)

    def write(
        self, puts: Iterable[Put[T]], *, tick: Callable[[int], None] = lambda _: None
    ) -> None:
        """Put all; returns when each has arrived or was refused. `tick` hears how many have.

        Raises:
            WordfreqError: the table can't be written to; some items may have arrived.
        """
        running: set[Future[None]] = set()
        self._progress = time.monotonic()
        for batch in batches(puts):
            running.add(self._pool.submit(self._send, batch))
            if len(running) >= 2 * self._in_flight:
                running = _settled(running, FIRST_COMPLETED)
                tick(self.figures.written)
        while running:
            running = _settled(running, FIRST_COMPLETED)
            tick(self.figures.written)

    def _send(self, batch: list[Put[T]]) -> None:
        pause = _FIRST_PAUSE
        while batch and not self._stop.is_set():
            before = len(batch)
            try:
                batch = self._request(batch)
                error: Exception | None = None
            except (botocore_errors.ClientError, botocore_errors.BotoCoreError) as caught:
                if dynamo.code_of(caught) == "ValidationException":
                    self._invalid(batch, caught)
                    return
                if not dynamo.passing(caught):
                    raise dynamo.table_error(caught, self._table, self._client) from caught
                error = caught
            if not batch:
                return
            with self._lock:
                self.figures.refused += len(batch)
                if len(batch) < before:
                    self._progress = time.monotonic()
                silent = time.monotonic() - self._progress
            if silent > self._patience:
                raise self._given_up(error) from error
            pause = _FIRST_PAUSE if len(batch) < before else min(2 * pause, _LONGEST_PAUSE)
            self._stop.wait(random.uniform(0, pause))  # noqa: S311 - no secret

    def _request(self, batch: list[Put[T]]) -> list[Put[T]]:
        """Send one request; returns what was left unprocessed."""
        requests: list[Any] = [{"PutRequest": {"Item": put.item.attributes}} for put in batch]
        started = time.monotonic()
        try:
            answer = self._client.batch_write_item(
                RequestItems={self._table: requests}, ReturnConsumedCapacity="TOTAL"
            )
        finally:
            with self._lock:
                self.figures.requests += 1
                self.figures.request_seconds += time.monotonic() - started
        # The table may be told by its ARN there.
        unprocessed = [r for left in answer.get("UnprocessedItems", {}).values() for r in left]
        left = _same(unprocessed, requests, batch) if unprocessed else []
        with self._lock:
            self.figures.written += len(batch) - len(left)
            for consumed in answer.get("ConsumedCapacity", []):
                self.figures.capacity += consumed.get("CapacityUnits", 0.0)
            if len(left) < len(batch):
                self._progress = time.monotonic()
        return left

    def _invalid(self, batch: list[Put[T]], error: Exception) -> None:
        """One invalid item spoils its batch: find out which it is."""
        if len(batch) > 1:
            middle = len(batch) // 2
            self._send(batch[:middle])
            self._send(batch[middle:])
            return
        response: Any = getattr(error, "response", {})
        reason = " ".join(str(response.get("Error", {}).get("Message", error)).split())[:500]
        with self._lock:
            self._progress = time.monotonic()
            self._refused(batch[0].origin, f"DynamoDB: {reason}")

    def _given_up(self, error: Exception | None) -> WordfreqError:
        cause = f" ({error})" if error is not None else " (items are left unprocessed)"
        return StorageError(
            f"table {self._table} took nothing for {self._patience:.0f} seconds{cause}; "
            f"{self.figures.written:,} items have arrived. Give it more write capacity and run "
            "this again: nothing is lost or doubled"
        )


def _settled(running: set[Future[None]], when: str) -> set[Future[None]]:
    done, left = wait(running, return_when=when)
    for future in done:
        future.result()
    return left


def _same(unprocessed: list[Any], requests: list[Any], batch: list[Put[T]]) -> list[Put[T]]:
    """The puts that DynamoDB gave back; it may order and spell them its own way."""
    left = []
    for put, request in zip(batch, requests, strict=True):
        if request in unprocessed:
            left.append(put)
            unprocessed.remove(request)
    if unprocessed:
        # Spelled otherwise (a number): which ones isn't known, and puts can be repeated.
        return batch
    return left
