"""Behaviours 1 and 5: how few calls a stage needs, and how soon what happens is seen."""

from __future__ import annotations

import logging
from collections import Counter

import pytest

from aws_batch_emulator import SimulatedRun


def test_ten_thousand_tasks_of_one_hour_cost_at_most_300_calls(bench, record_figure):
    bench.behaviour = lambda job, task: SimulatedRun(seconds=3600)
    result = bench.run(10_000)
    assert all(task.ok for task in result.tasks)
    assert Counter(result.calls) == +bench.aws.calls
    total = sum(bench.aws.calls.values())
    record_figure("1 calls, 10,000 tasks of 1 h", dict(bench.aws.calls), total)
    assert total <= 300
    assert bench.aws.calls["SubmitJob"] == 1
    definitions = (
        bench.aws.calls["DescribeJobDefinitions"] + bench.aws.calls["RegisterJobDefinition"]
    )
    assert definitions <= 3


@pytest.mark.parametrize(("tasks", "failures"), [(10_000, 37), (200, 0), (1, 0)])
def test_a_stage_of_ten_minutes_costs_at_most_008_calls_a_second(
    bench, tasks, failures, record_figure
):
    bench.behaviour = lambda job, task: SimulatedRun(
        seconds=600 - task / 100, exit_code=1 if task < failures else 0
    )
    result = bench.run(tasks)
    total = sum(count for name, count in bench.aws.calls.items() if name != "GetLogEvents")
    record_figure(f"1 calls/s, {tasks} tasks of 10 min", total, total / result.seconds)
    assert total / result.seconds <= 0.08


@pytest.mark.parametrize("seconds", [3, 20, 130, 1000, 3500, 20_000])
def test_the_end_of_a_stage_is_seen_within_an_interval_and_five_seconds(
    bench, seconds, record_figure
):
    bench.behaviour = lambda job, task: SimulatedRun(seconds=seconds)
    result = bench.run(20)
    ended = max(task.run_seconds + task.queue_seconds for task in result.tasks)
    lag = result.seconds - ended
    interval = min(60 if seconds > 3600 else 30, max(5, seconds / 3))
    record_figure(f"5 lag at the end of {seconds} s", round(lag, 1), interval)
    assert lag <= interval + 5


def test_a_failed_child_is_named_within_a_minute(bench, record_figure):
    failing = {task: 60 + 17 * number for number, task in enumerate(range(0, 10_000, 50))}
    bench.behaviour = lambda job, task: SimulatedRun(
        seconds=failing.get(task, 3600), exit_code=1 if task in failing else 0
    )
    named = {}
    start = bench.clock.now()

    class Watch(logging.Handler):
        def emit(self, record):
            text = record.getMessage()
            if ": task " in text and " failed: " in text:
                named[int(text.split(": task ")[1].split()[0])] = bench.clock.now() - start

    log = logging.getLogger("test.naming")
    log.addHandler(Watch())
    result = bench.run(10_000, log=log)
    assert sum(not task.ok for task in result.tasks) == len(failing) == 200
    lags = sorted(named[task] - failing[task] for task in failing)
    p95 = lags[int(len(lags) * 0.95)]
    record_figure("5 seconds to name a failed child, p95 (10,000 tasks)", round(p95, 1), 60)
    assert p95 <= 60
    assert sum(bench.aws.calls.values()) <= 300
