"""A listing of the source taken over several ticks, and what a finished one says.

Used by the sensor `new_files`. Pure apart from the iterator it is handed and the clock: it knows
no Dagster. A scan is bounded in time and in keys; its cursor is a fingerprint and the last key, a
few hundred bytes whatever the bucket holds.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone

from wordfreq_batch.storage.fingerprint import Fingerprint
from wordfreq_batch.storage.store import ObjectInfo

#: Lists the source's objects whose keys lie behind the given one.
ListAfter = Callable[[str], Iterator[ObjectInfo]]

_BLOCK = 1000  # objects between two looks at the clock: a page of S3
_EPOCH = datetime.fromtimestamp(0, timezone.utc)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """How far a listing has come.

    Attributes:
        source: what is listed; the cursor of another source is worth nothing.
        after: the last key listed; `''` at the beginning.
        fingerprint: of the files so far.
        newest: the latest time at which one of them was written.
        ticks: in how many pieces so far.
    """

    source: str
    after: str = ""
    fingerprint: Fingerprint = field(default_factory=Fingerprint)
    newest: datetime = _EPOCH
    ticks: int = 0

    @classmethod
    def resume(cls, cursor: str | None, *, source: str) -> Scan:
        """The scan that `cursor` describes, or a new one where it can't be gone on with."""
        try:
            found = json.loads(cursor or "")
            if found["source"] != source:
                return cls(source=source)
            return cls(
                source=source,
                after=str(found["after"]),
                fingerprint=Fingerprint.parse(found["fingerprint"]),
                newest=datetime.fromisoformat(found["newest"]),
                ticks=int(found["ticks"]),
            )
        except (ValueError, KeyError, TypeError):
            return cls(source=source)

    @property
    def cursor(self) -> str:
        """The text that `resume` reads."""
        return json.dumps(
            {
                "source": self.source,
                "after": self.after,
                "fingerprint": str(self.fingerprint),
                "newest": self.newest.isoformat(),
                "ticks": self.ticks,
            },
            ensure_ascii=any("\ud800" <= character <= "\udfff" for character in self.after),
        )


def advance(
    scan: Scan,
    list_after: ListAfter,
    *,
    seconds: float,
    keys: int,
    now: Callable[[], float] = time.monotonic,
) -> tuple[Scan, bool]:
    """List on for at most about `seconds` and `keys` objects; True if that was the end."""
    end = now() + seconds
    listing = list_after(scan.after)
    left = keys
    scan = replace(scan, ticks=scan.ticks + 1)
    while left > 0:
        block = _take(listing, min(_BLOCK, left))
        if not block:
            return scan, True
        left -= len(block)
        scan = replace(
            scan,
            after=block[-1].key,
            fingerprint=scan.fingerprint.plus(block),
            newest=max(scan.newest, *(info.last_modified for info in block)),
        )
        if now() >= end:
            break
    return scan, False


def _take(listing: Iterator[ObjectInfo], number: int) -> list[ObjectInfo]:
    block: list[ObjectInfo] = []
    for info in listing:
        block.append(info)
        if len(block) == number:
            break
    return block
