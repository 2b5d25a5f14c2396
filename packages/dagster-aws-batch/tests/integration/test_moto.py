"""The same client code against moto's AWS Batch, and where moto answers otherwise than AWS does.

A second opinion: moto was written by others from AWS's behaviour. Where both emulators differ, each
row below names the words of AWS that decide; the table in docs/guide.md has the same rows.
"""

from __future__ import annotations

import html
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.loaders import create_loader

from aws_batch_emulator import EmbeddedBatch
from dagster_aws_batch._aws.connect import Connection, client_config
from dagster_aws_batch._aws.names import ExecutionId, content_key
from dagster_aws_batch._job import BatchJobDefinition, Job
from dagster_aws_batch._run.run import ExecutionResult, Request, execute
from dagster_aws_batch._run.state import Options

DOCUMENT = Path(__file__).resolve().parents[3] / "aws-batch-emulator" / "docs" / "guide.md"


def client_of(url: str, service: str = "batch") -> Any:
    return boto3.client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=client_config(),
    )


@dataclass
class Place:
    """An endpoint with a queue and a definition."""

    url: str
    queue: str
    _numbers: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.batch = client_of(self.url)
        self.batch.register_job_definition(
            jobDefinitionName="work",
            type="container",
            containerProperties={"image": "tool:1", "vcpus": 1, "memory": 64},
        )

    def submit(self, **changes: Any) -> str:
        request = {"jobName": "job", "jobQueue": self.queue, "jobDefinition": "work", **changes}
        return str(self.batch.submit_job(**request)["jobId"])

    def ended(self, **changes: Any) -> dict[str, Any]:
        """Submit, and return the ended job as DescribeJobs shows it."""
        job_id = self.submit(**changes)
        deadline = time.monotonic() + 120
        while True:
            job = self.job(job_id)
            if job["status"] in ("SUCCEEDED", "FAILED"):
                return job
            assert time.monotonic() < deadline, job
            time.sleep(0.02)

    def job(self, job_id: str) -> dict[str, Any]:
        return dict(self.batch.describe_jobs(jobs=[job_id])["jobs"][0])

    def run(self, tasks: int, **options: Any) -> ExecutionResult:
        """The project's own client, as `BatchJobs.run` uses it."""
        job = Job(
            name=f"count-{next(self._numbers)}",
            definition=BatchJobDefinition(image="tool:1", name="tool", memory_mib=1024),
            command=["count"],
        )
        return execute(
            Connection.over(self.batch, logs=client_of(self.url, "logs")),
            Request(
                id=ExecutionId(
                    prefix="dagster",
                    run_id="run-1",
                    step="step",
                    job_name=job.name,
                    content=content_key(job, "", tasks),
                ),
                job=job,
                queue=self.queue,
                tasks=tasks,
                tags={"dagster/run-id": "run-1"},
                options=Options(poll_seconds=0.05, poll_max_seconds=0.1),
                **options,
            ),
        )


def start_moto(folder: Path, **environment: str) -> tuple[subprocess.Popen[bytes], str]:
    beside = Path(sys.executable).with_name("moto_server")
    found = str(beside) if beside.exists() else shutil.which("moto_server")
    if found is None:
        reason = "moto_server is not installed (pip install 'moto[server]')"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (folder / "moto.log").open("wb") as log:
        process = subprocess.Popen(
            [found, "-H", "127.0.0.1", "-p", str(port)],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            cwd=folder,
        )
    url = f"http://127.0.0.1:{port}"
    # Its Batch without containers.
    request = urllib.request.Request(
        f"{url}/moto-api/config",
        data=b'{"batch": {"use_docker": false}}',
        headers={"Content-Type": "application/json"},
    )
    deadline = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(request, timeout=5).close()
            return process, url
        except (urllib.error.URLError, OSError):
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"moto did not come up:\n{(folder / 'moto.log').read_text()[-2000:]}")
            time.sleep(0.1)


