"""The storage of a deployment: `infra/dagster/deployment.yaml` names it. Needs dagster-postgres."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import sqlalchemy
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqlEventLogStorageTable
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.event_log import PostgresEventLogStorage
from dagster_postgres.run_storage import PostgresRunStorage
from dagster_postgres.utils import (
    create_pg_engine,
    get_token_provider_from_config,
    pg_url_from_config,
    retry_pg_connection_fn,
)
from sqlalchemy.engine import Connection, Engine

from dagster_aws_batch.events.batches import BatchedEventLogStorage

#: Dagster's own class, too: a `dagster.yaml` falls back to it by its line `class`.
__all__ = ["DagsterPostgresStorage", "PooledPostgresStorage"]

#: A connection is opened anew after so long: behind a proxy or a failover old ones go stale.
_RECYCLE_SECONDS = 300
#: One of each of Dagster's storages: where these are, the tables have been made.
_TABLES = frozenset({"runs", "instance_info", "event_logs", "jobs"})


class _PooledPostgresEventLogStorage(  # ty: ignore[incompatible-method-override]
    BatchedEventLogStorage, PostgresEventLogStorage
):
    """Dagster's PostgreSQL event log for an engine that keeps its connection open.

    Dagster's own opens up to three for each event, each with a TLS and a password handshake. The
    tables are the same: either class can follow the other.
    """

    def insert_events(self, connection: Connection, events: Sequence[EventLogEntry]) -> list[int]:
        """Insert all rows in as few statements as the protocol allows."""
        table = SqlEventLogStorageTable
        insert = table.insert().returning(table.c.id, sort_by_parameter_order=True)
        rows = [self._event_to_row(event) for event in events]
        return [int(row[0]) for row in connection.execute(insert, rows)]

    def dispose(self) -> None:
        """Close what is open."""
        super().dispose()
        self._engine.dispose()


class _PooledPostgresRunStorage(PostgresRunStorage):
    """Dagster's storage of runs, which asks once which columns there are: none is dropped."""

    @cached_property
    def _run_columns(self) -> bool:
        return super().has_run_stats_index_cols()

    def has_run_stats_index_cols(self) -> bool:
        return self._run_columns


class PooledPostgresStorage(DagsterPostgresStorage):
    """Dagster's PostgreSQL storage with the event log above, and one connection for all three.

    Runs and schedules are Dagster's own, too: it reads and writes the run some fifty times while it
    loads definitions and runs a job, each through a connection that it opens for that.
    """

    def __init__(
        self,
        postgres_url: str,
        should_autocreate_tables: bool = True,
        inst_data: ConfigurableClassData | None = None,
        token_provider: Any = None,
    ) -> None:
        engine = _pooled(postgres_url, token_provider)
        if should_autocreate_tables:  # each of the three would open a connection and look
            there = retry_pg_connection_fn(lambda: sqlalchemy.inspect(engine).get_table_names())
            should_autocreate_tables = not set(there) >= _TABLES
        super().__init__(postgres_url, should_autocreate_tables, inst_data, token_provider)
        self._event_log_storage = _PooledPostgresEventLogStorage(
            postgres_url, False, token_provider=token_provider
        )
        self._run_storage = _PooledPostgresRunStorage(
            postgres_url, False, token_provider=token_provider
        )
        for storage in (self._event_log_storage, self._run_storage, self._schedule_storage):
            storage._engine = engine

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> PooledPostgresStorage:
        """Make it from the `config` of `dagster.yaml`: that of Dagster's own `storage.postgres`."""
        return cls(
            pg_url_from_config(config_value),
            config_value.get("should_autocreate_tables", True),
            inst_data,
            get_token_provider_from_config(config_value),
        )


def _pooled(postgres_url: str, token_provider: Any) -> Engine:
    """One idle connection per process, more only while they are needed."""
    return create_pg_engine(
        postgres_url,
        token_provider,
        isolation_level="AUTOCOMMIT",
        pool_size=1,
        max_overflow=-1,
        pool_pre_ping=True,
        pool_recycle=_RECYCLE_SECONDS,
    )
