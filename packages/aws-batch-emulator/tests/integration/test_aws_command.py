"""The unmodified `aws` command against the emulator: the commands a person would type.

Each call is a process of some seconds, so each test makes few of them; what is only set up is made
with boto3.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from aws_batch_emulator import (
    EmbeddedBatch,
    SimulatedRun,
    SimulatedRunner,
    SubprocessRunner,
)

BESIDE = Path(sys.executable).with_name("aws")
AWS = str(BESIDE) if BESIDE.exists() else shutil.which("aws")
SEED = "aws-batch-dotnet"
QUEUE = "MainQueue"
TEXTS = {
    "a.txt": "The cat saw the dog. The dog saw the cat: the bird saw both.\n",
    "deep/b c.txt": "A bird! Cats and dogs and birds; the bird sings.\n",
    "c.txt": "dog dog dog\n",
}
RANKING = [("the", 6), ("dog", 5), ("bird", 3), ("saw", 3)]


@dataclass
class Shell:
    """A person's shell: `aws …` with the emulator's address in the environment."""

    url: str
    environment: dict[str, str]

    def run(self, *arguments: str, fails: bool = False) -> Any:
        done = subprocess.run(
            [str(AWS), *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=self.environment,
            timeout=120,
        )
        if fails:
            assert done.returncode not in (0, None), done.stdout
            return done.stderr.strip()
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    def submit(self, stage: str, *arguments: str, share: bool = True, fails: bool = False) -> Any:
        """The seed's submit command of a stage."""
        shared = ("--share-identifier", "demobatch*", "--scheduling-priority-override", "1")
        return self.run(
            *("batch", "submit-job", "--job-name", f"{SEED}-{stage}-01", "--job-queue", QUEUE),
            *("--job-definition", f"{SEED}-{stage}", *(shared if share else ()), *arguments),
            fails=fails,
        )

    @property
    def batch(self) -> Any:
        """boto3, for what is only set up or waited for."""
        return boto3.client(
            "batch",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )


def the_seeds_account(batch: Any, image: str) -> None:
    """Queue with a fair-share policy, and the three definitions, as the seed's Terraform."""
    batch.create_job_queue(
        jobQueueName=QUEUE,
        priority=1,
        schedulingPolicyArn=batch.create_scheduling_policy(name="fair")["arn"],
        computeEnvironmentOrder=[{"order": 1, "computeEnvironment": "local"}],
    )
    for stage in ("plan", "migrate", "merge"):
        batch.register_job_definition(
            jobDefinitionName=f"{SEED}-{stage}",
            type="container",
            propagateTags=True,
            timeout={"attemptDurationSeconds": 60},
            retryStrategy={
                "attempts": 1,
                "evaluateOnExit": [
                    {"onExitCode": "1", "action": "RETRY"},
                    {"onExitCode": "0", "action": "EXIT"},
                ],
            },
            containerProperties={
                "image": image,
                "command": ["--help"],
                "resourceRequirements": [
                    {"type": "VCPU", "value": "1"},
                    {"type": "MEMORY", "value": "1024"},
                ],
                "logConfiguration": {
                    "logDriver": "awslogs",
                    "options": {
                        "awslogs-group": f"/aws/batch/{SEED}",
                        "awslogs-region": "us-east-1",
                        "awslogs-stream-prefix": SEED,
                    },
                },
            },
        )


def shell_for(emulator: EmbeddedBatch, home: Path) -> Shell:
    if AWS is None:
        reason = "the aws command is not installed (pip install awscli)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
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
    return Shell(emulator.url, environment)


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """An emulator on which jobs end at once, child 1 badly; `sleep` runs for an hour."""

    def behave(job: Any) -> SimulatedRun:
        long = list(job.command) == ["sleep"]
        return SimulatedRun(seconds=3600 if long else 0.01, exit_code=job.index == 1)

    with EmbeddedBatch(runner=SimulatedRunner(behave)) as emulator:
        shell = shell_for(emulator, tmp_path_factory.mktemp("home"))
        the_seeds_account(shell.batch, "example")
        yield shell


def test_the_seeds_commands_count_real_text(tmp_path: Path, tools: Any) -> None:
    """plan, migrate as an array and merge, with the names and options of the seed's README."""
    source, destination, plan = tmp_path / "source", tmp_path / "out", tmp_path / "plan-01.json"
    for name, text in TEXTS.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    commands = {
        "plan": ["--source", str(source), "--destination", str(destination), "--plan", str(plan)],
        "migrate": ["--plan", str(plan)],
        "merge": ["--source", str(destination)],
    }
    runner = SubprocessRunner({"wordfreq": [sys.executable, "-m", "wordfreq_batch"]})
    with EmbeddedBatch(runner=runner) as emulator:
        shell = shell_for(emulator, tmp_path)
        the_seeds_account(shell.batch, "wordfreq")
        ended = {}
        for stage, words in commands.items():
            array = ("--array-properties", f"size={len(TEXTS)}") if stage == "migrate" else ()
            overrides = json.dumps({"command": [stage, *words]})
            answer = shell.submit(stage, *array, "--container-overrides", overrides)
            assert answer["jobName"] == f"{SEED}-{stage}-01"
            ended[stage] = tools.workshop(emulator.url).wait(answer["jobId"], seconds=60)
            assert ended[stage]["status"] == "SUCCEEDED", ended[stage]
        assert ended["migrate"]["arrayProperties"]["statusSummary"]["SUCCEEDED"] == 3
        assert ended["merge"]["shareIdentifier"] == "demobatch*"
        assert json.loads(plan.read_text())["Items"] == sorted(TEXTS)
        assert sorted(p.name for p in destination.rglob("*.txt")) == ["a.txt", "b c.txt", "c.txt"]
        stream = ended["merge"]["container"]["logStreamName"]
        assert stream.startswith(f"{SEED}/default/")
        events = shell.run(
            *("logs", "get-log-events", "--log-group-name", f"/aws/batch/{SEED}"),
            *("--log-stream-name", stream),
        )["events"]
    table = "\n".join(event["message"] for event in events)
    found = [(word, int(count)) for word, count in re.findall(r"│ (\w+) +│ +(\d+) +│", table)]
    assert found == RANKING


