"""What `make deploy`, `destroy` and `migrate` ask AWS, with endpoints that answer: ministack's
CloudFormation and ECS, moto's EC2 and Batch templates, jobs of the embedded AWS Batch."""

import json
import sys
import threading

import boto3
import botocore.exceptions
import pytest
import ready
import task
import teardown
from botocore.stub import Stubber
from conftest import client
from wordfreq_infra import options
from wordfreq_infra.options import LOGIN, Options

from aws_batch_emulator import EmbeddedBatch, SubprocessRunner
from tests.waiting import until


@pytest.fixture
def endpoint(cloud, monkeypatch):
    """The environment of this process is that of somebody who deploys to ministack."""
    for name, value in cloud.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)


def deployed(cloud, options):
    """What `changes` reads of a deployment: its outputs."""
    formation = client(cloud, "cloudformation")
    value = json.dumps(options.chosen())
    template = {
        "Resources": {"Queue": {"Type": "AWS::SQS::Queue"}},
        "Outputs": {"DeploymentOptions": {"Value": value}},
    }
    name = f"{options.name}-access"
    formation.create_stack(StackName=name, TemplateBody=json.dumps(template))
    formation.get_waiter("stack_create_complete").wait(
        StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )


def run_main(capsys, words):
    code = ready.main(["--options", words])
    return code, capsys.readouterr()


def test_a_change_that_cannot_be_made_is_refused_by_what_is_deployed(cloud, endpoint, capsys):
    # One job of the merge stage never started there: what is refused since can be changed.
    deployed(cloud, options.deployed({
        "name": "old", "network": "nat", "tags": "team=data", "max_vcpus": 1, "gone": "since",
    }))  # fmt: skip
    code, printed = run_main(capsys, "name=old network=isolated csv_key=ProductName")
    assert code == 1
    assert "network can't become 'isolated' (it is 'nat')" in printed.err
    assert "csv_key can't become 'ProductName'" in printed.err
    assert "make destroy" in printed.err
    code, printed = run_main(capsys, "name=old network=public max_vcpus=8")
    assert (code, printed.err) == (0, "")
    # Spot hosts and a first cluster need them; an account without goes on-demand and silently.
    assert "aws iam create-service-linked-role --aws-service-name spot.amazonaws.com" in printed.out


def test_a_stack_left_by_a_failed_creation_is_named_with_what_deletes_it(cloud, endpoint, capsys):
    formation = client(cloud, "cloudformation")
    policy = {"PolicyName": "p", "PolicyDocument": {}, "Roles": ["nobody"]}
    broken = {"Resources": {"Policy": {"Type": "AWS::IAM::Policy", "Properties": policy}}}
    formation.create_stack(StackName="left-network", TemplateBody=json.dumps(broken),
                           Capabilities=["CAPABILITY_NAMED_IAM"])  # fmt: skip

    def status():
        (stack,) = formation.describe_stacks(StackName="left-network")["Stacks"]
        return not stack["StackStatus"].endswith("IN_PROGRESS")

    until(status, what="left-network has ended")
    for add in (None, Options(name="left")):  # also beside a deployment, as Dagster's may be left
        if add:
            deployed(cloud, add)
        code, printed = run_main(capsys, "name=left")
        assert code == 1
        assert "aws cloudformation delete-stack --stack-name left-network" in printed.err


def test_a_login_that_cloudformation_could_not_use_is_refused(cloud, endpoint, capsys):
    arn = "arn:aws:acm:{}:111122223333:certificate/1111-2222"
    words = f"name=ui dagster=true ui_login=ui/login ui_cidr=203.0.113.0/24 ui_certificate={arn}"
    code, printed = run_main(capsys, words.format("eu-west-1"))
    assert code == 1
    assert "ui_certificate isn't of us-east-1" in printed.err
    assert "ui/login (ui_login) isn't in us-east-1" in printed.err
    secrets = client(cloud, "secretsmanager")
    secrets.create_secret(Name="ui/login", SecretString="top secret")
    for given, says in (
        (None, "is no JSON object; give it the keys issuer, authorization_endpoint,"),
        (dict.fromkeys(LOGIN[:-1], "x"), "lacks client_secret;"),
        (dict.fromkeys(LOGIN, "x"), ""),
    ):
        if given:
            secrets.put_secret_value(SecretId="ui/login", SecretString=json.dumps(given))
        code, printed = run_main(capsys, words.format("us-east-1"))
        assert says in printed.err
        assert code == bool(says)


