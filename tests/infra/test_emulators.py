"""The templates deployed: by the real `cdk` command on ministack, AWS Batch's part on moto.

ministack applies the deployed policies: each stage and the operator may do what they say, no more.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import boto3
import botocore.exceptions
import pytest
from conftest import CDK, client, unavailable
from emulate import assembly_for_ministack, for_moto

from wordfreq_dagster.outputs import read_outputs
from wordfreq_dagster.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PROJECT = Path(os.environ.get("PROJECT_PYTHON") or ROOT / ".venv" / "bin" / "python")
STACKS = ["storage", "network", "observability", "compute", "jobs", "access"]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A deployment that goes away with its data, on an image that exists already."""
    from conftest import Deployment

    return Deployment(
        tmp_path_factory.mktemp("small"),
        name="wf",
        keep_data=False,
        csv_removed="mirror",
        email="ops@example.org",
        image="000000000000.dkr.ecr.us-east-1.amazonaws.com/wordfreq:1",
    )


def run(cloud, *command, folder=ROOT, **more):
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env={**cloud, **more},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def left(cloud):
    """What of the deployment is there: buckets, tables, queues, topics, rules, own roles."""
    return {
        "buckets": [
            one["Name"]
            for one in client(cloud, "s3").list_buckets()["Buckets"]
            if not one["Name"].startswith("cdk-")
        ],
        "tables": client(cloud, "dynamodb").list_tables()["TableNames"],
        "queues": client(cloud, "sqs").list_queues().get("QueueUrls", []),
        "topics": client(cloud, "sns").list_topics()["Topics"],
        "rules": client(cloud, "events").list_rules()["Rules"],
        "roles": [
            one["RoleName"]
            for one in client(cloud, "iam").list_roles()["Roles"]
            if one["RoleName"].startswith("wf-")
        ],
    }


def as_users(cloud):
    """Keys of users who may do what the role of each stage, and what the operator's policy allows.

    Users, because only ECS may take the roles themselves.
    """
    iam = client(cloud, "iam")

    def keys(name):
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return {
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        }

    found = {"root": {name: cloud[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}}
    roles = [one["RoleName"] for one in iam.list_roles()["Roles"]]
    for stage in ("plan", "migrate", "merge", "ingest"):
        (role,) = [one for one in roles if one.startswith(f"wf-jobs-{stage.title()}Role")]
        (policy,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
        document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
        iam.create_user(UserName=stage)
        iam.put_user_policy(UserName=stage, PolicyName="role", PolicyDocument=json.dumps(document))
        found[stage] = keys(stage)
    (arn,) = [
        one["Arn"]
        for one in iam.list_policies(Scope="Local")["Policies"]
        if one["PolicyName"] == "wf-operator"
    ]
    iam.create_user(UserName="operator")
    iam.attach_user_policy(UserName="operator", PolicyArn=arn)
    # On AWS sqs:DeleteMessage is the right to a batch of them too; to ministack it is another.
    more = {"Effect": "Allow", "Action": "sqs:DeleteMessageBatch", "Resource": "*"}
    iam.put_user_policy(
        UserName="operator",
        PolicyName="ministack",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [more]}),
    )
    found["operator"] = keys("operator")
    return found


def alerts_are_for_the_operator_only(cloud, users):
    """Publishing to the encrypted topic takes two rights: of the topic, and of its key."""
    (topic,) = [one["TopicArn"] for one in client(cloud, "sns").list_topics()["Topics"]]
    stack = client(cloud, "cloudformation").list_stack_resources(StackName="wf-observability")
    (key,) = [one["PhysicalResourceId"] for one in stack["StackResourceSummaries"]
              if one["ResourceType"] == "AWS::KMS::Key"]  # fmt: skip
    for name in users:
        keys = {**cloud, **users[name]}
        calls = {
            "sns": lambda keys=keys: client(keys, "sns").publish(TopicArn=topic, Message="failed"),
            # What SNS asks of the key in the publisher's name; ministack's SNS doesn't.
            "kms": lambda keys=keys: client(keys, "kms").generate_data_key(
                KeyId=key, KeySpec="AES_256"
            ),
        }
        for service, call in calls.items():
            if name in ("operator", "root"):
                assert call(), (name, service)
            else:
                with pytest.raises(botocore.exceptions.ClientError, match="not authorized"):
                    call()


