"""When uploaded CSVs are loaded: the job `csv_to_dynamodb` and the sensors that ask for it.

The sensors work as those of the word count do, with the same code: the listing decides, messages
only say that something has changed.
"""

import dagster as dg

from dagster_aws_batch.automation.sqs_sensor import sqs_sensor
from wordfreq_dagster.defs.csv_to_dynamodb.csv_rows import csv_rows, loaded_listing
from wordfreq_dagster.defs.csv_to_dynamodb.csv_uploads import csv_uploads
from wordfreq_dagster.defs.csv_to_dynamodb.resource import CsvPlaces
from wordfreq_dagster.files.listing_sensor import Watched, listing_sensor
from wordfreq_dagster.files.tags import SOURCE_TAG
from wordfreq_dagster.settings import Settings, load_settings

#: Name of the job that loads the uploads.
CSV_TO_DYNAMODB = "csv_to_dynamodb"

LOADED = Watched(
    job=CSV_TO_DYNAMODB,
    result=csv_rows.key,
    made_from=loaded_listing,
    name="the table",
    observes=csv_uploads.key,
)


@dg.definitions
def csv_to_dynamodb() -> dg.Definitions:
    """What the settings decide of this pipeline; without a table there is none.

    Its assets are found by themselves; `definitions` leaves them out where there is no table.
    """
    settings = load_settings()
    if not settings.csv_table:
        return dg.Definitions()
    job = dg.define_asset_job(
        CSV_TO_DYNAMODB,
        selection=dg.AssetSelection.assets(csv_rows),
        description=(
            "Loads every uploaded CSV that is new or changed into the DynamoDB table. "
            "Start it without a partition."
        ),
        run_tags={SOURCE_TAG: settings.csv_source},
    )
    return dg.Definitions(
        jobs=[job],
        sensors=_sensors(settings),
        resources={
            "csv": CsvPlaces(
                source=settings.csv_source,
                destination=settings.csv_rejects,
                plans=settings.plans,
                pack=settings.csv_pack,
                report=settings.report,
                retry_unusable=settings.retry_unusable,
                table=settings.csv_table,
                columns=settings.csv_columns,
                key=settings.csv_key,
                sort_key=settings.csv_sort_key,
                extra_columns=settings.csv_extra_columns,
                delimiter=settings.csv_delimiter,
                encoding=settings.csv_encoding,
                header=settings.csv_header,
                settings_file=settings.csv_settings,
                max_rejects=settings.csv_max_rejects,
                write=settings.csv_write,
                max_write_units=settings.csv_max_write_units,
                refuse_above=settings.csv_refuse_above,
                removed=settings.csv_removed,
                endpoint=settings.csv_endpoint if settings.embedded else "",
            )
        },
    )


def _sensors(settings: Settings) -> list[dg.SensorDefinition]:
    sensors = [
        listing_sensor(
            name="new_csv_uploads",
            watched=LOADED,
            source=settings.csv_source,
            interval=settings.sensor_seconds,
            status=dg.DefaultSensorStatus(settings.status("csv_new_uploads")),
        )
    ]
    if settings.csv_events_queue_url:
        sensors.append(
            sqs_sensor(
                name="new_csv_uploads_sqs",
                job=CSV_TO_DYNAMODB,
                source=settings.csv_source,
                tag=SOURCE_TAG,
                queue_url=settings.csv_events_queue_url,
                interval=settings.sensor_seconds,
                status=dg.DefaultSensorStatus(settings.status("csv_events")),
            )
        )
    return sensors
