"""Runs on one source follow each other, however they were started; dead ones aren't waited for."""

import threading

import dagster as dg
import pytest

from dagster_aws_batch import _alive as alive
from dagster_aws_batch.automation.turns import take_turn, turn_tag
from tests.instances import local_instance
from tests.waiting import until

SOURCE_TAG = "pipeline/source"


@dg.job
def other():
    pass


def worker(**options):
    @dg.asset
    def work(context: dg.AssetExecutionContext):
        take_turn(context, "s3://bucket/in", tag=SOURCE_TAG, poll_seconds=0.02, **options)

    return work


@pytest.fixture
def instance():
    with local_instance() as made:
        yield made


def started(instance, sign):
    run = instance.create_run_for_job(other).run_id
    instance.report_dagster_event(
        dg.DagsterEvent(event_type_value="PIPELINE_START", job_name="other"), run
    )
    turn = {SOURCE_TAG: "s3://bucket/in", turn_tag(SOURCE_TAG): f"1.5 {run}", alive.ALIVE_TAG: sign}
    instance.add_run_tags(run, turn)
    return run


def test_a_run_waits_for_one_that_began_before(instance):
    first = started(instance, alive._sign())
    second = threading.Thread(
        target=dg.materialize, args=([worker()],), kwargs={"instance": instance}
    )
    second.start()
    [run] = until(lambda: instance.get_runs(dg.RunsFilter(job_name="__ephemeral_asset_job__")))
    until(
        lambda: any(
            f"waiting for run {first[:8]}" in e.message for e in instance.all_logs(run.run_id)
        )
    )
    assert second.is_alive()
    assert instance.get_run_by_id(run.run_id).tags[SOURCE_TAG] == "s3://bucket/in"
    instance.report_run_failed(instance.get_run_by_id(first))
    second.join()
    assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.SUCCESS


def test_a_run_does_not_wait_for_one_whose_process_is_gone(instance):
    boot, _, began = alive._sign().split(" ")[1:]
    started(instance, f"1.5 {boot} 1 {began}")  # the number is another process's now
    done = dg.materialize([worker()], instance=instance)
    assert not any("waiting" in event.message for event in instance.all_logs(done.run_id))


def test_a_run_of_another_machine_that_shows_nothing_is_not_waited_for(instance):
    started(instance, "1.5 another-machine 1 1")
    assert dg.materialize([worker(patience_seconds=0.1)], instance=instance).success
