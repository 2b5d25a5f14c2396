"""A look that failed says nothing about the jobs: nothing is ended, repeated or lost by it."""

from __future__ import annotations

import logging
import os
import socket

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from aws_batch_emulator import SimulatedRun
from dagster_aws_batch import (
    BatchError,
    BatchJobDefinition,
    BatchUnavailableError,
    Job,
    SubmitRejectedError,
)
from dagster_aws_batch._aws.connect import Connection, client_config

HOUR = 3600
UNREACHABLE = EndpointConnectionError(endpoint_url="https://batch.example")


def broken(bench, connection, error, *, start, end, operations=None):
    """All calls (or those named) raise `error` between two times after now."""
    once, begin = connection.api.once, bench.clock.now()

    def fails(operation, **request):
        inside = start <= bench.clock.now() - begin < end
        if inside and (operations is None or operation in operations):
            connection.api.calls[operation] += 1
            raise error
        return once(operation, **request)

    connection.api.once = fails


def run(bench, connection, *, hours=2.0, tasks=200, **options):
    bench.behaviour = lambda job, task: SimulatedRun(seconds=hours * HOUR)
    return bench.run(tasks, connection=connection, **options)


@pytest.mark.parametrize("minutes", [1, 2.5, 3, 5, 20, 180])
def test_an_outage_wastes_nothing(bench, minutes, record_figure):
    connection = bench.connection()
    broken(bench, connection, UNREACHABLE, start=HOUR, end=HOUR + minutes * 60)
    result = run(bench, connection, hours=6)
    assert all(task.ok for task in result.tasks)
    assert bench.work == dict.fromkeys(range(200), 1)
    assert bench.aws.calls["SubmitJob"] == 1
    assert bench.aws.calls["TerminateJobs"] == 0
    assert result.usage.wasted_vcpu_seconds == 0
    record_figure(f"outage of {minutes} min: vCPU-hours wasted", 0)


def test_a_long_outage_is_reported_once_and_then_every_15_minutes(bench, caplog):
    connection = bench.connection()
    broken(bench, connection, UNREACHABLE, start=HOUR, end=2 * HOUR)
    with caplog.at_level(logging.INFO):
        run(bench, connection, hours=3, tasks=10)
    reports = [text for text in caplog.messages if "DescribeJobs fails" in text]
    assert 3 <= len(reports) <= 5
    assert "Check network, DNS, proxy" in reports[0]
    assert any("answered again" in text for text in caplog.messages)


def client_error(code, status, operation):
    answer = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {}}
    answer["ResponseMetadata"]["HTTPStatusCode"] = status
    return ClientError(answer, operation)


def test_an_outage_at_the_end_of_the_jobs_loses_no_result(bench):
    """The parent was seen to end; the listing of its children fails for 20 minutes."""
    connection = bench.connection()
    denied = client_error("AccessDeniedException", 403, "ListJobs")
    broken(bench, connection, denied, start=60, end=3 * HOUR, operations={"ListJobs"})
    result = run(bench, connection, tasks=20)
    assert all(task.ok for task in result.tasks)
    assert bench.work == dict.fromkeys(range(20), 1)


def test_a_definition_that_may_not_be_read_is_used_all_the_same(bench):
    arn = bench.connection().definitions.arn(BatchJobDefinition(image="tool:1"))
    connection = bench.connection()
    denied = client_error("AccessDeniedException", 403, "DescribeJobDefinitions")
    broken(bench, connection, denied, start=0, end=HOUR, operations={"DescribeJobDefinitions"})
    named = Job(name="count", definition=arn, command=["count"])
    assert bench.run(2, named, connection=connection).tasks[1].ok


def test_new_credentials_are_taken_up_while_waiting(bench):
    made = []

    def renew():
        made.append(bench.clock.now())
        return bench.client()

    connection = bench.connection(renew=renew)
    expired = client_error("ExpiredTokenException", 403, "DescribeJobs")
    client, start = connection.api.client, bench.clock.now()
    describe = client.describe_jobs

    def describe_jobs(**request):
        if not made and bench.clock.now() - start > HOUR:
            raise expired
        return describe(**request)

    client.describe_jobs = describe_jobs
    try:
        result = run(bench, connection, tasks=5)
    finally:
        client.describe_jobs = describe
    assert all(task.ok for task in result.tasks)
    assert len(made) == 1


def test_a_submission_given_up_in_an_outage_leaves_what_runs_to_a_retry(bench, caplog):
    """The second of two arrays can't be submitted: the first goes on, and a retry takes it up."""
    bench.behaviour = lambda job, task: SimulatedRun(seconds=2 * HOUR)
    connection = bench.connection()
    once, submitted = connection.api.once, []

    def fails(operation, **request):
        if submitted:
            raise UNREACHABLE
        answer = once(operation, **request)
        if operation == "SubmitJob":
            submitted.append(request["jobName"])
        return answer

    connection.api.once = fails
    with pytest.raises(BatchUnavailableError) as caught:
        bench.run(10_002, connection=connection, with_receipts=True)
    assert (caught.value.operation, caught.value.queue) == ("SubmitJob", "local")
    assert "left as they are" in caplog.text
    assert bench.aws.calls["TerminateJobs"] == 0
    again = bench.run(10_002, resumed=True, with_receipts=True)
    assert all(task.ok for task in again.tasks)
    assert set(bench.work.values()) == {1}
    assert bench.aws.calls["SubmitJob"] == 2


