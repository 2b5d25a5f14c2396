"""Runs whose process is gone are reported as failed; runs that are alive are left alone."""

import dagster as dg
import pytest

from dagster_aws_batch import _alive as alive
from dagster_aws_batch._alive import ALIVE_TAG, TICKS, dead_runs_sensor, unchanged


@dg.job
def work():
    pass


@pytest.fixture
def instance():
    with dg.instance_for_test() as made:
        yield made


def started(instance, **tags):
    run = instance.create_run_for_job(work, tags=tags)
    instance.report_dagster_event(
        dg.DagsterEvent(event_type_value="PIPELINE_START", job_name="work"), run.run_id
    )
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


def test_a_step_renews_its_tag_while_it_runs(instance, monkeypatch):
    monkeypatch.setattr(alive, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(alive, "_beating", {})  # its own thread, whatever ran before
    seen = set()

    @dg.asset
    def slow(context: dg.AssetExecutionContext):
        alive.keep_alive(context)
        while len(seen) < 3:
            seen.add(context.instance.get_run_by_id(context.run.run_id).tags[ALIVE_TAG])

    assert dg.materialize([slow], instance=instance).success
    assert len(seen) == 3
