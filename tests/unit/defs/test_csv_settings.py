"""The settings of the CSV pipeline: optional as a whole, complete where a table is named."""

import os

import dagster as dg
import pytest

from wordfreq_dagster.definitions import build_definitions
from wordfreq_dagster.settings import (
    Settings,
    SettingsError,
    load_settings,
)

ON_AWS = {
    "WORDFREQ_BATCH_QUEUE": "words",
    "WORDFREQ_PLAN_DEFINITION": "plan",
    "WORDFREQ_MIGRATE_DEFINITION": "migrate",
    "WORDFREQ_MERGE_DEFINITION": "merge",
    "WORDFREQ_SOURCE": "s3://b/in",
    "WORDFREQ_DESTINATION": "s3://b/out",
    "WORDFREQ_PLANS": "s3://b/plans",
    "WORDFREQ_RANKING": "s3://b/ranking",
}


@pytest.fixture
def environment(monkeypatch):
    for name in list(os.environ):
        if name.startswith("WORDFREQ_"):
            monkeypatch.delenv(name)

    def use(**values):
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return use


def test_on_aws_nothing_of_it_is_asked_for_unless_a_table_is_named(environment):
    environment(**ON_AWS)
    assert load_settings().csv_table == ""
    environment(WORDFREQ_CSV_TABLE="products")
    with pytest.raises(SettingsError, match="WORDFREQ_INGEST_DEFINITION"):
        load_settings()
    environment(WORDFREQ_INGEST_DEFINITION="ingest")
    with pytest.raises(SettingsError, match="WORDFREQ_CSV_SOURCE, WORDFREQ_CSV_REJECTS"):
        load_settings()
    environment(WORDFREQ_CSV_SOURCE="s3://b/csv", WORDFREQ_CSV_REJECTS="s3://b/rejects")
    assert load_settings().csv_table == "products"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("WORDFREQ_CSV_MAX_REJECTS", "a few"),
        ("WORDFREQ_CSV_REFUSE_ABOVE", "150%"),
        ("WORDFREQ_CSV_WRITE", "sometimes"),
        ("WORDFREQ_CSV_EXTRA_COLUMNS", "hide"),
        ("WORDFREQ_CSV_PACK", "much"),
        ("WORDFREQ_CSV_EVENTS_QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/1/q"),
    ],
)
def test_a_bad_value_names_its_variable(environment, variable, value):
    environment(**{variable: value})
    with pytest.raises(SettingsError, match=variable):
        load_settings()


def test_the_pipeline_is_there_where_a_table_is_configured(tmp_path):
    def names(table):
        definitions = build_definitions(Settings(home=str(tmp_path), csv_table=table))
        assets = definitions.resolve_asset_graph().get_all_asset_keys()
        jobs = {job.name for job in definitions.jobs}
        sensors = {sensor.name: sensor.default_status for sensor in definitions.sensors}
        return {key.to_user_string() for key in assets} | jobs, sensors

    without, _ = names("")
    assert not {name for name in without if "csv" in name}
    found, sensors = names("products")
    assert found - without == {"csv_uploads", "csv_rows", "csv_to_dynamodb"}
    assert sensors["new_csv_uploads"] == dg.DefaultSensorStatus.RUNNING
