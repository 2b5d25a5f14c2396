"""Behaviour 13: the ends of failed tasks' logs, within the rate that AWS allows."""

from __future__ import annotations

import dataclasses
import logging

import pytest

from aws_batch_emulator import SimulatedRun
from dagster_aws_batch._job import BatchJobDefinition, Job, Retries
from dagster_aws_batch._results import FailureClass

JOB = Job(
    name="count",
    definition=BatchJobDefinition(image="tool:1"),
    retries=Retries(host_loss=0, out_of_memory=0),
)


def test_logs_of_ten_failures_of_a_hundred_lines_at_five_calls_a_second(bench, record_figure):
    bench.behaviour = lambda child, task: SimulatedRun(
        seconds=5, exit_code=1, log=[f"task {task} line {number}" for number in range(500)]
    )
    result = bench.run(50, JOB)
    tails = [task.log_tail for task in result.tasks]
    assert [len(tail) for tail in tails] == [100] * 10 + [0] * 40
    assert tails[3][-1] == "task 3 line 499"
    assert bench.aws.calls["GetLogEvents"] == 10
    connection = bench.connection()
    attempts = result.tasks[0].attempts
    start = bench.clock.now()
    for _ in range(20):
        connection.logs.tail(attempts)
    rate = 19 / (bench.clock.now() - start)
    record_figure("13 log calls a second", round(rate, 2), 5)
    assert rate <= 5.01


def test_no_log_calls_for_a_success(bench):
    bench.behaviour = lambda child, task: SimulatedRun(seconds=5, log=["fine"])
    bench.run(20, JOB)
    assert bench.aws.calls["GetLogEvents"] == 0


def test_all_attempts_are_read(bench):
    attempts = []

    def run(child, task):
        attempts.append(task)
        return SimulatedRun(
            seconds=5,
            exit_code=None,
            status_reason="Host EC2 (instance i-1) terminated.",
            log=[f"words of attempt {len(attempts)}"],
        )

    bench.behaviour = run
    result = bench.run(1, dataclasses.replace(JOB, retries=Retries(host_loss=1)))
    text = "\n".join(result.tasks[0].log_tail)
    assert "attempt 1" in text and "attempt 2" in text
    assert f"words of attempt {len(attempts)}" in text
    assert len(attempts) == 2


@pytest.mark.parametrize("fault", ["missing", "throttled", "broken"])
def test_a_log_that_cannot_be_read_never_hides_the_failure(bench, fault, caplog):
    bench.behaviour = lambda child, task: SimulatedRun(seconds=5, exit_code=7, log=["a line"])
    connection = bench.connection()
    if fault == "missing":
        real = connection.logs._read
        connection.logs._read = lambda group, stream: real(group, "no/such/stream")
    elif fault == "throttled":
        bench.aws.faults.throttle("GetLogEvents")
    else:
        bench.aws.faults.error("GetLogEvents", after=False)
    with caplog.at_level(logging.INFO):
        result = bench.run(2, JOB, connection=connection)
    assert result.tasks[0].failure is FailureClass.USER_CODE
    assert result.tasks[0].exit_code == 7
    assert "could not be read" in result.tasks[0].note
