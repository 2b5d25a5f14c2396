"""Items of uploads that are gone, or were replaced, found in the table and deleted.

For `cli.mirror`, after a plan's uploads are loaded, and the orchestrator (`is_mirrored`). An item
is deleted only if the upload that it says it is of, by `Filename` and `LastModified`, was loaded by
this pipeline, isn't what the source holds now, and, where another one is in its place, that one is
loaded. The delete is conditional on both attributes, so whatever a newer upload has put meanwhile
stays: killed, or run twice at once, nothing is lost and the next run goes on. The whole table is
scanned, because only it says what it holds.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

import botocore.exceptions as botocore_errors

from wordfreq_batch.csv import dynamo
from wordfreq_batch.csv.dynamo_writer import Put, Writer
from wordfreq_batch.csv.items import TableItem
from wordfreq_batch.csv.rate import TokenBucket
from wordfreq_batch.csv.schema import FILENAME, LAST_MODIFIED
from wordfreq_batch.csv.upload import begin_load, iso
from wordfreq_batch.errors import NotFoundError
from wordfreq_batch.job import JobInfo
from wordfreq_batch.plans.formats import LOADS, RESERVED, ItemReceipt, RowFigures
from wordfreq_batch.plans.plan import PlanHead
from wordfreq_batch.plans.receipts import SingleTask
from wordfreq_batch.progress import Progress, Ticker
from wordfreq_batch.storage.opening import open_store
from wordfreq_batch.storage.store import Store

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient

STAGE = "mirror"
DRY_RUN = "mirror-rehearsal"

MIRRORED = RESERVED + "mirrored"
"""In the destination: the fingerprint of the `State` that was mirrored last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirrored:
    """What was done: items deleted by upload, also by uploads that are `gone`, and what it took.

    `reads` and `writes` are in the units that DynamoDB counts.
    """

    deleted: dict[str, int]
    gone: tuple[str, ...]
    scanned: int
    reads: float
    writes: float


class State(NamedTuple):
    """Uploads and the records of their loads.

    While the `fingerprint` is the one in `MIRRORED`, and no upload is `gone`, there is nothing to
    delete. `moments`: the `LastModified` of each upload, as its items have it; `loaded`: names with
    a record, without those in folders that can't be read now.
    """

    fingerprint: str
    moments: Mapping[str, str]
    loaded: frozenset[str]

    @property
    def gone(self) -> frozenset[str]:
        """Names with a record and without upload."""
        return self.loaded - self.moments.keys()

    @classmethod
    def of(cls, source: str, destination: str) -> State:
        """List both.

        Raises:
            WordfreqError: they can't be listed.
        """
        digest = blake2b(digest_size=16)
        try:
            found = open_store(destination).list(LOADS)
            records = {each.key.removeprefix(LOADS): each.etag for each in found}
        except NotFoundError:
            records = {}
        uploads = {each.key: each for each in open_store(source).list(all_of_it=False)}
        for name, each in sorted(uploads.items()):
            parts = (name, each.etag, each.last_modified.isoformat(), records.get(name, ""))
            digest.update("\0".join((*parts, "")).encode())
        moments = {name: iso(each.last_modified) for name, each in uploads.items()}
        # What can't be listed says nothing about the files in it; a link that leads nowhere may
        # have led to a folder.
        unread = tuple(f"{name.rstrip('/')}/" for name, each in uploads.items() if each.unreadable)
        loaded = frozenset(name for name in records if not name.startswith(unread))
        return cls(digest.hexdigest(), moments, loaded)


def is_mirrored(source: str, destination: str) -> bool:
    """Whether nothing has changed since the table was mirrored."""
    try:
        kept = open_store(destination).get(MIRRORED).decode()
    except NotFoundError:
        return False
    state = State.of(source, destination)
    return kept == state.fingerprint and not state.gone