@pytest.mark.parametrize("queue", ["nope"])
def test_a_queue_that_does_not_exist_is_found_at_once(bench, queue, caplog):
    job = Job(name="count", definition=BatchJobDefinition(image="t:1"), queue=queue)
    start = bench.clock.now()
    with pytest.raises(SubmitRejectedError, match=r"was not submitted: .*nope.*doctor") as caught:
        bench.run(2, job)
    assert bench.clock.now() - start < 5
    assert bench.aws.calls["SubmitJob"] == 0
    assert len(caplog.records) == 0
    assert (caught.value.job, caught.value.queue) == ("count", "nope")
    assert caught.value.code == "ClientException"


def test_a_forbidden_listing_is_found_before_anything_is_submitted(bench):
    connection = bench.connection()
    denied = client_error("AccessDeniedException", 403, "ListJobs")
    broken(bench, connection, denied, start=0, end=HOUR, operations={"ListJobs"})
    start = bench.clock.now()
    with pytest.raises(SubmitRejectedError, match="doctor") as caught:
        bench.run(2, connection=connection)
    assert bench.clock.now() - start < 5
    assert caught.value.code == "AccessDeniedException"
    assert bench.aws.calls["SubmitJob"] == 0


def without_credentials(bench, monkeypatch):
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return {"endpoint_url": bench.aws.url, "region_name": "us-east-1"}


def in_an_unknown_region(bench, monkeypatch):
    look_up = socket.getaddrinfo

    def no_such_name(host, *rest, **further):
        if "amazonaws.com" in str(host):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return look_up(host, *rest, **further)

    monkeypatch.setattr(socket, "getaddrinfo", no_such_name)
    return {"region_name": "eu-wst-1", **KEYS}


def where_nothing_listens(bench, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return {"endpoint_url": f"http://127.0.0.1:{port}", "region_name": "us-east-1", **KEYS}


KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
HOPELESS = {
    "no credentials": (without_credentials, "Set AWS_PROFILE"),
    "a Region that doesn't exist": (in_an_unknown_region, "Check the Region's name"),
    "nothing listens": (where_nothing_listens, "Nothing listens there: start it"),
}


@pytest.mark.parametrize("given", list(HOPELESS))
def test_what_waiting_does_not_mend_is_refused_in_seconds(bench, monkeypatch, given, record_figure):
    options, advice = HOPELESS[given]
    client = boto3.Session().client("batch", config=client_config(), **options(bench, monkeypatch))
    connection, start = Connection.over(client, clock=bench.clock, seed=1), bench.clock.now()
    with pytest.raises(BatchUnavailableError, match=advice):
        bench.run(2, connection=connection)
    seconds, tries = bench.clock.now() - start, connection.api.calls.total()
    record_figure(f"16 {given}: seconds, tries before the refusal", f"{seconds:.1f}", tries)
    assert 4 <= seconds <= 5
    assert tries >= 4
    # A retry may find jobs of an earlier attempt: it isn't used up at once.
    with pytest.raises(BatchUnavailableError, match=advice):
        bench.run(2, connection=connection, resumed=True)
    assert bench.clock.now() - start >= 120
    assert bench.aws.calls["SubmitJob"] == 0


@pytest.mark.parametrize("operation", ["ListJobs", "RegisterJobDefinition", "SubmitJob"])
def test_credentials_that_aws_refuses_are_found_in_seconds(bench, operation):
    connection, start = bench.connection(), bench.clock.now()
    expired = client_error("ExpiredTokenException", 403, operation)
    broken(bench, connection, expired, start=0, end=HOUR, operations={operation})
    with pytest.raises(BatchUnavailableError, match="Renew the credentials"):
        bench.run(2, connection=connection)
    assert bench.clock.now() - start < 8
    assert bench.aws.calls["SubmitJob"] == 0


@pytest.mark.parametrize("seconds", [3, 100])
def test_what_comes_late_before_the_first_submission_fails_nothing(bench, seconds):
    """Credentials or a server after 3 s; a network (no answer, no refusal) after 100 s."""
    connection = bench.connection()
    error = NoCredentialsError() if seconds < 4 else UNREACHABLE
    broken(bench, connection, error, start=0, end=seconds)
    result = run(bench, connection, tasks=2)
    assert all(task.ok for task in result.tasks)
    assert bench.aws.calls["SubmitJob"] == 1


def test_a_look_at_ended_jobs_that_is_refused_for_ever_ends_the_wait(bench):
    """The jobs can't change any more: an hour is enough, and a retry finds what they left."""
    refused = ClientError({"Error": {"Code": "AccessDeniedException"}}, "ListJobs")
    connection = bench.connection()
    broken(bench, connection, refused, start=HOUR, end=1e9, operations=["ListJobs"])
    begin = bench.clock.now()
    with pytest.raises(BatchError, match="AccessDenied"):
        run(bench, connection, tasks=3)
    assert 2 * HOUR < bench.clock.now() - begin < 4.5 * HOUR
    assert all(task.ok for task in bench.run(3, resumed=True).tasks)
    assert bench.work == dict.fromkeys(range(3), 1)


def test_credentials_lost_while_jobs_run_do_not_end_a_later_round(bench):
    """What waiting doesn't mend is waited for where there is work to lose."""
    bench.behaviour = lambda job, task: (
        SimulatedRun(seconds=5, exit_code=None, reason="Host EC2 (instance i-1) terminated.")
        if task == 0 and "-r0" in job.name
        else SimulatedRun(seconds=HOUR)
    )
    connection = bench.connection()
    once, failed = connection.api.once, []

    def fails(operation, **request):
        if bench.aws.calls["SubmitJob"] and operation == "SubmitJob" and len(failed) < 8:
            failed.append(bench.clock.now())
            raise NoCredentialsError()
        return once(operation, **request)

    connection.api.once = fails
    result = bench.run(2, connection=connection)
    assert all(task.ok for task in result.tasks)
    assert failed[-1] - failed[0] > 5
