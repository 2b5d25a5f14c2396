"""An emulator on a virtual clock, and boto3 clients that check answers with the service model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator

from aws_batch_emulator import (
    EmbeddedBatch,
    SimulatedJob,
    SimulatedRun,
    SimulatedRunner,
    VirtualClock,
)


def checked_client(service: str, url: str) -> Any:
    client = boto3.client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(retries={"total_max_attempts": 1}, parameter_validation=False),
    )

    def check(http_response: Any, model: Any, **_: Any) -> None:
        if http_response.status_code == 200 and model.output_shape is not None:
            document = json.loads(http_response.content)
            # The model calls startedAt required; AWS leaves it out until a job has started.
            for job in document.get("jobs", []):
                job.setdefault("startedAt", 0)
            report = ParamValidator().validate(document, model.output_shape)
            assert not report.has_errors(), report.generate_report()

    client.meta.events.register(f"after-call.{service}", check)
    return client


@dataclass
class Bench:
    """The emulator under test and short ways to use it."""

    emulator: EmbeddedBatch
    clock: VirtualClock
    batch: Any
    logs: Any
    behaviour: Callable[[SimulatedJob], SimulatedRun] = field(default=lambda job: SimulatedRun())
    seen: list[SimulatedJob] = field(default_factory=list)

    def run(self, job: SimulatedJob) -> SimulatedRun:
        self.seen.append(job)
        return self.behaviour(job)

    def define(self, name: str = "work", **changes: Any) -> str:
        container = {
            "image": "example:1",
            "resourceRequirements": [
                {"type": "VCPU", "value": "1"},
                {"type": "MEMORY", "value": "512"},
            ],
            **changes.pop("container", {}),
        }
        answer = self.batch.register_job_definition(
            jobDefinitionName=name, type="container", containerProperties=container, **changes
        )
        return str(answer["jobDefinitionArn"])

    def submit(self, name: str = "job", size: int | None = None, **changes: Any) -> str:
        if size is not None:
            changes["arrayProperties"] = {"size": size}
        request = {"jobName": name, "jobQueue": "local", "jobDefinition": "work", **changes}
        return str(self.batch.submit_job(**request)["jobId"])

    def job(self, job_id: str) -> dict[str, Any]:
        jobs = self.batch.describe_jobs(jobs=[job_id])["jobs"]
        assert len(jobs) == 1, f"{job_id} is not shown"
        return dict(jobs[0])

    def status(self, job_id: str) -> str:
        return str(self.job(job_id)["status"])

    def counts(self, job_id: str) -> dict[str, int]:
        summary = self.job(job_id)["arrayProperties"]["statusSummary"]
        return {status: count for status, count in summary.items() if count}

    def children(self, job_id: str, status: str) -> list[int]:
        pages = self.batch.get_paginator("list_jobs").paginate(arrayJobId=job_id, jobStatus=status)
        return [row["arrayProperties"]["index"] for page in pages for row in page["jobSummaryList"]]

    def refused(self, call: Callable[..., Any], **request: Any) -> tuple[str, str]:
        """Return code and message of the error that the call must give."""
        with pytest.raises(ClientError) as caught:
            call(**request)
        error = caught.value.response["Error"]
        return error["Code"], error["Message"]


@pytest.fixture
def connect() -> Callable[[str, str], Any]:
    """Makes a client of (service, url) whose answers are checked."""
    return checked_client


@pytest.fixture
def bench() -> Iterator[Bench]:
    clock = VirtualClock()
    runner = SimulatedRunner()
    with EmbeddedBatch(clock=clock, runner=runner) as emulator:
        found = Bench(
            emulator,
            clock,
            checked_client("batch", emulator.url),
            checked_client("logs", emulator.url),
        )
        runner.behaviour = found.run
        found.define()
        yield found
