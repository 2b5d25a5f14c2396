"""`python -m wordfreq_dagster doctor` on a real S3, DynamoDB and SQS."""

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


def test_what_cannot_be_asked_is_not_called_wrong(deployed, ministack):
    """A refused or failed request says nothing about what it asked for."""

    def unreachable(service):
        import boto3

        return boto3.client(
            service, endpoint_url="http://127.0.0.1:9", region_name="us-east-1",
            aws_access_key_id="a", aws_secret_access_key="b",
        )  # fmt: skip

    found = list(examine(Settings(**deployed), unreachable))
    asked = [
        one for one in found if "s3://" in one.about or one.about.startswith(("table", "queue"))
    ]
    assert {one.level for one in asked} == {"not checked"}


def test_an_instance_that_is_not_there_makes_the_command_fail(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("WORDFREQ_HOME", str(tmp_path))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    assert main(["doctor"]) == 1
    assert "Set DAGSTER_HOME" in capsys.readouterr().out
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    assert main(["doctor"]) == 0
