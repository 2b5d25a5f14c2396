"""Injected faults, as a client sees them."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest

from aws_batch_emulator import EmbeddedBatch, Fault, SimulatedRun, SimulatedRunner


def test_throttling_answers_429_and_creates_nothing(bench: Any) -> None:
    bench.emulator.faults.throttle("SubmitJob", times=2)
    for _ in range(2):
        code, _ = bench.refused(bench.submit)
        assert code == "TooManyRequestsException"
    bench.submit()
    found = bench.batch.list_jobs(jobQueue="local", jobStatus="SUBMITTED")["jobSummaryList"]
    assert len(found) == 1
    assert bench.emulator.calls["SubmitJob"] == 3


def test_a_share_of_calls_can_be_throttled_repeatably(bench: Any) -> None:
    bench.emulator.faults.throttle("Describe*", rate=0.5)
    failed = 0
    for _ in range(200):
        try:
            bench.batch.describe_jobs(jobs=[])
        except botocore.exceptions.ClientError:
            failed += 1
    assert 70 < failed < 130
    bench.batch.list_jobs(jobQueue="local")


@pytest.mark.parametrize(("after", "created"), [(False, 0), (True, 1)])
def test_a_5xx_may_come_before_or_after_the_job_was_created(
    bench: Any, after: bool, created: int
) -> None:
    bench.emulator.faults.error("SubmitJob", after=after, times=1, status=503)
    code, _ = bench.refused(bench.submit)
    assert code == "ServerException"
    found = bench.batch.list_jobs(jobQueue="local", jobStatus="SUBMITTED")["jobSummaryList"]
    assert len(found) == created


@pytest.mark.parametrize(("after", "created"), [(False, 0), (True, 1)])
def test_the_answer_may_be_lost(bench: Any, after: bool, created: int) -> None:
    bench.emulator.faults.drop("SubmitJob", after=after, times=1)
    with pytest.raises(botocore.exceptions.BotoCoreError):
        bench.submit()
    found = bench.batch.list_jobs(jobQueue="local", jobStatus="SUBMITTED")["jobSummaryList"]
    assert len(found) == created


def test_slow_answers_take_time_on_the_clock(bench: Any) -> None:
    bench.emulator.faults.slow("DescribeJobs", seconds=30)
    before = bench.clock.now()
    bench.batch.describe_jobs(jobs=[])
    assert bench.clock.now() - before == 30


def test_spot_reclaim_ends_the_attempt_without_exit_code(bench: Any) -> None:
    bench.behaviour = lambda job: SimulatedRun(seconds=100)
    bench.emulator.faults.job("spot_reclaim", "spot*", seconds=10)
    job = bench.submit("spotty", retryStrategy={"attempts": 2})
    bench.clock.advance(11)
    assert bench.status(job) == "RUNNING"
    bench.clock.advance(100)
    shown = bench.job(job)
    assert shown["status"] == "SUCCEEDED"
    first = shown["attempts"][0]
    assert first["statusReason"].startswith("Host EC2 (instance i-")
    assert first["statusReason"].endswith(") terminated.")
    assert "exitCode" not in first["container"]


def test_out_of_memory(bench: Any) -> None:
    bench.behaviour = lambda job: SimulatedRun(seconds=100)
    bench.emulator.faults.job("out_of_memory", index=3, seconds=1)
    job = bench.submit(size=5)
    bench.clock.advance(101)
    assert bench.children(job, "FAILED") == [3]
    container = bench.job(f"{job}:3")["container"]
    assert container["exitCode"] == 137
    assert container["reason"] == "OutOfMemoryError: Container killed due to memory usage"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("image_pull", "CannotPullContainerError: Error response from daemon: pull access denied"),
        ("start_failure", "CannotStartContainerError"),
        ("agent", "DockerTimeoutError"),
    ],
)
def test_a_task_that_fails_to_start_has_no_exit_code_and_no_stream(
    bench: Any, fault: str, reason: str
) -> None:
    bench.emulator.faults.job(fault)
    job = bench.submit()
    bench.clock.advance(1)
    shown = bench.job(job)
    assert shown["status"] == "FAILED"
    assert shown["statusReason"] == "Task failed to start"
    assert shown["container"]["reason"].startswith(reason)
    assert "exitCode" not in shown["container"]
    assert "logStreamName" not in shown["container"]
    assert "startedAt" not in bench.batch.describe_jobs(jobs=[job])["jobs"][0]
    assert bench.seen == []


def test_a_job_that_never_starts_says_why_until_the_fault_is_lifted(bench: Any) -> None:
    bench.emulator.faults.job("never_start", "stuck", attempt=None)
    stuck, other = bench.submit("stuck"), bench.submit("other")
    bench.clock.advance(3_600)
    shown = bench.job(stuck)
    assert shown["status"] == "RUNNABLE"
    assert shown["statusReason"].startswith("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY")
    assert bench.status(other) == "SUCCEEDED"
    bench.emulator.faults.clear()
    bench.clock.advance(1)
    assert bench.status(stuck) == "SUCCEEDED"


def test_a_queue_can_give_up_on_a_blocked_job(bench: Any) -> None:
    action = {
        "reason": "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
        "state": "RUNNABLE",
        "maxTimeSeconds": 600,
        "action": "CANCEL",
    }
    bench.batch.update_job_queue(jobQueue="local", jobStateTimeLimitActions=[action])
    message = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - too much"
    bench.emulator.faults.job("never_start", message=message)
    job = bench.submit()
    bench.clock.advance(599)
    assert bench.status(job) == "RUNNABLE"
    bench.clock.advance(2)
    shown = bench.job(job)
    assert shown["status"] == "FAILED"
    assert shown["statusReason"] == (
        "Canceled by JobStateTimeLimit action due to reason: "
        "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"
    )


def test_a_lost_job_vanishes_from_every_answer(bench: Any) -> None:
    bench.behaviour = lambda job: SimulatedRun(seconds=100)
    bench.emulator.faults.job("lost", seconds=10)
    job = bench.submit()
    bench.clock.advance(1)
    assert bench.status(job) == "RUNNING"
    bench.clock.advance(10)
    assert bench.batch.describe_jobs(jobs=[job])["jobs"] == []
    assert bench.batch.list_jobs(jobQueue="local")["jobSummaryList"] == []


def test_listing_can_lag_behind_submitting(bench: Any) -> None:
    bench.emulator.faults.late_listing(30)
    job = bench.submit("late")
    query = {"jobQueue": "local", "filters": [{"name": "JOB_NAME", "values": ["late"]}]}
    assert bench.batch.list_jobs(**query)["jobSummaryList"] == []
    assert bench.job(job)["jobId"] == job
    bench.clock.advance(30)
    assert len(bench.batch.list_jobs(**query)["jobSummaryList"]) == 1


@pytest.mark.parametrize(("retention", "gone_after"), [(None, 7 * 86_400), (86_400, 86_400)])
def test_finished_jobs_are_forgotten_in_time(
    bench: Any, retention: int | None, gone_after: int
) -> None:
    if retention is not None:
        bench.emulator.faults.retention(retention)
    job = bench.submit(size=2)
    bench.clock.advance(gone_after - 60)
    assert bench.status(job) == "SUCCEEDED"
    bench.clock.advance(120)
    assert bench.batch.describe_jobs(jobs=[job, f"{job}:0"])["jobs"] == []


def test_faults_can_be_set_over_http(bench: Any) -> None:
    url = f"{bench.emulator.url}/_emulator/faults"

    def send(method: str, document: Any = None, header: bool = True) -> Any:
        data = None if document is None else json.dumps(document).encode()
        headers = {"X-Batch-Emulator": "1"} if header else {}
        request = urllib.request.Request(url, data=data, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    send("POST", {"fault": "throttle", "operation": "ListJobs"})
    assert bench.refused(bench.batch.list_jobs, jobQueue="local")[0] == "TooManyRequestsException"
    assert [f["fault"] for f in send("GET")] == ["throttle"]
    send("DELETE")
    bench.batch.list_jobs(jobQueue="local")
    with pytest.raises(urllib.error.HTTPError) as caught:
        send("POST", {"fault": "earthquake"})
    assert "unknown fault 'earthquake'" in json.load(caught.value)["message"]
    with pytest.raises(urllib.error.HTTPError) as caught:
        send("POST", {"fault": "throttle"}, header=False)
    assert caught.value.code == 403


def test_a_fault_is_read_from_a_document_and_back() -> None:
    fault = Fault(fault="slow", operation="ListJobs", seconds=2.5, times=3)
    assert Fault.from_document(fault.to_document()) == fault
    with pytest.raises(ValueError, match="unknown fields"):
        Fault.from_document({"fault": "slow", "second": 1})
    with pytest.raises(ValueError, match="rate must be"):
        Fault(fault="throttle", rate=2)


def test_state_changes_are_events_with_the_description_of_the_job(bench: Any) -> None:
    sent: list[dict[str, Any]] = []
    bench.emulator.events.subscribe(sent.append)
    bench.behaviour = lambda job: SimulatedRun(seconds=10, exit_code=4)
    job = bench.submit(tags={"run": "7"})
    bench.clock.advance(11)
    assert [e["detail"]["status"] for e in sent] == ["RUNNABLE", "STARTING", "RUNNING", "FAILED"]
    last = sent[-1]
    assert (last["source"], last["detail-type"]) == ("aws.batch", "Batch Job State Change")
    assert last["detail"]["jobId"] == job
    assert last["detail"]["container"]["exitCode"] == 4
    assert last["detail"]["tags"] == {"run": "7"}
    with urllib.request.urlopen(
        f"{bench.emulator.url}/_emulator/events?after=2", timeout=10
    ) as answer:
        page = json.load(answer)
    assert [e["detail"]["status"] for e in page["events"]] == ["RUNNING", "FAILED"]
    assert page["last"] == 4


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seconds", float("inf")),
        ("seconds", float("nan")),
        ("seconds", 1e10),
        ("seconds", -1),
        ("rate", "0.5"),
        ("times", "2"),
        ("times", -1),
        ("times", True),
        ("status", -5),
        ("status", 200),
        ("status", 500.0),
        ("index", "7"),
        ("index", -1),
        ("attempt", 0),
        ("attempt", 1.5),
    ],
)
def test_a_fault_that_could_never_do_what_it_says_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"fault slow: {field} must be from"):
        Fault.from_document({"fault": "slow", field: value})


def test_faults_are_read_back_as_they_are_shown(bench: Any) -> None:
    """With the times that are left, none among them."""
    bench.emulator.faults.throttle("ListJobs", times=1)
    bench.emulator.faults.job("lost", index=0, attempt=None)
    bench.refused(bench.batch.list_jobs, jobQueue="local")
    shown = bench.emulator.faults.documents()
    bench.emulator.faults.load(shown)
    assert bench.emulator.faults.documents() == shown
    bench.batch.list_jobs(jobQueue="local")


def test_a_timer_far_ahead_does_not_keep_others_from_being_served(connect: Any) -> None:
    ages = 1e12  # longer than a lock can be waited for
    runner = SimulatedRunner(lambda job: SimulatedRun(seconds=ages if job.name == "long" else 0))
    with EmbeddedBatch(runner=runner) as emulator:
        batch = connect("batch", emulator.url)
        batch.register_job_definition(
            jobDefinitionName="work",
            type="container",
            containerProperties={"image": "i", "vcpus": 1, "memory": 4},
        )
        for name, status in (("long", "RUNNING"), ("short", "SUCCEEDED")):
            job = batch.submit_job(jobName=name, jobQueue="local", jobDefinition="work")["jobId"]
            deadline = time.monotonic() + 60
            while batch.describe_jobs(jobs=[job])["jobs"][0]["status"] != status:
                assert time.monotonic() < deadline, f"{name} is not {status}"
                time.sleep(0.01)


def test_requests_are_answered_while_the_logs_of_old_jobs_are_deleted(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = bench.submit(size=2)
    bench.clock.advance(8 * 86_400)
    begun, go = threading.Event(), threading.Event()
    unlink = Path.unlink

    def slow(path: Path, **options: bool) -> None:
        begun.set()
        assert go.wait(60)
        unlink(path, **options)

    monkeypatch.setattr(Path, "unlink", slow)
    sweeping = threading.Thread(target=bench.batch.describe_jobs, kwargs={"jobs": []})
    sweeping.start()
    answered = threading.Event()

    def ask() -> None:
        assert bench.batch.describe_jobs(jobs=[old])["jobs"] == []
        answered.set()

    asking = threading.Thread(target=ask)
    try:
        assert begun.wait(60)
        asking.start()
        assert answered.wait(30), "the lock is held while files are deleted"
    finally:
        go.set()
        sweeping.join()
        asking.join()
