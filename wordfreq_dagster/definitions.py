"""The one place where everything is wired: settings to resources, assets, checks and automation."""

from __future__ import annotations

import dagster as dg

from wordfreq_dagster.assets.checks import counts_complete, every_file_usable, sum_of_counts
from wordfreq_dagster.assets.plan import plan
from wordfreq_dagster.assets.ranking import ranking
from wordfreq_dagster.assets.source_files import source_files
from wordfreq_dagster.assets.word_counts import word_counts
from wordfreq_dagster.automation.jobs import word_frequency
from wordfreq_dagster.compute import batch_jobs, local_image
from wordfreq_dagster.settings import Settings, load_settings
from wordfreq_dagster.stages import Stages
from wordfreq_dagster.storage import Locations


def build_definitions(settings: Settings) -> dg.Definitions:
    """Everything of this code location, for the given settings."""
    assets = dg.with_source_code_references([source_files, plan, word_counts, ranking])
    return dg.Definitions(
        assets=assets,
        asset_checks=[every_file_usable, counts_complete, sum_of_counts],
        jobs=[word_frequency],
        resources={
            "batch": batch_jobs(settings),
            "locations": Locations(
                source=settings.source,
                destination=settings.destination,
                plans=settings.plans,
                ranking=settings.ranking,
                pack=settings.pack,
            ),
            "stages": Stages(
                plan_definition=settings.plan_definition,
                migrate_definition=settings.migrate_definition,
                merge_definition=settings.merge_definition,
                timeout_seconds=settings.timeout_seconds,
                share_identifier=settings.share_identifier,
                scheduling_priority=settings.scheduling_priority,
                image=local_image(settings),
            ),
        },
        # The steps only wait for AWS Batch, one after the other: a process for each would add
        # seconds to every run and nothing else.
        executor=dg.in_process_executor,
    )


defs = build_definitions(load_settings())
