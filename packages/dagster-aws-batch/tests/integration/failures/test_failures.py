"""Behaviours 10 and 11: every failure as the user sees it, and what runs again."""

from __future__ import annotations

from collections import Counter

import dagster as dg
import pytest

from aws_batch_emulator import SimulatedRun
from dagster_aws_batch._aws.requests import retry_strategy
from dagster_aws_batch._job import BatchJobDefinition, Job, Price, Retries
from dagster_aws_batch._outcome import Outcome
from dagster_aws_batch._results import FailureClass
from dagster_aws_batch._run.state import Options

NEVER = Retries(host_loss=0, out_of_memory=0)


def job(**fields):
    fields.setdefault("retries", NEVER)
    fields.setdefault("definition", BatchJobDefinition(image="tool:1", memory_mib=1000))
    return Job(name="count", **fields)


def fails(**fields):
    return lambda child, task: SimulatedRun(seconds=5, log=["the last words"], **fields)


CASES = {
    FailureClass.USER_CODE: {"exit_code": 3},
    FailureClass.OUT_OF_MEMORY: {
        "exit_code": 137,
        "reason": "OutOfMemoryError: Container killed due to memory usage",
    },
    FailureClass.SPOT_EC2: {
        "exit_code": None,
        "status_reason": "Host EC2 (instance i-0a1) terminated.",
    },
    FailureClass.SPOT_FARGATE: {
        "exit_code": None,
        "status_reason": "Your Spot Task was interrupted.",
    },
    FailureClass.IMAGE_PULL_AUTH: {
        "starts": False,
        "reason": "CannotPullContainerError: Error response from daemon: pull access denied for "
        "tool, repository does not exist or may require 'docker login'",
    },
    FailureClass.IMAGE_PULL: {
        "starts": False,
        "reason": "CannotPullContainerError: context canceled",
    },
    FailureClass.START: {
        "starts": False,
        "reason": "CannotStartContainerError: Error response from daemon: failed to initialize "
        "logging driver: ResourceNotFoundException: log group does not exist",
    },
    FailureClass.AGENT: {
        "starts": False,
        "reason": "DockerTimeoutError: Could not transition to created; timed out after 4m0s",
    },
    FailureClass.UNKNOWN: {
        "exit_code": None,
        "status_reason": "A reason that AWS has never given before",
    },
}


def seen(bench, result, failure, raw, record_figure):
    """What a user reads, checked for the class in question."""
    assert not any(task.ok for task in result.tasks)
    assert {task.failure for task in result.tasks} == {failure}
    outcome = Outcome(result, bench.connection(console_url="http://console").console)
    text = outcome.explain()
    assert f"{len(result.tasks)} × {failure.value}" in text
    assert failure.remedy in text
    assert raw in text
    assert "job: " in text
    record_figure(f"10 {failure.name}", text.splitlines()[2].strip())
    return text


@pytest.mark.parametrize("failure", CASES)
def test_a_class_of_failure_as_the_user_sees_it(bench, failure, record_figure):
    """Of array children; `test_failures_in_dagster.py` has plain jobs."""
    case = CASES[failure]
    bench.behaviour = fails(**case)
    result = bench.run(3, job(), connection=bench.connection(console_url="http://console"))
    raw = case.get("reason") or case.get("status_reason") or "exit code 3"
    text = seen(bench, result, failure, raw, record_figure)
    assert "http://console/jobs/" in text
    assert result.tasks[0].attempts
    if case.get("starts", True):
        assert "| the last words" in text
        assert "log: http://console/logs?" in text


def test_the_figures_of_one_job_are_one_table_but_for_those_worth_a_plot(bench):
    console = bench.connection().console
    found = Outcome(bench.run(1, job()), console, price=Price(vcpu_hour=1.0)).metadata(plots=False)
    numbers = {name for name, value in found.items() if isinstance(value, int | float)}
    assert numbers == {"batch/seconds", "batch/cost_estimate_usd", "batch/cost_wasted_usd"}
    assert "| rounds | 1 |" in found["batch/figures"].value


