"""The embedded AWS Batch of this machine, as runs of the project use it."""

import os
import signal
import sys
import time

import dagster as dg
import pytest

from aws_batch_emulator import ensure_running, stop_running
from dagster_aws_batch import BatchJobDefinition, BatchJobs, Job
from wordfreq_dagster.defs.platform import batch as platform

SLEEPER = {"sleeper": [sys.executable, "-c", "import time; time.sleep(3)"]}


@pytest.fixture
def folder(tmp_path):
    yield tmp_path
    stop_running(tmp_path)


def test_one_that_dies_in_the_middle_of_a_run_is_started_again(folder, monkeypatch):
    monkeypatch.setattr(platform, "LOCAL_IMAGES", SLEEPER)
    killed = []

    def kill(seconds):
        if not killed:
            killed.append(ensure_running(folder, images=SLEEPER).pid)
            os.kill(killed[0], signal.SIGKILL)

    @dg.asset
    def naps(context: dg.AssetExecutionContext, batch: BatchJobs) -> None:
        job = Job(name="naps", definition=BatchJobDefinition(image="sleeper"))
        outcome = batch.run(context=context, job=job, tasks=2, while_waiting=kill)
        outcome.raise_for_failure()

    resource = platform.EmbeddedBatchJobs(queue="local", folder=str(folder), poll_seconds=0.2)
    start = time.monotonic()
    assert dg.materialize([naps], resources={"batch": resource}).success
    assert killed and ensure_running(folder, images=SLEEPER).pid != killed[0]
    assert time.monotonic() - start < 100
