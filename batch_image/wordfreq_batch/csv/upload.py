"""One upload to be loaded, where to, and what came of it: what the modules of a load share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wordfreq_batch.csv.dynamo import Table
from wordfreq_batch.csv.dynamo_writer import WriteMode
from wordfreq_batch.csv.rate import TokenBucket
from wordfreq_batch.csv.schema import Schema
from wordfreq_batch.errors import ChangedError, NotFoundError
from wordfreq_batch.plans.formats import RowFigures
from wordfreq_batch.plans.plan import Item, PlanHead
from wordfreq_batch.storage.opening import open_store
from wordfreq_batch.storage.store import ObjectInfo, Store

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient

_MEMORY = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where rows go and how.

    `max_rejects`: more rejected rows than that (a number, or a share of all rows below 1) make the
    file an error, before anything of it is written unless DynamoDB itself rejects them; None: any
    number of rejects will do. `mode`: see `dynamo_writer.WRITE_MODES`;
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
    memory: int = _MEMORY


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
