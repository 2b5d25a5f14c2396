"""How long the database keeps what runs said: the job `purge_events`, each night.

Dagster keeps every event for ever, and a deployment's database fills up. What goes are the messages
and steps of runs that ended long ago. What tells the state of assets, checks and runs stays: their
materializations, observations, evaluations, failures, and when a run began and ended.
"""

from datetime import datetime, timedelta, timezone

import dagster as dg
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS, FAILURE_EVENTS, PIPELINE_EVENTS
from dagster._core.storage.event_log import SqlEventLogStorage
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from pydantic import Field
from sqlalchemy import ColumnElement, and_, delete, func, or_, select

from dagster_aws_batch._reaper import UNFINISHED

__all__ = ["Retention", "purge", "remove_old_events", "retention"]

# No `from __future__ import annotations` here: Dagster reads the annotations of op functions.

#: Rows of the log that one transaction looks at: writers wait for no longer than that takes.
_SLICE = 50_000
_PLANNED = dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED.value
_KEPT = sorted(
    one.value for one in ASSET_EVENTS | ASSET_CHECK_EVENTS | FAILURE_EVENTS | PIPELINE_EVENTS
)


def purge(instance: dg.DagsterInstance, *, before: datetime) -> int:
    """Remove events of ended runs that are older, and that no status is read from.

    Args:
        instance: whose event log is one database (PostgreSQL, or SQLite in one file).
        before: a time with its time zone.

    Returns:
        How many events were removed.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        raise dg.Failure(
            f"the event log {type(storage).__name__} is no SQL database that can be purged; "
            "leave this job out and use its own retention"
        )
    log = SqlEventLogStorageTable.c
    old = _removable(instance, before.astimezone(timezone.utc).replace(tzinfo=None))
    with storage.index_connection() as connection:
        first, last = connection.execute(
            select(func.min(log.id), func.max(log.id)).where(old)
        ).one()
    removed = 0
    for start in range(first, last + 1, _SLICE) if first is not None else ():
        within = log.id.between(start, start + _SLICE - 1)
        with storage.index_transaction() as connection:
            removed += connection.execute(
                delete(SqlEventLogStorageTable).where(within, old)
            ).rowcount
    return removed


def _removable(instance: dg.DagsterInstance, before: datetime) -> ColumnElement[bool]:
    log = SqlEventLogStorageTable.c
    live = instance.get_run_ids(dg.RunsFilter(statuses=UNFINISHED))
    # A partition is shown as failed by the latest run that planned it: only that one counts.
    newest = (
        select(func.max(log.id))
        .where(log.dagster_event_type == _PLANNED)
        .group_by(log.asset_key, log.partition)
    )
    # An alias, as MySQL can't delete from what it selects from.
    latest = select(newest.subquery().c[0])
    return and_(
        log.timestamp < before,
        log.run_id.not_in(live),
        or_(
            log.dagster_event_type.is_(None),
            log.dagster_event_type.not_in(_KEPT),
            and_(log.dagster_event_type == _PLANNED, log.id.not_in(latest)),
        ),
    )


class Retention(dg.Config):
    """What to keep.

    Attributes:
        days: events of younger age stay; at least 1, as 0 would leave none of ended runs.
    """

    days: int = Field(ge=1, strict=True)


@dg.op(description="Removes messages and steps of runs that ended long ago from the event log.")
def remove_old_events(context: dg.OpExecutionContext, config: Retention) -> None:
    """Purge once; the number is the output's metadata."""
    before = datetime.now(timezone.utc) - timedelta(days=config.days)
    removed = purge(context.instance, before=before)
    context.log.info(f"removed {removed} events from before {before:%Y-%m-%d %H:%M} UTC")


def retention(
    days: int, *, timezone: str, status: dg.DefaultScheduleStatus
) -> dg.ScheduleDefinition:
    """The schedule, with its job.

    Args:
        days: how long events are kept, at least 1.
        timezone: of the schedule.
        status: whether it runs until somebody switches it in the UI.
    """
    job = dg.JobDefinition(
        name="purge_events",
        graph_def=dg.GraphDefinition(name="purge_events", node_defs=[remove_old_events]),
        config=dg.RunConfig(ops={"remove_old_events": Retention(days=days)}),
        executor_def=dg.in_process_executor,
        description=f"Removes from the event log what runs of over {days} days ago said.",
    )
    return dg.ScheduleDefinition(
        name="purge_events_nightly",
        job=job,
        cron_schedule="43 4 * * *",
        execution_timezone=timezone,
        default_status=status,
        description=f"Keeps the database from growing for ever: events stay for {days} days.",
    )
