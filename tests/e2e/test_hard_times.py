"""Runs that are killed and an AWS Batch that misbehaves: nothing lost, nothing done twice.

Runs are processes forked from one that has Dagster imported; how the commands begin and end is
test_cli's part. `WORDFREQ_TEST_CHILDREN` sets the size of the array jobs (8: more than run at once
where there are fewer processors; 200 in `make test-long` and for the figures in docs).
"""

import json
import os
import urllib.request
from collections import Counter

import boto3
import dagster as dg
import pytest

from aws_batch_emulator import ensure_running
from tests.model.processes import ended, report_dead_runs, start
from tests.waiting import until
from wordfreq_dagster.files.stages import LOCAL_IMAGES
from wordfreq_dagster.settings import Settings

CHILDREN = int(os.environ.get("WORDFREQ_TEST_CHILDREN", "8"))
TEXT = "The cat saw the dog. The dog saw the cat; the bird saw both.\n"
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
    "the plan was submitted": lambda log, home: "wordfreq-plan: submitted" in log,
    "the array was submitted": lambda log, home: "wordfreq-migrate: submitted" in log,
    "half of the children are done": lambda log, home: (
        len(receipts(home, "migrate")) >= CHILDREN // 2
    ),
    "the partitions are being reported": lambda log, home: any(
        "ASSET_MATERIALIZATION" in line and "word_counts" in line for line in log.splitlines()
    ),
    "the merge was submitted": lambda log, home: "wordfreq-merge: submitted" in log,
}


class Many:
    """A home with many files, a container for each, and runs in processes of their own."""

    def __init__(self, home, instance):
        self.home, self.instance = home, instance
        for number in range(CHILDREN):
            (home.source / f"{number:04}.txt").write_text(TEXT * (number + 1))
        self.settings = Settings(home=str(home.folder), pack="1B")

    def start(self, **options):
        return start(
            self.instance.get_ref(),
            self.settings,
            job="word_frequency",
            environment=self.home.environment,
            **options,
        )

    def log(self):
        log = self.home.folder / "runs.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def kill_at(self, moment):
        """Kill a run by then; the AWS Batch it uses lives on."""
        process = self.start()
        until(
            lambda: MOMENTS[moment](self.log(), self.home) or process.exitcode is not None,
            what=lambda: self.log()[-3000:],
        )
        process.kill()
        process.join()


@pytest.fixture
def many(home):
    with dg.DagsterInstance.from_config(home.environment["DAGSTER_HOME"]) as instance:
        yield Many(home, instance)


def check(home, batch):
    total = CHILDREN * (CHILDREN + 1) // 2
    assert home.ranking["the"] == 5 * total
    assert home.ranking["saw"] == 3 * total
    assert batch.jobs(*LIVE) == []
    # every task has one receipt, and exactly one child ran to the end for it
    assert len(receipts(home, "migrate")) == CHILDREN
    done = batch.migrate_children("SUCCEEDED")
    assert len(done) == CHILDREN, Counter(child["arrayProperties"]["index"] for child in done)


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_and_retried_from_failure(many, moment):
    many.kill_at(moment)
    report_dead_runs(many.instance)
    [run] = many.instance.get_runs(limit=1)
    assert ended(many.start(retry=run.run_id)), many.log()[-3000:]
    check(many.home, Batch(many.home))


EARLY = {
    "its record is there": lambda instance: instance.get_runs(),
    "it has begun": lambda instance: instance.get_runs(
        dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])
    ),
}


@pytest.mark.parametrize("moment", EARLY)
def test_killed_before_its_first_sign_of_life(many, moment):
    """The sensor finds it, whatever it had come to; else all that waits for it waits for ever."""
    process = many.start()
    try:
        until(lambda: EARLY[moment](many.instance), what=many.log)
    finally:
        process.kill()
        process.join()
    [run] = many.instance.get_runs()
    report_dead_runs(many.instance)
    assert many.instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.FAILURE


@pytest.mark.slow
def test_half_of_all_calls_throttled_and_every_fifth_submission_unanswered(many):
    batch = Batch(many.home)
    batch.faults(
        {"fault": "throttle", "operation": "*", "rate": 0.5},
        {"fault": "error_after", "operation": "SubmitJob", "rate": 0.2},
    )
    done = ended(many.start())
    batch.faults()
    assert done, many.log()[-3000:]
    check(many.home, batch)
