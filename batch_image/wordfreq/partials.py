"""The combined counts of a whole group: where they lie, when they are valid, how they are stored.

`wordfreq.migrate` stores a partial after counting a group; `wordfreq.merge` looks for it and, where
there is none, makes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

from wordfreq.counts import write_partial
from wordfreq.formats import PARTIALS
from wordfreq.storage import Store
from wordfreq.tally import Tally


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