def test_timeout(bench, record_figure):
    bench.behaviour = lambda child, task: SimulatedRun(seconds=600)
    result = bench.run(3, job(timeout_seconds=60))
    seen(bench, result, FailureClass.TIMEOUT, "duration exceeded timeout", record_figure)


def test_ended_by_somebody(bench, record_figure):
    bench.behaviour = lambda child, task: SimulatedRun(seconds=600)
    connection = bench.connection()
    describe, done = connection.api.describe, []

    def ends(ids):
        if not done:
            done.append(bench.client().terminate_job(jobId=ids[0], reason="too costly, says Ann"))
        return describe(ids)

    connection.api.describe = ends
    result = bench.run(3, job(retries=Retries(user_code=3)), connection=connection)
    seen(bench, result, FailureClass.TERMINATED, "too costly, says Ann", record_figure)
    assert result.rounds == 1


def test_overrides_too_long(bench, record_figure, monkeypatch):
    """AWS accepts such a job and fails it later; here the guard is taken away to see that."""
    from dagster_aws_batch._aws import requests as payload

    monkeypatch.setattr(payload, "MAX_OVERRIDE_CHARACTERS", 100_000)
    result = bench.run(1, job(environment={"LONG": "x" * 9000}))
    seen(bench, result, FailureClass.OVERRIDE_TOO_LONG, "Container Overrides length", record_figure)


def test_unschedulable(bench, record_figure):
    bench.aws.faults.job(
        "never_start",
        "dagster-*",
        message="MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement is "
        "higher",
    )
    result = bench.run(2, job(), options=Options(blocked_action="terminate"))
    seen(
        bench,
        result,
        FailureClass.UNSCHEDULABLE,
        "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
        record_figure,
    )


def test_dependency(bench, record_figure):
    bench.behaviour = fails(exit_code=1)
    arn = bench.connection().definitions.arn(BatchJobDefinition(image="first:1"))
    first = bench.client().submit_job(
        jobName="first",
        jobQueue="local",
        jobDefinition=arn,
        containerOverrides={
            "environment": [
                {"name": "BATCH_TASKS", "value": "0"},
                {"name": "BATCH_SUBMISSION", "value": "a"},
            ]
        },
    )
    result = bench.run(3, job(options={"dependsOn": [{"jobId": first["jobId"]}]}))
    seen(bench, result, FailureClass.DEPENDENCY, "Dependent Job", record_figure)


def test_lost(bench, record_figure):
    bench.behaviour = lambda child, task: SimulatedRun(seconds=6000)
    bench.aws.faults.job("lost", "dagster-*", seconds=100, attempt=None)
    result = bench.run(2, job())
    seen(bench, result, FailureClass.LOST, "AWS Batch knows nothing", record_figure)


# -- what runs again -------------------------------------------------------------------------------


def test_only_the_failed_tasks_run_again_as_one_array(bench, record_figure):
    tried = {}

    def run(child, task):
        tried[task] = tried.get(task, 0) + 1
        bad = task % 271 == 5 and tried[task] == 1
        return SimulatedRun(seconds=300, exit_code=1 if bad else 0)

    bench.behaviour = run
    result = bench.run(10_000, job(retries=Retries(user_code=1)))
    assert all(task.ok for task in result.tasks)
    sizes = [row["arrayProperties"]["size"] for row in bench.jobs()]
    assert sizes == [10_000, 37]
    assert sum(count for count in tried.values()) == 10_037
    record_figure("11 size of the second round, 37 of 10,000 failed", sizes[1])


def test_user_code_is_not_repeated_unless_asked(bench):
    bench.behaviour = fails(exit_code=1)
    result = bench.run(3, job(retries=Retries()))
    assert result.rounds == 1
    assert all(len(task.attempts) == 1 for task in result.tasks)


