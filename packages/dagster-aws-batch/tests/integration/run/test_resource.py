"""BatchJobs as an asset uses it: real clock, real Dagster, both executors."""

import importlib

import dagster as dg
import pytest

from aws_batch_emulator import EmbeddedBatch, SimulatedRun, SimulatedRunner
from dagster_aws_batch import BatchError, BatchJobDefinition, BatchJobs, FailureClass, Job, reap

DEFINITION = BatchJobDefinition(image="tool:1", name="tool", memory_mib=512)


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    # No keys are needed for an emulator on this machine.
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)


def behave(job):
    if job.command and job.command[0] == "long":
        return SimulatedRun(seconds=600)
    if job.command and job.command[0] == "flood":
        lines = [f"{number} " + job.command[1] * 10_000 for number in range(100)]
        return SimulatedRun(seconds=0.1, exit_code=1, log=lines)
    if job.command and job.command[0] == "fail":
        index = job.index or 0
        code = 3 if index == 1 else 0
        return SimulatedRun(seconds=0.1, exit_code=code, log=[f"line {n}" for n in range(150)])
    return SimulatedRun(seconds=0.1)


@pytest.fixture
def aws():
    with EmbeddedBatch(runner=SimulatedRunner(behave)) as emulator:
        yield emulator


def resource(aws, **fields):
    return BatchJobs(
        queue="local", endpoint_url=aws.url, poll_seconds=0.1, poll_max_seconds=0.2, **fields
    )


@dg.asset
def good(context: dg.AssetExecutionContext, batch: BatchJobs) -> dg.MaterializeResult:
    outcome = batch.run(
        context=context, job=Job(name="good", definition=DEFINITION, command=["go"]), tasks=5
    )
    outcome.raise_for_failure()
    return dg.MaterializeResult(metadata=outcome.metadata())


@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["a|b", "c"]))
def bad(context: dg.AssetExecutionContext, batch: BatchJobs) -> dg.MaterializeResult:
    outcome = batch.run(
        context=context, job=Job(name="bad", definition=DEFINITION, command=["fail"]), tasks=3
    )
    assert [task.ok for task in outcome.tasks] == [True, False, True]
    assert outcome.failed[0].failure is FailureClass.USER_CODE
    outcome.raise_for_failure()
    return dg.MaterializeResult()


def test_an_asset_materializes_with_the_figures_of_its_jobs(aws):
    result = dg.materialize(
        [good], resources={"batch": resource(aws, price_vcpu_hour=0.04, price_gib_hour=0.004)}
    )
    assert result.success
    [event] = result.asset_materializations_for_node("good")
    metadata = {key: value.value for key, value in event.metadata.items()}
    assert metadata["batch/tasks"] == metadata["batch/succeeded"] == 5
    assert metadata["batch/failed"] == 0
    assert metadata["batch/run_seconds"] == pytest.approx(0.5, abs=0.3)
    assert metadata["batch/vcpu_hours"] > 0
    assert metadata["batch/cost_estimate_usd"] >= 0
    assert aws.calls["SubmitJob"] == 1


def test_a_failure_tells_class_exit_code_log_and_links(aws):
    result = dg.materialize(
        [bad],
        resources={"batch": resource(aws, console_url="http://console.example")},
        partition_key="a|b",
        raise_on_error=False,
    )
    assert not result.success
    [failure] = [event for event in result.all_events if event.is_step_failure]
    data = failure.step_failure_data.user_failure_data
    assert "1 of 3 task(s) failed" in data.description
    assert "task 1: user code, exit code 3" in data.description
    assert "http://console.example/jobs/" in data.description
    assert "| line 149" in data.description and "line 10\n" not in data.description
    assert data.metadata["batch/exit_code"].value == 3
    assert data.metadata["batch/failed_job"].url.endswith("%3A1")
    assert "line 50" in data.metadata["batch/log_tail_task_1"].value
    assert data.metadata["batch/log"].url.startswith("http://console.example/logs?group=")


def test_every_job_is_tagged_with_run_asset_and_partition(aws):
    result = dg.materialize(
        [bad],
        resources={"batch": resource(aws, tags={"team": "data"})},
        partition_key="a|b",
        raise_on_error=False,
    )
    batch = resource(aws).connection().api
    [row] = batch.by_name("local", "dagster-*")
    [job] = batch.describe([row["jobId"]]).values()
    assert job["propagateTags"] is True
    assert job["tags"] == {
        "team": "data",
        "dagster/run-id": result.run_id,
        "dagster/origin-run-id": result.run_id,
        "dagster/job": result.dagster_run.job_name,
        "dagster/op": "bad",
        "dagster/asset": "bad",
        "dagster/partition": "a=7Cb",
    }


