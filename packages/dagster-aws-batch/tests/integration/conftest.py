"""A strict AWS Batch on a virtual clock, and stages to run on it through real boto3 over HTTP."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from aws_batch_emulator import (
    EmbeddedBatch,
    SimulatedJob,
    SimulatedRun,
    SimulatedRunner,
    VirtualClock,
)
from dagster_aws_batch._aws.connect import Connection, client_config
from dagster_aws_batch._aws.names import ExecutionId, content_key, parse_ranges
from dagster_aws_batch._job import BatchJobDefinition, Job
from dagster_aws_batch._run.run import ExecutionResult, Request, execute
from dagster_aws_batch._run.state import Options
from dagster_aws_batch._scratch import LocalScratch, Scratch

DEFINITION = BatchJobDefinition(image="tool:1", name="tool", vcpus=1, memory_mib=1024)


@dataclass
class Bench:
    """One emulator, and as many client processes as a test wants (`connection()` is a new one)."""

    aws: EmbeddedBatch
    clock: VirtualClock
    work: dict[int, int] = field(default_factory=dict)
    receipts: dict[int, Any] = field(default_factory=dict)
    leases: dict[tuple[str, int], str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    # How long a container that finds its lease taken needs to see that.
    refused_seconds: float = 0.5
    behaviour: Callable[[SimulatedJob, int], SimulatedRun] = field(
        default=lambda job, task: SimulatedRun(seconds=60)
    )

    _clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str = "batch") -> Any:
        # Making one costs more than most tests; what a process knows is in its `Connection`.
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,
                endpoint_url=self.aws.url,
                region_name="us-east-1",
                aws_access_key_id="test",
                aws_secret_access_key="test",
                config=client_config(),
            )
        return self._clients[service]

    def connection(self, **options: Any) -> Connection:
        options.setdefault("seed", 1)
        return Connection.over(self.client(), logs=self.client("logs"), clock=self.clock, **options)

    def stage(self, job: Job, tasks: int, *, run_id: str = "run-1") -> ExecutionId:
        return ExecutionId(
            prefix="dagster",
            run_id=run_id,
            step="step",
            job_name=job.name,
            content=content_key(job, "", tasks),
        )

    def run(
        self,
        tasks: int,
        job: Job | None = None,
        *,
        connection: Connection | None = None,
        with_receipts: bool = False,
        run_id: str = "run-1",
        options: Options | None = None,
        scratch: Scratch | None = None,
        resumed: bool = False,
        log: logging.Logger | None = None,
        while_waiting: Callable[[float], None] | None = None,
        follow: frozenset[int] | None = frozenset(),
    ) -> ExecutionResult:
        job = job or Job(name="count", definition=DEFINITION, command=["count"])
        return execute(
            connection or self.connection(),
            Request(
                id=self.stage(job, tasks, run_id=run_id),
                job=job,
                queue="local",
                tasks=tasks,
                tags={**job.tags, "dagster/run-id": run_id, "dagster/origin-run-id": run_id},
                receipts=self.read_receipts if with_receipts else None,
                options=options or Options(),
                scratch=scratch,
                resumed=resumed,
                log=log or logging.getLogger(__name__),
                while_waiting=while_waiting,
                follow=follow,
            ),
        )

    def add_queue(self, name: str) -> None:
        environment = {"order": 1, "computeEnvironment": "local"}
        self.client().create_job_queue(
            jobQueueName=name, priority=1, computeEnvironmentOrder=[environment]
        )

    def read_receipts(self, tasks: Collection[int]) -> Mapping[int, Any]:
        return {task: self.receipts[task] for task in tasks if task in self.receipts}

    def task_of(self, job: SimulatedJob) -> int:
        """The task number as a container finds it: by BATCH_TASKS and its index."""
        text = job.environment["BATCH_TASKS"]
        if text.startswith("@"):
            text = Path(text.removeprefix("@file://")).read_text()
        return _parse(text)[job.index or 0]

    def container(self, job: SimulatedJob) -> SimulatedRun:
        """The container contract in small: lease, work, receipt."""
        if "BATCH_TASKS" not in job.environment:
            return SimulatedRun(seconds=1)  # a container beside the one that does the work
        task = self.task_of(job)
        lease = (job.environment["BATCH_SUBMISSION"], task)
        if self.leases.setdefault(lease, job.id) != job.id:
            self.refused.append(job.id)
            return SimulatedRun(seconds=self.refused_seconds)
        run = self.behaviour(job, task)

        def finish() -> None:
            if run.exit_code is not None:
                self.work[task] = self.work.get(task, 0) + 1
            if run.exit_code == 0:
                self.receipts[task] = SimpleNamespace(exit_code=0, task=task)

        if run.on_exit is not None:
            return run
        return _replace(run, on_exit=finish)

    def live(self) -> list[str]:
        """Jobs of the queue that nobody has ended."""
        client = self.client()
        found = []
        for status in ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING"):
            answer = client.list_jobs(jobQueue="local", jobStatus=status)
            found += [row["jobId"] for row in answer["jobSummaryList"]]
        return found

    def jobs(self) -> list[Any]:
        """All parents and plain jobs, oldest first."""
        client = self.client()
        rows: list[Any] = []
        request: dict[str, Any] = {
            "jobQueue": "local",
            "filters": [{"name": "JOB_NAME", "values": ["*"]}],
        }
        while True:
            answer = client.list_jobs(**request)
            rows += answer["jobSummaryList"]
            if not answer.get("nextToken"):
                break
            request["nextToken"] = answer["nextToken"]
        return sorted(rows, key=lambda row: row["createdAt"])


_CACHE: dict[str, tuple[int, ...]] = {}


def _parse(text: str) -> tuple[int, ...]:
    if text not in _CACHE:
        _CACHE[text] = parse_ranges(text)
    return _CACHE[text]


def _replace(run: SimulatedRun, **fields: Any) -> SimulatedRun:
    return dataclasses.replace(run, **fields)


@pytest.fixture
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """A bench; `@pytest.mark.parametrize("bench", [vcpus], indirect=True)` bounds what runs at
    once.
    """
    clock = VirtualClock()
    runner = SimulatedRunner()
    with EmbeddedBatch(clock=clock, runner=runner, vcpus=getattr(request, "param", None)) as aws:
        made = Bench(aws=aws, clock=clock)
        runner.behaviour = made.container
        yield made


@pytest.fixture
def scratch(tmp_path: Any) -> LocalScratch:
    return LocalScratch(tmp_path / "scratch")


@pytest.fixture(scope="session")
def figures() -> Iterator[list[tuple[str, ...]]]:
    """Measured figures; printed at the end when BATCH_FIGURES names a file."""
    found: list[tuple[str, ...]] = []
    yield found
    if target := os.environ.get("BATCH_FIGURES"):
        Path(target).write_text("\n".join(" | ".join(row) for row in found) + "\n")


@pytest.fixture
def record_figure(figures: list[tuple[str, ...]]) -> Callable[..., None]:
    """Note a measured figure of a behaviour, for docs/behaviours.md."""

    def note(what: str, *values: Any) -> None:
        figures.append((what, *(str(value) for value in values)))

    return note
