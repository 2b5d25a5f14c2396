"""PipesBatchClient with real processes that speak Dagster Pipes, on a folder and on S3."""

import sys
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from aws_batch_emulator import EmbeddedBatch, SubprocessRunner
from dagster_aws_batch import BatchJobDefinition, BatchJobs, Job, PipesBatchClient, ScratchError
from dagster_aws_batch._identity import Caller
from dagster_aws_batch._pipes import _place
from dagster_aws_batch._scratch import open_scratch

CONTAINER = textwrap.dedent(
    """
    import os, sys, time
    from dagster_pipes import *

    options = {}
    if os.environ.get("ON_S3"):
        import boto3

        s3 = boto3.client("s3", endpoint_url=os.environ["ON_S3"], region_name="us-east-1")
        options["context_loader"] = PipesS3ContextLoader(s3)
        options["message_writer"] = PipesS3MessageWriter(s3, interval=1)
    what = sys.argv[1]
    if what == "silent":
        sys.exit(0)
    with open_dagster_pipes(**options) as pipes:
        pipes.log.info("hello from " + pipes.asset_key)
        got = {"got": pipes.get_extra("what")}
        pipes.report_asset_materialization(metadata=got, data_version="v7")
        pipes.report_asset_check("fine", passed=True)
        if what == "sleep":
            time.sleep(60)
    print("the last words")
    sys.exit(5 if what == "fail" else 0)
    """
)


def until(condition, seconds=60):
    """Poll until `condition` is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.02)


@pytest.fixture(params=["folder", "s3"])
def place(request, tmp_path, monkeypatch):
    """(scratch, s3 endpoint, names left)."""
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    if request.param == "folder":
        folder = tmp_path / "scratch"
        return str(folder), None, lambda: [str(path) for path in folder.rglob("pipes/*/*/*")]
    server = request.getfixturevalue("s3_server")
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    bucket = server.bucket()

    def left():
        found = server.client().list_objects_v2(Bucket=bucket).get("Contents", [])
        return [item["Key"] for item in found if "/pipes/" in item["Key"]]

    return f"s3://{bucket}/some/where", server.url, left


@pytest.fixture
def run(place, tmp_path):
    scratch, endpoint, _ = place
    (tmp_path / "container.py").write_text(CONTAINER)
    images = {"pipes:1": [sys.executable, str(tmp_path / "container.py")]}
    with EmbeddedBatch(runner=SubprocessRunner(images)) as aws:
        client = PipesBatchClient(
            batch=BatchJobs(
                queue="local",
                endpoint_url=aws.url,
                scratch=scratch,
                s3_endpoint_url=endpoint,
                poll_seconds=0.2,
            ),
            poll_messages_seconds=0.5,
        )

        def start(what, **options):
            environment = {"ON_S3": endpoint} if endpoint else {}
            job = Job(
                name="pipes",
                definition=BatchJobDefinition(image="pipes:1"),
                command=[what],
                environment=environment,
            )
            before = repr(job)

            @dg.asset(check_specs=[dg.AssetCheckSpec("fine", asset="speaking")])
            def speaking(context: dg.AssetExecutionContext, pipes: PipesBatchClient):
                done = pipes.run(context=context, job=job, extras={"what": what})
                return done.get_materialize_result()

            result = dg.materialize([speaking], resources={"pipes": client}, **options)
            assert repr(job) == before
            return result

        start.aws = aws
        yield start


@pytest.mark.s3
def test_materialization_check_logs_and_metadata_arrive(run, place):
    result = run("go")
    assert result.success
    [event] = result.asset_materializations_for_node("speaking")
    assert event.metadata["got"].value == "go"
    assert event.tags["dagster/data_version"] == "v7"
    assert event.metadata["batch/succeeded"].value == 1
    [check] = result.get_asset_check_evaluations()
    assert check.passed
    # The context, the messages and the session's mark are gone.
    assert place[2]() == []


@pytest.mark.s3
def test_a_container_that_fails_is_a_failure_with_all_that_is_known(run, place):
    result = run("fail", raise_on_error=False)
    assert not result.success
    assert result.asset_materializations_for_node("speaking") == []
    [failure] = [event for event in result.all_events if event.is_step_failure]
    data = failure.step_failure_data.user_failure_data
    assert data.metadata["batch/exit_code"].value == 5
    assert "| the last words" in data.description
    assert place[2]() == []


@pytest.mark.parametrize("place", ["folder"], indirect=True)
def test_a_container_that_says_nothing_materializes_nothing(run, place):
    """Dagster's own clients would materialize the asset all the same."""
    result = run("silent", raise_on_error=False)
    assert result.asset_materializations_for_node("speaking") == []
    assert not result.success