# A module of its own: the executor's processes import it, wherever pytest was started.
TWO_OPS = """
import dagster as dg
from dagster_aws_batch import BatchJobDefinition, BatchJobs, Job

@dg.op
def shard(context: dg.OpExecutionContext, batch: BatchJobs) -> int:
    job = Job(name="shard", definition=BatchJobDefinition(image="tool:1"), command=["go"])
    outcome = batch.run(context=context, job=job, tasks=2)
    outcome.raise_for_failure()
    return len(outcome.succeeded)

@dg.job(
    executor_def=dg.multiprocess_executor,
    resource_defs={"batch": BatchJobs.configure_at_launch()},
)
def both():
    shard.alias("one")()
    shard.alias("two")()
"""


def test_the_multiprocess_executor_works_too(aws, tmp_path, monkeypatch):
    (tmp_path / "two_ops_of_a_test.py").write_text(TWO_OPS)
    # Dagster looks for the modules of its processes in the working folder.
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    module = importlib.import_module("two_ops_of_a_test")
    with (
        dg.instance_for_test(temp_dir=str(tmp_path)) as instance,
        dg.execute_job(
            dg.reconstructable(module.both),
            instance=instance,
            run_config={
                "resources": {
                    "batch": {
                        "config": {"queue": "local", "endpoint_url": aws.url, "poll_seconds": 0.1}
                    }
                }
            },
        ) as result,
    ):
        assert result.success
        assert result.output_for_node("one") == result.output_for_node("two") == 2
    assert aws.calls["SubmitJob"] == 2


def test_a_retry_of_the_op_goes_on_with_what_is_done(aws):
    """The op fails after its jobs have ended well; Dagster's retry must not run them again."""
    outcomes = []

    @dg.op(retry_policy=dg.RetryPolicy(max_retries=1))
    def shaky(context: dg.OpExecutionContext, batch: BatchJobs):
        outcome = batch.run(
            context=context, job=Job(name="go", definition=DEFINITION, command=["go"]), tasks=4
        )
        outcomes.append(outcome)
        if len(outcomes) == 1:
            raise RuntimeError("not the jobs' fault")

    @dg.job
    def work():
        shaky()

    assert work.execute_in_process(resources={"batch": resource(aws)}).success
    assert aws.calls["SubmitJob"] == 1
    assert [task.ok for task in outcomes[1].tasks] == [True] * 4
    assert outcomes[1].jobs[0].resumed


def test_the_same_job_asked_for_twice_runs_twice(aws):
    @dg.op
    def twice(context: dg.OpExecutionContext, batch: BatchJobs):
        for _ in range(2):
            job = Job(name="go", definition=DEFINITION, command=["go"])
            batch.run(context=context, job=job, tasks=1).raise_for_failure()

    @dg.job
    def work():
        twice()

    assert work.execute_in_process(resources={"batch": resource(aws)}).success
    assert aws.calls["SubmitJob"] == 2


def test_a_mapped_op_has_its_own_jobs(aws):
    @dg.op(out=dg.DynamicOut())
    def fan():
        for key in ("a", "b"):
            yield dg.DynamicOutput(key, mapping_key=key)

    @dg.op
    def each(context: dg.OpExecutionContext, batch: BatchJobs, key: str):
        job = Job(name="go", definition=DEFINITION, command=["go"])
        batch.run(context=context, job=job, tasks=1).raise_for_failure()

    @dg.job
    def work():
        fan().map(each)

    assert work.execute_in_process(resources={"batch": resource(aws)}).success
    assert aws.calls["SubmitJob"] == 2


