"""Files that can't be counted or loaded because of their bytes: known, so not tried in each run.

`plans.tasks` records them, `plans.planning` leaves them out of the tasks. One small object per file
below `UNUSABLE` of the destination. It is valid only for the same bytes (ETag and size) and the
same version of what reads them, so that another upload and other settings are tried again, and the
same bytes coming back are not. Only bad data is recorded, never trouble of storage or network.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence

from wordfreq_batch.errors import DataError, WordfreqError
from wordfreq_batch.plans.formats import UNUSABLE, ItemReceipt
from wordfreq_batch.plans.plan import Item, Refused
from wordfreq_batch.progress import Progress
from wordfreq_batch.storage.store import Store


def record_unusable(store: Store, done: Iterable[ItemReceipt], *, version: str) -> None:
    """Record those of the files that are bad data.

    Args:
        store: the destination.
        done: what became of files, of bad ones and others.
        version: of the reader, and of the settings that decide what it refuses.

    Raises:
        WordfreqError: it could not be stored; the files are tried again next time.
    """
    for item in done:
        if item.exit_code == DataError.exit_code and item.error is not None and item.etag:
            document = [item.etag, item.size, version, item.error]
            store.put(UNUSABLE + item.name, json.dumps(document).encode())


def known_unusable(
    store: Store,
    items: Sequence[Item],
    recorded: Iterable[str],
    *,
    version_of: Callable[[str], str],
    warn: Progress,
) -> list[Refused]:
    """Those of the items that are known to be bad data, with the reasons, in the items' order.

    Args:
        store: the destination.
        items: the files; one that is counted is never unusable.
        recorded: names with a record, as the destination's listing shows them.
        version_of: see `version` of `record_unusable`, by the name of a file; records of another
            one are not valid.
        warn: gets a line for a record that can't be read; its file is tried again.
    """
    names = set(recorded)
    asked = {UNUSABLE + i.name: i for i in items if i.counted is None and i.name in names}
    found: dict[str, Refused] = {}
    for key, answer in store.get_many(asked):
        item = asked[key]
        try:
            if isinstance(answer, WordfreqError):
                raise answer
            etag, size, made_for, reason = json.loads(answer)
        except (WordfreqError, ValueError, TypeError) as error:
            warn(f"{store.url(key)}: {error}; {item.name} is tried again")
            continue
        if (etag, size, made_for) == (item.etag, item.size, version_of(item.name)):
            found[item.name] = Refused(item.name, str(reason), "bad data", item.size, item.etag)
    return [found[item.name] for item in items if item.name in found]
