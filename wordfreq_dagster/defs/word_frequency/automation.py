"""Jobs, schedule and sensors of the word count, and its places, as the settings choose them."""

from functools import partial

import dagster as dg

from wordfreq_dagster.defs.word_frequency import checks
from wordfreq_dagster.defs.word_frequency.conditions import ranking_due_sensor
from wordfreq_dagster.defs.word_frequency.plan import plan
from wordfreq_dagster.defs.word_frequency.ranking import ranked_listing, ranking
from wordfreq_dagster.defs.word_frequency.source_files import source_files
from wordfreq_dagster.defs.word_frequency.word_counts import word_counts
from wordfreq_dagster.files.listing_sensor import Watched, arrival_sensors
from wordfreq_dagster.files.places import WordPlaces
from wordfreq_dagster.files.tags import RANKS_TAG, SOURCE_TAG
from wordfreq_dagster.settings import Settings, load_settings

#: Name of the job of the whole pipeline: one command, schedule or sensor is enough.
WORD_FREQUENCY = "word_frequency"
_CHECKS = (checks.every_file_usable, checks.counts_complete, checks.sum_of_counts)


@dg.definitions
def word_frequency() -> dg.Definitions:
    """What the settings decide of this pipeline; its assets and checks are found by themselves."""
    settings = load_settings()
    job = dg.define_asset_job(
        WORD_FREQUENCY,
        selection=dg.AssetSelection.assets(plan, word_counts, ranking),
        description=(
            "The whole pipeline in one run: plan, count what is new or changed, rank. "
            "Start it without a partition."
        ),
        run_tags={SOURCE_TAG: settings.source, RANKS_TAG: "true"},
    )
    # It also ranks again, so the ranking's freshness doesn't depend on files arriving.
    nightly = dg.ScheduleDefinition(
        name="nightly_reconcile",
        job_name=WORD_FREQUENCY,
        cron_schedule=settings.nightly_cron,
        execution_timezone=settings.nightly_timezone,
        default_status=dg.DefaultScheduleStatus(settings.status("nightly")),
        description="Compares the whole source with what is counted, counts the rest, ranks.",
    )
    values = settings.values(WordPlaces.model_fields)
    languages = settings.stop_words.split(",") if settings.stop_words else []
    places = WordPlaces(**values | {"stop_words": languages})
    return dg.Definitions(
        jobs=[job],
        schedules=[nightly],
        sensors=_sensors(settings, places),
        resources={"locations": places},
    )


def _sensors(settings: Settings, places: WordPlaces) -> list[dg.SensorDefinition]:
    ranked = Watched(
        job=WORD_FREQUENCY,
        result=ranking.key,
        made_from=partial(ranked_listing, places=places),
        name="the ranking",
        observes=source_files.key,
        checks=tuple(key for each in _CHECKS for key in each.check_keys),
    )
    sensors = arrival_sensors(
        ranked,
        source=settings.source,
        names=("new_files", "new_objects_sqs"),
        states=(settings.status("new_files"), settings.status("events")),
        queue_url=settings.events_queue_url,
        interval=settings.sensor_seconds,
    )
    due = ranking_due_sensor(
        interval=settings.sensor_seconds,
        status=dg.DefaultSensorStatus(settings.status("automation")),
    )
    return [*sensors, due]
