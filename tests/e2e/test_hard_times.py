"""Runs that are killed and an AWS Batch that misbehaves: nothing lost, nothing done twice.

`WORDFREQ_TEST_CHILDREN` sets the size of the array jobs (24; 200 for the figures in docs).
"""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections import Counter
from pathlib import Path

import boto3
import dagster as dg
import pytest

from aws_batch_emulator import ensure_running
from dagster_aws_batch._alive import TICKS
from tests.waiting import until
from wordfreq_dagster.definitions import defs
from wordfreq_dagster.files.partitions import source_files_partitions
from wordfreq_dagster.files.stages import LOCAL_IMAGES

CHILDREN = int(os.environ.get("WORDFREQ_TEST_CHILDREN", "24"))
TEXT = "The cat saw the dog. The dog saw the cat; the bird saw both.\n"
LAUNCH = ("dg", "launch", "--job", "word_frequency")
LIVE = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING")


class Batch:
    """The embedded AWS Batch of a home, as an outsider sees it."""

    def __init__(self, home):
        self.url = ensure_running(home.folder / "batch", images=LOCAL_IMAGES).url
        self.token = json.loads((home.folder / "batch" / "endpoint.json").read_text())["token"]
        self.client = boto3.client(
            "batch",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def jobs(self, *statuses, **where):
        pages = self.client.get_paginator("list_jobs")
        where = where or {"jobQueue": "local"}
        return [
            job
            for status in statuses
            for page in pages.paginate(jobStatus=status, **where)
            for job in page["jobSummaryList"]
        ]

    def migrate_children(self, *statuses):
        """Children of all arrays that ever were submitted for the stage `migrate`, by status."""
        return [
            child
            for parent in self.jobs(*LIVE, "SUCCEEDED", "FAILED")
            if "migrate" in parent["jobName"]
            for child in self.jobs(*statuses, arrayJobId=parent["jobId"])
        ]

    def faults(self, *documents):
        """Put these faults in force; none lifts all."""
        request = urllib.request.Request(
            self.url + "/_emulator/faults",
            data=json.dumps(documents).encode() if documents else None,
            headers={"X-Batch-Emulator": self.token},
            method="POST" if documents else "DELETE",
        )
        urllib.request.urlopen(request, timeout=10).close()


def receipts(home, stage):
    return list((home.folder / "plans").rglob(f"{stage}-*.json"))


MOMENTS = {
    "the plan was submitted": lambda line, home: "wordfreq-plan: submitted" in line,
    "the array was submitted": lambda line, home: "wordfreq-migrate: submitted" in line,
    "half of the children are done": lambda line, home: (
        len(receipts(home, "migrate")) >= CHILDREN // 2
    ),
    "the partitions are being reported": lambda line, home: (
        "ASSET_MATERIALIZATION" in line and "word_counts" in line
    ),
    "the merge was submitted": lambda line, home: "wordfreq-merge: submitted" in line,
}


@pytest.fixture
def many(home):
    for number in range(CHILDREN):
        (home.source / f"{number:04}.txt").write_text(TEXT * (number + 1))
    # a file a container
    home.environment["WORDFREQ_PACK"] = "1B"
    return home


def check(home, batch):
    total = CHILDREN * (CHILDREN + 1) // 2
    assert home.ranking["the"] == 5 * total
    assert home.ranking["saw"] == 3 * total
    assert batch.jobs(*LIVE) == []
    # every task has one receipt, and exactly one child ran to the end for it
    assert len(receipts(home, "migrate")) == CHILDREN
    done = batch.migrate_children("SUCCEEDED")
    assert len(done) == CHILDREN, Counter(child["arrayProperties"]["index"] for child in done)


def kill_at(process, home, moment):
    """Kill the run and all that it started, by then."""
    try:
        for line in process.stdout:
            if MOMENTS[moment](line, home):
                break
            if moment.startswith("half") and "submitted array" in line:
                until(lambda: MOMENTS[moment]("", home))
                break
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # no process of the run gets to do anything more
        process.stdout.close()
        process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_and_retried_from_failure(many, moment):
    process = many.start(*LAUNCH)
    kill_at(process, many, moment)
    retried = subprocess.run(
        [sys.executable, Path(__file__).with_name("retry_from_failure.py")],
        env=many.environment,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert retried.returncode == 0, retried.stderr[-3000:]
    check(many, Batch(many))


@pytest.mark.slow
@pytest.mark.parametrize("moment", list(MOMENTS)[1:])
def test_killed_and_then_a_new_run(many, moment):
    """Nobody reports that the first run is dead; the second knows it by what lies there."""
    process = many.start(*LAUNCH)
    kill_at(process, many, moment)
    done = many.run(*LAUNCH, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    total = CHILDREN * (CHILDREN + 1) // 2
    assert many.ranking["the"] == 5 * total
    with dg.DagsterInstance.from_config(many.environment["DAGSTER_HOME"]) as instance:
        keys = instance.get_dynamic_partitions("source_files")
        found = instance.get_status_by_partition(
            dg.AssetKey("word_counts"), keys, source_files_partitions
        )
    assert len(found) == CHILDREN
    assert {status and status.value for status in found.values()} == {"MATERIALIZED"}


EARLY = {
    "its record is there": lambda instance: instance.get_runs(),
    "it has begun": lambda instance: instance.get_runs(
        dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])
    ),
}


@pytest.mark.parametrize("moment", EARLY)
def test_killed_before_its_first_sign_of_life(home, moment):
    """The sensor finds it, whatever it had come to; else all that waits for it waits for ever."""
    (home.source / "a.txt").write_text(TEXT)
    with dg.DagsterInstance.from_config(home.environment["DAGSTER_HOME"]) as instance:
        process = home.start(*LAUNCH)
        try:
            until(lambda: EARLY[moment](instance), process=process)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        [run] = instance.get_runs()
        sensor, cursor = defs().resolve_sensor_def("dead_runs"), None
        for _ in range(TICKS + 1):
            assert not instance.get_run_by_id(run.run_id).is_finished
            with dg.build_sensor_context(instance=instance, cursor=cursor) as context:
                cursor = sensor.evaluate_tick(context).cursor
        assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.FAILURE


@pytest.mark.slow
def test_half_of_all_calls_throttled_and_every_fifth_submission_unanswered(many):
    batch = Batch(many)
    batch.faults(
        {"fault": "throttle", "operation": "*", "rate": 0.5},
        {"fault": "error_after", "operation": "SubmitJob", "rate": 0.2},
    )
    done = many.run(*LAUNCH, timeout=280)
    batch.faults()
    assert done.returncode == 0, done.stderr[-3000:]
    check(many, batch)
