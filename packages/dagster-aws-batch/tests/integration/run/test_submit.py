"""Behaviours 3 and 4: the rate of submissions, and none of them twice."""

from __future__ import annotations

from collections import Counter

import pytest

from aws_batch_emulator import SimulatedRun
from dagster_aws_batch._aws.connect import client_config
from dagster_aws_batch._aws.failures import CallError, classify_call
from dagster_aws_batch._errors import BatchUnavailableError, SubmitRejectedError
from dagster_aws_batch._job import BatchJobDefinition, Job, Retries


def plain(number):
    return Job(name=f"job{number}", definition=BatchJobDefinition(image="tool:1"))


def test_a_field_that_aws_does_not_know_is_no_refusal_of_aws(bench):
    definition = BatchJobDefinition(image="tool:1")
    job = Job(name="count", definition=definition, options={"sharedIdentifier": "a"})
    with pytest.raises(
        SubmitRejectedError, match=r"(?s)botocore refused job count .*sharedIdentifier"
    ):
        bench.run(1, job)
    assert not bench.aws.calls["SubmitJob"]


def test_submissions_keep_to_25_a_second(bench, record_figure):
    connection = bench.connection()
    arn = connection.definitions.arn(BatchJobDefinition(image="tool:1"))
    names = ("BATCH_TASKS", "BATCH_SUBMISSION")
    variables = [{"name": name, "value": "0"} for name in names]
    times = []
    for number in range(100):
        connection.api.once(
            "SubmitJob",
            jobName=f"j{number}",
            jobQueue="local",
            jobDefinition=arn,
            containerOverrides={"environment": variables},
        )
        times.append(bench.clock.now())
    rate = (len(times) - 1) / (times[-1] - times[0])
    record_figure("3 submissions a second at most", round(rate, 1), 25)
    assert rate <= 26.5  # the first five may go at once


def test_the_rate_halves_on_429_and_recovers_slowly(bench):
    budget = bench.connection().api._budgets["SubmitJob"]
    budget.throttled()
    assert budget.rate == 12.5
    for _ in range(10):
        budget.succeeded()
    assert budget.rate == pytest.approx(13.75)
    for _ in range(500):
        budget.succeeded()
    assert budget.rate == 25.0


def test_half_of_all_calls_throttled_and_everything_still_ends_once(bench, record_figure):
    bench.aws.faults.throttle(rate=0.5)
    for number in range(20):
        result = bench.run(3, plain(number), with_receipts=True)
        assert all(task.ok for task in result.tasks)
        bench.receipts.clear()
    bench.aws.faults.clear()
    assert set(bench.work) == {0, 1, 2}
    assert set(bench.work.values()) == {20}
    assert len(bench.jobs()) == 20
    record_figure("3 jobs doubled or lost of 20 with 50 % of calls throttled", 0)


def test_it_tries_ten_times_over_two_minutes_before_it_gives_up(bench, record_figure):
    bench.aws.faults.throttle("SubmitJob")
    start = bench.clock.now()
    with pytest.raises(
        BatchUnavailableError, match=r"could not be submitted to local in \d+ tries"
    ):
        bench.run(1)
    seconds = bench.clock.now() - start
    tries = bench.aws.calls["SubmitJob"]
    record_figure("3 tries of a submission that is always throttled", tries, f"{seconds:.0f} s")
    assert tries >= 10
    assert seconds >= 120


def test_the_sdk_does_not_repeat_submit_job_by_itself(bench):
    bench.aws.faults.error("SubmitJob", after=False, times=1, status=503)
    client = bench.client()
    connection = bench.connection()
    arn = connection.definitions.arn(BatchJobDefinition(image="tool:1"))
    with pytest.raises(client.exceptions.ServerException) as caught:
        client.submit_job(jobName="x", jobQueue="local", jobDefinition=arn)
    assert classify_call(caught.value) is CallError.UNCERTAIN
    assert bench.aws.calls["SubmitJob"] == 1
    assert client_config().retries == {"total_max_attempts": 1, "mode": "standard"}


@pytest.mark.parametrize("lost", ["error_after", "drop_after"])
def test_answers_lost_after_the_job_was_created_double_nothing(bench, lost, record_figure):
    if lost == "error_after":
        bench.aws.faults.error("SubmitJob", after=True, rate=0.2)
    else:
        bench.aws.faults.drop("SubmitJob", after=True, rate=0.2)
    for number in range(40):
        result = bench.run(2, plain(number), with_receipts=True)
        assert all(task.ok for task in result.tasks)
        bench.receipts.clear()
    jobs = Counter(row["jobName"] for row in bench.jobs())
    assert len(jobs) == 40 and set(jobs.values()) == {1}
    assert bench.work == {0: 40, 1: 40}
    record_figure(f"4 live jobs a unit, 20 % of submits {lost}", 1, f"{len(jobs)} units")


@pytest.mark.parametrize(
    ("lateness", "seconds"),
    [(5, 1), (5, 400), (12, 40), (25, 1), (50, 40), (50, 400), (120, 400), (300, 1), (300, 900)],
)
def test_with_a_late_listing_the_second_container_leaves_the_work_to_the_first(
    bench, lateness, seconds, record_figure
):
    bench.aws.faults.late_listing(lateness)
    bench.aws.faults.error("SubmitJob", after=True, times=1)
    bench.behaviour = lambda job, task: SimulatedRun(seconds=seconds)
    result = bench.run(20, with_receipts=True)
    assert all(task.ok for task in result.tasks)
    assert bench.work == dict.fromkeys(range(20), 1)
    bench.clock.advance(400)
    assert bench.live() == []
    submits = bench.aws.calls["SubmitJob"]
    assert submits <= 2
    record_figure(f"4 work done per task, listing {lateness} s late, {seconds} s tasks", 1, submits)


def test_a_refusal_is_final_and_says_what_to_do(bench):
    job = Job(name="count", definition="nowhere:1", command=["x"])
    with pytest.raises(SubmitRejectedError, match=r"refused job count for queue local: .*doctor"):
        bench.run(2, job)
    assert bench.aws.calls["SubmitJob"] == 1


def test_a_definition_that_somebody_deregistered_is_registered_again(bench):
    connection = bench.connection()
    bench.run(1, connection=connection)
    [definition] = bench.client().describe_job_definitions(status="ACTIVE")["jobDefinitions"]
    bench.client().deregister_job_definition(jobDefinition=definition["jobDefinitionArn"])
    result = bench.run(1, connection=connection, run_id="run-2")
    assert result.tasks[0].ok


def test_retries_do_not_go_into_one_another(bench):
    """The token of each round differs, so the lease of the first does not stop the second."""
    seen = []

    def fails_once(job, task):
        seen.append(job.environment["BATCH_SUBMISSION"])
        return SimulatedRun(seconds=1, exit_code=1 if len(seen) == 1 else 0)

    bench.behaviour = fails_once
    job = Job(
        name="count", definition=BatchJobDefinition(image="t:1"), retries=Retries(user_code=1)
    )
    result = bench.run(1, job, with_receipts=True)
    assert result.tasks[0].ok
    assert len(set(seen)) == 2
