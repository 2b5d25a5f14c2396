"""What a caller may do in the time that is spent waiting: report tasks that are done already."""

from __future__ import annotations

import pytest

from aws_batch_emulator import SimulatedRun


def test_tasks_that_are_done_can_be_seen_while_others_run(bench):
    bench.behaviour = lambda job, task: SimulatedRun(seconds=60 * (task + 1))
    seen = []

    def look(seconds):
        assert 0 < seconds <= 30
        seen.append(len(bench.receipts))

    result = bench.run(10, with_receipts=True, while_waiting=look)
    assert all(task.ok for task in result.tasks)
    assert seen == sorted(seen)
    assert set(range(1, 9)) <= set(seen)


def test_it_delays_no_look_and_costs_no_call(bench):
    bench.behaviour = lambda job, task: SimulatedRun(seconds=600)
    without = bench.run(5)
    with_it = bench.run(5, run_id="run-2", while_waiting=lambda seconds: bench.clock.sleep(seconds))
    # Looks are spread at random, so their number varies by one or two.
    assert with_it.calls["DescribeJobs"] <= without.calls["DescribeJobs"] + 3
    assert with_it.seconds == pytest.approx(without.seconds, abs=31)


def test_its_error_ends_the_jobs(bench):
    bench.behaviour = lambda job, task: SimulatedRun(seconds=3600)

    def fail(seconds):
        raise RuntimeError("the reader broke")

    with pytest.raises(RuntimeError, match="the reader broke"):
        bench.run(20, while_waiting=fail)
    bench.clock.advance(60)
    assert bench.live() == []
