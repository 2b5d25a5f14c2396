"""Infrastructure and application agree: names, variables, commands, retry rules."""

import json

import pytest
import yaml
from conftest import ROOT
from wordfreq_infra import environment
from wordfreq_infra import options as infra_options
from wordfreq_infra.compute import queue_name
from wordfreq_infra.dagster import SERVICES
from wordfreq_infra.jobs import RETRIES, STAGES

from wordfreq_batch.csv import values
from wordfreq_batch.csv.schema import ADDED
from wordfreq_dagster.outputs import output_name
from wordfreq_dagster.settings import (
    Settings,
    load_settings,
)

#: Settings that say how to work, not where: their defaults suit any deployment.
CHOICES = {
    "csv_extra_columns", "csv_delimiter", "csv_encoding", "csv_header",
    "csv_max_rejects", "csv_refuse_above", "csv_write", "csv_pack",
    "csv_new_uploads",
    "automation", "new_files", "nightly", "events", "nightly_cron", "nightly_timezone",
    "pack", "encoding", "fold", "retry_unusable", "min_length", "min_count", "top", "stop_words",
    "merge_part_words", "timeout_seconds", "sensor_seconds", "event_days",
    "failure_slack_webhook", "ui_url", "code_url",
    "folder_depth",
    "csv_max_write_units", "report",
    "csv_settings",  # a file beside the project
    "scheduling_priority",  # of queues with a fair-share policy
}  # fmt: skip
#: Settings of this machine, of no use where stages run on AWS.
LOCAL = {
    "outputs", "home", "csv_endpoint", "image",
    "local_vcpus", "local_runner", "local_container_arguments",
}  # fmt: skip


def resolved(value):
    """The value of an output as if deployed: references become something of their kind."""
    if isinstance(value, str):
        return value
    ((kind, inner),) = value.items()
    if kind == "Fn::Join":
        return inner[0].join(resolved(part) for part in inner[1])
    if kind == "Fn::ImportValue":
        return "made-by-" + inner.rpartition(":")[2][:40].lower()
    return json.dumps(value)


def outputs(deployment):
    found = deployment.templates["access"]["Outputs"]
    return {name: resolved(one["Value"]) for name, one in found.items()}


@pytest.fixture
def loaded(deployment, tmp_path, monkeypatch):
    path = tmp_path / "outputs.json"
    path.write_text(json.dumps({"access": outputs(deployment)}))
    monkeypatch.setenv("WORDFREQ_OUTPUTS", str(path))
    return load_settings()


def test_the_settings_load_what_the_deployment_writes(deployment, loaded):
    name = deployment.options.name
    assert not loaded.embedded
    assert loaded.batch_queue == queue_name(deployment.options)
    assert loaded.migrate_definition == f"{name}-migrate"
    assert loaded.ingest_definition == f"{name}-ingest"
    assert "rows" in loaded.csv_table  # a name of CloudFormation's: a kept one isn't in the way
    assert loaded.csv_columns == deployment.options.csv_columns
    assert loaded.csv_key == deployment.options.csv_key
    assert loaded.csv_sort_key == deployment.options.csv_sort_key
    for place in ("source", "destination", "plans", "ranking", "csv_source", "csv_rejects"):
        assert getattr(loaded, place).startswith("s3://"), place
    # A queue that shares refuses jobs without one, any other jobs with one: letters and digits.
    assert loaded.share_identifier == ("wftest" if deployment.options.fair_share else "")
    assert bool(loaded.events_queue_url) == (not deployment.options.source)
    assert loaded.csv_events_queue_url not in ("", loaded.events_queue_url)


def test_every_setting_is_deployed_or_needs_no_deployment(full, other):
    """A new setting has to be put somewhere: nothing is left to be copied by hand."""
    deployed = set(outputs(full)) | set(outputs(other))
    named = {field for field in Settings.model_fields if output_name(field) in deployed}
    assert named | CHOICES | LOCAL == set(Settings.model_fields)
    assert not named & (CHOICES | LOCAL)


