"""The server of AWS services that demo and tests run against: it comes up, answers, and goes."""

import socket

import boto3
import pytest

from demo.local_aws import (
    LocalAwsError,
    executable,
    local_aws,
)


def test_what_the_fixture_offers_speaks_dynamodb_sqs_events_and_s3(ministack):
    assert isinstance(ministack.client("dynamodb").list_tables()["TableNames"], list)
    queue = ministack.client("sqs").create_queue(QueueName=ministack.name())["QueueUrl"]
    assert queue.startswith("http")
    # The server is shared with other files of tests: only what is made here may be asserted.
    events, rule = ministack.client("events"), ministack.name()
    events.put_rule(Name=rule, EventPattern='{"source": ["aws.s3"]}')
    assert rule in {each["Name"] for each in events.list_rules()["Rules"]}
    events.delete_rule(Name=rule)
    bucket = ministack.bucket()
    ministack.client("s3").put_object(Bucket=bucket, Key="a", Body=b"x")


def test_it_is_gone_when_its_context_ends(ministack, tmp_path):
    with local_aws(tmp_path) as server:
        session = boto3.Session("key", "secret", region_name="us-east-1")
        session.client("dynamodb", endpoint_url=server.url).list_tables()
        port = int(server.url.rpartition(":")[2])
    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect(("127.0.0.1", port))


def test_without_it_the_message_says_what_to_run(tmp_path, monkeypatch):
    monkeypatch.setenv("EMULATORS", str(tmp_path / "nowhere"))
    assert not executable().exists()
    with pytest.raises(LocalAwsError, match="make emulators"), local_aws(tmp_path):
        pass
