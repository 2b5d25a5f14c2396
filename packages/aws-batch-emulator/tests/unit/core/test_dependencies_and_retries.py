"""dependsOn in all its types, retries by rule, cancel and terminate."""

from __future__ import annotations

from typing import Any

import pytest

from aws_batch_emulator import SimulatedRun

NOT_STARTED = "Task failed to start"


def test_a_job_waits_for_its_dependency(bench: Any) -> None:
    bench.behaviour = lambda job: SimulatedRun(seconds=10)
    first = bench.submit("first", size=2)
    second = bench.submit("second", dependsOn=[{"jobId": first}])
    third = bench.submit("third", size=2, dependsOn=[{"jobId": second}])
    bench.clock.advance(5)
    assert [bench.status(j) for j in (second, third)] == ["PENDING", "PENDING"]
    bench.clock.advance(10)
    assert bench.status(second) == "RUNNING"
    bench.clock.advance(20)
    assert bench.status(third) == "SUCCEEDED"
    assert [job.name for job in bench.seen] == ["first", "first", "second", "third", "third"]


def test_a_failure_cascades(bench: Any) -> None:
    bench.behaviour = lambda job: SimulatedRun(seconds=10, exit_code=1)
    first = bench.submit("first")
    second = bench.submit("second", size=2, dependsOn=[{"jobId": first}])
    third = bench.submit("third", dependsOn=[{"jobId": second}])
    bench.clock.advance(11)
    for job in (second, third):
        shown = bench.job(job)
        assert (shown["status"], shown["statusReason"]) == ("FAILED", "Dependent Job failed")
    assert bench.counts(second) == {"FAILED": 2}
    assert len(bench.seen) == 1
    late = bench.submit("late", dependsOn=[{"jobId": first}])
    bench.clock.advance(0)
    assert bench.status(late) == "FAILED"


def test_n_to_n_lets_each_child_follow_its_own_predecessor(bench: Any) -> None:
    def behave(job: Any) -> SimulatedRun:
        failing = job.name == "first" and job.index == 1
        return SimulatedRun(seconds=10 * (job.index + 1), exit_code=1 if failing else 0)

    bench.behaviour = behave
    first = bench.submit("first", size=3)
    depends = [{"jobId": first, "type": "N_TO_N"}]
    second = bench.submit("second", size=3, dependsOn=depends)
    bench.clock.advance(11)
    assert bench.children(second, "RUNNING") == [0]
    bench.clock.advance(100)
    assert bench.counts(second) == {"SUCCEEDED": 2, "FAILED": 1}
    assert bench.job(f"{second}:1")["statusReason"] == "Dependent Job failed"
    # Also when the first array has ended long ago, only the child with a failed predecessor fails.
    third = bench.submit("third", size=3, dependsOn=depends)
    bench.clock.advance(100)
    assert bench.children(third, "FAILED") == [1]


def test_n_to_n_needs_arrays_of_one_size(bench: Any) -> None:
    first = bench.submit(size=3)
    code, text = bench.refused(bench.submit, size=2, dependsOn=[{"jobId": first, "type": "N_TO_N"}])
    assert (code, "N_TO_N needs an array job of size 2" in text) == ("ClientException", True)


def test_sequential_runs_one_child_after_the_other(bench: Any) -> None:
    bench.behaviour = lambda job: SimulatedRun(seconds=10, exit_code=1 if job.index == 2 else 0)
    job = bench.submit(size=4, dependsOn=[{"type": "SEQUENTIAL"}])
    bench.clock.advance(15)
    assert bench.counts(job) == {"SUCCEEDED": 1, "RUNNING": 1, "PENDING": 2}
    bench.clock.advance(20)
    assert bench.children(job, "FAILED") == [2, 3]
    assert [job.index for job in bench.seen] == [0, 1, 2]


def test_a_long_sequential_chain_fails_without_end_of_stack(bench: Any) -> None:
    bench.behaviour = lambda job: SimulatedRun(exit_code=1)
    job = bench.submit(size=10_000, dependsOn=[{"type": "SEQUENTIAL"}])
    bench.clock.advance(1)
    assert bench.counts(job) == {"FAILED": 10_000}


RULES = [
    {"onStatusReason": "Host EC2*", "action": "RETRY"},
    {"onReason": "CannotPullContainerError:*", "action": "exit"},
    {"onExitCode": "7*", "action": "RETRY"},
    {"onReason": "*", "action": "EXIT"},
]


@pytest.mark.parametrize(
    ("run", "rules", "attempts"),
    [
        (SimulatedRun(exit_code=1), None, 3),
        (SimulatedRun(exit_code=1), RULES, 1),
        (SimulatedRun(exit_code=71), RULES, 3),
        (
            SimulatedRun(
                exit_code=None, status_reason="Host EC2 (instance i-0123456789abcdef0) terminated."
            ),
            RULES,
            3,
        ),
        (SimulatedRun(starts=False, reason="CannotPullContainerError: no"), RULES, 1),
        # No rule matches: AWS retries.
        (SimulatedRun(exit_code=2), [{"onExitCode": "1", "action": "EXIT"}], 3),
        (
            SimulatedRun(exit_code=2, reason="Oom"),
            [{"onExitCode": "2", "onReason": "X*", "action": "EXIT"}],
            3,
        ),
    ],
)
def test_rules_decide_about_another_attempt(
    bench: Any, run: SimulatedRun, rules: list[dict[str, str]] | None, attempts: int
) -> None:
    bench.behaviour = lambda job: run
    strategy: dict[str, Any] = {"attempts": 3}
    if rules is not None:
        strategy["evaluateOnExit"] = rules
    job = bench.submit(retryStrategy=strategy)
    bench.clock.advance(1)
    shown = bench.job(job)
    assert shown["status"] == "FAILED"
    assert len(shown["attempts"]) == attempts
    assert shown["retryStrategy"] == strategy
    assert [s.attempt for s in bench.seen] == list(range(1, attempts + 1))


