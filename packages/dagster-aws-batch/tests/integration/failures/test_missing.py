"""Behaviours 8 and 9: jobs that vanish or never start, and what must not pass for a success."""

from __future__ import annotations

import logging
from itertools import pairwise
from types import SimpleNamespace

import pytest

from aws_batch_emulator import SimulatedRun
from dagster_aws_batch._job import BatchJobDefinition, Job, Retries
from dagster_aws_batch._results import FailureClass
from dagster_aws_batch._run.state import Options

NO_RETRIES = Retries(host_loss=0)


def job(**fields):
    fields.setdefault("retries", NO_RETRIES)
    return Job(name="count", definition=BatchJobDefinition(image="tool:1"), **fields)


def hidden(bench, connection, moments):
    """DescribeJobs leaves out everything during the given stretch of time (from, to) after now."""
    start = bench.clock.now()
    describe = connection.api.describe

    def blind(ids):
        found = describe(ids)
        return {} if moments[0] <= bench.clock.now() - start < moments[1] else found

    connection.api.describe = blind


@pytest.mark.parametrize("tasks", [1, 4])
def test_a_reader_that_names_tasks_without_a_receipt_does_not_make_them_done(bench, tasks):
    read = bench.read_receipts
    bench.read_receipts = lambda asked: {task: read(asked).get(task) for task in asked}
    result = bench.run(tasks, job(), with_receipts=True)
    assert bench.work == dict.fromkeys(range(tasks), 1)
    assert all(task.ok for task in result.tasks)
    bench.receipts.clear()
    bench.behaviour = lambda child, task: SimulatedRun(seconds=5, exit_code=1)
    result = bench.run(tasks, job(), run_id="run-2", with_receipts=True)
    assert not any(task.ok for task in result.tasks)


def test_a_job_that_is_not_described_yet_is_waited_for(bench):
    connection = bench.connection()
    hidden(bench, connection, (0, 60))
    assert bench.run(1, job(), connection=connection).tasks[0].ok


def test_a_job_missing_from_describe_but_listed_is_not_given_up(bench):
    bench.behaviour = lambda child, task: SimulatedRun(seconds=600)
    connection = bench.connection()
    hidden(bench, connection, (100, 400))
    assert bench.run(1, job(), connection=connection).tasks[0].ok


@pytest.mark.parametrize("tasks", [1, 5])
def test_a_lost_job_is_decided_within_three_polls(bench, tasks, record_figure):
    bench.behaviour = lambda child, task: SimulatedRun(seconds=6000)
    connection = bench.connection()
    hidden(bench, connection, (100, 1e9))
    listed = connection.api.by_name
    connection.api.by_name = lambda *args, **kwargs: (
        listed(*args, **kwargs) if bench.clock.now() < 1_800_000_000 + 100 else []
    )
    result = bench.run(tasks, job(), connection=connection)
    assert {task.failure for task in result.tasks} == {FailureClass.LOST}
    assert "knows nothing" in result.tasks[0].reason
    seconds = f"{result.seconds - 100:.0f}"
    record_figure(f"8 seconds from the loss of a job ({tasks} tasks) to its decision", seconds)
    assert result.seconds <= 100 + 3 * 30 + 40


def test_a_lost_child_fails_alone(bench):
    bench.behaviour = lambda child, task: SimulatedRun(seconds=300)
    bench.aws.faults.job("lost", "dagster-*", index=2, seconds=100)
    result = bench.run(5, job())
    assert [task.ok for task in result.tasks] == [True, True, False, True, True]
    assert result.tasks[2].failure is FailureClass.LOST


def test_a_purged_job_counts_as_done_only_with_its_receipt(bench):
    """AWS forgets finished jobs after a day; the wait was interrupted for longer than that."""
    bench.behaviour = lambda child, task: SimulatedRun(seconds=50, exit_code=int(task == 3))
    connection = bench.connection()
    describe = connection.api.describe

    def sleeps_two_days(ids):
        if bench.clock.now() < 1_800_000_000 + 3600:
            bench.clock.advance(2 * 86_400)
        return describe(ids)

    bench.aws.faults.retention(86_400)
    connection.api.describe = sleeps_two_days
    result = bench.run(5, job(), connection=connection, with_receipts=True)
    assert [task.ok for task in result.tasks] == [True, True, True, False, True]
    assert result.tasks[3].failure is FailureClass.LOST
    assert "the receipt says it is done" in result.tasks[0].note


