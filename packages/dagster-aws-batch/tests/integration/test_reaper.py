"""Run workers that are killed or asked to stop, the reaper, and the command line."""

import importlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import boto3
import dagster as dg
import pytest

from aws_batch_emulator import EmbeddedBatch, SimulatedRun, SimulatedRunner
from aws_batch_emulator._core.model import Exit
from dagster_aws_batch import BatchJobDefinition, BatchJobs, Job, batch_reaper_sensors
from dagster_aws_batch.__main__ import main
from dagster_aws_batch._aws.names import run_prefix
from dagster_aws_batch._reaper import reap

CHILDREN = 200

WORKER = textwrap.dedent(
    """
    import sys
    import dagster as dg
    from dagster_aws_batch import BatchJobs, Job, BatchJobDefinition

    @dg.op
    def stage(context: dg.OpExecutionContext, batch: BatchJobs) -> int:
        job = Job(name="count", definition=BatchJobDefinition(image="tool:1"), command=["go"])
        outcome = batch.run(context=context, job=job, tasks=200)
        outcome.raise_for_failure()
        return len(outcome.succeeded)

    @dg.job(
        executor_def=dg.in_process_executor,
        resource_defs={"batch": BatchJobs.configure_at_launch()},
    )
    def work():
        stage()

    def config(url):
        return {"resources": {"batch": {"config": {
            "queue": "local", "endpoint_url": url, "poll_seconds": 0.1,
            "region_name": "us-east-1"}}}}

    if __name__ == "__main__":
        with dg.DagsterInstance.local_temp(sys.argv[1]) as i:
            dg.execute_job(dg.reconstructable(work), instance=i, run_config=config(sys.argv[2]))
    """
)


@pytest.fixture
def aws():
    def behave(job):
        # Long enough to be killed in, except when the test lets the children go on.
        return SimulatedRun(seconds=gate["seconds"])

    gate = {"seconds": 600}
    with EmbeddedBatch(runner=SimulatedRunner(behave), vcpus=50) as emulator:
        emulator.gate = gate
        yield emulator


@pytest.fixture
def instance(tmp_path):
    (tmp_path / "home").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "home")) as made:
        yield made


