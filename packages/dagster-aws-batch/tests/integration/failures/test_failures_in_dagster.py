"""Behaviour 10 as a reader of the Dagster UI meets it: the STEP_FAILURE event of a run per class.

docs/failures.md is what these runs say; `BATCH_FAILURES=docs/failures.md pytest` on
this file writes it again.
"""

import os
import re
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from aws_batch_emulator import Fault, SimulatedRun
from dagster_aws_batch import BatchJobDefinition, BatchJobs, FailureClass, Job
from dagster_aws_batch._aws.connect import Connection

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "failures.md"
DEFINITION = BatchJobDefinition(image="registry.example/count:1", name="count", memory_mib=1024)
LOG = ["counting 3 files", "Traceback (most recent call last):", "ValueError: not a number: 'x'"]
SHOWN = ("failure_class", "reason", "exit_code", "failed_job", "log")


class OnTheBench(BatchJobs):
    """`BatchJobs` on the virtual clock, with the pages of the emulator as its console."""

    def connection(self) -> Connection:
        return _current[0]


_current: list[Connection] = []


@dataclass
class Case:
    """How to make one class of failure happen."""

    reason: str
    """AWS's words, which must reach the reader."""
    run: SimulatedRun = field(default_factory=lambda: SimulatedRun(seconds=5, log=LOG[:1]))
    faults: tuple[Fault, ...] = ()
    job: Mapping[str, Any] = field(default_factory=dict)
    resource: Mapping[str, Any] = field(default_factory=dict)
    before: Callable[[Any, pytest.MonkeyPatch], Mapping[str, Any]] = lambda bench, patch: {}
    logged: bool = True
    linked: bool = True


def always(fault: str, message: str | None = None, *, seconds: float = 2) -> tuple[Fault, ...]:
    """A fault of every attempt."""
    return (Fault(fault=fault, attempt=None, message=message, seconds=seconds),)


def somebody_ends_it(bench: Any, patch: pytest.MonkeyPatch) -> Mapping[str, Any]:
    api = _current[0].api
    describe = api.describe

    def ends(ids: Any) -> Any:
        if ids:
            bench.client().terminate_job(jobId=ids[0], reason="too costly, says Ann")
        return describe(ids)

    patch.setattr(api, "describe", ends)
    return {}


def a_dependency_that_fails(bench: Any, patch: pytest.MonkeyPatch) -> Mapping[str, Any]:
    arn = bench.connection().definitions.arn(BatchJobDefinition(image="first:1", name="first"))
    first = bench.client().submit_job(
        jobName="first",
        jobQueue="local",
        jobDefinition=arn,
        containerOverrides={
            "environment": [
                {"name": "BATCH_TASKS", "value": "0"},
                {"name": "BATCH_SUBMISSION", "value": "a"},
            ]
        },
    )
    return {"options": {"dependsOn": [{"jobId": first["jobId"]}]}}


def without_the_guard(bench: Any, patch: pytest.MonkeyPatch) -> Mapping[str, Any]:
    # AWS accepts such a job and fails it later; the client would refuse it before.
    patch.setattr("dagster_aws_batch._aws.requests.MAX_OVERRIDE_CHARACTERS", 100_000)
    return {}


NO_START: Mapping[str, Any] = {"logged": False}
CASES: Mapping[FailureClass, Case] = {
    FailureClass.USER_CODE: Case(
        "Essential container in task exited", run=SimulatedRun(seconds=5, exit_code=3, log=LOG)
    ),
    FailureClass.OUT_OF_MEMORY: Case(
        "OutOfMemoryError: Container killed due to memory usage", faults=always("out_of_memory")
    ),
    FailureClass.SPOT_EC2: Case("Host EC2 (instance i-", faults=always("spot_reclaim")),
    FailureClass.SPOT_FARGATE: Case(
        "Your Spot Task was interrupted.",
        faults=always("spot_reclaim", "Your Spot Task was interrupted."),
    ),
    FailureClass.TIMEOUT: Case(
        "Job attempt duration exceeded timeout",
        run=SimulatedRun(seconds=600, log=LOG[:1]),
        job={"timeout_seconds": 60},
    ),
    FailureClass.IMAGE_PULL_AUTH: Case(
        "pull access denied for registry.example/count:1", faults=always("image_pull"), **NO_START
    ),
    FailureClass.IMAGE_PULL: Case(
        "dial tcp: i/o timeout",
        faults=always(
            "image_pull",
            "CannotPullContainerError: pull image manifest has been retried 5 time(s): "
            "failed to resolve ref {image}: dial tcp: i/o timeout",
        ),
        **NO_START,
    ),
    FailureClass.START: Case(
        "CannotStartContainerError", faults=always("start_failure"), **NO_START
    ),
    FailureClass.AGENT: Case("DockerTimeoutError", faults=always("agent"), **NO_START),
    FailureClass.OVERRIDE_TOO_LONG: Case(
        "Container Overrides length must be at most 8192",
        job={"environment": {"LONG": "x" * 9_000}},
        before=without_the_guard,
        **NO_START,
    ),
    FailureClass.UNSCHEDULABLE: Case(
        "MISCONFIGURATION:", job={"vcpus": 64}, resource={"blocked_action": "terminate"}, **NO_START
    ),
    FailureClass.TERMINATED: Case(
        "too costly, says Ann", run=SimulatedRun(seconds=600, log=LOG[:1]), before=somebody_ends_it
    ),
    FailureClass.DEPENDENCY: Case(
        "Dependent Job failed",
        run=SimulatedRun(seconds=5, exit_code=1),
        before=a_dependency_that_fails,
        **NO_START,
    ),
    FailureClass.LOST: Case(
        "AWS Batch knows nothing (more) about this task",
        run=SimulatedRun(seconds=6_000),
        faults=always("lost", seconds=100),
        linked=False,
        **NO_START,
    ),
    FailureClass.UNKNOWN: Case(
        "A reason that AWS has never given before",
        run=SimulatedRun(
            seconds=5,
            exit_code=None,
            status_reason="A reason that AWS has never given before",
            log=LOG[:1],
        ),
    ),
}


