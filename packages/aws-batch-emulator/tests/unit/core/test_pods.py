"""Jobs on Amazon EKS: their pods run as the other jobs do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aws_batch_emulator import EmbeddedBatch, SimulatedRun, SubprocessRunner
from aws_batch_emulator._api.pods import expanded

CLUSTER = "arn:aws:eks:us-east-1:000000000000:cluster/mine"


def setup_queue(batch: Any) -> None:
    batch.create_compute_environment(
        computeEnvironmentName="pods",
        type="MANAGED",
        eksConfiguration={"eksClusterArn": CLUSTER, "kubernetesNamespace": "jobs"},
        computeResources={
            "type": "EC2",
            "allocationStrategy": "BEST_FIT_PROGRESSIVE",
            "minvCpus": 0,
            "maxvCpus": 64,
            "instanceTypes": ["m5"],
            "instanceRole": "role",
            "subnets": ["subnet-1"],
            "securityGroupIds": ["sg-1"],
        },
    )
    order = [{"order": 1, "computeEnvironment": "pods"}]
    batch.create_job_queue(jobQueueName="pods", priority=1, computeEnvironmentOrder=order)


def container(**changes: Any) -> dict[str, Any]:
    resources = {"limits": {"cpu": "1", "memory": "64Mi"}}
    return {"image": "work:1", "resources": resources, **changes}


def define(batch: Any, *containers: dict[str, Any], **pod: Any) -> None:
    batch.register_job_definition(
        jobDefinitionName="pod",
        type="container",
        eksProperties={"podProperties": {"containers": list(containers), **pod}},
    )


def submit(batch: Any, **changes: Any) -> str:
    request = {"jobName": "job", "jobQueue": "pods", "jobDefinition": "pod", **changes}
    return str(batch.submit_job(**request)["jobId"])


@pytest.fixture
def pods(bench: Any) -> Any:
    setup_queue(bench.batch)
    return bench


def test_a_pod_shows_its_containers_place_and_attempts(pods: Any) -> None:
    define(pods.batch, container(args=["-n", "$(WHO)"], env=[{"name": "WHO", "value": "me"}]))
    pods.behaviour = lambda job: SimulatedRun(seconds=5, exit_code=3 if job.attempt == 1 else 0)
    job = submit(pods.batch, retryStrategy={"attempts": 2})
    pods.clock.advance(20)
    shown = pods.job(job)
    assert shown["status"] == "SUCCEEDED"
    assert (shown["attempts"], "container" in shown) == ([], False)
    assert "platformCapabilities" not in shown
    assert [a["containers"][0]["exitCode"] for a in shown["eksAttempts"]] == [3, 0]
    last = shown["eksAttempts"][1]
    assert (last["eksClusterArn"], last["podNamespace"]) == (CLUSTER, "jobs")
    pod = shown["eksProperties"]["podProperties"]
    assert pod["podName"] == last["podName"]
    assert pod["containers"][0]["name"] == "Default"
    assert (pod["containers"][0]["args"], pod["containers"][0]["exitCode"]) == (["-n", "$(WHO)"], 0)
    assert pods.seen[0].command == ("-n", "me")
    assert pods.seen[0].environment["AWS_BATCH_JOB_ID"] == job
    assert pods.seen[0].vcpus == 1
    rows = pods.batch.list_jobs(jobQueue="pods", jobStatus="SUCCEEDED")["jobSummaryList"]
    assert [row["jobId"] for row in rows] == [job]


def test_arrays_and_overrides(pods: Any) -> None:
    define(pods.batch, container(name="main"), container(name="side"))
    override = {"name": "main", "args": ["x"], "env": [{"name": "A", "value": "1"}]}
    job = submit(
        pods.batch,
        arrayProperties={"size": 2},
        eksPropertiesOverride={"podProperties": {"containers": [override]}},
    )
    pods.clock.advance(1)
    assert pods.counts(job) == {"SUCCEEDED": 2}
    mains = [seen for seen in pods.seen if seen.container == "main"]
    assert [(m.command, m.environment["A"]) for m in mains] == [(("x",), "1")] * 2
    assert sorted(m.environment["AWS_BATCH_JOB_ARRAY_INDEX"] for m in mains) == ["0", "1"]


def test_init_containers_come_first_and_all_containers_run_to_their_end(pods: Any) -> None:
    define(
        pods.batch,
        container(name="bad"),
        container(name="good"),
        initContainers=[container(name="first"), container(name="second")],
    )
    ends = {"bad": 7}
    pods.behaviour = lambda job: SimulatedRun(
        seconds=5 if job.container == "bad" else 10, exit_code=ends.get(job.container or "", 0)
    )
    job = submit(pods.batch)
    pods.clock.advance(15)
    assert [seen.container for seen in pods.seen] == ["first", "second"]
    pods.clock.advance(20)
    shown = pods.job(job)
    assert shown["status"] == "FAILED"
    attempt = shown["eksAttempts"][0]
    assert [c["exitCode"] for c in attempt["initContainers"]] == [0, 0]
    assert [c["exitCode"] for c in attempt["containers"]] == [7, 0]
    ends["first"] = 9
    failed = submit(pods.batch)
    pods.clock.advance(100)
    attempt = pods.job(failed)["eksAttempts"][0]
    assert attempt["initContainers"][0]["exitCode"] == 9
    assert all("exitCode" not in c for c in attempt["containers"])


REFUSED = [
    ({"containers": []}, "at least one container"),
    ({"containers": [container()] * 11}, "at most 10 containers"),
    ({"containers": [container(), container()]}, "must be unique"),
    ({"containers": [container(env=[{"name": "AWS_BATCH_X"}])]}, "can't start with AWS_BATCH"),
    ({"containers": [container(resources={"limits": {"memory": "64"}})]}, "memory can't be 64"),
    ({"containers": [container(resources={"limits": {"memory": "3Mi"}})]}, "memory can't be 3Mi"),
    ({"containers": [container(resources={"limits": {"cpu": "0.3"}})]}, "cpu can't be 0.3"),
    (
        {
            "containers": [
                container(resources={"limits": {"memory": "8Mi"}, "requests": {"memory": "4Mi"}})
            ]
        },
        "memory of limits",
    ),
    (
        {"containers": [container(resources={"limits": {"cpu": "1"}, "requests": {"cpu": "2"}})]},
        "cpu of limits",
    ),
    ({"containers": [container()], "metadata": {"namespace": "kube-x"}}, "namespace kube-x"),
]


@pytest.mark.parametrize(("pod", "text"), REFUSED, ids=[t for _, t in REFUSED])
def test_a_pod_that_aws_refuses_is_refused(bench: Any, pod: dict[str, Any], text: str) -> None:
    code, message = bench.refused(
        bench.batch.register_job_definition,
        jobDefinitionName="pod",
        type="container",
        eksProperties={"podProperties": pod},
    )
    assert (code, text in message) == ("ClientException", True), message


def test_pods_and_other_jobs_have_queues_of_their_own(pods: Any) -> None:
    define(pods.batch, container())
    assert (
        pods.batch.describe_job_queues(jobQueues=["pods"])["jobQueues"][0]["jobQueueType"] == "EKS"
    )
    for request in ({"jobQueue": "local"}, {"jobDefinition": "work"}):
        text = pods.refused(
            pods.batch.submit_job,
            **{"jobName": "job", "jobQueue": "pods", "jobDefinition": "pod", **request},
        )[1]
        assert "needs a job queue of type" in text
    order = [
        {"order": 1, "computeEnvironment": "pods"},
        {"order": 2, "computeEnvironment": "local"},
    ]
    text = pods.refused(
        pods.batch.create_job_queue, jobQueueName="q", priority=1, computeEnvironmentOrder=order
    )[1]
    assert "can't be mixed" in text


@pytest.mark.parametrize("name", ["default", "kube-system", "", "A", "a" * 64])
def test_a_namespace_that_kubernetes_keeps_is_refused(bench: Any, name: str) -> None:
    request = {
        "computeEnvironmentName": "e",
        "type": "MANAGED",
        "eksConfiguration": {"eksClusterArn": CLUSTER, "kubernetesNamespace": name},
        "computeResources": {
            "type": "EC2",
            "minvCpus": 0,
            "maxvCpus": 1,
            "instanceRole": "r",
            "subnets": ["s"],
            "securityGroupIds": ["sg"],
        },
    }
    assert "namespace" in bench.refused(bench.batch.create_compute_environment, **request)[1]


def test_references_to_variables_are_those_of_kubernetes() -> None:
    environment = {"A": "1", "B": "$(A)"}
    assert expanded("$(A) $(B) $(C) $$(A) $A $$$(A)", environment) == "1 $(A) $(C) $(A) $A $1"


def test_a_pod_runs_as_processes(tmp_path: Path, connect: Any) -> None:
    runner = SubprocessRunner({"shell:1": ["sh", "-c"]})
    with EmbeddedBatch(state=tmp_path, runner=runner, vcpus=2) as emulator:
        batch, logs = connect("batch", emulator.url), connect("logs", emulator.url)
        setup_queue(batch)
        own = container(name="own", image="shell:1", command=["printf", "%s"], args=["own entry"])
        first = container(name="first", image="shell:1", args=["echo first"])
        main = container(name="main", image="shell:1", args=["echo $AWS_BATCH_JQ_NAME"])
        define(batch, main, own, initContainers=[first])
        job = submit(batch)
        for _ in range(600):
            shown = batch.describe_jobs(jobs=[job])["jobs"][0]
            if shown["status"] in ("SUCCEEDED", "FAILED"):
                break
            emulator.clock.sleep(0.05)
        assert shown["status"] == "SUCCEEDED"
        found = logs.filter_log_events(logGroupName="/aws/batch/job")["events"]
        assert {event["message"] for event in found} == {"first", "pods", "own entry"}
    with EmbeddedBatch(state=tmp_path, runner=runner, vcpus=2) as emulator:
        batch = connect("batch", emulator.url)
        again = batch.describe_jobs(jobs=[job])["jobs"][0]
        assert again["eksAttempts"] == shown["eksAttempts"]


def test_reasons_of_ended_pods_are_in_the_places_of_pods(pods: Any) -> None:
    define(pods.batch, container(name="main"), container(name="side"))
    pods.behaviour = lambda job: SimulatedRun(seconds=100)
    for number, fault in enumerate(("out_of_memory", "image_pull", "spot_reclaim"), start=1):
        pods.emulator.faults.job(fault, "reasons", attempt=number, seconds=1)
    job = submit(pods.batch, jobName="reasons", retryStrategy={"attempts": 3})
    pods.clock.advance(50)
    shown = pods.job(job)
    memory, image, host = shown["eksAttempts"]
    # EksAttemptDetail has the attempt's reason, EksAttemptContainerDetail that of one container.
    first = memory["containers"][0]
    assert (first["exitCode"], first["reason"].partition(":")[0]) == (137, "OutOfMemoryError")
    first = image["containers"][0]
    assert first["reason"].startswith("CannotPullContainerError")
    assert "exitCode" not in first
    assert image["statusReason"] == "Task failed to start"
    assert host["statusReason"].startswith("Host EC2 (instance i-")
    assert all("exitCode" not in one and "reason" not in one for one in host["containers"])
    assert all("reason" not in attempt["containers"][1] for attempt in (memory, image))
    assert all(
        "reason" not in attempt and "container" not in attempt for attempt in (memory, image)
    )
    # The job has the last attempt's reason, and its pod the ends of the last containers.
    assert (shown["status"], shown["statusReason"]) == ("FAILED", host["statusReason"])
    assert (shown["attempts"], "container" in shown) == ([], False)
    row = pods.batch.list_jobs(jobQueue="pods", jobStatus="FAILED")["jobSummaryList"][0]
    assert row["statusReason"] == host["statusReason"]

    pods.emulator.faults.job("out_of_memory", "last", seconds=1)
    last = submit(pods.batch, jobName="last")
    stopped = submit(pods.batch, jobName="stopped")
    pods.clock.advance(50)
    pods.batch.terminate_job(jobId=stopped, reason="no more of this")
    pods.clock.advance(50)
    pod = pods.job(last)["eksProperties"]["podProperties"]
    assert pod["containers"][0]["reason"].startswith("OutOfMemoryError")
    assert "reason" not in pod["containers"][1]
    shown = pods.job(stopped)
    assert shown["statusReason"] == shown["eksAttempts"][0]["statusReason"] == "no more of this"