def test_families_that_the_region_lacks_are_named(monkeypatch):
    from moto import mock_aws

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "moto")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "moto")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        assert list(ready.families(Options(instance_families="m6i,c6i"))) == []
        (text,) = ready.families(Options(instance_families="m6i,zz9"))
    assert "no instances of zz9" in text


def test_what_the_region_lacks_is_named_and_one_look_that_fails_hides_no_other(
    cloud, endpoint, monkeypatch, capsys
):
    def refused(_):
        raise botocore.exceptions.ClientError({"Error": {"Code": "AccessDenied"}}, "Describe")

    deployed(cloud, Options(name="look", kms_key="arn:aws:kms:us-east-1:111122223333:key/1"))
    monkeypatch.setattr(ready, "CHECKS", (refused, *ready.CHECKS))
    ecr = "111122223333.dkr.ecr.{}.amazonaws.com/w:1"
    words = f"name=look network=isolated dagster_image=asset image={ecr}"
    code, printed = run_main(capsys, words.format("eu-west-1"))
    assert code == 1
    assert "refused can't be seen" in printed.out
    assert "image is of eu-west-1: isolated, push it to ECR in us-east-1" in printed.err
    assert "kms_key can't become ''" in printed.err
    assert "image is of" not in run_main(capsys, words.format("us-east-1"))[1].err
    monkeypatch.setattr(ready, "CHECKS", (ready.region,))
    code, printed = run_main(capsys, "name=new zones=4")
    assert (code, printed.err) == (1, "zones is 4, and us-east-1 has 3: use no more\n")
    assert run_main(capsys, "name=new zones=3")[0] == 0


class Formation:
    """CloudFormation's answer that a stack holds one queue: no emulator here makes one."""

    def get_paginator(self, _):
        return self

    def paginate(self, *, StackName):
        kind = "AWS::Batch::JobQueue"
        row = {"LogicalResourceId": "Q", "PhysicalResourceId": "wf", "ResourceType": kind}
        return [{"StackResourceSummaries": [row] if StackName == "wf-compute" else []}]