def test_a_killed_container_runs_once_more_with_the_memory_it_had(bench):
    """kill -9 from outside: 137, and AWS says no word about memory."""
    memory = []

    def run(child, task):
        memory.append(child.memory_mib)
        return SimulatedRun(seconds=5, exit_code=137 if len(memory) < 3 else 0)

    bench.behaviour = run
    first = bench.run(1, job(retries=Retries()))
    assert (first.tasks[0].failure, first.rounds) == (FailureClass.USER_CODE, 2)
    second = bench.run(1, job(retries=Retries(user_code=1)))
    assert second.tasks[0].ok
    assert set(memory) == {1000}


def test_lost_hosts_do_not_use_up_the_retries_of_the_user(bench, record_figure):
    """Three lost hosts, and then the one retry that the user allowed for his own code."""
    starts = []

    def run(child, task):
        starts.append(task)
        if len(starts) <= 3:
            return SimulatedRun(
                seconds=5, exit_code=None, status_reason="Host EC2 (instance i-1) terminated."
            )
        return SimulatedRun(seconds=5, exit_code=1 if len(starts) == 4 else 0)

    bench.behaviour = run
    result = bench.run(1, job(retries=Retries(user_code=1, host_loss=3)))
    assert result.tasks[0].ok
    assert len(starts) == 5
    assert result.rounds == 2
    record_figure("11 user retries used up by 3 lost hosts", 0)


@pytest.mark.parametrize("lost", [1, 2, 3])
@pytest.mark.parametrize("tasks", [1, 3])
@pytest.mark.parametrize("fallback", [None, "on-demand"])
def test_a_host_that_is_lost_for_ever_is_tried_as_often_as_said(bench, lost, tasks, fallback):
    """AWS Batch repeats within its job, and the client must not begin that count again."""
    starts = Counter()

    def run(child, task):
        starts[task, child.queue] += 1
        reason = "Host EC2 (instance i-1) terminated."
        return SimulatedRun(seconds=5, exit_code=None, status_reason=reason)

    bench.behaviour = run
    if fallback:
        bench.add_queue(fallback)
    result = bench.run(tasks, job(retries=Retries(host_loss=lost, fallback_queue=fallback)))
    assert not any(task.ok for task in result.tasks)
    queues = ["local", *([fallback] if fallback else [])]
    assert starts == {(task, queue): lost + 1 for task in range(tasks) for queue in queues}


def test_the_default_strategy_ends_with_exit(bench):
    strategy = retry_strategy(Retries())
    assert strategy["attempts"] == 4
    assert len(strategy["evaluateOnExit"]) <= 5
    assert strategy["evaluateOnExit"][-1] == {"onReason": "*", "action": "EXIT"}
    assert retry_strategy(Retries(host_loss=9))["attempts"] == 10


def test_out_of_memory_gets_more_only_for_those_and_up_to_the_ceiling(bench, record_figure):
    asked = {}

    def run(child, task):
        asked.setdefault(task, []).append(child.memory_mib)
        need = {4: 1800, 5: 1_000_000}.get(task, 0)
        if child.memory_mib < need:
            return SimulatedRun(
                seconds=5, exit_code=137, reason="OutOfMemoryError: Container killed"
            )
        return SimulatedRun(seconds=5)

    bench.behaviour = run
    retries = Retries(memory_factor=1.5, memory_ceiling_mib=2000, out_of_memory=5)
    result = bench.run(8, job(retries=retries))
    assert [task.task for task in result.tasks if not task.ok] == [5]
    assert asked[4] == [1000, 1500, 2000]
    assert asked[5] == [1000, 1500, 2000]
    assert all(asked[task] == [1000] for task in (0, 1, 2, 3, 6, 7))
    record_figure("11 memory of the tasks that ran out of it", asked[5])


