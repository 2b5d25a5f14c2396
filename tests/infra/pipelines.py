"""Run in the project's own environment: both pipelines, on nothing but a deployment's outputs.

Uploads texts and CSVs (with the keys of KEYS' `root`), lets the SQS sensors ask for runs, runs
them, changes the uploads and does it again. AWS Batch is the embedded one, with the queue and the
definitions that the outputs name; each stage has its own keys, this process those it was started
with. Prints what happened as JSON.
"""

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import boto3
import dagster as dg

from aws_batch_emulator import (
    EmbeddedBatch,
    SubprocessRunner,
)
from dagster_aws_batch import BatchJobs
from wordfreq_dagster.definitions import build_definitions
from wordfreq_dagster.files.stages import (
    LOCAL_IMAGE,
    LOCAL_IMAGES,
)
from wordfreq_dagster.settings import load_settings

STAGES = ("plan", "migrate", "merge", "ingest")
HEADER = "ProductId,ProductName,ProductDescription\n"
JOBS = {"new_objects_sqs": "word_frequency", "new_csv_uploads_sqs": "csv_to_dynamodb"}


def prepare(batch, settings, keys):
    """The queue and the definitions that the settings name; returns a client."""
    client = boto3.client("batch", endpoint_url=batch.url)
    client.create_job_queue(
        jobQueueName=settings.batch_queue,
        priority=1,
        computeEnvironmentOrder=[{"order": 1, "computeEnvironment": "local"}],
    )
    for stage in STAGES:
        client.register_job_definition(
            jobDefinitionName=getattr(settings, f"{stage}_definition"),
            type="container",
            containerProperties={
                "image": LOCAL_IMAGE,
                "environment": [{"name": n, "value": v} for n, v in keys[stage].items()],
                "resourceRequirements": [
                    {"type": "VCPU", "value": "1"},
                    {"type": "MEMORY", "value": "512"},
                ],
            },
        )


def tick(definitions, instance, name):
    """What one look of a sensor asks for."""
    sensor = definitions.get_repository_def().get_sensor_def(name)
    needed = {key: definitions.resources[key] for key in sensor.required_resource_keys}
    context = dg.build_sensor_context(instance=instance, definitions=definitions, resources=needed)
    return list(sensor.evaluate_tick(context).run_requests or ())


def alert(definitions, instance, settings):
    """A run fails, as its queue isn't there; what the sensor says that reports it."""
    lost = BatchJobs(queue="no-such-queue", poll_seconds=0.2)
    failed = definitions.resolve_job_def("word_frequency").execute_in_process(
        instance=instance, raise_on_error=False, resources={"batch": lost}
    )
    run = instance.get_run_by_id(failed.run_id)
    context = dg.build_run_status_sensor_context(
        sensor_name="failure_alerts",
        dagster_instance=instance,
        dagster_run=run,
        dagster_event=failed.get_run_failure_event(),
    ).for_run_failure()
    sensor = definitions.get_repository_def().get_sensor_def("failure_alerts")
    return [run.status.value, sensor(context).skip_message == f"reported run {run.run_id}"]


def figures(instance, asset):
    event = instance.get_latest_materialization_event(dg.AssetKey(asset))
    found = event.asset_materialization.metadata if event else {}
    return {name: found[name].value for name in found if isinstance(found[name].value, int | str)}


def main():
    settings = load_settings()
    keys = json.loads(Path(os.environ["KEYS"]).read_text())
    root = {
        "aws_access_key_id": keys["root"]["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": keys["root"]["AWS_SECRET_ACCESS_KEY"],
    }
    s3 = boto3.client("s3", **root)
    texts, _, prefix = settings.source.removeprefix("s3://").partition("/")
    uploads = settings.csv_source.removeprefix("s3://").strip("/")
    s3.put_object(Bucket=texts, Key=f"{prefix}/a b+ü.txt", Body=b"some words and some more words")
    s3.put_object(Bucket=texts, Key=f"{prefix}/gone.txt", Body=b"gone with the wind")
    s3.put_object(Bucket=uploads, Key="a b.csv", Body=(HEADER + "1,one,x\nbad\n").encode())
    s3.put_object(Bucket=uploads, Key="gone.csv", Body=(HEADER + "2,two,x\nbad\n").encode())
    answer = {"requested": [], "runs": [], "rows": None}
    with (
        EmbeddedBatch(runner=SubprocessRunner(LOCAL_IMAGES)) as batch,
        dg.instance_for_test() as instance,
    ):
        os.environ["AWS_ENDPOINT_URL_BATCH"] = batch.url
        os.environ["AWS_ENDPOINT_URL_CLOUDWATCH_LOGS"] = batch.url
        prepare(batch, settings, keys)
        batch.calls.clear()
        definitions = build_definitions(settings)
        made = definitions.resources["batch"]
        quick = BatchJobs(
            queue=made.queue, tags=made.tags, scratch=made.scratch,
            poll_seconds=0.2, poll_max_seconds=1.0,
        )  # fmt: skip
        for _ in range(2):
            for sensor, job in JOBS.items():
                answer["requested"].append([job, len(tick(definitions, instance, sensor))])
                done = definitions.resolve_job_def(job).execute_in_process(
                    instance=instance, raise_on_error=False, resources={"batch": quick}
                )
                failed = [e.step_failure_data.error.to_string() for e in done.all_events
                          if e.is_step_failure]  # fmt: skip
                answer["runs"].append([job, done.success, failed])
            s3.delete_object(Bucket=texts, Key=f"{prefix}/gone.txt")
            s3.delete_object(Bucket=uploads, Key="gone.csv")
        answer["alerted"] = alert(definitions, instance, settings)
        answer["texts"] = figures(instance, "word_counts")
        answer["csvs"] = figures(instance, "csv_rows")
        answer["calls"] = dict(batch.calls)
    found = boto3.client("dynamodb", **root).scan(TableName=settings.csv_table)["Items"]
    answer["rows"] = sorted(item["ProductId"]["S"] for item in found)
    results = settings.csv_rejects.removeprefix("s3://").partition("/")[0]
    listed = s3.list_objects_v2(Bucket=results).get("Contents", ())
    answer["results"] = sorted(one["Key"] for one in listed if ".wordfreq" not in one["Key"])
    sys.stdout.write("\n" + json.dumps(answer) + "\n")


def serve():
    """The embedded AWS Batch with the names of a deployment, until standard input ends."""
    names = {f"{stage}_definition": f"wordfreq-{stage}" for stage in STAGES}
    with EmbeddedBatch(runner=SubprocessRunner(LOCAL_IMAGES)) as batch:
        keys: dict[str, dict[str, str]] = {stage: {} for stage in STAGES}
        prepare(batch, SimpleNamespace(batch_queue="wordfreq", **names), keys)
        sys.stdout.write(f"{batch.url}\n")
        sys.stdout.flush()
        sys.stdin.read()


serve() if sys.argv[1:] == ["serve"] else main()
