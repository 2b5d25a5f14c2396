"""The same work as a job on EC2, on Fargate, with several containers, and on Amazon EKS."""

from dataclasses import replace
from typing import Any

import boto3
import dagster as dg
import pytest

from aws_batch_emulator import EmbeddedBatch, SimulatedRun, SubprocessRunner
from dagster_aws_batch import (
    BatchJobDefinition,
    BatchJobs,
    FailureClass,
    InvalidJobError,
    Job,
    Retries,
)
from dagster_aws_batch._aws.job_definitions import registration
from dagster_aws_batch.doctor import Clients, Wanted, examine
from dagster_aws_batch.findings import Level

ROLE = "arn:aws:iam::000000000000:role/x"
CLUSTER = {
    "eksClusterArn": "arn:aws:eks:us-east-1:000000000000:cluster/c",
    "kubernetesNamespace": "jobs",
}
NETWORK = {"subnets": ["subnet-a"], "securityGroupIds": ["sg-a"], "maxvCpus": 16}
INSTANCES = {
    "type": "EC2",
    "allocationStrategy": "BEST_FIT_PROGRESSIVE",
    "minvCpus": 0,
    "instanceTypes": ["m5"],
    "instanceRole": "role",
}
SIZE = [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "2048"}]
KINDS = ["EC2", "FARGATE", "several", "EKS"]
# Kinds whose log streams AWS Batch names.
LOGGED = ["EC2", "FARGATE", "several"]


def queue(batch: Any, kind: str) -> str:
    """The queue for jobs of this kind; made when new."""
    environments = {
        "FARGATE": {"computeResources": {"type": "FARGATE", **NETWORK}},
        "EKS": {"eksConfiguration": CLUSTER, "computeResources": {**INSTANCES, **NETWORK}},
    }
    if kind not in environments:
        return "local"
    batch.create_compute_environment(
        computeEnvironmentName=kind, type="MANAGED", **environments[kind]
    )
    order = [{"order": 1, "computeEnvironment": kind}]
    batch.create_job_queue(jobQueueName=kind, priority=1, computeEnvironmentOrder=order)
    return kind


def job_of(batch: Any, kind: str, *, image: str, command: list[str]) -> Job:
    """The same work for each kind."""
    job = Job(
        name="work",
        definition=BatchJobDefinition(
            image=image,
            memory_mib=2048,
            platform=kind if kind != "several" else "EC2",
            execution_role_arn=ROLE if kind == "FARGATE" else None,
        ),
        command=command,
        environment={"GREETING": "hello"},
    )
    if kind != "several":
        return job
    containers = [
        {"name": "main", "image": image, "resourceRequirements": SIZE},
        {
            "name": "side",
            "image": image,
            "command": ["exit 0"],
            "essential": False,
            "resourceRequirements": SIZE,
        },
    ]
    batch.register_job_definition(
        jobDefinitionName="several",
        type="container",
        ecsProperties={"taskProperties": [{"containers": containers}]},
    )
    return replace(job, definition="several", container="main")


def client(aws: EmbeddedBatch) -> Any:
    keys = {"aws_access_key_id": "k", "aws_secret_access_key": "s"}
    return boto3.client("batch", endpoint_url=aws.url, region_name="us-east-1", **keys)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_asset_runs_as_every_kind_of_job(kind):
    with EmbeddedBatch(runner=SubprocessRunner({"shell": ["sh", "-c"]})) as aws:
        batch = BatchJobs(
            queue=queue(client(aws), kind),
            region_name="us-east-1",
            endpoint_url=aws.url,
            poll_seconds=0.1,
        )
        command = ["echo $GREETING $BATCH_TASKS; exit $((AWS_BATCH_JOB_ARRAY_INDEX == 1 ? 3 : 0))"]
        job = job_of(client(aws), kind, image="shell", command=command)
        seen = []

        @dg.asset
        def work(context: dg.AssetExecutionContext, batch: BatchJobs):
            seen.append(batch.run(context=context, job=job, tasks=3))
            seen[0].raise_for_failure()

        result = dg.materialize([work], resources={"batch": batch}, raise_on_error=False)
        assert aws.calls["SubmitJob"] == 1
    [outcome] = seen
    assert [task.ok for task in outcome.tasks] == [True, False, True]
    failed = outcome.tasks[1]
    assert (failed.failure, failed.exit_code) == (FailureClass.USER_CODE, 3)
    assert [attempt.exit_code for attempt in failed.attempts] == [3]
    text = result.failure_data_for_node("work").user_failure_data.description
    assert "user code, exit code 3" in text
    if kind in LOGGED:
        assert "| hello 0-2" in text
    else:
        # AWS has the pod's name; the cluster's log agent has its log.
        assert "(pod jobs/aws-batch." in text
        assert "AWS Batch names no stream on EKS" in failed.note