def test_every_output_for_the_settings_is_a_setting(deployment):
    known = {output_name(field) for field in Settings.model_fields}
    ours = [name for name in outputs(deployment) if name.startswith("Wordfreq")]
    assert len(ours) >= 14
    assert [name for name in ours if name not in known] == []


def test_both_sides_spell_outputs_and_variables_alike():
    for field in Settings.model_fields:
        assert environment.output_name(field) == output_name(field)
        assert environment.variable_name(field) == f"WORDFREQ_{field.upper()}"


def test_dagsters_containers_get_the_same_settings(deployment):
    expected = {
        "WORDFREQ_" + name.removeprefix("Wordfreq").lower(): value
        for name, value in outputs(deployment).items()
        if name.startswith("Wordfreq")
    }
    for task in deployment.properties("AWS::ECS::TaskDefinition"):
        (container,) = task["ContainerDefinitions"]
        variables = [one["Name"] for one in container["Environment"]]
        found = {n.replace("_", "") for n in variables if n.startswith("WORDFREQ_")}
        assert {name.replace("_", "").upper() for name in expected} == found


def test_columns_and_items_are_what_the_container_knows():
    assert set(infra_options.TYPES) == set(values.TYPES)
    assert infra_options.ADDED == ADDED
    letters = {letters: name for name, letters in values.LETTERS.items() if letters in "SNB"}
    assert letters == {"": "json"} | infra_options.KEY_TYPES


def test_what_the_tasks_of_dagster_are_given_is_read(deployment):
    """Settings, what the instance's files and its entrypoint name, and boto3's Region."""
    folder = ROOT / "infra" / "dagster"
    read = "".join(path.read_text() for path in folder.glob("*") if path.suffix in (".yaml", ".sh"))
    known = {f"WORDFREQ_{field.upper()}" for field in Settings.model_fields}
    for task in deployment.properties("AWS::ECS::TaskDefinition"):
        (container,) = task["ContainerDefinitions"]
        names = {one["Name"] for one in container["Environment"] + container["Secrets"]}
        assert [name for name in names if name not in known and name not in read] == [
            name for name in names if name.startswith("AWS_")
        ]


def test_services_are_started_and_asked_alike_on_ecs_and_by_compose(full):
    compose = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())["services"]
    tasks = full.properties("AWS::ECS::TaskDefinition")
    containers = {one["Name"]: one for (one,) in (task["ContainerDefinitions"] for task in tasks)}
    for name in SERVICES:
        assert containers[name]["Command"] == compose[name]["command"]
        assert containers[name]["HealthCheck"]["Command"] == compose[name]["healthcheck"]["test"]
    assert set(SERVICES) == set(compose) - {"postgres"} == set(containers) - {"run"}


def test_each_stage_is_a_command_of_the_container():
    from pathlib import Path

    package = Path(__file__).parents[2] / "batch_image/wordfreq_batch/cli"
    commands = "".join(path.read_text() for path in package.glob("*.py"))
    for stage in STAGES:
        assert f'"{stage.name}"' in commands


def test_the_definitions_repeat_for_the_reasons_the_client_repeats_for(full):
    source = (
        __import__("pathlib").Path(__file__).parents[2]
        / "packages/dagster-aws-batch/src/dagster_aws_batch/_aws/requests.py"
    )
    text = source.read_text()
    for _, pattern in RETRIES:
        assert f'"{pattern.rstrip("*")}' in text


def test_the_table_has_the_keys_that_csv_rows_are_written_by(full, other):
    def keys(deployment):
        (table,) = deployment.properties("AWS::DynamoDB::Table")
        kinds = {
            one["AttributeName"]: one["AttributeType"] for one in table["AttributeDefinitions"]
        }
        return {
            one["KeyType"]: (one["AttributeName"], kinds[one["AttributeName"]])
            for one in table["KeySchema"]
        }

    assert keys(full) == {"HASH": (Settings.model_fields["csv_key"].default, "S")}
    assert keys(other) == {"HASH": ("Sku", "S"), "RANGE": ("Price", "N")}
