"""The preflight: what is wrong is named, with what to do."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dagster_aws_batch.__main__ import main
from dagster_aws_batch._aws.fargate import fargate_problem
from dagster_aws_batch._job import BatchJobDefinition
from dagster_aws_batch._scratch import LocalScratch
from dagster_aws_batch.doctor import Clients, Wanted, examine
from dagster_aws_batch.findings import Level

FARGATE = BatchJobDefinition(
    image="tool:1", platform="FARGATE", execution_role_arn="arn:aws:iam::000000000000:role/x"
)


def errors(findings):
    return {
        finding.about.split()[0]: finding for finding in findings if finding.level is Level.ERROR
    }


def look(bench, scratch=None, **wanted):
    wanted.setdefault("queue", "local")
    return examine(
        Clients(batch=bench.client(), logs=bench.client("logs")), Wanted(**wanted), scratch
    )


def test_a_good_place_has_no_error(bench, scratch):
    arn = bench.connection().definitions.arn(BatchJobDefinition(image="tool:1"))
    findings = look(bench, scratch, definition=arn, vcpus=1, memory_mib=512)
    assert errors(findings) == {}
    checked = {finding.about.split()[0] for finding in findings if finding.level is Level.OK}
    assert {"queue", "share", "compute", "definition", "platform", "size", "scratch"} <= checked


def test_a_missing_queue_and_definition(bench):
    findings = errors(look(bench, queue="nowhere", definition="nothing"))
    assert "does not exist" in findings["queue"].text
    assert "no active revision" in findings["definition"].text
    assert findings["definition"].advice.startswith("Register it")


def test_a_disabled_queue(bench):
    bench.client().update_job_queue(jobQueue="local", state="DISABLED")
    assert "disabled" in errors(look(bench))["queue"].text


def test_share_identifier_missing_or_too_much(bench):
    client = bench.client()
    policy = client.create_scheduling_policy(
        name="fair",
        fairsharePolicy={"shareDistribution": [{"shareIdentifier": "team*", "weightFactor": 1}]},
    )["arn"]
    client.create_job_queue(
        jobQueueName="fair",
        priority=1,
        schedulingPolicyArn=policy,
        computeEnvironmentOrder=[{"order": 1, "computeEnvironment": "local"}],
    )
    assert "none is given" in errors(look(bench, queue="fair"))["share"].text
    assert errors(look(bench, queue="fair", share_identifier="teamA")) == {}
    assert "no scheduling policy" in errors(look(bench, share_identifier="x"))["share"].text
    other = look(bench, queue="fair", share_identifier="other")
    assert any(one.level is Level.WARNING and "no weight" in one.text for one in other)


def test_a_definition_of_the_wrong_platform(bench):
    found = errors(look(bench, definition=FARGATE))
    assert "the definition is for FARGATE, the queue runs EC2" in found["platform"].text


def test_fargate_needs_an_execution_role(bench):
    found = errors(look(bench, definition=BatchJobDefinition(image="t", platform="FARGATE")))
    assert "execution_role_arn" in found["execution"].advice


def test_a_definition_of_several_containers_is_looked_into(bench):
    def container(name, memory):
        size = {"VCPU": "1", "MEMORY": str(memory)}
        logs = {"logDriver": "awslogs", "options": {"awslogs-group": f"/mine/{name}"}}
        return {
            "name": name,
            "image": "tool:1",
            "resourceRequirements": [{"type": key, "value": size[key]} for key in size],
            "logConfiguration": logs,
        }

    role = "arn:aws:iam::000000000000:role/x"
    task = {"executionRoleArn": role, "containers": [container("main", 4096), container("b", 1024)]}
    bench.client().register_job_definition(
        jobDefinitionName="several",
        type="container",
        platformCapabilities=["FARGATE"],
        ecsProperties={"taskProperties": [task]},
    )
    findings = look(bench, definition="several")
    assert "execution" not in errors(findings)
    absent = {one.about for one in findings if one.text == "does not exist"}
    assert absent == {"log group /mine/main", "log group /mine/b"}
    [size] = [one.about for one in findings if one.about.startswith("size")]
    assert size == "size 2 vCPU, 5,120 MiB"


def test_a_definition_may_be_named_without_its_revision(bench):
    arn = bench.connection().definitions.arn(BatchJobDefinition(image="tool:1"))
    assert errors(look(bench, definition=arn.rpartition(":")[0])) == {}
    assert errors(look(bench, definition=arn.rpartition("/")[2])) == {}


def test_a_strategy_that_repeats_what_no_rule_matches(bench):
    rules = [{"onStatusReason": "Host EC2*", "action": "RETRY"}]
    strategy = {"retryStrategy": {"attempts": 3, "evaluateOnExit": rules}}
    definition = BatchJobDefinition(image="t", options=strategy)
    [found] = [one for one in look(bench, definition=definition) if one.about == "retry strategy"]
    assert (found.level, "`Job.retries`" in found.advice) == (Level.WARNING, True)


def test_calls_of_every_run_that_are_not_permitted_are_errors(bench):
    error = {"Error": {"Code": "AccessDeniedException", "Message": "not authorized"}}

    def refuse(model, **_):
        raise ClientError(error, model.name)

    for call in ("ListJobs", "DescribeJobs"):
        client = bench.client()
        client.meta.events.register(f"before-call.batch.{call}", refuse)
        found = errors(look(bench))["jobs"]
        client.meta.events.unregister(f"before-call.batch.{call}", refuse)
        assert f"calling the {call} operation" in found.text
        assert "docs/permissions.md" in found.advice
    assert errors(look(bench)) == {}


class Unlisted(LocalScratch):
    def names(self, prefix):
        return []


def test_a_scratch_place_that_can_not_be_listed(bench, tmp_path):
    """Every execution lists it first."""
    assert "doesn't list" in errors(look(bench, Unlisted(tmp_path)))["scratch"].text


@pytest.mark.parametrize("bench", [4], indirect=True)
def test_a_size_that_no_environment_can_hold(bench):
    found = errors(look(bench, vcpus=8, memory_mib=512))
    assert "allows 4 vCPUs in all" in found["size"].text


@pytest.mark.parametrize(
    ("vcpus", "memory", "problem"),
    [
        (0.25, 512, None),
        (1, 2048, None),
        (1, 2500, "steps of 1,024"),
        (3, 8192, "no 3 vCPUs"),
        (16, 122_880, None),
        (0.25, 4096, "512 to 2,048"),
    ],
)
def test_sizes_of_fargate(vcpus, memory, problem):
    found = fargate_problem(vcpus, memory)
    assert found is None if problem is None else problem in found


class Services:
    """IAM, EC2 and Logs as they answer on AWS."""

    def get_role(self, RoleName: str) -> Any:
        return {"Role": {"AssumeRolePolicyDocument": {"Service": "ec2.amazonaws.com"}}}

    def describe_instance_types(self, InstanceTypes: list[str]) -> Any:
        sizes = {"m5.large": (2, 8192), "c5.xlarge": (4, 8192), "r5.large": (2, 16384)}
        return {
            "InstanceTypes": [
                {
                    "VCpuInfo": {"DefaultVCpus": sizes[name][0]},
                    "MemoryInfo": {"SizeInMiB": sizes[name][1]},
                }
                for name in InstanceTypes
            ]
        }

    def describe_log_groups(self, logGroupNamePrefix: str) -> Any:
        return {"logGroups": [{"logGroupName": "/mine-not"}]}


def clients_of(bench, *types: str) -> Clients:
    """Of a queue with an environment of these instance types."""
    client = bench.client()
    environment = {
        "computeEnvironmentName": "small",
        "computeEnvironmentArn": "arn:small",
        "state": "ENABLED",
        "status": "VALID",
        "computeResources": {"type": "EC2", "maxvCpus": 100, "instanceTypes": list(types)},
    }
    batch = SimpleNamespace(
        describe_job_queues=client.describe_job_queues,
        list_jobs=client.list_jobs,
        describe_jobs=client.describe_jobs,
        describe_compute_environments=lambda computeEnvironments: {
            "computeEnvironments": [environment]
        },
    )
    services = Services()
    return Clients(batch=batch, logs=services, iam=services, ec2=services)


def test_role_log_group_and_instance_type(bench):
    definition = BatchJobDefinition(
        image="t", log_group="/mine", job_role_arn="arn:aws:iam::1:role/job", memory_mib=9000
    )
    wanted = Wanted(queue="local", definition=definition)
    found = errors(examine(clients_of(bench, "m5.large"), wanted))
    assert "does not trust ecs-tasks.amazonaws.com" in found["jobRoleArn"].text
    assert "awslogs-create-group" in found["log"].advice
    assert "2 vCPUs and 7,700 MiB" in found["size"].text


def test_a_job_has_to_fit_into_one_of_the_instance_types(bench):
    clients = clients_of(bench, "c5.xlarge", "r5.large")
    size = {"queue": "local", "vcpus": 2, "memory_mib": 15_000}
    assert errors(examine(clients, Wanted(**size))) == {}
    assert "size" in errors(examine(clients, Wanted(**size | {"vcpus": 3})))
    assert "0 GPUs" in errors(examine(clients, Wanted(**size, gpus=1)))["size"].text


def test_the_command_says_it_in_words_and_by_its_exit_code(bench, capsys, tmp_path):
    where = ["--endpoint-url", bench.aws.url, "--region", "us-east-1", "--scratch", str(tmp_path)]
    assert main(["doctor", "--queue", "local", *where]) == 0
    assert "queue local: is enabled and valid" in capsys.readouterr().out
    assert main(["doctor", "--queue", "nowhere", *where]) == 1
    assert "-> Check the name, the Region" in capsys.readouterr().out


def test_without_credentials_the_command_fails_and_says_what_to_set(bench, capsys, monkeypatch):
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    # No address of this machine, where the client needs no credentials; nothing is sent there.
    where = ["--endpoint-url", "http://batch.invalid", "--region", "us-east-1"]
    assert main(["doctor", "--queue", "local", *where]) == 1
    assert "-> Set AWS_PROFILE" in capsys.readouterr().out
