"""A look that failed says nothing about the jobs: nothing is ended, repeated or lost by it."""

from __future__ import annotations

import logging

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from aws_batch_emulator import SimulatedRun
from dagster_aws_batch import (
    BatchJobDefinition,
    BatchUnavailableError,
    Job,
    SubmitRejectedError,
)

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
