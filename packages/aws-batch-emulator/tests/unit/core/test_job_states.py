"""Plain jobs and arrays: the states they go through and what the job sees."""

from __future__ import annotations

from typing import Any

from aws_batch_emulator import SimulatedRun


def test_a_job_goes_through_its_states_and_keeps_its_times(bench: Any) -> None:
    bench.behaviour = lambda job: SimulatedRun(seconds=60, start_seconds=20)
    job = bench.submit()
    assert bench.status(job) == "SUBMITTED"
    bench.clock.advance(0)
    assert bench.status(job) == "STARTING"
    bench.clock.advance(20)
    shown = bench.job(job)
    assert shown["status"] == "RUNNING"
    assert "exitCode" not in shown["container"]
    bench.clock.advance(60)
    shown = bench.job(job)
    assert shown["status"] == "SUCCEEDED"
    assert shown["container"]["exitCode"] == 0
    assert shown["startedAt"] - shown["createdAt"] == 20_000
    assert shown["stoppedAt"] - shown["startedAt"] == 60_000
    assert [a["container"]["exitCode"] for a in shown["attempts"]] == [0]


def test_a_job_that_has_not_started_has_no_start_time(bench: Any) -> None:
    job = bench.submit()
    raw = bench.batch.describe_jobs(jobs=[job])["jobs"][0]
    assert "startedAt" not in raw
    assert "stoppedAt" not in raw


def test_an_array_shows_counts_and_fails_when_one_child_fails(bench: Any) -> None:
    bench.behaviour = lambda job: SimulatedRun(seconds=10, exit_code=3 if job.index == 2 else 0)
    job = bench.submit(size=5)
    bench.clock.advance(1)
    assert bench.status(job) == "PENDING"
    assert bench.counts(job) == {"RUNNING": 5}
    bench.clock.advance(10)
    assert bench.counts(job) == {"SUCCEEDED": 4, "FAILED": 1}
    parent = bench.job(job)
    assert (parent["status"], parent["statusReason"]) == ("FAILED", "Array Child Job failed")
    child = bench.job(f"{job}:2")
    assert child["arrayProperties"] == {"index": 2}
    assert child["container"]["exitCode"] == 3
    assert child["statusReason"] == "Essential container in task exited"
    assert bench.children(job, "FAILED") == [2]


def test_the_job_sees_the_variables_that_batch_sets(bench: Any) -> None:
    bench.define(container={"environment": [{"name": "A", "value": "1"}, {"name": "B"}]})
    overrides = {"environment": [{"name": "A", "value": "2"}]}
    plain = bench.submit(containerOverrides=overrides)
    array = bench.submit(size=2)
    bench.clock.advance(1)
    environments = {job.id: dict(job.environment) for job in bench.seen}
    assert environments[plain] == {
        "A": "2",
        "B": "",
        "AWS_BATCH_JOB_ID": plain,
        "AWS_BATCH_JOB_ATTEMPT": "1",
        "AWS_BATCH_CE_NAME": "local",
        "AWS_BATCH_JQ_NAME": "local",
    }
    child = environments[f"{array}:1"]
    assert child["AWS_BATCH_JOB_ID"] == f"{array}:1"
    assert child["AWS_BATCH_JOB_ARRAY_INDEX"] == "1"
    assert child["AWS_BATCH_JOB_ARRAY_SIZE"] == "2"


def test_parameters_replace_placeholders_in_the_command(bench: Any) -> None:
    bench.define(
        container={"command": ["copy", "Ref::from", "--to=Ref::to", "Ref::unknown"]},
        parameters={"from": "a", "to": "b"},
    )
    bench.submit(parameters={"to": "c"})
    bench.clock.advance(1)
    assert list(bench.seen[0].command) == ["copy", "a", "--to=c", "Ref::unknown"]


def test_a_command_override_replaces_the_command(bench: Any) -> None:
    bench.define(container={"command": ["one"]})
    job = bench.submit(containerOverrides={"command": ["two", "x y"]})
    bench.clock.advance(1)
    assert list(bench.seen[0].command) == ["two", "x y"]
    assert bench.job(job)["container"]["command"] == ["two", "x y"]


def test_jobs_wait_for_free_capacity_in_order(bench: Any) -> None:
    bench.batch.update_compute_environment(
        computeEnvironment="local", computeResources={"maxvCpus": 2}
    )
    bench.behaviour = lambda job: SimulatedRun(seconds=10)
    job = bench.submit(size=5)
    bench.clock.advance(1)
    assert bench.counts(job) == {"RUNNING": 2, "RUNNABLE": 3}
    assert bench.children(job, "RUNNING") == [0, 1]
    bench.clock.advance(10)
    assert bench.children(job, "RUNNING") == [2, 3]
    bench.clock.advance(20)
    assert bench.status(job) == "SUCCEEDED"


def test_a_job_too_big_for_the_environment_says_so_and_starts_once_it_fits(bench: Any) -> None:
    bench.batch.update_compute_environment(
        computeEnvironment="local", computeResources={"maxvCpus": 2}
    )
    overrides = {"resourceRequirements": [{"type": "VCPU", "value": "4"}]}
    job = bench.submit(containerOverrides=overrides)
    bench.clock.advance(1)
    shown = bench.job(job)
    assert shown["status"] == "RUNNABLE"
    assert shown["statusReason"].startswith("MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE")
    other = bench.submit("behind")
    bench.clock.advance(1)
    assert bench.status(other) == "SUCCEEDED"
    bench.batch.update_compute_environment(
        computeEnvironment="local", computeResources={"maxvCpus": 4}
    )
    bench.clock.advance(1)
    assert bench.status(job) == "SUCCEEDED"


def test_ten_thousand_children_take_one_submit_and_one_describe(bench: Any) -> None:
    bench.behaviour = lambda job: SimulatedRun(seconds=3_600)
    bench.emulator.calls.clear()
    job = bench.submit(size=10_000)
    bench.clock.advance(3_601)
    assert bench.counts(job) == {"SUCCEEDED": 10_000}
    assert bench.emulator.calls == {"SubmitJob": 1, "DescribeJobs": 1}
    assert bench.children(job, "SUCCEEDED") == list(range(10_000))
    assert bench.emulator.calls["ListJobs"] == 10


def test_a_timeout_ends_the_attempt_and_is_not_retried(bench: Any) -> None:
    bench.behaviour = lambda job: SimulatedRun(seconds=1_000, ignores_sigterm=True)
    job = bench.submit(timeout={"attemptDurationSeconds": 60}, retryStrategy={"attempts": 5})
    bench.clock.advance(89)
    assert bench.status(job) == "RUNNING"
    bench.clock.advance(2)
    shown = bench.job(job)
    assert shown["status"] == "FAILED"
    assert shown["statusReason"] == "Job attempt duration exceeded timeout"
    assert len(shown["attempts"]) == 1
    assert shown["container"]["exitCode"] == 137