def test_destroy_refuses_while_jobs_run_and_ends_them_when_told_to(monkeypatch):
    monkeypatch.setattr(teardown, "POLL_SECONDS", 0.2)
    with EmbeddedBatch(runner=SubprocessRunner({"python": [sys.executable, "-c"]})) as aws:
        batch = boto3.Session("any", "any", region_name="us-east-1").client(
            "batch", endpoint_url=aws.url
        )
        batch.create_job_queue(
            jobQueueName="wf", priority=1,
            computeEnvironmentOrder=[{"order": 1, "computeEnvironment": "local"}],
        )  # fmt: skip
        batch.register_job_definition(
            jobDefinitionName="sleep", type="container",
            containerProperties={
                "image": "python", "command": ["import time; time.sleep(600)"],
                "resourceRequirements": [
                    {"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "64"},
                ],
            },
        )  # fmt: skip
        clients = {"batch": batch, "cloudformation": Formation()}
        teardown.end_jobs(clients.__getitem__, "wf", end=False)
        assert batch.describe_job_queues(jobQueues=["wf"])["jobQueues"][0]["state"] == "ENABLED"
        job = batch.submit_job(
            jobName="j", jobQueue="wf", jobDefinition="sleep", arrayProperties={"size": 2}
        )["jobId"]
        with pytest.raises(SystemExit, match=r"jobs in the queue wf haven't ended"):
            teardown.end_jobs(clients.__getitem__, "wf", end=False)
        assert batch.describe_job_queues(jobQueues=["wf"])["jobQueues"][0]["state"] == "ENABLED"
        teardown.end_jobs(clients.__getitem__, "wf", end=True)
        (shown,) = batch.describe_jobs(jobs=[job])["jobs"]
        assert shown["status"] == "FAILED"
        assert batch.describe_job_queues(jobQueues=["wf"])["jobQueues"][0]["state"] == "DISABLED"


def test_a_queue_of_what_is_not_ended_stays_on_and_dagster_alone_goes_alone(monkeypatch):
    """Nobody would switch it on again: not the next deploy, if the destruction was declined."""
    asked = []
    monkeypatch.setattr(teardown.boto3, "client", lambda service: service)
    monkeypatch.setattr(teardown, "end_jobs", lambda *_, end: asked.append(f"jobs {end}"))
    monkeypatch.setattr(teardown, "stop_dagster", lambda *_: asked.append("dagster"))
    monkeypatch.setattr(teardown, "buckets", lambda *of: asked.append(of[2]) or [])
    teardown.main(["--name=wf", "--delete-all-data"])
    assert asked == ["jobs True", "dagster", ("dagster", "storage")]
    asked.clear()
    monkeypatch.setenv("STACKS", "wf-dagster")  # make destroy STACKS=…, before dagster=false
    teardown.main(["--name=wf", "--delete-all-data"])
    assert asked == ["dagster", ("dagster",)]
    asked.clear()
    teardown.main(["--name=wf"])
    assert asked == ["jobs False", ("dagster",)]
    monkeypatch.setenv("WORDFREQ_INFRA_NAME", "other")
    with pytest.raises(SystemExit):
        teardown.main(["--name=wf", "--delete-all-data"])


@pytest.fixture
def service(cloud, endpoint):
    """Dagster's code server on ministack's ECS, and the definition of a run."""
    ecs = client(cloud, "ecs")
    ecs.create_cluster(clusterName="ops-dagster")
    for family in ("ops-dagster-run", "ops-dagster-code"):
        ecs.register_task_definition(
            family=family, networkMode="awsvpc", cpu="512", memory="1024",
            requiresCompatibilities=["FARGATE"],
            containerDefinitions=[{"name": "run", "image": "d:1", "memory": 512}],
        )  # fmt: skip
    vpc = client(cloud, "ec2").create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = client(cloud, "ec2").create_subnet(VpcId=vpc, CidrBlock="10.9.0.0/24")["Subnet"]
    ecs.create_service(
        cluster="ops-dagster", serviceName="ops-code", taskDefinition="ops-dagster-code",
        desiredCount=1, launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": {"subnets": [subnet["SubnetId"]]}},
    )  # fmt: skip
    return ecs


def test_a_command_runs_as_a_task_with_the_network_of_the_services(service, monkeypatch, capsys):
    monkeypatch.setattr(task, "POLL_SECONDS", 0.1)
    codes = []
    command = ["--name", "ops", "--", "dagster", "instance", "migrate"]
    thread = threading.Thread(target=lambda: codes.append(task.main(command)))
    thread.start()

    def running():
        return service.list_tasks(cluster="ops-dagster", family="ops-dagster-run")["taskArns"]

    until(running, what="the task runs")
    (shown,) = service.describe_tasks(cluster="ops-dagster", tasks=running())["tasks"]
    (override,) = shown["overrides"]["containerOverrides"]
    assert override["command"] == ["dagster", "instance", "migrate"]
    service.stop_task(cluster="ops-dagster", task=running()[0], reason="by hand")
    thread.join(60)
    assert codes == [0]  # ministack's, of a task without a container
    assert "task/ops-dagster/" in capsys.readouterr().out


def test_the_exit_code_is_that_of_the_command_and_none_is_no_success(monkeypatch):
    monkeypatch.setattr(task, "POLL_SECONDS", 0.1)
    ecs = boto3.Session("any", "any", region_name="us-east-1").client("ecs")
    with Stubber(ecs) as stub:
        stub.add_response("describe_tasks", {"tasks": [], "failures": [{"reason": "MISSING"}]})

        def answers(status, **container):
            shown = {"lastStatus": status, "stoppedReason": "CannotPullContainerError"}
            shown["containers"] = [{"name": "run", **container}]
            stub.add_response("describe_tasks", {"tasks": [shown]})

        answers("RUNNING")
        answers("STOPPED", exitCode=7)
        assert task.wait(ecs, "c", "t") == 7
        answers("STOPPED")
        with pytest.raises(task.TaskError, match="CannotPullContainerError"):
            task.wait(ecs, "c", "t")


def test_without_dagster_on_ecs_a_command_says_what_to_deploy(cloud, endpoint, capsys):
    client(cloud, "ecs").create_cluster(clusterName="none-dagster")
    assert task.main(["--name", "none", "--", "dagster", "--version"]) == 1
    assert "deploy with dagster=true first" in capsys.readouterr().err
