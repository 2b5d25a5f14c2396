"""When uploaded CSVs are loaded: the job `csv_to_dynamodb`."""

from __future__ import annotations

import dagster as dg

from wordfreq_dagster.assets.csv_rows import csv_rows
from wordfreq_dagster.automation.jobs import SOURCE_TAG

#: Name of the job that loads the uploads.
CSV_TO_DYNAMODB = "csv_to_dynamodb"


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
