"""When uploaded CSVs are loaded: the job `csv_to_dynamodb` and the sensors that ask for it.

The sensors work as those of the word count do, with its code: the listing decides, messages only
say that there is something to look at. They are off from the start where no table is configured.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg

from wordfreq_dagster.defs.csv_to_dynamodb.csv_rows import (
    csv_rows,
    loaded_listing,
)
from wordfreq_dagster.defs.csv_to_dynamodb.resource import CsvUploads
from wordfreq_dagster.defs.word_frequency.jobs import SOURCE_TAG
from wordfreq_dagster.files.listing_sensor import (
    Pace,
    Watched,
    look,
)
from wordfreq_dagster.files.sqs_sensor import (
    handle,
    open_queue,
)

# No `from __future__ import annotations` here: Dagster reads the annotations of sensor functions.

#: Name of the job that loads the uploads.
CSV_TO_DYNAMODB = "csv_to_dynamodb"

LOADED = Watched(
    job=CSV_TO_DYNAMODB, result=csv_rows.key, made_from=loaded_listing, name="the table"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvOptions:
    """Which sensors are on from the start, and how often they look, in seconds.

    `queue_url`: an SQS queue with the events of the uploads, `''` if there is none.
    """

    listing: bool
    events: bool
    interval: int = 30
    queue_url: str = ""


def csv_sensors(options: CsvOptions) -> Sequence[dg.SensorDefinition]:
    """The sensor `new_csv_uploads`, and `new_csv_uploads_sqs` where there is a queue."""
    on, off = dg.DefaultSensorStatus.RUNNING, dg.DefaultSensorStatus.STOPPED
    pace = Pace(interval=options.interval)

    @dg.sensor(
        name="new_csv_uploads",
        job_name=CSV_TO_DYNAMODB,
        minimum_interval_seconds=options.interval,
        default_status=on if options.listing else off,
        description=(
            "Lists the uploads and asks for a run of `csv_to_dynamodb` whenever they aren't what "
            "was loaded last."
        ),
    )
    def new_csv_uploads(context: dg.SensorEvaluationContext, csv: CsvUploads) -> dg.SensorResult:
        return look(context, source=csv.source, pace=pace, watched=LOADED)

    @dg.sensor(
        name="new_csv_uploads_sqs",
        job_name=CSV_TO_DYNAMODB,
        minimum_interval_seconds=options.interval,
        default_status=on if options.events else off,
        description=(
            "Receives S3's messages about uploads and asks for a run of `csv_to_dynamodb`. "
            "A message is deleted once its run has been requested."
        ),
    )
    def new_csv_uploads_sqs(
        context: dg.SensorEvaluationContext, csv: CsvUploads
    ) -> dg.RunRequest | dg.SkipReason:
        queue = open_queue(options.queue_url)
        received = list(queue.receive(seconds=15, most=1000, hidden=options.interval))
        return handle(context, queue, received, source=csv.source, job=CSV_TO_DYNAMODB)

    return [new_csv_uploads, *([new_csv_uploads_sqs] if options.queue_url else [])]


def csv_to_dynamodb_job(source: str) -> dg.JobDefinition:
    """The job `csv_to_dynamodb`; its runs carry the uploads' place as a tag."""
    job: dg.JobDefinition = dg.define_asset_job(
        CSV_TO_DYNAMODB,
        selection=dg.AssetSelection.assets(csv_rows),
        description=(
            "Loads every uploaded CSV that is new or changed into the DynamoDB table. "
            "Start it without a partition."
        ),
        run_tags={SOURCE_TAG: source},
    )  # type: ignore[assignment]
    return job