def queue_of_moto(url: str) -> str:
    role = client_of(url, "iam").create_role(RoleName="batch", AssumeRolePolicyDocument="{}")
    batch = client_of(url)
    environment = batch.create_compute_environment(
        computeEnvironmentName="local", type="UNMANAGED", serviceRole=role["Role"]["Arn"]
    )["computeEnvironmentArn"]
    order = [{"order": 1, "computeEnvironment": environment}]
    batch.create_job_queue(
        jobQueueName="local", state="ENABLED", priority=1, computeEnvironmentOrder=order
    )
    return "local"


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    process, url = start_moto(tmp_path_factory.mktemp("moto"))
    try:
        yield Place(url, queue_of_moto(url))
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def failing_moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    process, url = start_moto(tmp_path_factory.mktemp("moto"), MOTO_SIMPLE_BATCH_FAIL_AFTER="0")
    try:
        yield Place(url, queue_of_moto(url))
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def embedded() -> Iterator[Place]:
    with EmbeddedBatch() as emulator:
        yield Place(emulator.url, "local")


@pytest.fixture
def either(request: Any) -> Place:
    place: Place = request.getfixturevalue(request.param)
    return place


# Where moto is right: the same client does the same on both.


@pytest.mark.parametrize("either", ["moto", "embedded"], indirect=True)
@pytest.mark.parametrize("tasks", [1, 2, 5])
def test_a_stage_runs(either: Place, tasks: int) -> None:
    receipts = {task: SimpleNamespace(exit_code=0) for task in range(tasks)}
    asked: list[int] = []

    def read(wanted: Any) -> Any:
        # None before the start, all after it.
        asked.append(len(wanted))
        return receipts if len(asked) > 1 else {}

    result = either.run(tasks, receipts=read)
    assert [task.ok for task in result.tasks] == [True] * tasks
    assert result.calls["SubmitJob"] == 1
    [job] = result.jobs
    shown = either.job(job.job_id)
    assert shown["status"] == "SUCCEEDED"
    assert shown.get("arrayProperties", {}).get("size", 1) == tasks
    given = {v["name"]: v["value"] for v in shown["container"]["environment"]}
    assert given["BATCH_TASK_TOTAL"] == str(tasks)
    again = either.run(tasks)
    assert again.calls.get("RegisterJobDefinition", 0) == 0


@pytest.mark.parametrize("tasks", [1, 3])
def test_failed_jobs_are_failures(failing_moto: Place, tasks: int) -> None:
    """No exit code, no reason, no log: all that is said is FAILED, and that is enough."""
    result = failing_moto.run(tasks)
    assert [task.ok for task in result.tasks] == [False] * tasks
    assert all(task.failure is not None for task in result.tasks)


def test_ended_one_by_one_where_bulk_calls_are_unknown(moto: Place) -> None:
    jobs = [moto.submit() for _ in range(3)]
    connection = Connection.over(moto.batch)
    assert connection.api.terminate(jobs, "no longer needed") == {}
    assert connection.api.calls["TerminateJob"] == 3


# Where it is not. Each probe says what happens, in a word or two.


def refused(call: Callable[[], Any]) -> str:
    try:
        call()
    except ClientError:
        return "refused"
    return "accepted"


def shown(job: dict[str, Any], key: str) -> str:
    return "shown" if job.get(key) is not None else "missing"


def rows(place: Place, **request: Any) -> int:
    return len(place.batch.list_jobs(jobQueue=place.queue, **request)["jobSummaryList"])


def array_of(size: int) -> Callable[[Place], str]:
    return lambda place: refused(lambda: place.submit(arrayProperties={"size": size}))


def many_ids(place: Place) -> str:
    ids = [f"{n:08}-2222-3333-4444-555555555555" for n in range(101)]
    return refused(lambda: place.batch.describe_jobs(jobs=ids))


def payload(place: Place) -> str:
    environment = [{"name": "X", "value": "x" * 31_000}]
    return refused(lambda: place.submit(containerOverrides={"environment": environment}))


def share(place: Place) -> str:
    return refused(lambda: place.submit(shareIdentifier="team"))


def retries(place: Place) -> str:
    job = place.ended(retryStrategy={"attempts": 3})
    return "shown" if job.get("retryStrategy", {}).get("attempts") == 3 else "missing"


def ended_jobs_listed(place: Place) -> str:
    place.ended()
    return "listed" if rows(place) else "not listed"


def pages(place: Place) -> str:
    place.ended()
    place.ended()
    return "1 row" if rows(place, jobStatus="SUCCEEDED", maxResults=1) == 1 else "all rows"


