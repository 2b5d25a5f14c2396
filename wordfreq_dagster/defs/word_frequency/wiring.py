"""All automation of the code location, made from plain options. `definitions` calls it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import dagster as dg

from dagster_aws_batch import batch_reaper_sensors
from wordfreq_dagster.defs.platform.alerts import (
    Channels,
    failure_sensor,
)
from wordfreq_dagster.defs.word_frequency.conditions import (
    RANKING_DUE,
    ranking_due_sensor,
)
from wordfreq_dagster.defs.word_frequency.jobs import word_frequency_job
from wordfreq_dagster.defs.word_frequency.ranking import ranking
from wordfreq_dagster.defs.word_frequency.schedules import nightly_schedule
from wordfreq_dagster.files.listing_sensor import (
    Pace,
    new_files_sensor,
)
from wordfreq_dagster.files.sqs_sensor import new_objects_sqs_sensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What can be chosen. The booleans say whether it is switched on from the start."""

    source: str
    new_files: bool = True
    nightly: bool = True
    ranking_due: bool = True
    events: bool = True
    interval: int = 30
    cron: str = "17 3 * * *"
    timezone: str = "UTC"
    queue_url: str = ""
    failures: Channels = field(default_factory=Channels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Automation:
    """What `Definitions` takes."""

    jobs: Sequence[dg.JobDefinition]
    schedules: Sequence[dg.ScheduleDefinition]
    sensors: Sequence[dg.SensorDefinition]


def build_automation(options: Options) -> Automation:
    """Jobs, schedules and sensors for these options."""
    sensors = [
        new_files_sensor(pace=Pace(interval=options.interval), status=_sensor(options.new_files)),
        ranking_due_sensor(interval=options.interval, status=_sensor(options.ranking_due)),
        *batch_reaper_sensors(),
    ]
    if options.queue_url:
        sensors.append(
            new_objects_sqs_sensor(
                queue_url=options.queue_url,
                interval=options.interval,
                status=_sensor(options.events),
            )
        )
    if options.failures:
        sensors.append(failure_sensor(options.failures))
    nightly = nightly_schedule(
        cron=options.cron,
        timezone=options.timezone,
        status=dg.DefaultScheduleStatus.RUNNING
        if options.nightly
        else dg.DefaultScheduleStatus.STOPPED,
    )
    return Automation(
        jobs=[word_frequency_job(options.source)], schedules=[nightly], sensors=sensors
    )


def automated(
    assets: Sequence[dg.AssetsDefinition | dg.SourceAsset],
) -> list[dg.AssetsDefinition | dg.SourceAsset]:
    """The same assets; the ranking knows when it is due, and how old it may become.

    The nightly run ranks every day, so a ranking of two days ago means that something is broken.
    """
    policy = dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=49), warn_window=timedelta(hours=26)
    )

    def attach(spec: dg.AssetSpec) -> dg.AssetSpec:
        if spec.key != ranking.key:
            return spec
        return spec.replace_attributes(automation_condition=RANKING_DUE, freshness_policy=policy)

    return [ranking.map_asset_specs(attach) if asset is ranking else asset for asset in assets]


def _sensor(on: bool) -> dg.DefaultSensorStatus:
    return dg.DefaultSensorStatus.RUNNING if on else dg.DefaultSensorStatus.STOPPED
