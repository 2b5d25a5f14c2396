"""What a deployment chooses: AWS Batch or the embedded one, job definitions, alerts, the reaper."""

import dagster as dg

from dagster_aws_batch import batch_reaper_sensors, dead_runs_sensor
from dagster_aws_batch.automation.alerts import Channels, failure_sensor
from dagster_aws_batch.events.retention import retention
from wordfreq_dagster.defs.platform.batch import EmbeddedBatchJobs, batch_jobs, pages_sensor
from wordfreq_dagster.files.places import describe_uri
from wordfreq_dagster.files.stages import LOCAL_IMAGE, Stages
from wordfreq_dagster.settings import load_settings


@dg.definitions
def deployment() -> dg.Definitions:
    """Resources and sensors that belong to no single pipeline."""
    settings = load_settings()
    channels = Channels(
        sns_topic=settings.failure_sns_topic,
        slack_webhook=settings.failure_slack_webhook,
        ui=settings.ui_url,
        report=str(describe_uri(f"{settings.ranking.rstrip('/')}/report.html").value),
    )
    alerts = [failure_sensor(channels)] if channels else []
    status = dg.DefaultScheduleStatus(settings.status("automation"))
    days, zone = settings.event_days, settings.nightly_timezone
    purging = [retention(days, timezone=zone, status=status)] if days else []
    batch = batch_jobs(settings)
    pages = [pages_sensor(batch)] if isinstance(batch, EmbeddedBatchJobs) else []
    return dg.Definitions(
        schedules=purging,
        sensors=[dead_runs_sensor(), *batch_reaper_sensors(), *alerts, *pages],
        resources={
            "batch": batch,
            "stages": Stages(
                definitions={
                    stage: getattr(settings, f"{stage}_definition") for stage in settings.stages
                },
                timeout_seconds=settings.timeout_seconds,
                share_identifier=settings.share_identifier,
                scheduling_priority=settings.scheduling_priority,
                image=settings.image if settings.local_runner == "container" else LOCAL_IMAGE,
            ),
        },
        # The steps only wait for AWS Batch, one after the other: a process for each would add
        # seconds to every run and nothing else.
        executor=dg.in_process_executor,
    )
