"""The unmodified `aws` command against the emulator: the commands a person would type."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from wordfreq_dagster.batch_emulator import EmbeddedBatch, SimulatedRun, SimulatedRunner

AWS = shutil.which("aws")
pytestmark = pytest.mark.skipif(AWS is None, reason="the aws command is not installed")
DEFINITION = "example-plan"
QUEUE = "MainQueue"

Aws = Callable[..., Any]


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    home = tmp_path_factory.mktemp("home")
    runner = SimulatedRunner(lambda job: SimulatedRun(seconds=0.01, exit_code=job.index == 1))
    with EmbeddedBatch(runner=runner) as emulator:
        environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(home),
            "AWS_ENDPOINT_URL_BATCH": emulator.url,
            "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": emulator.url,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_PAGER": "",
            "AWS_MAX_ATTEMPTS": "1",
        }

        def run(*arguments: str, fails: bool = False) -> Any:
            done = subprocess.run(
                [str(AWS), *arguments],
                capture_output=True,
                text=True,
                check=False,
                env=environment,
                timeout=120,
            )
            if fails:
                assert done.returncode not in (0, None), done.stdout
                return done.stderr.strip()
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout) if done.stdout.strip() else None

        if (
            "aws-cli"
            not in subprocess.run(
                [str(AWS), "--version"],
                capture_output=True,
                text=True,
                check=False,
                env=environment,
            ).stdout
        ):
            pytest.skip("the aws command on the path does not run")
        batch = boto3.client(
            "batch",
            endpoint_url=emulator.url,
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )
        policy = batch.create_scheduling_policy(name="fair")["arn"]
        batch.create_job_queue(
            jobQueueName=QUEUE,
            priority=1,
            schedulingPolicyArn=policy,
            computeEnvironmentOrder=[{"order": 1, "computeEnvironment": "local"}],
        )
        container = json.dumps({"image": "example", "vcpus": 1, "memory": 1024})
        run(
            *("batch", "register-job-definition", "--job-definition-name", DEFINITION),
            *("--type", "container", "--container-properties", container),
        )
        yield run


def submit(aws: Aws, *arguments: str, share: bool = True, fails: bool = False) -> Any:
    shared = ("--share-identifier", "demobatch*", "--scheduling-priority-override", "1")
    return aws(
        *("batch", "submit-job", "--job-name", "example-migrate-01", "--job-queue", QUEUE),
        *("--job-definition", DEFINITION, *(shared if share else ()), *arguments),
        fails=fails,
    )


def test_submit_wait_describe_list_and_terminate(aws: Aws) -> None:
    overrides = {"command": ["migrate", "--plan", "s3://bucket/plans/plan-01.json"]}
    job = submit(
        aws,
        *("--array-properties", "size=3", "--container-overrides", json.dumps(overrides)),
    )["jobId"]
    for _ in range(20):
        shown = aws("batch", "describe-jobs", "--jobs", job)["jobs"][0]
        if shown["status"] == "FAILED":
            break
    assert shown["arrayProperties"]["statusSummary"]["SUCCEEDED"] == 2
    assert shown["container"]["command"] == overrides["command"]
    children = aws(
        *("batch", "list-jobs", "--array-job-id", job, "--job-status", "SUCCEEDED"),
        *("--page-size", "1"),
    )
    assert [c["arrayProperties"]["index"] for c in children["jobSummaryList"]] == [0, 2]
    found = aws(
        *("batch", "list-jobs", "--job-queue", QUEUE),
        *("--filters", "name=JOB_NAME,values=EXAMPLE-*"),
    )
    assert job in [j["jobId"] for j in found["jobSummaryList"]]
    aws("batch", "terminate-job", "--job-id", job, "--reason", "already over")
    stream = aws("batch", "describe-jobs", "--jobs", f"{job}:0")["jobs"][0]["container"]
    events = aws(
        *("logs", "get-log-events", "--log-group-name", "/aws/batch/job"),
        *("--log-stream-name", stream["logStreamName"]),
    )
    assert events["events"] == []


LONG = json.dumps({"environment": [{"name": "X", "value": "x" * 31_000}]})


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--array-properties", "size=1"), "Array size must be between 2 and 10000, got 1"),
        (("--timeout", "attemptDurationSeconds=59"), "at least 60 seconds, got 59"),
        (("--container-overrides", LONG), "Job size must be less than 30 KiB, got 31 KiB"),
        (("--job-queue", "Nowhere"), "JobQueue Nowhere not found."),
    ],
    ids=["size 1", "timeout 59", "payload", "queue"],
)
def test_refusals_as_the_command_shows_them(
    aws: Aws, arguments: tuple[str, ...], text: str
) -> None:
    shown = submit(aws, *arguments, fails=True)
    assert "An error occurred (ClientException) when calling the SubmitJob operation" in shown
    assert text in shown


def test_share_identifiers_are_required_or_forbidden(aws: Aws) -> None:
    assert "shareIdentifier must be specified." in submit(aws, share=False, fails=True)
    assert "shareIdentifier cannot be" in submit(aws, "--job-queue", "local", fails=True)


def test_101_ids_are_too_many(aws: Aws) -> None:
    ids = [f"{i:08}-2222-3333-4444-555555555555" for i in range(101)]
    shown = aws("batch", "describe-jobs", "--jobs", *ids, fails=True)
    assert "Maximum number of jobs supported is  100 ." in shown


def test_an_override_of_9000_characters_is_accepted_and_fails_later(aws: Aws) -> None:
    overrides = json.dumps({"environment": [{"name": "X", "value": "x" * 9_000}]})
    job = submit(aws, "--container-overrides", overrides)["jobId"]
    shown = aws("batch", "describe-jobs", "--jobs", job)["jobs"][0]
    assert shown["statusReason"] == "Container Overrides length must be at most 8192"
