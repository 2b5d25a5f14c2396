"""An emulator that runs real processes, and the small tools its tests share."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.config import Config

from aws_batch_emulator import (
    EmbeddedBatch,
    SubprocessRunner,
)

IMAGES = {"shell": ["/bin/sh", "-c"], "python": [sys.executable, "-c"], "true": ["/bin/true"]}
FINAL = ("SUCCEEDED", "FAILED")


def process_lives(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status != "Z"


def eventually(condition: Callable[[], Any], *, seconds: float = 120.0) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        if found := condition():
            return found
        if time.monotonic() > deadline:
            raise AssertionError("waited in vain")
        time.sleep(0.02)


@dataclass
class Workshop:
    """boto3 clients for a running emulator, and short ways to use it."""

    url: str

    def __post_init__(self) -> None:
        options: dict[str, Any] = {
            "endpoint_url": self.url,
            "region_name": "us-east-1",
            "aws_access_key_id": "local",
            "aws_secret_access_key": "local",
            "config": Config(retries={"total_max_attempts": 1}),
        }
        self.batch: Any = boto3.client("batch", **options)
        self.logs: Any = boto3.client("logs", **options)

    def define(self, name: str, image: str, **container: Any) -> None:
        properties = {"image": image, "vcpus": 1, "memory": 64, **container}
        self.batch.register_job_definition(
            jobDefinitionName=name, type="container", containerProperties=properties
        )

    def submit(self, definition: str, *command: str, **changes: Any) -> str:
        overrides = {"command": list(command), **changes.pop("overrides", {})}
        request = {
            "jobName": changes.pop("name", "job"),
            "jobQueue": "local",
            "jobDefinition": definition,
            "containerOverrides": overrides,
            **changes,
        }
        return str(self.batch.submit_job(**request)["jobId"])

    def job(self, job_id: str) -> dict[str, Any]:
        return dict(self.batch.describe_jobs(jobs=[job_id])["jobs"][0])

    def wait(self, job_id: str, *statuses: str, seconds: float = 120.0) -> dict[str, Any]:
        wanted = statuses or FINAL
        eventually(lambda: self.job(job_id)["status"] in wanted, seconds=seconds)
        return self.job(job_id)

    def lines(self, job: dict[str, Any], group: str = "/aws/batch/job") -> list[str]:
        events = self.logs.get_log_events(
            logGroupName=group,
            logStreamName=job["container"]["logStreamName"],
            startFromHead=True,
        )["events"]
        return [event["message"] for event in events]


@pytest.fixture
def workshop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Workshop]:
    # An emulator that runs inside a Batch job must not hand that job's variables on.
    monkeypatch.setenv("AWS_BATCH_JOB_ARRAY_INDEX", "99")
    monkeypatch.setenv("INHERITED", "yes")
    with EmbeddedBatch(runner=SubprocessRunner(IMAGES), vcpus=4, memory_mib=1_024) as emulator:
        found = Workshop(emulator.url)
        found.define("shell", "shell")
        found.define("python", "python")
        yield found


@pytest.fixture
def tools() -> Any:
    """The functions above, for test modules (which can't import a conftest)."""

    return SimpleNamespace(
        lives=process_lives, eventually=eventually, workshop=Workshop, images=IMAGES
    )
