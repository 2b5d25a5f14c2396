"""Runs whose process is gone are reported as failed; runs that are alive are left alone."""

import threading

import dagster as dg
import pytest

from dagster_aws_batch import BatchJobs
from dagster_aws_batch import _alive as alive
from dagster_aws_batch._alive import ALIVE_TAG, TICKS, dead_runs_sensor, unchanged


@dg.job
def work():
    pass


@pytest.fixture
def instance():
    with dg.instance_for_test() as made:
        yield made


def report(instance, run_id, kind, *, step=None):
    instance.report_dagster_event(
        dg.DagsterEvent(event_type_value=kind, job_name="work", step_key=step), run_id
    )


def started(instance, **tags):
    run = instance.create_run_for_job(work, tags=tags)
    report(instance, run.run_id, "PIPELINE_START")
    assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.STARTED
    return run.run_id


class Watch:
    def __init__(self, instance):
        self.instance, self.cursor = instance, None
        self.sensor = dead_runs_sensor()

    def tick(self):
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursor)
        result = self.sensor.evaluate_tick(context)
        self.cursor = result.cursor
        return result.skip_message

    def status(self, run):
        return self.instance.get_run_by_id(run).status


def test_a_run_that_gives_no_sign_of_life_fails_and_others_do_not(instance):
    dead = started(instance, **{ALIVE_TAG: "1"})
    living = started(instance, **{ALIVE_TAG: "1"})
    foreign = started(instance)
    report(instance, foreign, "STEP_START", step="takes_hours")
    watch = Watch(instance)
    for number in range(TICKS):
        watch.tick()
        instance.add_run_tags(living, {ALIVE_TAG: f"{number + 2}"})
    assert watch.status(dead) == dg.DagsterRunStatus.STARTED
    assert dead[:8] in watch.tick()
    assert watch.status(dead) == dg.DagsterRunStatus.FAILURE
    assert watch.status(living) == watch.status(foreign) == dg.DagsterRunStatus.STARTED
    assert watch.tick() == "1 runs are alive"


def test_a_sign_of_life_begins_the_count_anew():
    seen = unchanged({"a": ("1", 5), "b": ("1", 5)}, {"a": "2", "b": "1", "c": "1"})
    assert seen == {"a": ("2", 1), "b": ("1", 6), "c": ("1", 1)}


def test_a_run_that_was_killed_before_its_first_step_or_after_its_last_fails(instance):
    created = instance.create_run_for_job(work).run_id
    begun = started(instance)
    ended = started(instance, **{ALIVE_TAG: ""})
    report(instance, ended, "STEP_START", step="a")
    report(instance, ended, "STEP_SKIPPED", step="a")
    waits = started(instance)  # for a place in a pool, say: it writes an event now and then
    watch = Watch(instance)
    for _ in range(TICKS + 1):
        instance.report_engine_event("it waits", instance.get_run_by_id(waits))
        message = watch.tick()
    for run in (created, begun, ended):
        assert run[:8] in message
        assert watch.status(run) == dg.DagsterRunStatus.FAILURE
    assert watch.status(waits) == dg.DagsterRunStatus.STARTED


def test_a_process_renews_the_tag_while_its_run_has_the_resource(instance, monkeypatch):
    monkeypatch.setattr(alive, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(alive, "_thread", None)  # its own, whatever ran before
    seen = set()

    @dg.asset
    def slow(context: dg.AssetExecutionContext, batch: BatchJobs):
        while len(seen) < 3:
            seen.add(context.instance.get_run_by_id(context.run.run_id).tags[ALIVE_TAG])

    done = dg.materialize([slow], instance=instance, resources={"batch": BatchJobs(queue="q")})
    assert done.success
    assert len(seen) == 3
    # a later step in another process may take hours without a sign of life
    assert instance.get_run_by_id(done.run_id).tags[ALIVE_TAG] == ""


def test_a_renewal_that_is_late_does_not_follow_the_last_sign(instance, monkeypatch):
    """Else the sensor would end a run whose next step, in another process, takes hours."""
    monkeypatch.setattr(alive, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr(alive, "_thread", None)
    run = started(instance)
    late, ended, write = threading.Event(), threading.Event(), instance.add_run_tags

    def slowly(run_id, tags):
        if threading.current_thread() is not threading.main_thread():
            late.set()
            ended.wait(0.5)
        write(run_id, tags)

    monkeypatch.setattr(instance, "add_run_tags", slowly)
    with alive.signs_of_life(instance, run):
        assert late.wait(60)
        renewing = alive._thread
    ended.set()
    renewing.join(60)
    assert instance.get_run_by_id(run).tags[ALIVE_TAG] == ""