@pytest.mark.parametrize("tasks", [1, 4])
def test_a_blocked_job_is_reported_with_its_reason_and_goes_on(bench, tasks, caplog, record_figure):
    bench.aws.faults.job("never_start", "dagster-*", attempt=None)
    with caplog.at_level(logging.INFO), pytest.raises(TimeoutError):
        bench.run(tasks, job(), connection=_until(bench, 2000))
    [first, *_] = [text for text in caplog.messages if "nothing has started for" in text]
    assert "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY" in first
    record_figure(
        "8 minutes until a blocked job is reported", first.split("for ")[1].split(" on")[0]
    )


def _until(bench, seconds):
    """A connection whose owner loses patience."""
    connection = bench.connection()
    describe, start = connection.api.describe, bench.clock.now()

    def impatient(ids):
        if bench.clock.now() - start > seconds:
            raise TimeoutError
        return describe(ids)

    connection.api.describe = impatient
    return connection


@pytest.mark.parametrize("tasks", [1, 4])
def test_ending_a_blocked_job_is_opt_in_and_keeps_the_reason(bench, tasks):
    bench.aws.faults.job("never_start", "dagster-*", attempt=None)
    result = bench.run(tasks, job(), options=Options(blocked_action="terminate"))
    assert {task.failure for task in result.tasks} == {FailureClass.UNSCHEDULABLE}
    assert "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY" in result.tasks[0].reason
    assert result.seconds < 1200


class Stuck:
    """Answers as AWS does for a job that stays in a state before RUNNING, perhaps silently."""

    def __init__(self, connection, state, reason=""):
        self.state, self.reason = state, reason
        self.describe, connection.api.describe = connection.api.describe, self

    def __call__(self, ids):
        found = self.describe(ids)
        for detail in found.values():
            if detail["status"] in ("SUCCEEDED", "FAILED"):
                continue
            detail["status"] = self.state
            detail["statusReason"] = self.reason
            if "arrayProperties" in detail:
                size = detail["arrayProperties"]["size"]
                detail["arrayProperties"]["statusSummary"] = {self.state: size}
        return found


@pytest.mark.parametrize("tasks", [1, 4])
@pytest.mark.parametrize("state", ["SUBMITTED", "PENDING", "RUNNABLE", "STARTING"])
def test_a_job_that_does_not_start_is_reported_in_every_state(bench, state, tasks, caplog):
    bench.behaviour = lambda child, task: SimulatedRun(seconds=3 * 3600)
    connection = bench.connection()
    Stuck(connection, state)
    with caplog.at_level(logging.INFO):
        bench.run(tasks, job(), connection=connection)
    reports = [text for text in caplog.messages if "nothing has started for" in text]
    assert 10 <= len(reports) <= 12
    assert f"({state})" in reports[0]


@pytest.mark.parametrize("tasks", [1, 4])
@pytest.mark.parametrize("state", ["PENDING", "RUNNABLE", "STARTING"])
def test_blocked_action_ends_it_in_every_state_without_a_reason_too(bench, state, tasks):
    bench.aws.faults.job("never_start", "dagster-*", attempt=None)
    connection = bench.connection()
    Stuck(connection, state)
    options = Options(blocked_action="terminate")
    result = bench.run(tasks, job(), connection=connection, options=options)
    assert {task.failure for task in result.tasks} == {FailureClass.UNSCHEDULABLE}
    assert result.seconds < 1200


def test_rounds_that_fail_for_their_host_are_given_time(bench):
    bench.behaviour = lambda child, task: SimulatedRun(
        seconds=1, exit_code=None, reason="CannotPullContainerError: toomanyrequests"
    )
    bench.run(1, job(retries=Retries(host_loss=3)))
    times = [row["createdAt"] / 1000 for row in bench.jobs()]
    pauses = [round(after - before) for before, after in pairwise(times)]
    assert len(pauses) == 3
    assert pauses[0] >= 10 and pauses[1] >= 20 and pauses[2] >= 40


