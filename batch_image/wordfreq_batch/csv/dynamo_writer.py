"""Putting many items into a table, several requests on their way, until each one has arrived.

Items must have different keys, so that their order doesn't matter. What DynamoDB leaves unprocessed
or throttles is sent again after a pause that doubles, with full jitter (AWS Builders' Library,
"Timeouts, retries and backoff with jitter"), as long as something gets through; when nothing has
for `patience` seconds, the whole is given up. An answer that doesn't say what capacity was consumed
proves nothing and counts as none.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import botocore.exceptions as botocore_errors

from wordfreq_batch.csv import dynamo
from wordfreq_batch.csv.items import TableItem, key_of
from wordfreq_batch.csv.rate import TokenBucket
from wordfreq_batch.csv.schema import FILENAME, LAST_MODIFIED
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

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 10.0


WriteMode = Literal["newer", "absent", "always"]
"""`newer`: one conditional PutItem per item, which never replaces an item of a newer upload.
`absent`: likewise, but no item at all is replaced that isn't of the same upload.
`always`: BatchWriteItem, `BATCH` items per request, which replaces whatever is there."""

_NEWER: dict[str, Any] = {
    # Of two uploads of the same second the name decides, so that the order of loads never does.
    "ConditionExpression": "attribute_not_exists(#m) OR #m < :m OR (#m = :m AND #f <= :f)",
    "ExpressionAttributeNames": {"#m": LAST_MODIFIED, "#f": FILENAME},
    "ReturnValues": "ALL_OLD",
    "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
}

_ABSENT = _NEWER | {
    "ConditionExpression": "attribute_not_exists(#m) AND attribute_not_exists(#k) "
    "OR (#m = :m AND #f = :f)"
}

_EXACTLY = _NEWER | {"ConditionExpression": "#m = :m AND #f = :f"}

_EXAMPLES = 5


@dataclass(slots=True)
class WriteFigures:
    """What was done.

    `newer`: items not written because a newer upload holds their key; `shared`: items written
    over those of another upload; `others`: names of some of these uploads. `capacity`: write
    capacity units; `refused`: puts that had to be repeated.
    """

    written: int = 0
    newer: int = 0
    shared: int = 0
    others: list[str] = field(default_factory=list)
    requests: int = 0
    refused: int = 0
    capacity: float = 0.0


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


class _UnprovenError(Exception):
    """An answer doesn't say that it took anything. Stays in this module."""