def by_definition(place: Place) -> str:
    place.ended()
    filters = [{"name": "JOB_DEFINITION", "values": ["no-such-definition"]}]
    return "those" if rows(place, filters=filters) == 0 else "all jobs"


def exit_code(place: Place) -> str:
    return shown(place.ended()["container"], "exitCode")


def index(place: Place) -> str:
    parent = place.ended(arrayProperties={"size": 2})["jobId"]
    return shown(place.job(f"{parent}:1").get("arrayProperties", {}), "index")


SUBMIT = "SubmitJobRequest.members"
DIFFERENCES = [
    ("array of 1", array_of(1), "refused", "accepted", f"{SUBMIT}.arrayProperties",
     "The array size can be between 2 and 10,000."),
    ("array of 10,001", array_of(10_001), "refused", "accepted", f"{SUBMIT}.arrayProperties",
     "The array size can be between 2 and 10,000."),
    ("DescribeJobs of 101 ids", many_ids, "refused", "accepted", "DescribeJobsRequest.members.jobs",
     "A list of up to 100 job IDs."),
    ("timeout of 59 s",
     lambda place: refused(lambda: place.submit(timeout={"attemptDurationSeconds": 59})),
     "refused", "accepted", f"{SUBMIT}.timeout",
     "The minimum value for the timeout is 60 seconds."),
    ("request of 31 KiB", payload, "refused", "accepted", "user guide: Service quotas",
     "Maximum job payload size (for SubmitJob API operations): 30 KiB"),
    ("share identifier on a queue without policy", share, "refused", "accepted",
     f"{SUBMIT}.shareIdentifier", "Don't specify this parameter if the job queue doesn't have a "
     "fair-share scheduling policy."),
    ("retryStrategy of SubmitJob in DescribeJobs", retries, "shown", "missing",
     "JobDetail.members.retryStrategy", "The retry strategy to use for this job"),
    ("ended jobs in ListJobs without status", ended_jobs_listed, "not listed", "listed",
     "ListJobsRequest.members.jobStatus",
     "If you don't specify a status, only RUNNING jobs are returned."),
    ("ListJobs with maxResults 1", pages, "1 row", "all rows",
     "ListJobsRequest.members.maxResults",
     "ListJobs returns up to maxResults results in a single page"),
    ("ListJobs by JOB_DEFINITION", by_definition, "those", "all jobs",
     "ListJobsRequest.members.filters",
     "The filter to apply to the query."),
    ("exit code of an ended container", exit_code, "shown", "missing",
     "ContainerDetail.members.exitCode", "The exit code returned upon completion."),
    ("index of an array child", index, "shown", "missing",
     "ArrayPropertiesDetail.members.index", "The job index within the array"),
    ("TerminateJobs", lambda place: refused(lambda: place.batch.terminate_jobs(
        jobs=[place.submit()], reason="over")), "accepted", "refused",
     "operations.TerminateJobs", "Terminates up to 50 jobs in a job queue."),
    ("GetJobQueueSnapshot", lambda place: refused(lambda: place.batch.get_job_queue_snapshot(
        jobQueue=place.queue)), "accepted", "refused", "operations.GetJobQueueSnapshot",
     "Provides a snapshot of job queue state"),
]  # fmt: skip


@pytest.mark.parametrize("row", DIFFERENCES, ids=lambda row: row[0])
def test_where_moto_answers_otherwise_than_aws(row: Any, moto: Place, embedded: Place) -> None:
    what, probe, aws, theirs, source, words = row
    assert probe(embedded) == aws
    assert probe(moto) == theirs, "moto has changed: take the row out, here and in the document"
    if not source.startswith("user guide"):
        assert words in words_of_aws(source)
    line = f"| {what} | {aws} | {theirs} | {source.replace('.members', '')}: “{words}” |"
    assert line in DOCUMENT.read_text(encoding="utf-8"), f"docs/guide.md lacks\n{line}"


def words_of_aws(source: str) -> str:
    """The API reference on a member or operation, as it stands in botocore's service model."""
    found: Any = create_loader().load_service_model("batch", "service-2")
    for part in source.split("."):
        found = found[part] if part in found else found["shapes"][part]
    text = html.unescape(re.sub(r"<[^>]+>", "", found["documentation"]))
    return " ".join(text.split())
