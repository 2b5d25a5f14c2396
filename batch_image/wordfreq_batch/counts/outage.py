"""Whether the storage is out of reach, or only some files are. For `counts.counting` only.

A file that can't be read says nothing about the next one: a prefix may be forbidden, ten objects
archived, a part of a disk broken. So after some failures in a row the storage itself is asked, by
a listing. Only when that fails too, for longer than somebody's patience, are files left untried.
"""

from __future__ import annotations

import threading
import time
from typing import Final, NamedTuple

from wordfreq_batch.errors import PermissionDeniedError, StorageError, WordfreqError
from wordfreq_batch.storage.store import Store
from wordfreq_batch.together import Stop

IN_A_ROW: Final = 10
"""Failures in a row after which the storage itself is asked."""

PATIENCE: Final = 120.0
"""Seconds for which the storage may give no answer before the task is given up."""

_PAUSES: Final = (0.5, 15.0)  # seconds between two questions, the first and the longest


class Stores(NamedTuple):
    """Where the files come from and where the counts go."""

    source: Store
    destination: Store


class Outage:
    """What the threads of a task know of their storage."""

    def __init__(self, stores: Stores, *, stop: Stop, patience: float) -> None:
        self._stores = stores
        self._stop = stop
        self._patience = patience
        self._in_a_row = 0
        self._reason: StorageError | None = None
        self._lock = threading.Lock()
        self._asking = threading.Lock()

    def succeeded(self) -> None:
        """A file was read and its counts were stored."""
        with self._lock:
            self._in_a_row = 0

    def failed(self, error: Exception) -> None:
        """A file failed; a refusal is an answer too, and a damaged file was read."""
        with self._lock:
            self._in_a_row = self._in_a_row + 1 if _is_no_answer(error) else 0

    def reason(self) -> StorageError | None:
        """Why it makes no sense to try another file; None: it does. Waits while nobody knows.

        Raises:
            GivenUpError: the work is given up meanwhile.
        """
        if self._in_a_row < IN_A_ROW:
            return self._reason
        while not self._asking.acquire(timeout=_PAUSES[0]):
            self._stop.check()
        try:
            if self._reason is None and self._in_a_row >= IN_A_ROW:
                self._reason = self._asked()
                if self._reason is None:
                    self.succeeded()
        finally:
            self._asking.release()
        return self._reason

    def _asked(self) -> StorageError | None:
        """Ask until there is an answer, or until the patience has come to its end."""
        until, pause = time.monotonic() + self._patience, _PAUSES[0]
        while True:
            found = _no_answer(self._stores)
            if found is None or time.monotonic() + pause > until:
                return found
            proceed = time.monotonic() + pause
            while (left := proceed - time.monotonic()) > 0:
                self._stop.check()
                time.sleep(min(left, _PAUSES[0]))
            pause = min(2 * pause, _PAUSES[1])


def _is_no_answer(error: Exception) -> bool:
    return isinstance(error, StorageError) and not isinstance(error, PermissionDeniedError)


def _no_answer(stores: Stores) -> StorageError | None:
    for store in stores:
        try:
            next(iter(store.list()), None)
        except WordfreqError as error:
            if isinstance(error, StorageError) and _is_no_answer(error):
                return error
    return None
