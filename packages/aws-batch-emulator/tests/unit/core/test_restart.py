"""State that survives a restart: definitions, queues, jobs in every state, counts, dependencies."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

import boto3
import pytest

from aws_batch_emulator import (
    EmbeddedBatch,
    EmulatorError,
    SimulatedJob,
    SimulatedRun,
    SimulatedRunner,
    VirtualClock,
)
from aws_batch_emulator._core.store import Store


def client_for(emulator: EmbeddedBatch) -> Any:
    return boto3.client(
        "batch",
        endpoint_url=emulator.url,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )


def hour(job: SimulatedJob) -> SimulatedRun:
    return SimulatedRun(seconds=10 if job.index == 0 else 3_600)


def test_a_restarted_emulator_goes_on_and_running_jobs_lost_their_host(tmp_path: Path) -> None:
    clock = VirtualClock()
    with EmbeddedBatch(state=tmp_path, clock=clock, runner=SimulatedRunner(hour), vcpus=3) as first:
        batch = client_for(first)
        batch.register_job_definition(
            jobDefinitionName="work",
            type="container",
            containerProperties={"image": "i", "vcpus": 1, "memory": 64},
        )
        common = {"jobQueue": "local", "jobDefinition": "work"}
        array = batch.submit_job(
            jobName="array",
            arrayProperties={"size": 5},
            retryStrategy={"attempts": 2},
            **common,
        )["jobId"]
        clock.advance(20)
        after = batch.submit_job(jobName="after", dependsOn=[{"jobId": array}], **common)["jobId"]
        clock.advance(1)
        batch.tag_resource(
            resourceArn=batch.describe_jobs(jobs=[after])["jobs"][0]["jobArn"], tags={"a": "b"}
        )
    with EmbeddedBatch(
        state=tmp_path, clock=clock, runner=SimulatedRunner(hour), vcpus=3
    ) as second:
        batch = client_for(second)
        clock.advance(1)
        summary = batch.describe_jobs(jobs=[array])["jobs"][0]["arrayProperties"]["statusSummary"]
        assert {k: v for k, v in summary.items() if v} == {
            "SUCCEEDED": 1,
            "RUNNING": 3,
            "RUNNABLE": 1,
        }
        child = batch.describe_jobs(jobs=[f"{array}:1"])["jobs"][0]
        assert child["attempts"][0]["statusReason"].startswith("Host EC2 (instance i-")
        assert "exitCode" not in child["attempts"][0]["container"]
        clock.advance(3_600)
        shown = batch.describe_jobs(jobs=[after])["jobs"][0]
        assert (shown["status"], shown["tags"]) == ("PENDING", {"a": "b"})
        clock.advance(7_200)
        statuses = [job["status"] for job in batch.describe_jobs(jobs=[array, after])["jobs"]]
        assert statuses == ["SUCCEEDED", "SUCCEEDED"]
        found = batch.describe_job_definitions(jobDefinitionName="work")["jobDefinitions"]
        assert [d["revision"] for d in found] == [1]


def test_a_lost_job_without_retries_fails(tmp_path: Path) -> None:
    clock = VirtualClock()
    with EmbeddedBatch(state=tmp_path, clock=clock, runner=SimulatedRunner(hour)) as first:
        batch = client_for(first)
        batch.register_job_definition(
            jobDefinitionName="work",
            type="container",
            containerProperties={"image": "i", "vcpus": 1, "memory": 64},
        )
        job = batch.submit_job(jobName="n", jobQueue="local", jobDefinition="work")["jobId"]
        clock.advance(20)
    with EmbeddedBatch(state=tmp_path, clock=clock, runner=SimulatedRunner(hour)) as second:
        clock.advance(1)
        shown = client_for(second).describe_jobs(jobs=[job])["jobs"][0]
        assert shown["status"] == "FAILED"
        assert shown["statusReason"].startswith("Host EC2 (instance i-")


def test_an_attempt_that_cannot_be_started_ends_as_aws_says_it(tmp_path: Path) -> None:
    """Whatever fails while a job is placed ends that attempt; others and a restart go on."""
    clock = VirtualClock()

    class Failing(SimulatedRunner):
        def start(self, task: Any) -> None:
            if task.image == "bad":
                raise OSError("disk full")
            super().start(task)

    def define(batch: Any, name: str) -> str:
        batch.register_job_definition(
            jobDefinitionName=name,
            type="container",
            containerProperties={"image": name, "vcpus": 1, "memory": 64},
        )
        return str(batch.submit_job(jobName=name, jobQueue="local", jobDefinition=name)["jobId"])

    with EmbeddedBatch(state=tmp_path, clock=clock, runner=Failing(), vcpus=1) as aws:
        batch = client_for(aws)
        bad, good = define(batch, "bad"), define(batch, "good")
        clock.advance(60)
        shown = {job["jobId"]: job for job in batch.describe_jobs(jobs=[bad, good])["jobs"]}
        assert shown[good]["status"] == "SUCCEEDED"
        assert (shown[bad]["status"], shown[bad]["statusReason"]) == (
            "FAILED",
            "Task failed to start",
        )
        assert "disk full" in shown[bad]["container"]["reason"]
    with EmbeddedBatch(state=tmp_path, clock=clock, runner=SimulatedRunner()) as again:
        assert len(client_for(again).describe_jobs(jobs=[bad, good])["jobs"]) == 2


def test_what_is_not_started_says_so() -> None:
    for name in ("engine", "events", "logs", "url"):
        with pytest.raises(EmulatorError, match="not started"):
            getattr(EmbeddedBatch(), name)


def define(batch: Any, name: str = "work") -> str:
    container = {"image": "i", "vcpus": 1, "memory": 64}
    answer = batch.register_job_definition(
        jobDefinitionName=name, type="container", containerProperties=container
    )
    return str(answer["jobDefinitionArn"])


@pytest.mark.parametrize("change", ["tag", "deregister"])
def test_what_was_changed_keeps_its_place_among_the_others(tmp_path: Path, change: str) -> None:
    order = [{"order": 1, "computeEnvironment": "local"}]
    with EmbeddedBatch(state=tmp_path, clock=VirtualClock()) as first:
        batch = client_for(first)
        oldest = define(batch)
        for _ in range(2):
            define(batch)
        batch.create_job_queue(jobQueueName="second", priority=1, computeEnvironmentOrder=order)
        batch.update_job_queue(jobQueue="local", priority=5)
        if change == "tag":
            batch.tag_resource(resourceArn=oldest, tags={"a": "b"})
        else:
            batch.deregister_job_definition(jobDefinition=oldest)
    with EmbeddedBatch(state=tmp_path, clock=VirtualClock()) as second:
        batch = client_for(second)
        job = batch.submit_job(jobName="n", jobQueue="local", jobDefinition="work")["jobId"]
        shown = batch.describe_jobs(jobs=[job])["jobs"][0]
        assert shown["jobDefinition"].endswith("work:3")
        found = batch.describe_job_definitions(jobDefinitionName="work")["jobDefinitions"]
        assert [d["revision"] for d in found] == [3, 2, 1]
        assert define(batch).endswith("work:4")
        queues = batch.describe_job_queues()["jobQueues"]
        assert [q["jobQueueName"] for q in queues] == ["local", "second"]


def test_tags_that_were_removed_stay_so(tmp_path: Path) -> None:
    with EmbeddedBatch(state=tmp_path, clock=VirtualClock()) as first:
        batch = client_for(first)
        define(batch)
        request = {"jobName": "n", "jobQueue": "local", "jobDefinition": "work"}
        job = batch.submit_job(**request, tags={"a": "b"})["jobId"]
        arn = batch.describe_jobs(jobs=[job])["jobs"][0]["jobArn"]
        batch.untag_resource(resourceArn=arn, tagKeys=["a"])
    with EmbeddedBatch(state=tmp_path, clock=VirtualClock()) as second:
        assert client_for(second).describe_jobs(jobs=[job])["jobs"][0]["tags"] == {}


@pytest.mark.parametrize("preferred", [False, True])
def test_a_start_that_finds_its_port_taken_runs_nothing_and_leaves_nothing(
    tmp_path: Path, preferred: bool
) -> None:
    started: list[str] = []

    class Noting(SimulatedRunner):
        def start(self, task: Any) -> None:
            started.append(task.job_id)
            super().start(task)

    with EmbeddedBatch(state=tmp_path, clock=VirtualClock(), runner=SimulatedRunner(hour)) as first:
        batch = client_for(first)
        define(batch)
        job = batch.submit_job(
            jobName="n", jobQueue="local", jobDefinition="work", retryStrategy={"attempts": 3}
        )["jobId"]
        first.clock.sleep(0)
        assert batch.describe_jobs(jobs=[job])["jobs"][0]["status"] == "RUNNING"
    threads = set(threading.enumerate())
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        second = EmbeddedBatch(state=tmp_path, runner=Noting(), port=0 if preferred else port)
        if preferred:
            second.prefer_port(port)
            with second:
                assert second.port != port
        else:
            with pytest.raises(EmulatorError, match=f"port {port} .*in use; choose another, or 0"):
                second.start()
            second.stop()
            assert started == []
            assert set(threading.enumerate()) <= threads
    with EmbeddedBatch(state=tmp_path, runner=Noting()):
        assert started[-1] == job


def test_old_jobs_that_a_kill_left_half_forgotten_are_forgotten_by_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = VirtualClock()
    runner = SimulatedRunner(lambda job: SimulatedRun(log=["x"]))
    with EmbeddedBatch(state=tmp_path, clock=clock, runner=runner) as first:
        define(client_for(first))
        request = {"jobName": "n", "jobQueue": "local", "jobDefinition": "work"}
        client_for(first).submit_job(**request)
        clock.advance(8 * 86_400)
        with monkeypatch.context() as killed:
            killed.setattr(Store, "delete", lambda *_: None)
            client_for(first).describe_jobs(jobs=[])
    for left in (1, 0):
        with EmbeddedBatch(state=tmp_path, clock=clock) as again:
            assert len(again.engine.jobs) == left
            client_for(again).describe_jobs(jobs=[])
            assert not again.engine.jobs
            assert again.logs.streams("/aws/batch/job") == []
