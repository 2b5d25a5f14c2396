"""Runs on one source follow each other, however they were started; dead ones aren't waited for."""

import logging
import random
import threading
import time
from types import SimpleNamespace

import dagster as dg
import pytest

from dagster_aws_batch import _alive as alive
from dagster_aws_batch.automation import turns
from dagster_aws_batch.automation.turns import take_turn, turn_tag
from tests.instances import local_instance
from tests.waiting import until

SOURCE_TAG = "pipeline/source"
PLACE = "s3://bucket/in"


@dg.job
def other():
    pass


@pytest.fixture
def instance():
    with local_instance() as made:
        yield made


def started(instance, tags):
    run = instance.create_run_for_job(other).run_id
    instance.report_dagster_event(
        dg.DagsterEvent(event_type_value="PIPELINE_START", job_name="other"), run
    )
    instance.add_run_tags(run, tags)
    return run


def before(instance, sign, turn="1.5 {}"):
    """A run that has its turn."""
    run = started(instance, {SOURCE_TAG: PLACE, alive.ALIVE_TAG: sign})
    instance.add_run_tags(run, {turn_tag(SOURCE_TAG): turn.format(run)})
    return run


def takes_turn(instance, own="", **options):
    """A run that takes its turn in a thread: the thread, the run, and what its log says."""
    run = started(instance, {alive.ALIVE_TAG: alive._sign()})
    instance.add_run_tags(run, {turn_tag(SOURCE_TAG): own.format(run)})
    log = logging.Logger("run")
    said = []
    log.addHandler(SimpleNamespace(level=0, handle=lambda record: said.append(record.getMessage())))
    context = SimpleNamespace(instance=instance, run=instance.get_run_by_id(run), log=log)

    def work():
        take_turn(context, PLACE, tag=SOURCE_TAG, poll_seconds=0.02, **options)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread, run, said


def test_runs_never_work_at_once_whatever_their_clocks_say(instance, monkeypatch):
    polls = []
    sleep = lambda seconds: polls.append(seconds) or time.sleep(seconds)  # noqa: E731
    clock = SimpleNamespace(**vars(time) | {"time": random.Random(1).random, "sleep": sleep})
    monkeypatch.setattr(turns, "time", clock)
    waiting = dict(takes_turn(instance)[1::-1] for _ in range(8))
    while waiting:
        until(lambda: any(not thread.is_alive() for thread in waiting.values()))
        more = len(polls) + 3 * (len(waiting) - 1)  # the others look again, several times
        until(lambda: len(polls) >= more)  # noqa: B023
        [works] = [run for run, thread in waiting.items() if not thread.is_alive()]
        instance.report_run_failed(instance.get_run_by_id(works))
        del waiting[works]


@pytest.mark.parametrize("turn", ["1.5 {}", "9999999999.5 {} works"])
@pytest.mark.parametrize("own", ["", "2.5 {}"], ids=["first time", "it was ended while it waited"])
def test_a_run_waits_for_one_that_came_before_or_works(instance, turn, own):
    first = before(instance, alive._sign(), turn)
    second, run, said = takes_turn(instance, own)
    until(lambda: any(f"waiting for run {first[:8]}" in line for line in said))
    assert second.is_alive()
    assert instance.get_run_by_id(run).tags[SOURCE_TAG] == PLACE
    instance.report_run_failed(instance.get_run_by_id(first))
    second.join(60)
    assert not second.is_alive()


def test_an_asset_does_not_wait_for_a_run_whose_process_is_gone(instance):
    @dg.asset
    def work(context: dg.AssetExecutionContext):
        take_turn(context, PLACE, tag=SOURCE_TAG)

    boot, _, began = alive._sign().split(" ")[1:]
    before(instance, f"1.5 {boot} 1 {began}")  # the number is another process's now
    done = dg.materialize([work], instance=instance)
    assert done.success
    assert not any("waiting" in event.message for event in instance.all_logs(done.run_id))


def test_a_run_that_gives_no_sign_of_life_is_waited_for_while_its_step_is_under_way(
    instance, monkeypatch
):
    """One without `BatchJobs`: nothing says that it is dead, and it may work for hours."""
    first, polls = before(instance, ""), []
    sleep = lambda seconds: polls.append(seconds) or time.sleep(seconds)  # noqa: E731
    monkeypatch.setattr(turns, "time", SimpleNamespace(**vars(time) | {"sleep": sleep}))
    step = dg.DagsterEvent(event_type_value="STEP_START", job_name="other", step_key="works")
    instance.report_dagster_event(step, first)
    second, _, said = takes_turn(instance, patience_seconds=0.001)
    until(lambda: len(polls) > 3 or not second.is_alive())
    assert second.is_alive()
    assert said == [f"waiting for run {first[:8]}, which works on the same place"]
    instance.report_run_failed(instance.get_run_by_id(first))
    second.join(60)
    assert not second.is_alive()


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "2", None, True])
@pytest.mark.parametrize("name", ["poll_seconds", "patience_seconds"])
def test_what_is_no_number_above_0_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} is {value!r}; use a number above 0"):
        take_turn(None, PLACE, tag=SOURCE_TAG, **{name: value})


def test_a_run_of_another_machine_that_shows_nothing_is_not_waited_for(instance):
    before(instance, "1.5 another-machine 1 1")
    second, _, said = takes_turn(instance, patience_seconds=0.1)
    second.join(60)
    assert not second.is_alive()
    assert said