@dg.asset
def counts(context: dg.AssetExecutionContext, batch: BatchJobs) -> dg.MaterializeResult:  # type: ignore[type-arg]
    job = Job(name="count", definition=DEFINITION, command=["count"], **_fields)
    outcome = batch.run(context=context, job=job, tasks=1)
    outcome.raise_for_failure()
    return dg.MaterializeResult(metadata=outcome.metadata())


_fields: dict[str, Any] = {}


@pytest.fixture(scope="module")
def rendered() -> Any:
    """What the document says by class; compared, or written, when all runs are over."""
    found: dict[FailureClass, str] = {}
    yield found
    if target := os.environ.get("BATCH_FAILURES"):
        Path(target).write_text(document(found), encoding="utf-8")


@pytest.mark.parametrize("bench", [16], indirect=True)
@pytest.mark.parametrize("failure", FailureClass)
def test_the_event_of_a_failed_step_tells_all(
    bench: Any, failure: FailureClass, monkeypatch: pytest.MonkeyPatch, rendered: dict[Any, str]
) -> None:
    case = CASES[failure]
    console = f"{bench.aws.url}/_emulator"
    _current[:] = [bench.connection(console_url=console)]
    bench.behaviour = lambda job, task: case.run
    bench.aws.faults.add(*case.faults)
    _fields.clear()
    _fields.update(case.job, **case.before(bench, monkeypatch))

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [counts],
            instance=instance,
            resources={"batch": OnTheBench(queue="local", **case.resource)},
            raise_on_error=False,
        )
        assert not result.success
        records = instance.get_records_for_run(
            result.run_id, of_type=dg.DagsterEventType.STEP_FAILURE
        ).records
    [event] = [record.event_log_entry.get_dagster_event() for record in records]
    data = event.step_failure_data
    assert data.error is not None and data.user_failure_data is not None
    text = data.error.message
    assert text.startswith("dagster._core.definitions.events.Failure: count: 1 of 1 task(s) failed")
    assert f"1 × {failure.value}" in text
    assert failure.remedy in text
    assert case.reason in text
    metadata = {key: value.value for key, value in data.user_failure_data.metadata.items()}
    assert metadata["batch/failure_class"] == failure.value
    assert case.reason in metadata["batch/reason"]
    assert metadata["batch/failed_job"].startswith(f"{console}/jobs/")
    if case.logged:
        assert f"| {case.run.log[-1]}" in text
        assert case.run.log[-1] in metadata["batch/log_tail_task_0"]
        assert case.run.log[-1] in opened(metadata["batch/log"])
    if case.linked:
        assert "FAILED" in opened(metadata["batch/failed_job"])

    rendered[failure] = section(failure, text.partition(": ")[2], metadata, bench.aws.url)
    if "BATCH_FAILURES" not in os.environ:
        assert rendered[failure] in DOCUMENT.read_text(encoding="utf-8"), (
            "docs/failures.md says something else: write it again with "
            "BATCH_FAILURES=docs/failures.md and this file's tests"
        )


def opened(url: str) -> str:
    """What a click on the link shows."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


def section(failure: FailureClass, text: str, metadata: Mapping[str, Any], url: str) -> str:
    """The class's part of the document; ids, addresses and times made the same in each run."""
    lines = [f"## {failure.value}", "", "```text", text.strip(), "```", ""]
    for key, value in metadata.items():
        if key.removeprefix("batch/") in SHOWN:
            lines.append(f"* `{key}`: `{value}`")
    written = "\n".join(lines).replace(url, "http://127.0.0.1:8642")
    for pattern, example in (
        (r"[0-9a-f]{8}-[0-9a-f-]{27}", "3f6c0f2e-…"),
        (r"\bi-[0-9a-f]{17}", "i-0a1b2c3d4e5f60718"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", "2026-11-21 08:00:05Z"),
        (r"count-[0-9a-f]{8,}", "count-1a2b3c4d"),
        (r"(default(?:%2F|/))[0-9a-f]{32}", r"\g<1>9e8d7c6b…"),
    ):
        written = re.sub(pattern, example, written)
    return written + "\n"


def document(found: Mapping[FailureClass, str]) -> str:
    """The whole of docs/failures.md."""
    head = """\
# The fifteen classes of failure as Dagster shows them

What the failed step of a run says: the text of its error, and the metadata with the links (the last
100 log lines are there, too). Made by an asset of one job on the embedded AWS Batch for each class:

    BATCH_FAILURES=docs/failures.md pytest -k failures_in_dagster

Without the variable the test fails if this page is out of date. Ids and times are examples. Here
the links lead to the pages of the embedded AWS Batch, on AWS to its consoles.

![A failed run in the Dagster UI](images/failure.png)

"""
    return head + "\n".join(found[failure] for failure in FailureClass)
