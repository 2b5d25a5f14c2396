"""When uploaded CSVs are loaded: the job `csv_to_dynamodb` and the sensors that ask for it.

The sensors work as those of the word count do, with the same code: the listing decides, messages
only say that something has changed.
"""

from functools import partial

import dagster as dg

from wordfreq_dagster.defs.csv_to_dynamodb.csv_rows import csv_rows, loaded_listing
from wordfreq_dagster.defs.csv_to_dynamodb.csv_uploads import csv_uploads
from wordfreq_dagster.defs.csv_to_dynamodb.resource import CsvPlaces
from wordfreq_dagster.files.listing_sensor import Watched, arrival_sensors
from wordfreq_dagster.files.tags import SOURCE_TAG
from wordfreq_dagster.settings import load_settings

#: Name of the job that loads the uploads.
CSV_TO_DYNAMODB = "csv_to_dynamodb"


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
    values = {
        **settings.values(CsvPlaces.model_fields, prefix="csv_"),
        **settings.values(["plans", "report", "retry_unusable"]),
        "destination": settings.csv_rejects,
        "settings_file": settings.csv_settings,
        "endpoint": settings.csv_endpoint if settings.embedded else "",
    }
    places = CsvPlaces(**values)
    loaded = Watched(
        job=CSV_TO_DYNAMODB,
        result=csv_rows.key,
        made_from=partial(loaded_listing, csv=places),
        name="the table",
        observes=csv_uploads.key,
        checks=tuple(csv_rows.check_keys),
    )
    return dg.Definitions(
        jobs=[job],
        sensors=arrival_sensors(
            loaded,
            source=settings.csv_source,
            names=("new_csv_uploads", "new_csv_uploads_sqs"),
            states=(settings.status("csv_new_uploads"), settings.status("csv_events")),
            queue_url=settings.csv_events_queue_url,
            interval=settings.sensor_seconds,
        ),
        resources={"csv": places},
    )
