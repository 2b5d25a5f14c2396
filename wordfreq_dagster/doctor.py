"""Whether a run would find what the settings name, and what to repair.

`python -m wordfreq_dagster doctor` prints it, for people and CI, of any deployment: it reads, and
changes nothing but one object in the Batch client's scratch place. What may not be looked at is
reported as not checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3

from dagster_aws_batch.findings import Finding, Level, answer_to, examine_instance, examine_request
from wordfreq_batch.plans.plan import Location
from wordfreq_dagster.settings import PREFIX, Settings, variable_name

Client = Callable[..., Any]


def examine(settings: Settings, client: Client = boto3.client) -> Iterator[Finding]:
    """Look at everything the settings name except AWS Batch, which has a doctor of its own.

    Args:
        settings: of the deployment.
        client: makes a boto3 client of a service.
    """
    for name in settings.used_places:
        yield from _place(client, name, getattr(settings, name))
    if settings.csv_table:
        yield from _table(client, settings)
    for name in ("events_queue_url", "csv_events_queue_url"):
        if url := getattr(settings, name):
            yield from _queue(client, name, url)
    if arn := settings.failure_sns_topic:
        about = f"topic {arn} ({PREFIX}FAILURE_SNS_TOPIC)"
        yield from examine_request(about, lambda: client("sns").get_topic_attributes(TopicArn=arn))
    yield examine_instance()


def _place(find: Client, name: str, place: str) -> Iterator[Finding]:
    about = f"{place} ({variable_name(name)})"
    found = Location.parse(place)
    if not found.is_local:
        yield from examine_request(
            about,
            lambda: find("s3").list_objects_v2(Bucket=found.bucket, Prefix=found.key, MaxKeys=1),
            "can be listed",
        )
    elif name in ("source", "csv_source") and not Path(f"/{found.key}").is_dir():
        yield Finding(Level.WARNING, about, "is no folder yet", "Make it and put files there")
    else:
        yield Finding(Level.OK, about, "is a folder of this machine")


def _table(find: Client, settings: Settings) -> Iterator[Finding]:
    name, endpoint = settings.csv_table, settings.csv_endpoint if settings.embedded else ""
    about = f"table {name}{endpoint and ' at ' + endpoint} ({PREFIX}CSV_TABLE)"
    there = {"endpoint_url": endpoint} if endpoint else {}  # where the jobs look for it
    answer, findings = answer_to(
        about, lambda: find("dynamodb", **there).describe_table(TableName=name)["Table"]
    )
    yield from findings or [Finding(Level.OK, about, "is there")]
    if answer is None:
        return
    keys = [one["AttributeName"] for one in answer["KeySchema"]]
    wanted = [one for one in (settings.csv_key, settings.csv_sort_key) if one]
    if keys != wanted:
        yield Finding(
            Level.ERROR, about, f"has the keys {', '.join(keys)}, the settings {', '.join(wanted)}",
            f"Set {PREFIX}CSV_KEY and {PREFIX}CSV_SORT_KEY to the table's",
        )  # fmt: skip
    if answer["TableStatus"] != "ACTIVE":
        yield Finding(
            Level.WARNING, about, f"is {answer['TableStatus']}", "Wait until it is ACTIVE"
        )


def _queue(find: Client, name: str, url: str) -> Iterator[Finding]:
    about = f"queue {url} ({variable_name(name)})"
    wanted = "ApproximateNumberOfMessages"
    answer, findings = answer_to(
        about, lambda: find("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=[wanted])
    )
    yield from findings or [Finding(Level.OK, about, "is there")]
    if answer and (waiting := int(answer["Attributes"][wanted])):
        yield Finding(
            Level.WARNING, about, f"holds {waiting} events that no sensor has read",
            "Is the daemon up and the sensor on? It may be just about to read them",
        )  # fmt: skip


def batch_commands(settings: Settings) -> list[list[str]]:
    """What to ask the doctor of the Batch client: the queue with each stage's definition."""
    share = ["--share-identifier", settings.share_identifier] if settings.share_identifier else []
    return [
        ["doctor", "--queue", settings.batch_queue, *share,
         "--scratch", settings.scratch, "--definition", getattr(settings, f"{stage}_definition")]
        for stage in settings.stages
    ]  # fmt: skip
