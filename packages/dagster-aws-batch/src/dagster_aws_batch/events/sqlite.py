"""The event log of a local instance: `infra/dagster/local.yaml` names it."""

from __future__ import annotations

import os
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
        # By process: SQLite's connections must not be used, nor closed, by a forked child.
        self._pooled: dict[int, Engine] = {}
        super().__init__(base_dir, inst_data)

    def insert_events(self, connection: Connection, events: Sequence[EventLogEntry]) -> list[int]:
        """Insert one by one: there is no round trip to save, and every SQLite can do it."""
        insert = SqlEventLogStorageTable.insert()
        return [
            int(connection.execute(insert, self._event_to_row(event)).lastrowid) for event in events
        ]

    def dispose(self) -> None:
        """Close what is open."""
        super().dispose()  # type: ignore[no-untyped-call]
        if engine := self._pooled.pop(os.getpid(), None):
            engine.dispose()

    @contextmanager
    def _connect(self) -> Generator[Connection]:
        engine = self._pooled.get(os.getpid())
        if engine is None:
            engine = self._pooled[os.getpid()] = sqlalchemy.create_engine(
                self._conn_string, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}
            )
            event.listen(engine, "connect", _relax)
        with engine.connect() as connection, connection.begin():
            yield connection


def _relax(connection: Any, _: object) -> None:
    """No wait for the disk at each commit: with the write-ahead log the file stays sound.

    What a power cut may lose, the next run reports.
    """
    connection.execute("PRAGMA synchronous=NORMAL")