def without_users(cloud):
    iam = client(cloud, "iam")
    for one in iam.list_users()["Users"]:
        name = one["UserName"]
        for key in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
            iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
        for policy in iam.list_user_policies(UserName=name)["PolicyNames"]:
            iam.delete_user_policy(UserName=name, PolicyName=policy)
        for policy in iam.list_attached_user_policies(UserName=name)["AttachedPolicies"]:
            iam.detach_user_policy(UserName=name, PolicyArn=policy["PolicyArn"])
        iam.delete_user(UserName=name)


def test_deploy_then_both_pipelines_run_on_events_with_their_rights_then_destroy_leaves_nothing(
    small, cloud, tmp_path
):
    folder = assembly_for_ministack(small.folder, tmp_path / "cdk.out")
    outputs = tmp_path / "outputs.json"
    app = ("--app", folder, "--ci", "--no-color")
    before = left(cloud)
    begin = time.monotonic()
    run(cloud, CDK, "bootstrap", *app, "aws://000000000000/us-east-1", folder=tmp_path)
    run(
        cloud, CDK, "deploy", "--all", *app, "--require-approval=never",
        f"--outputs-file={outputs}", folder=tmp_path,
    )  # fmt: skip
    print(f"deployed in {time.monotonic() - begin:.1f} s")
    deployed = read_outputs(outputs, Settings.model_fields)
    bucket = deployed["source"].removeprefix("s3://").partition("/")[0]
    assert client(cloud, "s3").get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    if not PROJECT.exists():
        unavailable(f"{PROJECT} isn't there: run `make setup`")
    users = as_users(cloud)
    (tmp_path / "keys.json").write_text(json.dumps(users))
    begin = time.monotonic()
    printed = run(
        cloud, PROJECT, ROOT / "tests" / "infra" / "pipelines.py", folder=tmp_path,
        PYTHONPATH=f"{ROOT}:{ROOT}/batch_image", WORDFREQ_OUTPUTS=str(outputs),
        KEYS=str(tmp_path / "keys.json"), **users["operator"],
    )  # fmt: skip
    found = json.loads(printed.splitlines()[-1])
    print(f"both pipelines, twice: {time.monotonic() - begin:.1f} s: {found}")
    both = ["word_frequency", "csv_to_dynamodb"]
    assert found["requested"] == [[job, 1] for job in both * 2]
    assert found["runs"] == [[job, True, []] for job in both * 2]
    assert found["rows"] == ["1"]  # of the upload that was removed there is none left
    assert found["alerted"] == ["FAILURE", True]  # by SNS, on the encrypted topic
    alerts_are_for_the_operator_only(cloud, users)
    results = [one for one in found["results"] if not one.startswith("plans/")]
    assert results == [
        "output/a b+ü.txt", "ranking/ranking.json", "ranking/report.html", "ranking/report.md",
        "ranking/totals.parquet", "rejects/a b.csv",
    ]  # fmt: skip
    without_users(cloud)
    run(
        cloud, sys.executable, ROOT / "infra" / "teardown.py", "--name=wf",
        "--delete-all-data",
    )  # fmt: skip
    run(cloud, CDK, "destroy", "--all", "--force", *app, folder=tmp_path)
    assert left(cloud) == before


def test_aws_batch_takes_the_environments_the_queue_and_the_definitions(small, monkeypatch):
    from moto import mock_aws

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "moto")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "moto")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws(config={"batch": {"use_docker": False}}):
        role = boto3.client("iam").create_role(
            RoleName="batch", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17"})
        )["Role"]["Arn"]
        formation = boto3.client("cloudformation")
        for name in ("network", "storage", "compute", "jobs"):
            formation.create_stack(
                StackName=f"wf-{name}",
                TemplateBody=json.dumps(for_moto(small.templates[name], role=role)),
                Capabilities=["CAPABILITY_NAMED_IAM"],
            )
            (stack,) = formation.describe_stacks(StackName=f"wf-{name}")["Stacks"]
            assert stack["StackStatus"] == "CREATE_COMPLETE"
        batch = boto3.client("batch")
        (queue,) = batch.describe_job_queues(jobQueues=["wf"])["jobQueues"]
        assert [one["order"] for one in queue["computeEnvironmentOrder"]] == [1, 2]
        job = batch.submit_job(
            jobName="try", jobQueue="wf", jobDefinition="wf-migrate",
            arrayProperties={"size": 3}, timeout={"attemptDurationSeconds": 60},
            containerOverrides={"command": ["migrate", "--plan", "s3://b/p.json"]},
        )  # fmt: skip
        (shown,) = batch.describe_jobs(jobs=[job["jobId"]])["jobs"]
        assert shown["arrayProperties"]["size"] == 3