def test_spot_losses_can_fall_back_to_another_queue(bench):
    bench.add_queue("on-demand")

    def run(child, task):
        if child.queue != "on-demand" and task == 1:
            return SimulatedRun(
                seconds=5, exit_code=None, status_reason="Host EC2 (instance i-1) terminated."
            )
        return SimulatedRun(seconds=5)

    bench.behaviour = run
    retries = Retries(host_loss=1, fallback_queue="on-demand")
    result = bench.run(3, job(retries=retries))
    assert all(task.ok for task in result.tasks)
    assert [found.queue for found in result.jobs] == ["local", "on-demand"]


@pytest.mark.parametrize(
    "reason",
    [
        CASES[FailureClass.IMAGE_PULL_AUTH]["reason"],
        "CannotPullContainerError: Error response from daemon: manifest for tool:9 not found: "
        "manifest unknown",
        "CannotPullContainerError: no matching manifest for linux/arm64/v8 in the manifest list",
        "CannotPullContainerError: image tool:1 is unknown to the Batch emulator (known: shell)",
        "Back-off pulling image: InvalidImageName",
    ],
)
def test_an_image_that_may_not_be_pulled_or_does_not_exist_is_never_repeated(bench, reason):
    bench.behaviour = fails(starts=False, reason=reason)
    result = bench.run(2, job(retries=Retries(user_code=5)))
    assert result.rounds == 1
    assert len(result.tasks[0].attempts) == 1


def test_a_share_of_the_tasks_may_fail(bench):
    bench.behaviour = lambda child, task: SimulatedRun(seconds=5, exit_code=int(task == 0))
    outcome = Outcome(bench.run(10, job()), bench.connection().console, Price())
    outcome.raise_for_failure(minimum_success=0.9)
    with pytest.raises(dg.Failure, match="1 of 10"):
        outcome.raise_for_failure(minimum_success=0.95)


# -- logs ------------------------------------------------------------------------------------------


def test_a_second_round_that_aws_refuses_leaves_the_results_of_the_first(bench, caplog):
    """More memory than the platform has: the refusal must not hide what is known."""

    def run(child, task):
        if task == 1:
            return SimulatedRun(
                seconds=5, exit_code=137, reason="OutOfMemoryError: Container killed"
            )
        return SimulatedRun(seconds=5)

    bench.behaviour = run
    connection = bench.connection()
    real = connection.api.client.submit_job

    def refuses(**request):
        if request["jobName"].endswith("r1-0"):
            request["jobQueue"] = "no-such-queue"
        return real(**request)

    connection.api.client.submit_job = refuses
    result = bench.run(3, job(retries=Retries()), connection=connection)
    assert [task.ok for task in result.tasks] == [True, False, True]
    assert result.tasks[1].failure is FailureClass.OUT_OF_MEMORY
    assert any("not run again" in text for text in caplog.messages)


def test_memory_for_fargate_grows_in_its_steps(bench):
    asked = []

    def run(child, task):
        asked.append(child.memory_mib)
        return SimulatedRun(seconds=5, exit_code=137, reason="OutOfMemoryError: Container killed")

    bench.behaviour = run
    bench.client().create_compute_environment(
        computeEnvironmentName="fargate",
        type="MANAGED",
        computeResources={
            "type": "FARGATE",
            "maxvCpus": 16,
            "subnets": ["subnet-a"],
            "securityGroupIds": ["sg-a"],
        },
    )
    bench.client().create_job_queue(
        jobQueueName="fargate",
        priority=1,
        computeEnvironmentOrder=[{"order": 1, "computeEnvironment": "fargate"}],
    )
    definition = BatchJobDefinition(
        image="t:1",
        platform="FARGATE",
        memory_mib=3072,
        execution_role_arn="arn:aws:iam::000000000000:role/x",
    )
    bench.run(1, job(definition=definition, queue="fargate", retries=Retries(memory_factor=1.5)))
    assert asked == [3072, 5120, 8192]