def test_an_array_its_children_and_its_logs(aws: Shell, tools: Any) -> None:
    overrides = {"command": ["migrate", "--plan", "s3://bucket/plans/plan-01.json"]}
    job = aws.submit(
        *("migrate", "--array-properties", "size=3", "--container-overrides"),
        json.dumps(overrides),
    )["jobId"]
    tools.workshop(aws.url).wait(job)
    shown = aws.run("batch", "describe-jobs", "--jobs", job)["jobs"][0]
    assert shown["arrayProperties"]["statusSummary"]["SUCCEEDED"] == 2
    assert shown["container"]["command"] == overrides["command"]
    children = aws.run(
        *("batch", "list-jobs", "--array-job-id", job, "--job-status", "SUCCEEDED"),
        *("--page-size", "1"),
    )
    assert [c["arrayProperties"]["index"] for c in children["jobSummaryList"]] == [0, 2]
    child = aws.run("batch", "describe-jobs", "--jobs", f"{job}:0")["jobs"][0]["container"]
    events = aws.run(
        *("logs", "get-log-events", "--log-group-name", f"/aws/batch/{SEED}"),
        *("--log-stream-name", child["logStreamName"]),
    )
    assert events["events"] == []


def test_listing_by_pages_filters_and_states(aws: Shell) -> None:
    for number in range(7):
        aws.batch.submit_job(
            jobName=f"Listed-{number}",
            jobQueue=QUEUE,
            jobDefinition=f"{SEED}-plan",
            shareIdentifier="other",
        )
    listing = ("batch", "list-jobs", "--job-queue", QUEUE)
    by_name = (*listing, "--filters", "name=JOB_NAME,values=LISTED-*")
    first = aws.run(*by_name, "--page-size", "2", "--max-items", "5")
    assert len(first["jobSummaryList"]) == 5
    rest = aws.run(*by_name, "--page-size", "2", "--starting-token", first["NextToken"])
    names = [row["jobName"] for page in (first, rest) for row in page["jobSummaryList"]]
    assert sorted(names) == [f"Listed-{number}" for number in range(7)]
    definition = f"name=JOB_DEFINITION,values={SEED}-plan"
    found = aws.run(*listing, "--filters", definition)["jobSummaryList"]
    assert {row["jobName"] for row in found} == set(names)
    # Without filter and state: what runs now, which is nothing.
    assert aws.run(*listing)["jobSummaryList"] == []


def test_terminating_a_running_job(aws: Shell) -> None:
    job = aws.submit("plan", "--container-overrides", '{"command": ["sleep"]}')["jobId"]
    running = aws.run("batch", "list-jobs", "--job-queue", QUEUE, "--job-status", "RUNNING")
    assert job in [row["jobId"] for row in running["jobSummaryList"]]
    aws.run("batch", "terminate-job", "--job-id", job, "--reason", "Ann needs the machine")
    shown = aws.run("batch", "describe-jobs", "--jobs", job)["jobs"][0]
    assert (shown["status"], shown["statusReason"]) == ("FAILED", "Ann needs the machine")
    assert shown["container"]["exitCode"] == 143


LONG = json.dumps({"environment": [{"name": "X", "value": "x" * 31_000}]})


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--array-properties", "size=1"), "Array size must be between 2 and 10000, got 1"),
        (("--array-properties", "size=10001"), "between 2 and 10000, got 10001"),
        (("--timeout", "attemptDurationSeconds=59"), "at least 60, got 59"),
        (("--container-overrides", LONG), "Job size must be less than 30 KiB, got 31 KiB"),
        (("--job-queue", "Nowhere"), "JobQueue Nowhere not found."),
        (("--job-queue", "local"), "shareIdentifier cannot be"),
    ],
    ids=["size 1", "size 10001", "timeout 59", "payload", "queue", "share not allowed"],
)
def test_refusals_as_the_command_shows_them(
    aws: Shell, arguments: tuple[str, ...], text: str
) -> None:
    shown = aws.submit("migrate", *arguments, fails=True)
    assert "An error occurred (ClientException) when calling the SubmitJob operation" in shown
    assert text in shown


def test_a_share_identifier_is_required(aws: Shell) -> None:
    assert "shareIdentifier must be specified." in aws.submit("plan", share=False, fails=True)


def test_101_ids_are_too_many(aws: Shell) -> None:
    ids = [f"{i:08}-2222-3333-4444-555555555555" for i in range(101)]
    shown = aws.run("batch", "describe-jobs", "--jobs", *ids, fails=True)
    assert "Maximum number of jobs supported is  100 ." in shown


def test_an_override_of_9000_characters_is_accepted_and_fails_later(aws: Shell) -> None:
    overrides = json.dumps({"environment": [{"name": "X", "value": "x" * 9_000}]})
    job = aws.submit("plan", "--container-overrides", overrides)["jobId"]
    shown = aws.run("batch", "describe-jobs", "--jobs", job)["jobs"][0]
    assert shown["status"] == "FAILED"
    assert shown["statusReason"] == "Container Overrides length must be at most 8192"
