"""What Dagster's metadata links to on a laptop: pages of the embedded AWS Batch that open."""

import urllib.request

import dagster as dg

from aws_batch_emulator import stop_running
from dagster_aws_batch import (
    BatchJobDefinition,
    Job,
)
from wordfreq_dagster.defs.platform.batch import EmbeddedBatchJobs, pages_sensor
from wordfreq_dagster.files.stages import LOCAL_IMAGE


def opened(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def test_the_links_of_a_failed_job_open_also_after_a_restart(tmp_path):
    @dg.asset
    def counts(context: dg.AssetExecutionContext, batch: EmbeddedBatchJobs) -> None:
        definition = BatchJobDefinition(image=LOCAL_IMAGE, memory_mib=256)
        job = Job(name="count", definition=definition, command=["merge"])
        batch.run(context=context, job=job, tasks=1).raise_for_failure()

    folder = tmp_path / "batch"
    batch = EmbeddedBatchJobs(
        queue="local", folder=str(folder), poll_seconds=0.1, poll_max_seconds=0.2
    )
    try:
        with dg.build_sensor_context() as context:
            assert "no job has run" in pages_sensor(batch).evaluate_tick(context).skip_message
        result = dg.materialize([counts], resources={"batch": batch}, raise_on_error=False)
        [failure] = [event for event in result.all_events if event.is_step_failure]
        metadata = failure.step_failure_data.user_failure_data.metadata
        job, log = metadata["batch/failed_job"].url, metadata["batch/log"].url
        assert "count" in opened(job) and "FAILED" in opened(job)
        assert "wordfreq" in opened(log)
        stop_running(folder)
        with dg.build_sensor_context() as context:
            tick = pages_sensor(batch).evaluate_tick(context)
        assert tick.skip_message == f"the pages are at {job.partition('/_emulator')[0]}/_emulator/"
        assert "FAILED" in opened(job)
        assert "wordfreq" in opened(log)
    finally:
        stop_running(folder)