@pytest.mark.parametrize("kind", KINDS)
def test_memory_grows_for_the_container_that_does_the_work(bench, kind):
    asked = []
    # What runs beside it keeps its own.
    beside = 2048 if kind == "several" else 0

    def run(child, task):
        asked.append(child.memory_mib)
        over = child.memory_mib < 4096 + beside
        reason = "OutOfMemoryError: Container killed" if over else ""
        return SimulatedRun(seconds=5, exit_code=137 if over else 0, reason=reason)

    bench.behaviour = run
    job = job_of(bench.client(), kind, image="tool:1", command=["x"])
    done = bench.run(2, replace(job, queue=queue(bench.client(), kind)))
    assert all(task.ok for task in done.tasks)
    assert done.usage.vcpu_seconds == 2 * 2 * 5 * (1 if kind != "several" else 2)
    assert sorted(asked) == [2048 + beside] * 2 + [4096 + beside] * 2


@pytest.mark.parametrize("kind", KINDS)
def test_jobs_of_every_kind_are_found_again(bench, kind):
    job = replace(
        job_of(bench.client(), kind, image="tool:1", command=["x"]),
        queue=queue(bench.client(), kind),
        retries=Retries(host_loss=0),
    )
    assert all(task.ok for task in bench.run(4, job).tasks)
    bench.aws.calls.clear()
    again = bench.run(4, job, resumed=True)
    assert all(task.ok for task in again.tasks)
    assert bench.aws.calls["SubmitJob"] == 0
    assert set(bench.work.values()) == {1}


def test_the_only_container_of_a_definition_needs_no_name(bench):
    container = {"name": "only", "image": "tool:1", "resourceRequirements": SIZE}
    bench.client().register_job_definition(
        jobDefinitionName="one",
        type="container",
        ecsProperties={"taskProperties": [{"containers": [container]}]},
    )
    job = Job(name="work", definition="one", command=["x"])
    assert bench.run(1, job).tasks[0].ok
    assert bench.run(2, replace(job, definition="one:1", command=["y"])).tasks[1].ok
    # Each name is looked up once per process.
    assert bench.aws.calls["DescribeJobDefinitions"] == 2


def test_a_container_that_the_definition_lacks_is_refused_before_the_call(bench):
    job = job_of(bench.client(), "several", image="tool:1", command=["x"])
    for container in (None, "other"):
        with pytest.raises(InvalidJobError, match="the containers main, side"):
            bench.run(1, replace(job, container=container))
    assert bench.aws.calls["SubmitJob"] == 0


def test_a_role_for_a_pod_is_refused_with_what_to_set():
    definition = BatchJobDefinition(image="t", platform="EKS", job_role_arn=ROLE)
    with pytest.raises(InvalidJobError, match="serviceAccountName"):
        registration(definition)


def test_the_doctor_compares_the_platform_of_queue_and_definition(bench):
    eks = queue(bench.client(), "EKS")
    clients = Clients(batch=bench.client(), logs=bench.client("logs"))

    def platform(name: str, definition: BatchJobDefinition) -> Level:
        found = examine(clients, Wanted(queue=name, definition=definition))
        return next(one.level for one in found if one.about == "platform")

    pod = BatchJobDefinition(image="t", platform="EKS")
    assert platform(eks, pod) is Level.OK
    assert platform("local", pod) is Level.ERROR
    assert platform(eks, BatchJobDefinition(image="t")) is Level.ERROR