def mirror(
    plan: str,
    client: DynamoDBClient,
    table: str,
    *,
    job: JobInfo,
    progress: Progress,
    rate: TokenBucket | None,
    in_flight: int,
    patience: float,
    dry_run: bool = False,
) -> Mirrored | None:
    """Delete what is of no upload of the plan's source; None where another job does the same.

    Leaves a receipt of the stage `mirror`, an item for each upload with items deleted, and for
    each that is gone. With `dry_run` nothing is deleted; the receipt is of the stage
    `mirror-rehearsal`, and what would be deleted is of uploads that are loaded, or gone, by now.

    Raises:
        WordfreqError: source or table can't be read, or not be written; run it again.
    """
    single = SingleTask(plan, DRY_RUN if dry_run else STAGE, job)
    if single.taken_by() is not None:
        return None
    head = single.head
    state = State.of(head.source.uri, head.destination.uri)
    sweep = _Sweep(head, state, client, table, progress, patience)
    deleted: Counter[str] = Counter()
    writes = 0.0
    if dry_run:
        deleted.update(put.origin for put in sweep.stale())
    else:
        with Writer[str](
            client,
            table,
            keys=sweep.keys,
            refused=lambda name, reason: progress(f"{name}: {reason}"),
            deleted=lambda name: deleted.update([name]),
            rate=rate,
            in_flight=in_flight,
            patience=patience,
        ) as writer:
            writer.write(sweep.stale())
        writes = writer.figures.capacity
        sweep.load_again(deleted)
    items = [
        ItemReceipt(name, "", 0, rows=RowFigures(0, 0, 0, 0, deleted=deleted[name]))
        for name in sorted({*deleted, *state.gone})
    ]
    single.succeeded(head.counter_version, items)
    if not dry_run:
        open_store(head.destination.uri).put(MIRRORED, state.fingerprint.encode())
    return Mirrored(
        deleted=dict(deleted),
        gone=tuple(sorted(state.gone)),
        scanned=sweep.scanned,
        reads=sweep.reads,
        writes=writes,
    )


class _Sweep:
    """One walk through the table."""

    def __init__(
        self,
        head: PlanHead,
        state: State,
        client: DynamoDBClient,
        table: str,
        progress: Progress,
        patience: float,
    ) -> None:
        self._state = state
        self._source = open_store(head.source.uri)
        self._records: Store = open_store(head.destination.uri)
        self._prefix = "" if head.source.is_local else head.source.key
        self._client, self._table, self._patience = client, table, patience
        self._ticker = Ticker(progress)
        self._replaced: dict[tuple[str, str], bool] = {}
        self.scanned = 0
        self.reads = 0.0
        described = self._ask(client.describe_table, TableName=table)["Table"]
        self.keys = tuple(each["AttributeName"] for each in described["KeySchema"])

    def stale(self) -> Iterator[Put[str]]:
        """The items to be deleted; the origin is the name of their upload."""
        names = {f"#k{n}": key for n, key in enumerate(self.keys)}
        names |= {"#f": FILENAME, "#m": LAST_MODIFIED}
        more: dict[str, Any] = {}
        while True:
            page = self._ask(
                self._client.scan,
                TableName=self._table,
                ProjectionExpression=", ".join(names),
                ExpressionAttributeNames=names,
                ReturnConsumedCapacity="TOTAL",
                **more,
            )
            self.reads += page.get("ConsumedCapacity", {}).get("CapacityUnits", 0.0)
            for item in page["Items"]:
                self.scanned += 1
                name = self._is_stale(item)
                if name is not None:
                    yield Put(TableItem(item, b"", 0), name)
            self._ticker.tick(lambda: f"table {self._table}: {self.scanned:,} items looked at")
            if "LastEvaluatedKey" not in page:
                return
            more = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def _is_stale(self, item: dict[str, Any]) -> str | None:
        filename = item.get(FILENAME, {}).get("S", "")
        moment = item.get(LAST_MODIFIED, {}).get("S")
        if moment is None or not filename.startswith(self._prefix):
            return None
        name = filename.removeprefix(self._prefix)
        if self._state.moments.get(name) == moment or name not in self._state.loaded:
            return None  # of what was there before the scan, or none of this pipeline's
        # Asked for after the item was read: what is put later is of an upload that is newer still.
        if (name, moment) not in self._replaced:
            self._replaced[name, moment] = self._is_replaced(name, moment)
        return name if self._replaced[name, moment] else None

    def _is_replaced(self, name: str, moment: str) -> bool:
        try:
            record = json.loads(self._records.get(LOADS + name))
        except NotFoundError:
            return False
        try:
            now = self._source.head(name)
        except NotFoundError:
            return True
        loaded = (now.etag, now.last_modified.isoformat())
        return iso(now.last_modified) != moment and loaded == (
            record.get("ETag"),
            record.get("LastModified"),
        )

    def load_again(self, deleted: Counter[str]) -> None:
        """See that an upload whose items were deleted, and which is there again, is loaded again.

        Only in folders can a file come back with its old time.
        """
        for name in deleted:
            try:
                moment = iso(self._source.head(name).last_modified)
            except NotFoundError:
                continue
            if self._replaced.get((name, moment)):
                begin_load(self._records, name)

    def _ask(self, operation: Any, **parameters: Any) -> Mapping[str, Any]:
        try:
            return dynamo.patiently(operation, patience=self._patience, **parameters)
        except (botocore_errors.ClientError, botocore_errors.BotoCoreError) as error:
            raise dynamo.table_error(error, self._table, self._client) from error
