"""PipesBatchClient with real processes that speak Dagster Pipes: by a folder, S3, and their log."""

import json
import sys
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path

import boto3
import dagster as dg
import pytest
from dagster_aws.pipes import PipesCloudWatchMessageReader
from dagster_pipes import PIPES_PROTOCOL_VERSION_FIELD

from aws_batch_emulator import EmbeddedBatch, SubprocessRunner
from dagster_aws_batch import (
    BatchJobDefinition,
    BatchJobs,
    InvalidJobError,
    Job,
    PipesBatchClient,
    PipesBatchLogMessageReader,
    ScratchError,
    client_config,
)
from dagster_aws_batch._identity import Caller
from dagster_aws_batch._pipes.client import _place
from dagster_aws_batch._pipes.messages import Launched
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
        got = {"got": pipes.extras.get("what", ""), "keys": pipes.extras.get("keys", "")}
        if pipes.is_partition_step:
            got["partition"] = pipes.partition_key
        pipes.report_asset_materialization(metadata=got, data_version="v7")
        pipes.report_asset_check("fine", passed=True)
        if what in ("sleep", "pause"):
            time.sleep(60 if what == "sleep" else 1)
    print("the last words")
    sys.exit(5 if what == "fail" else 0)
    """
)


def until(condition, seconds=120):
    """Poll until `condition` is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.02)


@pytest.fixture(params=["folder", "s3", "logs"])
def place(request, tmp_path, monkeypatch):
    """(scratch, s3 endpoint, names left)."""
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    if request.param == "logs":
        return None, None, list
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


@pytest.fixture
def pipes_1(tmp_path):
    """An emulator with the image of a container made for `PipesECSClient`."""
    (tmp_path / "container.py").write_text(CONTAINER)
    images = {"pipes:1": [sys.executable, str(tmp_path / "container.py")]}
    with EmbeddedBatch(runner=SubprocessRunner(images)) as aws:
        yield aws


JOB = Job(name="pipes", definition=BatchJobDefinition(image="pipes:1"), command=["go"])


def client(aws, service, **options):
    return boto3.client(
        service,
        endpoint_url=aws.url,
        region_name="us-east-1",
        aws_access_key_id="k",
        aws_secret_access_key="s",
        **options,
    )


def test_injector_reader_and_client_are_those_of_dagster_aws(pipes_1):
    ours = BatchJobs(
        queue="local", poll_seconds=0.2, client=client(pipes_1, "batch", config=client_config())
    )
    pipes = PipesBatchClient(
        batch=ours,
        context_injector=dg.PipesEnvContextInjector(),
        message_reader=PipesCloudWatchMessageReader(client=client(pipes_1, "logs")),
    )

    @dg.asset(check_specs=[dg.AssetCheckSpec("fine", asset="speaking")])
    def speaking(context: dg.AssetExecutionContext, pipes: PipesBatchClient):
        return pipes.run(context=context, job=JOB).get_materialize_result()

    result = dg.materialize([speaking], resources={"pipes": pipes})
    [event] = result.asset_materializations_for_node("speaking")
    assert event.tags["dagster/data_version"] == "v7"


def test_a_client_that_repeats_by_itself_is_refused(pipes_1):
    batch = BatchJobs(queue="local", client=client(pipes_1, "batch"))
    with pytest.raises(InvalidJobError, match=r"client_config\(\)"):
        batch.connection()


def test_a_retry_goes_on_with_the_job_and_reads_its_log_from_the_beginning(pipes_1, monkeypatch):
    """The context in the environment names the run and attempt; the job is found all the same."""
    polled, failing = Launched.polled, [RuntimeError("the step's process is in trouble")]

    def once(self, detail):
        polled(self, detail)
        if failing and detail["status"] == "RUNNING":
            raise failing.pop()

    monkeypatch.setattr(Launched, "polled", once)
    batch = BatchJobs(
        queue="local",
        endpoint_url=pipes_1.url,
        region_name="us-east-1",
        poll_seconds=0.1,
        forward_termination=False,
    )

    @dg.asset(
        check_specs=[dg.AssetCheckSpec("fine", asset="speaking")],
        retry_policy=dg.RetryPolicy(max_retries=1),
    )
    def speaking(context: dg.AssetExecutionContext, pipes: PipesBatchClient):
        job = replace(JOB, command=["pause"])
        return pipes.run(context=context, job=job).get_materialize_result()

    result = dg.materialize([speaking], resources={"pipes": PipesBatchClient(batch=batch)})
    assert not failing
    assert len(result.asset_materializations_for_node("speaking")) == 1
    assert pipes_1.calls["SubmitJob"] == 1


@pytest.mark.parametrize("keys", [["a"], ["a", "b", "c"]])
def test_the_partitions_of_the_run_reach_the_container_and_are_reported(pipes_1, keys):
    partitions = dg.StaticPartitionsDefinition(["a", "b", "c"])
    batch = BatchJobs(
        queue="local", endpoint_url=pipes_1.url, region_name="us-east-1", poll_seconds=0.2
    )

    @dg.asset(
        partitions_def=partitions,
        check_specs=[dg.AssetCheckSpec("fine", asset="speaking")],
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def speaking(context: dg.AssetExecutionContext, pipes: PipesBatchClient):
        # Dagster's own context for Pipes has no partitions in a run of several.
        extras = {"keys": ",".join(context.partition_keys)}
        return pipes.run(context=context, job=JOB, extras=extras).get_materialize_result()

    tags = {
        "dagster/asset_partition_range_start": keys[0],
        "dagster/asset_partition_range_end": keys[-1],
    }
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [speaking],
            resources={"pipes": PipesBatchClient(batch=batch)},
            instance=instance,
            **({"partition_key": keys[0]} if len(keys) == 1 else {"tags": tags}),
        )
        assert instance.get_materialized_partitions(dg.AssetKey("speaking")) == set(keys)
    events = result.asset_materializations_for_node("speaking")
    assert [event.metadata["keys"].value for event in events] == [",".join(keys)] * len(keys)
    if len(keys) == 1:
        assert events[0].metadata["partition"].value == "a"


class _Handler:
    """Where a reader puts its messages."""

    received_closed_message = True

    def __init__(self):
        self.messages = []

    def handle_message(self, message):
        self.messages.append(message)


def test_a_message_longer_than_a_log_event_is_put_together(capsys):
    handler, reader = _Handler(), PipesBatchLogMessageReader()
    message = {PIPES_PROTOCOL_VERSION_FIELD: "0.1", "method": "log", "params": {"message": "x" * 9}}
    text = json.dumps(message)

    class Logs:
        def read_on(self, ref, token):
            return ["before", text[:30], text[30:40], text[40:], text, "{", "after"], token, ""

    with reader.read_messages(handler):
        reader.on_launched({"extras": {"log_group": "g", "log_stream": "s"}})
        reader.read(Logs())
    assert handler.messages == [message, message]
    assert capsys.readouterr().out.split() == ["before", "{", "after"]


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