class Writer(Generic[T]):
    """Writes to one table. A context: at its end the threads are gone, unless a signal ends it.

    What is still waiting at the end is dropped.

    Args:
        client: of DynamoDB.
        table: the table's name or ARN.
        keys: names of the table's key attributes.
        check_current: raises if the file is no more the upload being written; called where the
            table holds items of a newer upload of the same name.
        refused: gets what DynamoDB calls invalid, with its words; from any thread, one at a time.
        deleted: the items are to be deleted where nothing else has replaced them; it gets what
            each one was known by, from any thread, one at a time.
        mode: see `WriteMode`.
        rate: which lets write units through, if they are limited.
        in_flight: requests on their way at a time.
        patience: seconds without any progress after which the whole is given up.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        table: str,
        *,
        keys: tuple[str, ...],
        refused: Callable[[T, str], None],
        check_current: Callable[[], None] = lambda: None,
        deleted: Callable[[T], None] | None = None,
        mode: WriteMode = "newer",
        rate: TokenBucket | None = None,
        in_flight: int,
        patience: float,
    ) -> None:
        self._client = client
        self._table = table
        self._keys = keys
        self._refused = refused
        self._check_current = check_current
        self._withdrawn: set[str] = set()
        self._attempt = self._put_all if mode == "always" else self._put_each
        self._absent = mode == "absent"
        self._deleted = deleted
        self._rate = rate
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
        # Requests on their way end by their time-outs; a signal leaves less time than that.
        ends = kind is None or issubclass(kind, Exception)
        self._pool.shutdown(wait=ends, cancel_futures=True)

    def write(
        self, puts: Iterable[Put[T]], *, tick: Callable[[int], None] = lambda _: None
    ) -> None:
        """Put all; returns when each has arrived or was refused. `tick` gets how many have.

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
            batch, error = self._attempt(batch)
            if not batch:
                return
            with self._lock:
                silent = time.monotonic() - self._progress
            if silent > self._patience:
                raise self._given_up(error) from error
            pause = _FIRST_PAUSE if len(batch) < before else min(2 * pause, _LONGEST_PAUSE)
            self._stop.wait(random.uniform(0, pause))  # noqa: S311 - no secret

    def _put_each(self, batch: list[Put[T]]) -> tuple[list[Put[T]], Exception | None]:
        """One conditional request an item; returns those to be repeated, and why."""
        one = self._put_one if self._deleted is None else self._delete_one
        for number, put in enumerate(batch):
            if self._stop.is_set():
                return batch[number:], None
            try:
                one(put)
            except _FAILURES as error:
                if (passing := self._failed([put], error)) is not None:
                    return batch[number:], passing
        return [], None

    def _put_one(self, put: Put[T]) -> None:
        """Put an item unless a newer upload holds its key."""
        moment, name = (put.item.attributes[each] for each in (LAST_MODIFIED, FILENAME))
        condition, held = _NEWER, moment
        if self._absent:
            names = _ABSENT["ExpressionAttributeNames"] | {"#k": self._keys[0]}
            condition = _ABSENT | {"ExpressionAttributeNames": names}
        while True:
            try:
                answer = self._request(
                    self._client.put_item,
                    put.item.units,
                    TableName=self._table,
                    Item=put.item.attributes,
                    ExpressionAttributeValues={":m": held, ":f": name},
                    **condition,
                )
            except botocore_errors.ClientError as error:
                if dynamo.code_of(error) != "ConditionalCheckFailedException":
                    raise
                there: Any = error.response.get("Item", {})
                if self._absent or there.get(FILENAME) != name or LAST_MODIFIED not in there:
                    return self._arrived(newer=1)
                # A newer upload of the same name: it was taken back, or this one was replaced.
                condition, held = _EXACTLY, there[LAST_MODIFIED]
                if str(held) not in self._withdrawn:
                    self._check_current()
                    self._withdrawn.add(str(held))
            else:
                other = answer.get("Attributes", {}).get(FILENAME, name).get("S", "")
                return self._arrived(written=1, other=other if other != name["S"] else None)

    def _delete_one(self, put: Put[T]) -> None:
        """Delete an item unless something has replaced it."""
        item = put.item.attributes
        try:
            self._request(
                self._client.delete_item,
                1,
                TableName=self._table,
                Key={key: item[key] for key in self._keys},
                ConditionExpression="#m = :m AND #f = :f",
                ExpressionAttributeNames=_NEWER["ExpressionAttributeNames"],
                ExpressionAttributeValues={":m": item[LAST_MODIFIED], ":f": item[FILENAME]},
            )
        except botocore_errors.ClientError as error:
            if dynamo.code_of(error) != "ConditionalCheckFailedException":
                raise
            return self._arrived(newer=1)
        if self._deleted is not None:
            with self._lock:
                self._deleted(put.origin)
        return self._arrived()

    def _put_all(self, batch: list[Put[T]]) -> tuple[list[Put[T]], Exception | None]:
        """One request for all; returns those to be repeated, and why."""
        puts = [{"PutRequest": {"Item": put.item.attributes}} for put in batch]
        try:
            answer = self._request(
                self._client.batch_write_item,
                sum(put.item.units for put in batch),
                RequestItems={self._table: puts},
            )
        except _FAILURES as error:
            passing = self._failed(batch, error)
            return ([], None) if passing is None else (batch, passing)
        # The table may be named by its ARN there.
        left = [each for puts in answer.get("UnprocessedItems", {}).values() for each in puts]
        again = _same(left, batch, self._keys)
        self._arrived(written=len(batch) - len(again), anything=len(left) < len(batch))
        with self._lock:
            self.figures.refused += len(again)
        return again, None

    def _request(
        self, operation: Callable[..., Any], units: int, **parameters: Any
    ) -> dict[str, Any]:
        if self._rate is not None:
            self._rate.take(units, self._stop)
        with self._lock:
            self.figures.requests += 1
            if self._rate is not None:
                self._progress = time.monotonic()  # waiting for one's turn is no silence
        answer: dict[str, Any] = operation(ReturnConsumedCapacity="TOTAL", **parameters)
        consumed = answer.get("ConsumedCapacity")
        if consumed is None:
            raise _UnprovenError("its answer doesn't say that it took anything: is it DynamoDB?")
        used = sum(
            each.get("CapacityUnits", 0.0)
            for each in (consumed if isinstance(consumed, list) else [consumed])
        )
        if self._rate is not None and used > units:
            self._rate.also_used(used - units)
        with self._lock:
            self.figures.capacity += used
        return answer

    def _arrived(
        self, *, written: int = 0, newer: int = 0, other: str | None = None, anything: bool = True
    ) -> None:
        with self._lock:
            figures = self.figures
            figures.written += written
            figures.newer += newer
            if other is not None:
                figures.shared += 1
                if other not in figures.others and len(figures.others) < _EXAMPLES:
                    figures.others.append(other)
            if anything:
                self._progress = time.monotonic()

    def _failed(self, batch: list[Put[T]], error: Exception) -> Exception | None:
        """The error if the same request may succeed later; None where the matter is settled."""
        if dynamo.code_of(error) == "ValidationException":
            self._invalid(batch, error)
            return None
        if isinstance(error, _UnprovenError) or dynamo.passing(error):
            with self._lock:
                self.figures.refused += len(batch)
            return error
        raise dynamo.table_error(error, self._table, self._client) from error

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


_FAILURES = (botocore_errors.ClientError, botocore_errors.BotoCoreError, _UnprovenError)


def _settled(running: set[Future[None]], when: str) -> set[Future[None]]:
    done, left = wait(running, return_when=when)
    for future in done:
        future.result()
    return left


def _same(unprocessed: list[Any], batch: list[Put[T]], keys: tuple[str, ...]) -> list[Put[T]]:
    """The puts that DynamoDB gave back, by key: it may order and spell them its own way."""
    left = {key_of(each["PutRequest"]["Item"], keys) for each in unprocessed}
    again = [put for put in batch if put.item.key in left]
    # Where it isn't known which they are, all are put again: that is without effect.
    return again if len(again) == len(unprocessed) else batch
