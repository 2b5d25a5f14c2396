"""The documents that container and orchestrator exchange, in one place.

Anybody may import this. The plan is defined in `plans.plan`, the ranking in `merge.document`; here
are the receipts and the rows of the ledger. All are JSON, ASCII only, members in PascalCase,
unknown members ignored when read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any, NamedTuple

from wordfreq_batch.job import JobInfo
from wordfreq_batch.plans.checked import checked, from_object, reading, to_object
from wordfreq_batch.plans.plan import Item, KnownCounts, PlanHead
from wordfreq_batch.storage.store import ObjectInfo

RESERVED = ".wordfreq/"
"""Below this prefix of a destination lies what isn't counts; no file's result may go there."""

LEDGER = RESERVED + "counted/"
"""The ledger: one small object a finished task, see `plans.ledger`."""

PARTIALS = RESERVED + "partials/"
"""The combined counts of whole groups, see `counts.partials`."""

LOADS = RESERVED + "loads/"
"""Below it, named like each CSV that was loaded, the record of its load, see `csv.upload`."""

UNUSABLE = RESERVED + "unusable/"
"""Below it, named like each file that is bad data, what is known of it, see `plans.unusable`."""

MERGES = RESERVED + "merge/"
"""Below it, by plan id, the parts of a merge in parts, see `merge.merge_parts`."""


_encoded = json.JSONEncoder(separators=(",", ":")).encode  # json.dumps would make one each time


class CountedFile(NamedTuple):
    """One row of the ledger: this file, in this state, was counted with this result.

    As JSON a list of its fields and those of `counts`.
    """

    name: str
    etag: str
    size: int
    counter_version: str
    counts: KnownCounts

    def dumps(self) -> str:
        """One line, without its end."""
        return _encoded([*self[:-1], *self.counts.to_json()])

    @classmethod
    def loads(cls, line: str | bytes) -> CountedFile:
        """The reverse of `dumps`; `ValueError` where it isn't such a row."""
        name, etag, size, version, *counts = json.loads(line)
        return checked(cls(name, etag, size, version, checked(KnownCounts(*counts))))


class RejectedRow(NamedTuple):
    """A row of a CSV that was not loaded: the number of its first line, why, and its text."""

    line: int
    reason: str
    text: str


class RowFigures(NamedTuple):
    """What became of the rows of one CSV: `read` = `written` + `rejected` + `superseded`.

    A superseded row is one whose key comes again further down in the file, or (`newer` of them) is
    held by a newer upload; `shared` rows were written over items of other uploads, some of which
    `others` names. `capacity` is in write capacity units, `refused` counts the puts that had to be
    repeated, `write_seconds` is the time from the first put to the last. `sample` holds the first
    items (name and text of each attribute), `rejects` the first rejected rows, their texts
    shortened. `deleted`: items of the upload that the table doesn't need any more, `csv.mirror`.
    """

    read: int
    written: int
    rejected: int
    superseded: int
    capacity: float = 0.0
    requests: int = 0
    refused: int = 0
    write_seconds: float = 0.0
    sample: tuple[dict[str, str], ...] = ()
    rejects: tuple[RejectedRow, ...] = ()
    newer: int = 0
    shared: int = 0
    others: tuple[str, ...] = ()
    deleted: int = 0

    def to_json(self) -> dict[str, Any]:
        """The object `Rows` of an item's receipt."""
        without = () if self.deleted else ("deleted",)  # most loads delete nothing
        return to_object(self, without=without, write_seconds=round(self.write_seconds, 6))

    @classmethod
    def from_json(cls, rows: dict[str, Any]) -> RowFigures:
        """The reverse of `to_json`."""
        return from_object(
            cls,
            rows,
            optional=("newer", "shared", "deleted"),
            sample=tuple(rows["Sample"]),
            rejects=tuple(checked(RejectedRow(*row)) for row in rows["Rejects"]),
            others=tuple(rows.get("Others", ())),
        )


class Figures(NamedTuple):
    """What plans and the ledger keep of a file; of a CSV the rows read, written and rejected.

    `bytes` are those of the text.
    """

    bytes: int = 0
    words: int = 0
    distinct: int = 0
    invalid: int = 0