def test_a_partition_range_names_its_ends_and_size(aws):
    partitions = dg.StaticPartitionsDefinition(["p1", "p2", "p3"])

    @dg.asset(partitions_def=partitions, backfill_policy=dg.BackfillPolicy.single_run())
    def many(context: dg.AssetExecutionContext, batch: BatchJobs) -> None:
        job = Job(name="many", definition=DEFINITION, command=["go"])
        batch.run(context=context, job=job, tasks=len(context.partition_keys)).raise_for_failure()

    result = dg.materialize(
        [many],
        resources={"batch": resource(aws)},
        tags={
            "dagster/asset_partition_range_start": "p1",
            "dagster/asset_partition_range_end": "p3",
        },
    )
    assert result.success
    batch = resource(aws).connection().api
    [row] = batch.by_name("local", "dagster-*")
    [job] = batch.describe([row["jobId"]]).values()
    assert job["tags"]["dagster/partition-first"] == "p1"
    assert job["tags"]["dagster/partition-last"] == "p3"
    assert job["tags"]["dagster/partition-count"] == "3"


def test_a_region_that_is_not_set_is_named(monkeypatch, tmp_path):
    for variable in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(BatchError, match="set AWS_REGION"):
        BatchJobs(queue="q", endpoint_url="http://127.0.0.1:1").connection()


@pytest.mark.parametrize("sign", ["x", "語", "🙂"])
def test_a_failure_with_long_log_lines_stays_small_enough_to_be_stored(aws, sign):
    @dg.asset
    def flood(context: dg.AssetExecutionContext, batch: BatchJobs) -> None:
        job = Job(name="flood", definition=DEFINITION, command=["flood", sign])
        batch.run(context=context, job=job, tasks=10).raise_for_failure()

    result = dg.materialize([flood], resources={"batch": resource(aws)}, raise_on_error=False)
    assert not result.success
    sizes = [len(dg.serialize_value(event)) for event in result.all_events]
    assert max(sizes) < 256 * 1024
    [failure] = [event for event in result.all_events if event.is_step_failure]
    assert "99 " + sign in str(failure.step_failure_data.error)


def test_an_asset_that_is_called_as_a_function(aws):
    batch = resource(aws)
    made = good(dg.build_asset_context(), batch=batch)
    assert made.metadata["batch/succeeded"] == 5
    made = good(dg.build_asset_context(), batch=batch)
    assert made.metadata["batch/succeeded"] == 5
    assert aws.calls["SubmitJob"] == 2


def test_a_changed_environment_gets_another_connection(aws, monkeypatch):
    with EmbeddedBatch(runner=SimulatedRunner(behave)) as other:
        for emulator in (aws, other):
            monkeypatch.setenv("AWS_ENDPOINT_URL_BATCH", emulator.url)
            good(dg.build_asset_context(), batch=BatchJobs(queue="local", poll_seconds=0.1))
            assert emulator.calls["SubmitJob"] == 1


def test_the_type_of_a_collection_of_jobs_can_be_checked_beside_our_names():
    """Dagster reads its caller's names there; all of ours are names of this module too."""
    code = """
import dagster as dg
from dagster_aws_batch import *

@dg.op
def nothing(): ...

@dg.job
def work(): nothing()

dg.Definitions(jobs=[work])
"""
    exec(compile(code, "project", "exec"), {"__name__": "project"})


def test_jobs_that_are_meant_to_go_on_are_left_by_the_reaper(aws):
    class Stop(Exception):
        pass

    def stop(seconds):
        raise Stop

    batch = resource(aws, forward_termination=False)

    @dg.op
    def leaves(context: dg.OpExecutionContext):
        job = Job(name="long", definition=DEFINITION, command=["long"])
        batch.run(context=context, job=job, tasks=2, while_waiting=stop)

    @dg.job
    def work():
        leaves()

    with dg.DagsterInstance.ephemeral() as instance:
        result = work.execute_in_process(instance=instance, raise_on_error=False)
        run = instance.get_run_by_id(result.run_id)
        assert reap(instance, run, batch) == "no live AWS Batch job; 1 go on, as configured"


def test_a_role_is_assumed_with_whatever_credentials_are_found(s3_server, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", s3_server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    batch = BatchJobs(queue="q", role_arn="arn:aws:iam::123456789012:role/batch")
    client = batch.connection().api.client
    keys = client._request_signer._credentials.get_frozen_credentials()
    assert keys.access_key.startswith("ASIA") and keys.token
    given = BatchJobs(
        queue="q", aws_access_key_id="AKIAGIVEN", aws_secret_access_key="s", region_name="eu-west-1"
    )
    client = given.connection().api.client
    assert client.meta.region_name == "eu-west-1"
    assert client._request_signer._credentials.access_key == "AKIAGIVEN"
    assert "'s'" not in repr(given.connection())
