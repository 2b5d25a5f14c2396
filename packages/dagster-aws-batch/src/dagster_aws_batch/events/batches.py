"""What both event logs share: asset events go with their tags, many in one transaction."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from dagster._core.events import ASSET_EVENTS
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqlEventLogStorage
from sqlalchemy.engine import Connection

from dagster_aws_batch.events.partitions import write_in_batches


class BatchedEventLogStorage(SqlEventLogStorage):
    """Stores asset events and what belongs to them in one transaction, however many they are.

    An event and its tags, such as the data version, are there together or not at all: whoever
    compares data versions after a crash finds no half of an event.
    """

    _columns_there = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._tables_there: set[str] = set()
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
        # A storage is made in every process of an instance: so planned events of a run with many
        # partitions, which the webserver and the daemon write, come in batches too.
        write_in_batches()

    @abstractmethod
    def insert_events(self, connection: Connection, events: Sequence[EventLogEntry]) -> list[int]:
        """Insert rows into the event log and return their ids, in the order of the events."""

    def store_event(self, event: EventLogEntry) -> None:
        """Store one event."""
        if _is_about_an_asset(event):
            self._store_asset_events([event])
        else:
            super().store_event(event)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events that Dagster has collected; those about no asset go one by one."""
        self._store_asset_events([event for event in events if _is_about_an_asset(event)])
        for event in events:
            if not _is_about_an_asset(event):
                super().store_event(event)

    def has_table(self, table_name: str) -> bool:
        """Whether the table is there, asked once: tables are never dropped while in use."""
        if table_name not in self._tables_there and super().has_table(table_name):  # type: ignore[safe-super]
            self._tables_there.add(table_name)
        return table_name in self._tables_there

    def _store_asset_events(self, events: Sequence[EventLogEntry]) -> None:
        if not events:
            return
        with self.index_transaction() as connection:
            ids = self.insert_events(connection, events)
            self._store_asset_event_tags(connection, events, ids)
            # The row of an asset holds its latest event of each type.
            latest = {
                (event.dagster_event_type, event.get_dagster_event().asset_key): (number, event)
                for number, event in zip(ids, events, strict=True)
            }
            for number, event in sorted(latest.values(), key=lambda found: found[0]):
                self._store_asset_event(connection, event, number)

    def _has_asset_key_index_cols_on_connection(self, conn: Connection) -> bool:
        if not self._columns_there:  # asked for every event; columns are never dropped
            self._columns_there = super()._has_asset_key_index_cols_on_connection(conn)
        return self._columns_there


def _is_about_an_asset(event: EventLogEntry) -> bool:
    return (
        event.is_dagster_event
        and event.dagster_event_type in ASSET_EVENTS
        and event.get_dagster_event().asset_key is not None
    )
