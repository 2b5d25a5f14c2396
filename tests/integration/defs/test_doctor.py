"""`python -m wordfreq_dagster doctor` on a real S3, DynamoDB and SQS."""

import boto3
import pytest

from tests.instances import local_instance
from wordfreq_dagster.__main__ import main
from wordfreq_dagster.doctor import examine
from wordfreq_dagster.settings import Settings


@pytest.fixture
def deployed(ministack):
    """A bucket, a table whose key is another than the settings', a queue with an unread event."""
    bucket, table, queue = ministack.bucket(), ministack.table("Sku"), ministack.name("events")
    sqs = ministack.client("sqs")
    url = sqs.create_queue(QueueName=queue)["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="{}")
    return {
        "source": f"s3://{bucket}/texts",
        "destination": f"s3://{ministack.name('gone')}/output",
        "csv_source": f"s3://{bucket}/uploads",
        "csv_table": table,
        "events_queue_url": url,
        "csv_events_queue_url": f"{url}-gone",
    }


def test_each_thing_is_named_with_what_to_do(deployed, ministack):
    with local_instance():
        found = list(examine(Settings(**deployed), ministack.client))
    by_setting = {one.about.rpartition("(")[2].rstrip(")"): one for one in found}
    assert by_setting["WORDFREQ_SOURCE"].level == "ok"
    assert by_setting["WORDFREQ_DESTINATION"].level == "error"
    assert by_setting["WORDFREQ_CSV_EVENTS_QUEUE_URL"].level == "error"
    assert "Sku" in by_setting["WORDFREQ_CSV_TABLE"].text
    assert "WORDFREQ_CSV_KEY" in by_setting["WORDFREQ_CSV_TABLE"].advice
    assert "1 events that no sensor has read" in by_setting["WORDFREQ_EVENTS_QUEUE_URL"].text
    assert by_setting["DAGSTER_HOME"].level == "ok"


def unreachable(service):
    return boto3.client(
        service, endpoint_url="http://127.0.0.1:9", region_name="us-east-1",
        aws_access_key_id="a", aws_secret_access_key="b",
    )  # fmt: skip


def test_what_cannot_be_asked_is_not_called_wrong(deployed, ministack):
    """A refused or failed request says nothing about what it asked for."""
    found = list(examine(Settings(**deployed), unreachable))
    asked = [
        one for one in found if "s3://" in one.about or one.about.startswith(("table", "queue"))
    ]
    assert {one.level for one in asked} == {"not checked"}


def test_the_table_is_looked_for_where_the_jobs_look_for_it(ministack, monkeypatch):
    """Not in AWS, which would say that there is none."""
    settings = {"csv_table": ministack.table("ProductId"), "csv_endpoint": ministack.url}
    for name, value in ministack.environment.items():
        if name != "AWS_ENDPOINT_URL":
            monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with local_instance():
        found = {one.about: one.level for one in examine(Settings(**settings))}
    about = f"table {settings['csv_table']} at {ministack.url} (WORDFREQ_CSV_TABLE)"
    assert found[about] == "ok"


def test_a_folder_is_seen_however_it_is_written(tmp_path):
    texts = tmp_path / "my texts"
    texts.mkdir()
    there = {"source": f"file://{texts}", "csv_source": str(texts), "csv_table": "products"}
    with local_instance():
        found = list(examine(Settings(home=str(tmp_path / "home"), **there), unreachable))
    levels = [one.level for one in found if "SOURCE" in one.about]
    assert levels == ["ok", "ok"]


def test_an_instance_that_is_not_there_makes_the_command_fail(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("WORDFREQ_HOME", str(tmp_path))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    assert main(["doctor"]) == 1
    assert "Set DAGSTER_HOME" in capsys.readouterr().out
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    assert main(["doctor"]) == 0
