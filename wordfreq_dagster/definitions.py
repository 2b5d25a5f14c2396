"""The one place where everything is wired: settings to resources, assets, checks and automation."""

from __future__ import annotations

import dagster as dg

from wordfreq_dagster.defs.csv_to_dynamodb.automation import (
    CsvOptions,
    csv_sensors,
    csv_to_dynamodb_job,
)
from wordfreq_dagster.defs.csv_to_dynamodb.csv_rows import csv_rows
from wordfreq_dagster.defs.csv_to_dynamodb.csv_uploads import csv_uploads
from wordfreq_dagster.defs.csv_to_dynamodb.resource import CsvUploads
from wordfreq_dagster.defs.platform.alerts import Channels
from wordfreq_dagster.defs.platform.batch import (
    batch_jobs,
    local_image,
)
from wordfreq_dagster.defs.platform.code_links import with_code_references
from wordfreq_dagster.defs.word_frequency.checks import (
    counts_complete,
    every_file_usable,
    sum_of_counts,
)
from wordfreq_dagster.defs.word_frequency.plan import plan
from wordfreq_dagster.defs.word_frequency.ranking import ranking
from wordfreq_dagster.defs.word_frequency.source_files import source_files
from wordfreq_dagster.defs.word_frequency.wiring import (
    Options,
    automated,
    build_automation,
)
from wordfreq_dagster.defs.word_frequency.word_counts import word_counts
from wordfreq_dagster.files.places import Locations
from wordfreq_dagster.files.stages import Stages
from wordfreq_dagster.settings import (
    Settings,
    load_settings,
)


def build_definitions(settings: Settings) -> dg.Definitions:
    """Everything of this code location, for the given settings."""
    assets = automated([source_files, plan, word_counts, ranking, csv_uploads, csv_rows])
    automation = build_automation(automation_options(settings))
    return dg.Definitions(
        assets=with_code_references(assets, settings.code_url),
        asset_checks=[every_file_usable, counts_complete, sum_of_counts],
        jobs=[*automation.jobs, csv_to_dynamodb_job(settings.csv_source)],
        schedules=automation.schedules,
        sensors=[*automation.sensors, *csv_sensors(csv_options(settings))],
        resources={
            "batch": batch_jobs(settings),
            "locations": Locations(
                source=settings.source,
                destination=settings.destination,
                plans=settings.plans,
                ranking=settings.ranking,
                pack=settings.pack,
            ),
            "csv": CsvUploads(
                source=settings.csv_source,
                destination=settings.csv_rejects,
                plans=settings.plans,
                pack=settings.csv_pack,
                table=settings.csv_table,
                columns=settings.csv_columns,
                key=settings.csv_key,
                sort_key=settings.csv_sort_key,
                extra_columns=settings.csv_extra_columns,
                max_rejects=settings.csv_max_rejects,
                endpoint=settings.csv_endpoint if settings.embedded else "",
            ),
            "stages": Stages(
                plan_definition=settings.plan_definition,
                migrate_definition=settings.migrate_definition,
                merge_definition=settings.merge_definition,
                ingest_definition=settings.ingest_definition,
                timeout_seconds=settings.timeout_seconds,
                share_identifier=settings.share_identifier,
                scheduling_priority=settings.scheduling_priority,
                image=local_image(settings),
                merge_part_words=settings.merge_part_words,
            ),
        },
        # The steps only wait for AWS Batch, one after the other: a process for each would add
        # seconds to every run and nothing else.
        executor=dg.in_process_executor,
    )


def automation_options(settings: Settings) -> Options:
    """The settings that automation goes by."""
    return Options(
        source=settings.source,
        new_files=settings.switched_on("new_files"),
        nightly=settings.switched_on("nightly"),
        ranking_due=settings.switched_on("automation"),
        events=settings.switched_on("events"),
        interval=settings.sensor_seconds,
        cron=settings.nightly_cron,
        timezone=settings.nightly_timezone,
        queue_url=settings.events_queue_url,
        failures=Channels(
            sns_topic=settings.failure_sns_topic,
            slack_webhook=settings.failure_slack_webhook,
            ui=settings.ui_url,
        ),
    )


def csv_options(settings: Settings) -> CsvOptions:
    """The settings that the automation of the CSV pipeline goes by."""
    return CsvOptions(
        listing=settings.switched_on("csv_new_uploads") and bool(settings.csv_table),
        events=settings.switched_on("events") and bool(settings.csv_table),
        interval=settings.sensor_seconds,
        queue_url=settings.csv_events_queue_url,
    )


defs = build_definitions(load_settings())