def test_progress_counts_a_task_that_ran_again_once(bench, caplog):
    failed = []

    def once(child, task):
        code = 1 if task == 3 and not failed else 0
        failed.extend([task] if code else [])
        return SimulatedRun(seconds=60, exit_code=code)

    bench.behaviour = once
    with caplog.at_level(logging.INFO):
        bench.run(7, job(retries=Retries(user_code=1)))
    assert [text for text in caplog.messages if "7 of 7 done (100%), 0 running" in text]
    assert not [text for text in caplog.messages if "7 of 7 done" in text and "failed" in text]


# -- no false success ------------------------------------------------------------------------------


@pytest.mark.parametrize("with_receipts", [False, True])
@pytest.mark.parametrize("tasks", [1, 3])
def test_failed_without_an_exit_code_is_a_failure(bench, tasks, with_receipts):
    bench.aws.faults.job("image_pull", "dagster-*", attempt=None)
    result = bench.run(tasks, job(), with_receipts=with_receipts)
    assert not any(task.ok for task in result.tasks)
    assert result.tasks[0].exit_code is None


@pytest.mark.parametrize("tasks", [1, 3])
def test_exit_0_without_a_receipt_is_a_failure(bench, tasks):
    bench.behaviour = lambda child, task: SimulatedRun(seconds=5, on_exit=lambda: None)
    result = bench.run(tasks, job(), with_receipts=True)
    assert {task.failure for task in result.tasks} == {FailureClass.LOST}
    assert "left no receipt" in result.tasks[0].reason
    assert result.tasks[0].exit_code == 0


def test_a_container_that_never_leaves_a_receipt_runs_twice_at_most(bench):
    bench.behaviour = lambda child, task: SimulatedRun(seconds=5, on_exit=lambda: None)
    result = bench.run(2, job(retries=Retries()), with_receipts=True)
    assert not any(task.ok for task in result.tasks)
    assert result.rounds == 2


def test_a_failed_parent_without_rows_fails_all_tasks(bench):
    """An array whose dependency failed ends before it has children that ran."""
    connection = bench.connection()
    connection.api.children = lambda parent, status: iter(())
    bench.behaviour = lambda child, task: SimulatedRun(seconds=5, exit_code=1)
    result = bench.run(4, job(), connection=connection)
    assert not any(task.ok for task in result.tasks)
    assert all(task.reason for task in result.tasks)


@pytest.mark.parametrize("code", [None, 1])
def test_succeeded_with_an_essential_container_without_exit_code_is_a_failure(bench, code):
    """As AWS answers for a job of several containers of which one has none."""
    connection = bench.connection()
    describe = connection.api.describe

    def several(ids):
        found = describe(ids)
        for detail in found.values():
            if detail["status"] == "SUCCEEDED":
                main = {"name": "main", "essential": True, "exitCode": 0}
                side = {"name": "proxy", "essential": True, "exitCode": code}
                side = {key: value for key, value in side.items() if value is not None}
                detail["ecsProperties"] = {"taskProperties": [{"containers": [main, side]}]}
                detail["container"] = {}
        return found

    connection.api.describe = several
    result = bench.run(1, job(), connection=connection)
    assert not result.tasks[0].ok
    assert "AWS Batch says SUCCEEDED, but" in result.tasks[0].reason


def test_a_receipt_outweighs_a_host_lost_after_the_work(bench):
    def run(child, task):
        bench.receipts[task] = SimpleNamespace(exit_code=0)
        return SimulatedRun(
            seconds=5,
            exit_code=None,
            status_reason="Host EC2 (instance i-0) terminated.",
            on_exit=lambda: None,
        )

    bench.behaviour = run
    result = bench.run(3, job(), with_receipts=True)
    # The whole stage was not even submitted a second time.
    assert all(task.ok for task in result.tasks)
    assert "Host EC2" in result.tasks[0].note
    assert result.rounds == 1


def test_a_receipt_of_failure_is_a_failure_and_is_not_repeated(bench):
    def run(child, task):
        bench.receipts[task] = SimpleNamespace(exit_code=4)
        return SimulatedRun(seconds=5, exit_code=4, on_exit=lambda: None)

    bench.behaviour = run
    result = bench.run(2, job(retries=Retries(user_code=3)), with_receipts=True)
    assert {task.failure for task in result.tasks} == {FailureClass.USER_CODE}
    assert result.rounds == 1
    assert bench.aws.calls["SubmitJob"] == 1
