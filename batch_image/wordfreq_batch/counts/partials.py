"""The combined counts of a whole group: where they lie, when they are valid, how they are stored.

`counts.migrate` stores a partial after counting a group; `merge.merge` looks for it and, where
there is none, makes it. A partial is never replaced: a group that has changed has another key, and
`remove_superseded` deletes the old one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta, timezone
from hashlib import blake2b
from typing import Final

from wordfreq_batch.counts.counts import write_partial
from wordfreq_batch.plans.formats import (
    MERGES,
    PARTIALS,
)
from wordfreq_batch.storage.store import Store
from wordfreq_batch.tables.tally import Tally

SUPERSEDED_AFTER: Final = timedelta(days=1)


def partial_key(counter_version: str, members: Iterable[tuple[str, str]]) -> str:
    """Key, in the destination, of the sum of these counts: (name, ETag of its counts) in order.

    The key is a hash of the members: with another member, other counts or another counter it is
    another key. So a partial that exists is valid, and nothing has to be compared.
    """
    digest = blake2b(counter_version.encode(), digest_size=16)
    for name, counts_etag in members:
        digest.update(b"\0" + name.encode() + b"\0" + counts_etag.encode())
    return f"{PARTIALS}{digest.hexdigest()}.zst"


def store_partial(store: Store, key: str, tally: Tally) -> None:
    """Write the sums in `tally` as the partial `key` of the destination."""
    with store.writer(key) as writer:
        for chunk in write_partial(tally.by_word()):
            writer.write(chunk)


def remove_superseded(store: Store, plan_id: str, keys: Collection[str]) -> None:
    """Delete the partials but `keys`, and what merges in parts of other plans have left.

    For a plan of everything that is counted in `store`. Only what is older than a day is deleted,
    so that a plan that is being counted keeps its new partials until it is merged. A partial that
    another merge still wanted, it makes anew.
    """
    before = datetime.now(timezone.utc) - SUPERSEDED_AFTER
    old = [info.key for info in store.list(PARTIALS) if info.last_modified < before]
    store.delete([key for key in old if key not in keys])
    left = [info.key for info in store.list(MERGES) if info.last_modified < before]
    store.delete([key for key in left if not key.startswith(f"{MERGES}{plan_id}/")])