# As a shell script's `&` and `nohup` start a program, and worse: both signals are ignored.
DEAF = """\
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@pytest.fixture
def worker(request, tmp_path, aws, instance):
    program = tmp_path / "worker_c.py"
    program.write_text(WORKER)
    launcher = ["-c", DEAF] if getattr(request, "param", "") == "deaf" else []
    process = subprocess.Popen(
        [sys.executable, *launcher, str(program), str(tmp_path / "home"), aws.url],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    yield process
    if process.poll() is None:
        process.kill()
    process.wait()


def client(aws):
    return boto3.client(
        "batch",
        endpoint_url=aws.url,
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )


def live(aws):
    return [
        row["jobId"]
        for status in ("PENDING", "RUNNABLE", "RUNNING")
        for row in client(aws).list_jobs(jobQueue="local", jobStatus=status)["jobSummaryList"]
    ]


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.05)


def resource(aws):
    return BatchJobs(queue="local", endpoint_url=aws.url, region_name="us-east-1", poll_seconds=0.1)


@pytest.mark.parametrize("worker", ["usual", "deaf"], indirect=True)
def test_sigterm_ends_the_jobs_before_the_process_ends(aws, worker, record_figure):
    wait_for(lambda: live(aws))
    start = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    worker.wait(30)
    record_figure("6 seconds from SIGTERM to the end", f"{time.monotonic() - start:.1f}")
    wait_for(lambda: not live(aws), 5)


def test_after_sigkill_the_reaper_ends_the_jobs(aws, worker, instance):
    wait_for(lambda: live(aws))
    worker.kill()
    worker.wait()
    [run] = instance.get_runs()
    instance.report_run_failed(run)
    run = instance.get_run_by_id(run.run_id)
    assert "ended 1 AWS Batch job(s): dagster-" in reap(instance, run, resource(aws))
    assert live(aws) == []
    assert reap(instance, run, resource(aws)) == "no live AWS Batch job"


def test_after_sigkill_a_retry_from_failure_goes_on_with_the_jobs(
    aws, worker, instance, tmp_path, monkeypatch
):
    wait_for(lambda: live(aws))
    worker.kill()
    worker.wait()
    [run] = instance.get_runs()
    instance.report_run_failed(run)
    monkeypatch.syspath_prepend(str(tmp_path))
    module = importlib.import_module("worker_c")
    [before] = live(aws)
    aws.gate["seconds"] = 0.1
    described, over = aws.calls["DescribeJobs"], threading.Event()

    def end_children_once_the_retry_waits():
        # The first description is that of the jobs it finds, the second one its first poll.
        while not over.wait(0.1):
            if aws.calls["DescribeJobs"] >= described + 2:
                for task in list(aws.runner._running):
                    aws.runner._end(task, Exit(exit_code=0, status_reason="Container ended"))

    ending = threading.Thread(target=end_children_once_the_retry_waits, daemon=True)
    ending.start()
    with dg.execute_job(
        dg.reconstructable(module.work),
        instance=instance,
        run_config=module.config(aws.url),
        reexecution_options=dg.ReexecutionOptions.from_failure(run.run_id, instance),
        # Set by the UI and the retry daemon, but not by this Python function.
        tags={"dagster/is_resume_retry": "true"},
    ) as result:
        over.set()
        ending.join()
        assert result.success
        assert result.output_for_node("stage") == CHILDREN
    named = [event.message for event in instance.all_logs(result.run_id) if event.message]
    assert any("found 1 AWS Batch job(s) of an earlier attempt, 1 of them" in one for one in named)
    assert live(aws) == []
    rows = resource(aws).connection().api.by_name("local", "dagster-*")
    assert [row["jobId"] for row in rows] == [before]


def test_the_reaper_leaves_jobs_to_a_retry(aws, instance):
    @dg.op
    def nothing():
        pass

    @dg.job
    def work():
        nothing()

    root = instance.create_run_for_job(work, tags={"dagster/will_retry": "true"})
    assert "continues" in reap(instance, root, resource(aws))
    root = instance.create_run_for_job(work)
    retry = instance.create_run_for_job(
        work,
        parent_run_id=root.run_id,
        root_run_id=root.run_id,
        tags={
            "dagster/parent_run_id": root.run_id,
            "dagster/root_run_id": root.run_id,
            "dagster/is_resume_retry": "true",
        },
    )
    assert reap(instance, root, resource(aws)) == f"run {retry.run_id} continues with its jobs"


def test_the_reapers_are_sensors_of_a_code_location(aws):
    second = batch_reaper_sensors(batch=resource(aws), name="second")
    definitions = dg.Definitions(
        sensors=[*batch_reaper_sensors(), *second], resources={"batch": resource(aws)}
    )
    dg.Definitions.validate_loadable(definitions)
    names = [sensor.name for sensor in definitions.sensors]
    assert names == [
        *("batch_reaper_failure", "batch_reaper_canceled"),
        *("second_failure", "second_canceled"),
    ]


@pytest.mark.parametrize("own", [False, True], ids=["by its key", "its own"])
def test_a_reaper_sensor_looks_for_the_jobs_of_the_run(aws, own):
    @dg.op
    def broken():
        raise dg.Failure("no")

    @dg.job
    def fails():
        broken()

    batch = resource(aws)
    [sensor, _] = batch_reaper_sensors(batch=batch if own else None)
    with dg.DagsterInstance.ephemeral() as instance:
        done = fails.execute_in_process(instance=instance, raise_on_error=False)
        start_jobs(aws, done.run_id)
        made = dg.build_run_status_sensor_context(
            sensor_name=sensor.name,
            dagster_event=done.get_run_failure_event(),
            dagster_instance=instance,
            dagster_run=done.dagster_run,
            resources=None if own else {"batch": batch},
        )
        with made as context:
            said = sensor(context).skip_message
    assert said == "no live AWS Batch job; 1 go on, as configured"


def start_jobs(aws, run_id, prefix="dagster"):
    from dagster_aws_batch._aws.names import ExecutionId
    from dagster_aws_batch._run.run import Request, execute
    from dagster_aws_batch._run.state import Options

    connection = resource(aws).connection()

    def stop(*args, **kwargs):
        raise TimeoutError

    describe, connection.api.describe = connection.api.describe, stop
    try:
        execute(
            connection,
            Request(
                id=ExecutionId(prefix=prefix, run_id=run_id, step="s", job_name="j", content="c"),
                job=Job(name="j", definition=BatchJobDefinition(image="tool:1")),
                queue="local",
                tasks=3,
                tags={"dagster/origin-run-id": run_id},
                options=Options(forward_termination=False),
            ),
        )
    except TimeoutError:
        pass
    finally:
        connection.api.describe = describe


def test_the_command_line_lists_and_kills_one_run_only(aws, capsys):
    start_jobs(aws, "run-a")
    start_jobs(aws, "run-b")
    where = ["--queue", "local", "--endpoint-url", aws.url, "--region", "us-east-1"]
    assert main(["list", *where]) == 0
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 2 and "3 RUNNING" in out
    assert main(["kill", *where, "--run-id", "run-a"]) == 0
    assert "1 of 1 live job(s) ended" in capsys.readouterr().out
    assert main(["list", *where]) == 0
    out = capsys.readouterr().out
    assert "run run-b" in out and "run run-a" not in out
    assert run_prefix("dagster", "run-b") in out
    assert main(["list", *where, "--run-id", "run-a"]) == 0
    assert "FAILED" in capsys.readouterr().out
    assert main(["prune", *where]) == 0
    assert "in use" in capsys.readouterr().out


def test_kill_ends_nothing_unless_it_knows_the_run(aws, capsys):
    start_jobs(aws, "run-a")
    where = ["--queue", "local", "--endpoint-url", aws.url, "--region", "us-east-1"]
    for command in ("kill", "list"):
        # As of a variable of the shell that isn't set.
        with pytest.raises(SystemExit) as stopped:
            main([command, *where, "--run-id", ""])
        assert stopped.value.code == 2
        assert "--run-id: it is empty" in capsys.readouterr().err
    assert main(["kill", *where, "--run-id", "run-"]) == 1
    assert "no job of run run- is known in local; give the run's whole id" in (
        capsys.readouterr().err
    )
    assert main(["list", *where]) == 0
    assert "3 RUNNING" in capsys.readouterr().out


def test_jobs_are_listed_by_a_prefix_as_their_names_have_it(aws, capsys):
    prefix = "my.team/of 24 characters and more"
    start_jobs(aws, "run-a", prefix=prefix)
    where = ["--queue", "local", "--endpoint-url", aws.url, "--region", "us-east-1"]
    assert main(["list", *where, "--name-prefix", prefix]) == 0
    assert "run run-a" in capsys.readouterr().out


def test_prune_is_bounded_by_the_names_it_is_given(aws, capsys):
    definitions = resource(aws).connection().definitions
    for name in ("ours", "theirs"):
        definitions.arn(BatchJobDefinition(image="tool:1", name=name))
    where = ["--queue", "local", "--endpoint-url", aws.url, "--region", "us-east-1"]
    assert main(["prune", *where, "--name-prefix", "ours"]) == 0
    out = capsys.readouterr().out
    assert "ours-" in out and "theirs-" not in out
    with pytest.raises(SystemExit):
        main(["doctor", *where, "--name-prefix", "ours"])


def test_the_command_line_says_what_is_refused(aws, capsys):
    where = ["--endpoint-url", aws.url, "--region", "us-east-1", "--queue", "nope"]
    assert main(["list", *where]) == 1
    assert "nope" in capsys.readouterr().err
    assert main(["kill", *where, "--run-id", "r"]) == 1
    assert main(["doctor", *where]) == 1
