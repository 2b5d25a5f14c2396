"""One upload to be loaded, where to, what came of it, and the record of that.

What the modules of a load share. The record is of a CSV's newest load, one object per CSV below
`LOADS` of the destination. It is replaced before the first item is written and again after the last
one, so whatever was killed, ran twice or was changed back in between: a row of the ledger is
valid only if it holds the ETag of this object, that is, while it is of the newest load of its
name. (Replaced, not removed: the container's role may write but not delete.)
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timezone
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from wordfreq_batch.csv.dynamo import Table
from wordfreq_batch.csv.dynamo_writer import WriteMode
from wordfreq_batch.csv.rate import TokenBucket
from wordfreq_batch.csv.schema import Schema
from wordfreq_batch.errors import ChangedError, NotFoundError
from wordfreq_batch.plans.formats import LOADS, RowFigures
from wordfreq_batch.plans.plan import Item, PlanHead
from wordfreq_batch.storage.opening import open_store
from wordfreq_batch.storage.store import ObjectInfo, Store

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where rows go and how.

    `max_rejects`: more rejected rows than that (a number, or a share of all rows below 1) make the
    file an error, before anything of it is written unless DynamoDB itself rejects them; None: any
    number of rejects will do. `mode`: see `dynamo_writer.WriteMode`;
    `rate`: lets write units through, if they are limited.
    """

    client: DynamoDBClient
    table: Table
    schema: Schema
    in_flight: int
    patience: float
    max_rejects: float | None = None
    mode: WriteMode = "newer"
    rate: TokenBucket | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file: its key in `store`, the ETag it must have (empty: any), and its `Filename`."""

    store: Store
    key: str
    filename: str
    etag: str = ""

    @classmethod
    def of_plan(cls, head: PlanHead, item: Item) -> Source:
        """A file of a plan; its `Filename` is the whole key in a bucket."""
        prefix = "" if head.source.is_local else head.source.key
        store = open_store(head.source.uri)
        return cls(store=store, key=item.name, filename=prefix + item.name, etag=item.etag)

    @property
    def uri(self) -> str:
        """Its URI, for messages."""
        return self.store.url(self.key)

    def check_current(self, info: ObjectInfo) -> None:
        """Compare the file with the upload that `info` describes.

        Raises:
            ChangedError: it is another one by now, or gone.
        """
        try:
            now = self.store.head(self.key)
        except NotFoundError:
            now = None
        if now is None or (now.etag, now.last_modified) != (info.etag, info.last_modified):
            raise ChangedError(f"{self.uri} was replaced while being loaded; plan again")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A loaded file: what was read, the figures, how long it took, the settings that were used."""

    info: ObjectInfo
    figures: RowFigures
    seconds: float
    settings: str


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC, to the second, as S3 gives it: an item's `LastModified`."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def begin_load(store: Store, name: str) -> None:
    """Replace the record of CSV `name` in the destination `store`: its items are about to change.

    Raises:
        WordfreqError: the record couldn't be written; no item may be written then.
    """
    _write(store, name, {"Name": name, "Begun": _now()})


def record_load(store: Store, name: str, loaded: Loaded, *, version: str) -> str:
    """Write the record of a finished load; returns its ETag, which no other load's record has.

    Args:
        store: the destination.
        name: of the CSV, relative to the source.
        loaded: what was loaded.
        version: of the settings, `Schema.version`.
    """
    document = {
        "Name": name,
        "ETag": loaded.info.etag,
        "Size": loaded.info.size,
        "LastModified": loaded.info.last_modified.isoformat(),
        "Version": version,
        "Loaded": _now(),
        "Rows": loaded.figures.to_json(),
    }
    return _write(store, name, document)


def _write(store: Store, name: str, document: dict[str, Any]) -> str:
    # Two records never have the same bytes, and so, on S3, the same ETag.
    return store.put(LOADS + name, json.dumps({**document, "Nonce": token_hex(8)}).encode())


def _now() -> str:
    return datetime.now(timezone.utc).isoformat()


def is_newest_load(store: Store, name: str, etag: str) -> bool:
    """Whether the record of CSV `name` is still the one of this ETag."""
    try:
        return bool(etag) and store.head(LOADS + name).etag == etag
    except NotFoundError:
        return False
