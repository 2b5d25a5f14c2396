"""The nightly reconcile: whatever events and sensors have missed, this run finds."""

from __future__ import annotations

import dagster as dg

from wordfreq_dagster.defs.word_frequency.jobs import WORD_FREQUENCY


def nightly_schedule(
    *,
    cron: str,
    timezone: str = "UTC",
    status: dg.DefaultScheduleStatus = dg.DefaultScheduleStatus.RUNNING,
) -> dg.ScheduleDefinition:
    """A whole run at the times of `cron`; where nothing has changed it counts nothing.

    It also ranks again, so the ranking's freshness doesn't depend on files arriving.
    """
    return dg.ScheduleDefinition(
        name="nightly_reconcile",
        job_name=WORD_FREQUENCY,
        cron_schedule=cron,
        execution_timezone=timezone,
        default_status=status,
        description="Compares the whole source with what is counted, counts the rest, ranks.",
    )