def test_a_later_attempt_can_succeed_and_has_its_own_log_stream(bench: Any) -> None:
    bench.behaviour = lambda job: SimulatedRun(exit_code=0 if job.attempt == 3 else 1)
    bench.define(retryStrategy={"attempts": 5})
    job = bench.submit()
    bench.clock.advance(1)
    shown = bench.job(job)
    assert shown["status"] == "SUCCEEDED"
    assert [a["container"]["exitCode"] for a in shown["attempts"]] == [1, 1, 0]
    assert len({a["container"]["logStreamName"] for a in shown["attempts"]}) == 3


def test_terminate_stops_what_runs_and_cancels_the_rest(bench: Any) -> None:
    bench.batch.update_compute_environment(
        computeEnvironment="local", computeResources={"maxvCpus": 2}
    )
    bench.behaviour = lambda job: SimulatedRun(
        seconds=5 if job.index == 0 else 1_000, ignores_sigterm=True
    )
    job = bench.submit(size=5, retryStrategy={"attempts": 3})
    bench.clock.advance(6)
    bench.batch.terminate_job(jobId=job, reason="enough")
    bench.clock.advance(1)
    assert bench.counts(job) == {"SUCCEEDED": 1, "RUNNING": 2, "FAILED": 2}
    bench.clock.advance(30)
    parent = bench.job(job)
    assert (parent["status"], parent["statusReason"]) == ("FAILED", "enough")
    assert parent["isTerminated"] is True
    child = bench.job(f"{job}:1")
    assert (child["statusReason"], child["container"]["exitCode"]) == ("enough", 137)
    assert len(child["attempts"]) == 1


def test_a_child_can_be_ended_alone(bench: Any) -> None:
    bench.behaviour = lambda job: SimulatedRun(seconds=100)
    job = bench.submit(size=3)
    bench.clock.advance(1)
    bench.batch.terminate_job(jobId=f"{job}:1", reason="this one")
    bench.clock.advance(1)
    assert bench.counts(job) == {"RUNNING": 2, "FAILED": 1}


def test_cancel_leaves_running_jobs_alone(bench: Any) -> None:
    bench.behaviour = lambda job: SimulatedRun(seconds=100)
    job = bench.submit()
    bench.clock.advance(1)
    bench.batch.cancel_job(jobId=job, reason="no")
    bench.clock.advance(1)
    shown = bench.job(job)
    assert (shown["status"], shown["isCancelled"]) == ("RUNNING", False)


def test_a_pending_job_is_cancelled_once_its_dependencies_are_done(bench: Any) -> None:
    bench.behaviour = lambda job: SimulatedRun(seconds=100)
    first = bench.submit("first")
    second = bench.submit("second", dependsOn=[{"jobId": first}])
    bench.clock.advance(1)
    bench.batch.cancel_job(jobId=second, reason="changed my mind")
    assert (bench.status(second), bench.job(second)["isCancelled"]) == ("PENDING", True)
    bench.clock.advance(100)
    shown = bench.job(second)
    assert (shown["status"], shown["statusReason"]) == ("FAILED", "changed my mind")
    assert [job.name for job in bench.seen] == ["first"]


def test_cancelling_an_array_cancels_the_children_that_have_not_started(bench: Any) -> None:
    bench.batch.update_compute_environment(
        computeEnvironment="local", computeResources={"maxvCpus": 1}
    )
    bench.behaviour = lambda job: SimulatedRun(seconds=100)
    job = bench.submit(size=3)
    bench.clock.advance(1)
    bench.batch.cancel_jobs(jobs=[job], reason="stop")
    assert bench.counts(job) == {"RUNNING": 1, "FAILED": 2}
    bench.clock.advance(100)
    assert bench.counts(job) == {"SUCCEEDED": 1, "FAILED": 2}
    assert bench.job(job)["statusReason"] == "stop"


def test_ten_arrays_of_10000_end_with_one_bulk_call(bench: Any) -> None:
    bench.behaviour = lambda job: SimulatedRun(seconds=1_000)
    bench.batch.update_compute_environment(
        computeEnvironment="local", computeResources={"maxvCpus": 500}
    )
    jobs = [bench.submit(f"n{i}", size=10_000) for i in range(10)]
    bench.clock.advance(1)
    answer = bench.batch.terminate_jobs(jobs=jobs, reason="all of you")
    assert answer["successful"] == jobs
    bench.clock.advance(1)
    shown = bench.batch.describe_jobs(jobs=jobs)["jobs"]
    assert {job["status"] for job in shown} == {"FAILED"}
    assert bench.batch.list_jobs(jobQueue="local")["jobSummaryList"] == []


def test_sequential_with_a_job_id_waits_for_that_job(bench: Any) -> None:
    # Production pipelines send this for plain jobs (wri/gfw-data-api), and AWS takes it.
    bench.behaviour = lambda job: SimulatedRun(seconds=100)
    first = bench.submit()
    dependency = [{"jobId": first, "type": "SEQUENTIAL"}]
    second = bench.submit(dependsOn=dependency)
    array = bench.submit(size=2, dependsOn=dependency)
    bench.clock.advance(50)
    assert (bench.status(second), bench.status(array)) == ("PENDING", "PENDING")
    assert bench.job(second)["dependsOn"] == dependency
    bench.clock.advance(60)
    assert bench.status(second) == "RUNNING"
    assert bench.counts(array) == {"RUNNING": 2}