@pytest.mark.parametrize("place", ["folder"], indirect=True)
def test_a_container_that_never_started_is_no_success(run, place):
    run.aws.faults.job("image_pull", "dagster-*", attempt=None)
    result = run("go", raise_on_error=False)
    assert not result.success
    [failure] = [event for event in result.all_events if event.is_step_failure]
    text = failure.step_failure_data.user_failure_data.description
    assert "image pull not permitted, no exit code" in text
    assert place[2]() == []


@pytest.mark.parametrize("place", ["folder"], indirect=True)
def test_an_interrupt_ends_the_job_and_cleans_up(run, place):
    import signal

    def messages():
        return [Path(path) for path in place[2]() if path.endswith("messages")]

    def interrupt():
        until(lambda: any("report_asset_check" in path.read_text() for path in messages()))
        signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    start = time.monotonic()
    with pytest.raises((dg.DagsterExecutionInterruptedError, KeyboardInterrupt)):
        run("sleep")
    thread.join()
    assert time.monotonic() - start < 45
    assert place[2]() == []
    until(lambda: {job.status.value for job in run.aws.engine.jobs.values()} == {"FAILED"})


def test_without_a_scratch_place_the_error_says_what_to_set():
    @dg.asset
    def speaking(context: dg.AssetExecutionContext, pipes: PipesBatchClient):
        return pipes.run(
            context=context, job=Job(name="x", definition="d")
        ).get_materialize_result()

    with pytest.raises(ScratchError, match=r"set BatchJobs\.scratch"):
        dg.materialize(
            [speaking],
            resources={
                "pipes": PipesBatchClient(
                    batch=BatchJobs(queue="q", region_name="r", endpoint_url="http://127.0.0.1:1")
                )
            },
        )


@pytest.mark.s3
def test_the_scratch_place_on_s3(s3_server):
    scratch = open_scratch(f"s3://{s3_server.bucket()}/a/b/", s3_server.client())
    assert scratch.put("run/x", b"1").endswith("/a/b/run/x")
    scratch.put("run/y", b"2")
    assert scratch.names("run/") == ["run/x", "run/y"]
    assert (scratch.get("run/x"), scratch.get("none")) == (b"1", None)
    scratch.delete("run/x")
    assert scratch.names("") == ["run/y"]
    with pytest.raises(ScratchError, match="can't write scratch object"):
        open_scratch("s3://in%20valid", s3_server.client()).put("x", b"")


def test_sessions_of_one_step_are_told_apart_by_what_their_jobs_do(tmp_path):
    """An open session of one day, left by a killed process, is not taken for another day's."""
    scratch = open_scratch(str(tmp_path))
    job = Job(name="report", definition=BatchJobDefinition(image="pipes:1"))
    caller = Caller(run_id="r", origin_run_id="r", step="s", retry_number=0, tags={})
    retry = Caller(run_id="r2", origin_run_id="r", step="s", retry_number=0, tags={})
    days = [
        (replace(job, command=["go", "1"]), {}),
        (replace(job, command=["go", "2"]), {}),
        (job, {"day": 1}),
        (job, {"day": 2}),
        (job, {"day": 2}),
    ]
    first = [_place(scratch, caller, *day) for day in days]
    assert len(set(first)) == len(days)
    assert [_place(scratch, retry, *day) for day in days] == first