class ItemReceipt(NamedTuple):
    """What became of one file.

    `size` is the object's bytes, `bytes` those of its text (decompressed, as UTF-8); `etag` the
    source's, `counts_etag` the result's. `reused`: counted earlier, not now. `error` is None
    unless it failed; then `exit_code` says how, as a container's exit code would, and the figures
    are 0. `aside` is the format of what holds no text, and so has no words. `encoding` is that of
    a text that isn't UTF-8, with how sure it is (0 to 1). `rows` is there when a CSV was loaded;
    the result is then the object of its rejects.
    """

    name: str
    etag: str
    size: int
    counts_etag: str = ""
    bytes: int = 0
    words: int = 0
    distinct: int = 0
    invalid: int = 0
    seconds: float = 0.0
    reused: bool = False
    exit_code: int = 0
    error: str | None = None
    rows: RowFigures | None = None
    aside: str = ""
    encoding: str = ""
    confidence: float = 1.0

    @classmethod
    def reuse(cls, item: Item) -> ItemReceipt:
        """A file that was counted, or loaded, before its plan was made, as the plan knows it."""
        assert item.counted is not None
        return cls(item.name, item.etag, item.size, reused=True, **item.counted._asdict())

    @classmethod
    def done(
        cls,
        item: Item,
        info: ObjectInfo,
        figures: Figures | None = None,
        *,
        seconds: float,
        counts_etag: str = "",
        rows: RowFigures | None = None,
    ) -> ItemReceipt:
        """A file that was done now, of the object that was read; `figures` are those of plans."""
        return cls(
            item.name,
            info.etag,
            info.size,
            counts_etag,
            *(figures or Figures()),
            seconds=seconds,
            rows=rows,
        )

    @classmethod
    def failed(cls, item: Item, error: str, *, exit_code: int) -> ItemReceipt:
        """A file that could not be done."""
        return cls(item.name, item.etag, item.size, exit_code=exit_code, error=error)

    @property
    def known(self) -> KnownCounts:
        """The part that a plan keeps."""
        return KnownCounts(self.counts_etag, self.words, self.distinct, self.invalid, self.aside)

    def row(self, counter_version: str) -> CountedFile:
        """What the ledger keeps of it."""
        return CountedFile(self.name, self.etag, self.size, counter_version, self.known)

    def to_json(self) -> dict[str, Any]:
        """The item's object in `Receipt.dumps`; what most files don't have only where it is."""
        seldom = {name for name in ("rows", "aside", "encoding") if not getattr(self, name)}
        return to_object(
            self,
            without=seldom if self.encoding else seldom | {"confidence"},
            seconds=round(self.seconds, 6),
            rows=self.rows and self.rows.to_json(),
        )

    @classmethod
    def from_json(cls, item: dict[str, Any]) -> ItemReceipt:
        """The reverse of `to_json`."""
        rows = RowFigures.from_json(item["Rows"]) if "Rows" in item else None
        return from_object(cls, item, optional=("aside", "encoding", "confidence"), rows=rows)


class Receipt(NamedTuple):
    """The last act of a task. Without it the task has not succeeded, whatever its exit code.

    `stage` is `migrate`, `merge` or another command's name; `exit_code` the task's own (the
    worst of its items'); `error` what failed beyond single items. Times are ISO 8601, UTC.
    `job_id` and `attempt` are AWS Batch's, empty and 0 when run by hand.
    """

    plan_id: str
    stage: str
    task: int
    exit_code: int
    counter_version: str
    started: str
    finished: str
    seconds: float
    job_id: str = ""
    attempt: int = 0
    error: str | None = None
    items: tuple[ItemReceipt, ...] = ()

    @classmethod
    def of(
        cls,
        head: PlanHead,
        stage: str,
        task: int,
        items: Iterable[ItemReceipt],
        *,
        version: str,
        started: datetime,
        job: JobInfo,
        exit_code: int = 0,
    ) -> Receipt:
        """The receipt of a task that ends now."""
        finished = datetime.now(timezone.utc)
        return cls(
            plan_id=head.id,
            stage=stage,
            task=task,
            exit_code=exit_code,
            counter_version=version,
            started=started.isoformat(),
            finished=finished.isoformat(),
            seconds=(finished - started).total_seconds(),
            job_id=job.job_id,
            attempt=job.attempt,
            items=tuple(items),
        )

    @property
    def final(self) -> bool:
        """Whether running the task again is pointless; after exit code 1 it is not."""
        return self.exit_code != 1

    @property
    def failed(self) -> tuple[ItemReceipt, ...]:
        """The items that have an error."""
        return tuple(item for item in self.items if item.error is not None)

    def to_json(self) -> dict[str, Any]:
        """The receipt as a JSON object."""
        items = [item.to_json() for item in self.items]
        return to_object(self, seconds=round(self.seconds, 6), items=items)

    def dumps(self) -> bytes:
        """The receipt's text."""
        return json.dumps(self.to_json()).encode()

    @classmethod
    def loads(cls, text: str | bytes, *, uri: str) -> Receipt:
        """The reverse of `dumps`; `uri` is where it came from.

        Raises:
            DataError: it isn't a receipt.
        """
        with reading(uri, "receipt", "delete it and run again"):
            document = json.loads(text)
            items = tuple(map(ItemReceipt.from_json, document["Items"]))
            return from_object(cls, document, items=items)
