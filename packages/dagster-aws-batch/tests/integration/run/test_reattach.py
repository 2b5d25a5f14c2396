"""Behaviour 7: a new process goes on where a dead one stopped."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from aws_batch_emulator import SimulatedRun
from dagster_aws_batch._job import BatchJobDefinition, Job, Retries
from dagster_aws_batch._run.state import Options

CHILDREN = 200


class Killed(BaseException):
    """SIGKILL: nothing is cleaned up after it."""


def mortal(bench, dies_at):
    """A process that dies at its n-th call: AWS has carried it out, the answer is not read.

    To AWS and the next process that is the same as dying before the call after it.
    """
    connection = bench.connection()
    once = connection.api.once
    calls = 0

    def counted(operation, **request):
        nonlocal calls
        calls += 1
        answer = once(operation, **request)
        if calls == dies_at:
            raise Killed
        return answer

    connection.api.once = counted
    return connection


def job(**fields):
    return Job(
        name="count",
        definition=BatchJobDefinition(image="tool:1"),
        retries=Retries(user_code=1),
        **fields,
    )


def behave(bench):
    """Task 7 fails at its first try, so there is a second round."""
    failed = []

    def run(child, task):
        if task == 7 and not failed:
            failed.append(task)
            return SimulatedRun(seconds=30, exit_code=1)
        return SimulatedRun(seconds=20 + task % 50)

    bench.behaviour = run


def successes(bench):
    return {task: bench.work.get(task, 0) - (1 if task == 7 else 0) for task in range(CHILDREN)}


DEAD = Options(forward_termination=False)
# Every call of a whole stage with two rounds; `test_how_many_calls` holds the number.
CALLS = 23


def test_how_many_calls(bench):
    behave(bench)
    result = bench.run(CHILDREN, job(), with_receipts=True)
    assert sum(result.calls.values()) == CALLS
    assert result.rounds == 2


@pytest.mark.parametrize("dies_at", range(1, CALLS + 1))
def test_killed_at_any_call_nothing_is_done_twice(bench, dies_at, record_figure):
    behave(bench)
    try:
        bench.run(
            CHILDREN, job(), with_receipts=True, options=DEAD, connection=mortal(bench, dies_at)
        )
    except Killed:
        bench.clock.advance(15)
        result = bench.run(CHILDREN, job(), with_receipts=True, resumed=True)
        assert all(task.ok for task in result.tasks)
    assert bench.aws.calls["SubmitJob"] == 2
    assert bench.refused == []
    assert set(successes(bench).values()) == {1}
    assert bench.live() == []
    record_figure(f"7 resubmits after a kill at call {dies_at}", 0)


@pytest.mark.parametrize("with_scratch", [True, False])
def test_killed_right_after_submit_with_a_late_listing(bench, scratch, with_scratch):
    """The note in the scratch place says that a job must be there; else the lease holds the
    second back.
    """
    bench.aws.faults.late_listing(20)
    behave(bench)
    place = scratch if with_scratch else None
    connection = bench.connection()
    once = connection.api.once

    def dies(operation, **request):
        answer = once(operation, **request)
        if operation == "SubmitJob":
            raise Killed
        return answer

    connection.api.once = dies
    with pytest.raises(Killed):
        bench.run(
            CHILDREN, job(), with_receipts=True, options=DEAD, connection=connection, scratch=place
        )
    bench.clock.advance(15 if with_scratch else 20)
    result = bench.run(CHILDREN, job(), with_receipts=True, resumed=True, scratch=place)
    assert all(task.ok for task in result.tasks)
    assert set(successes(bench).values()) == {1}
    bench.clock.advance(120)
    assert bench.live() == []


@pytest.mark.parametrize("when", ["running", "ended"])
def test_ten_thousand_children_are_found_again_within_22_calls(bench, when, record_figure):
    bench.behaviour = lambda child, task: SimulatedRun(seconds=600, exit_code=int(task < 5))
    connection = bench.connection()
    describe = connection.api.describe

    def dies(ids):
        if bench.clock.now() > 1_800_000_000 + 300:
            raise Killed
        return describe(ids)

    connection.api.describe = dies
    with pytest.raises(Killed):
        bench.run(10_000, job(), options=DEAD, connection=connection)
    if when == "ended":
        bench.clock.advance(3600)
    before = sum(bench.aws.calls.values())
    second = bench.connection()
    picture = {}
    describe, submit = second.api.describe, second.api.once
    described = []

    def polled(ids):
        # The first description belongs to the finding, the second to the wait.
        if described:
            picture.setdefault("calls", sum(bench.aws.calls.values()) - before)
        described.append(ids)
        return describe(ids)

    def submitted(operation, **request):
        if operation == "SubmitJob":
            picture.setdefault("calls", sum(bench.aws.calls.values()) - before)
        return submit(operation, **request)

    second.api.describe, second.api.once = polled, submitted
    result = bench.run(10_000, job(), resumed=True, connection=second)
    record_figure(f"7 calls to find 10,000 children again, {when}", picture["calls"], 22)
    assert picture["calls"] <= 12 + 10
    # The five that failed run again, as somebody asked for by starting the stage again, and then
    # once more by the retry that each attempt has.
    expected = [10_000, 5] if when == "running" else [10_000, 5, 5]
    assert [found.tasks for found in result.jobs] == expected
    assert sum(not task.ok for task in result.tasks) == 5
    assert result.jobs[0].resumed


def test_receipts_tell_what_is_done_when_aws_has_forgotten_the_jobs(bench):
    bench.receipts = {task: SimpleNamespace(exit_code=0) for task in range(190)}
    result = bench.run(CHILDREN, job(), with_receipts=True, resumed=True)
    assert all(task.ok for task in result.tasks)
    [submitted] = bench.jobs()
    assert submitted["arrayProperties"]["size"] == 10
    assert [task for task in range(CHILDREN) if bench.work.get(task)] == list(range(190, 200))


def test_a_task_list_in_the_scratch_place_is_read_again(bench, scratch):
    """Every second task of 6,000 is done: the list of the rest is too long for a request."""
    bench.receipts = {task: SimpleNamespace(exit_code=0) for task in range(0, 6000, 2)}
    connection = bench.connection()
    describe = connection.api.describe

    def dies(ids):
        describe(ids)
        raise Killed

    connection.api.describe = dies
    with pytest.raises(Killed):
        bench.run(
            6000, job(), with_receipts=True, options=DEAD, connection=connection, scratch=scratch
        )
    result = bench.run(6000, job(), with_receipts=True, resumed=True, scratch=scratch)
    assert all(task.ok for task in result.tasks)
    assert bench.aws.calls["SubmitJob"] == 1
    assert sorted(bench.work) == list(range(1, 6000, 2))
