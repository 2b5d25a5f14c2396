"""The record of a CSV's newest load: of which upload, with which settings, and what came of it.

For `csv.ingest_task` (write) and `plans.planning` (which uploads are loaded already). One object a
CSV below `LOADS` of the destination. It is removed before the first item is written and written
anew after the last one, so whatever was killed, ran twice or was changed back in between: a row of
the ledger is believed only if it holds the ETag of this object, that is, while it is of the newest
load of its name.
"""

from __future__ import annotations

import json
from datetime import datetime, timezone

from wordfreq_batch.csv.ingest import Loaded
from wordfreq_batch.errors import NotFoundError
from wordfreq_batch.plans.formats import LOADS
from wordfreq_batch.storage.store import Store


def forget_load(store: Store, name: str) -> None:
    """Remove the record of CSV `name` from the destination `store`: its items are about to change.

    Raises:
        WordfreqError: the record couldn't be removed; nothing may be written then.
    """
    store.delete([LOADS + name])


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
        "Loaded": datetime.now(timezone.utc).isoformat(),
        "Rows": loaded.figures.to_json(),
    }
    return store.put(LOADS + name, json.dumps(document, indent=1).encode())


def is_newest_load(store: Store, name: str, etag: str) -> bool:
    """Whether the record of CSV `name` is still the one of this ETag."""
    try:
        return bool(etag) and store.head(LOADS + name).etag == etag
    except NotFoundError:
        return False
