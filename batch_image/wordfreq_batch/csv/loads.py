"""The record of a CSV's newest load: of which upload, with which settings, and what came of it.

For `csv.ingest_task` (write) and `plans.planning` (which uploads are loaded already). One object a
CSV below `LOADS` of the destination. It is replaced before the first item is written and again
after the last one, so whatever was killed, ran twice or was changed back in between: a row of the
ledger is believed only if it holds the ETag of this object, that is, while it is of the newest
load of its name. (Replaced, not removed: the container's role may write but not delete.)
"""

from __future__ import annotations

import json
from datetime import datetime, timezone
from secrets import token_hex
from typing import Any

from wordfreq_batch.csv.upload import Loaded
from wordfreq_batch.errors import NotFoundError
from wordfreq_batch.plans.formats import LOADS
from wordfreq_batch.storage.store import Store


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
