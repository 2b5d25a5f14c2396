"""The event log of a local instance: `infra/dagster/local.yaml` names it."""

from __future__ import annotations

import os
import weakref
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import (
    ConsolidatedSqliteEventLogStorage,
    SqlEventLogStorageTable,
)
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

from dagster_aws_batch.events.batches import BatchedEventLogStorage

#: Dagster's own class, too: a `dagster.yaml` falls back to it by its line `class`.
__all__ = ["ConsolidatedSqliteEventLogStorage", "PooledSqliteEventLogStorage"]


class PooledSqliteEventLogStorage(BatchedEventLogStorage, ConsolidatedSqliteEventLogStorage):
    """Dagster's consolidated SQLite event log over one engine per process.

    Dagster's own makes an engine for every statement, so nothing that is compiled or opened is used
    twice. The file is the same: either class can follow the other.

    Args:
        base_dir: folder of the database.
        inst_data: what Dagster was configured with.
    """

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._pooled: Engine | None = None
        super().__init__(base_dir, inst_data)
        _forget_in_children(self)

    def insert_events(self, connection: Connection, events: Sequence[EventLogEntry]) -> list[int]:
        """Insert one by one: there is no round trip to save, and every SQLite can do it."""
        insert = SqlEventLogStorageTable.insert()
        return [
            int(connection.execute(insert, self._event_to_row(event)).lastrowid) for event in events
        ]

    def dispose(self) -> None:
        """Close what is open."""
        super().dispose()  # type: ignore[no-untyped-call]
        self.forget_connections(close=True)

    def forget_connections(self, *, close: bool) -> None:
        """Begin anew with the next statement; in a forked child nothing may be closed."""
        if self._pooled is not None:
            self._pooled.dispose(close=close)
            self._pooled = None

    @contextmanager
    def _connect(self) -> Generator[Connection]:
        if self._pooled is None:
            self._pooled = sqlalchemy.create_engine(
                self._conn_string, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}
            )
            event.listen(self._pooled, "connect", _relax)
        with self._pooled.connect() as connection, connection.begin():
            yield connection


def _relax(connection: Any, _: object) -> None:
    """No wait for the disk at each commit: with the write-ahead log the file stays sound.

    What a power cut may lose, the next run reports.
    """
    connection.execute("PRAGMA synchronous=NORMAL")


def _forget_in_children(storage: PooledSqliteEventLogStorage) -> None:
    """SQLite's connections must not be used, nor closed, by a forked child."""
    known = weakref.ref(storage)

    def forget() -> None:
        found = known()
        if found is not None:
            found.forget_connections(close=False)

    os.register_at_fork(after_in_child=forget)
