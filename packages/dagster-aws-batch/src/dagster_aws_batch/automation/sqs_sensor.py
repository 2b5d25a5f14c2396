"""A sensor of S3's messages in an SQS queue: where something has changed it asks for a run.

What has changed is none of its business: the run compares bucket and counts. So a lost, doubled or
late message loses and doubles nothing, and the sensor keeps no cursor.

A message is deleted only once a run that will see its change has been requested: one that is
queued, or that began after the message was sent. Dagster launches what a tick asks for only after
the tick, so such a message is deleted when it is received the second time. What is no message of
S3 is left in the queue, for its dead-letter queue, and named in the log.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import boto3
import dagster as dg

from dagster_aws_batch.automation import UNFINISHED, check_number
from dagster_aws_batch.automation.s3_events import PoisonError, changes_in

# No `from __future__ import annotations` here: Dagster reads the annotations of sensor functions.

_BATCH = 10  # the most that SQS hands out or deletes at once
_MOST_HIDDEN = 43_200  # seconds; SQS refuses more
CLOCKS_DIFFER = 2.0  # seconds by which the clocks of SQS and of Dagster's machines may differ


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One received message: what SQS calls it, and when it was sent (seconds since the epoch)."""

    id: str
    handle: str
    body: str
    sent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorted:
    """Messages by what is to be done: change something, mean nothing to us, are not S3's."""

    relevant: Sequence[Message]
    ignored: Sequence[Message]
    poison: Sequence[tuple[Message, str]]


def sort_messages(messages: Sequence[Message], *, source: str) -> Sorted:
    """Separate the messages about objects of `source` from all others. Pure."""
    bucket, _, prefix = source.removeprefix("s3://").partition("/")
    if prefix and not prefix.endswith("/"):
        prefix += "/"
    relevant: list[Message] = []
    ignored: list[Message] = []
    poison: list[tuple[Message, str]] = []
    for message in messages:
        try:
            changes = changes_in(message.body)
        except PoisonError as error:
            poison.append((message, str(error)))
            continue
        ours = any(c.bucket == bucket and c.key.startswith(prefix) for c in changes)
        (relevant if ours else ignored).append(message)
    return Sorted(relevant=relevant, ignored=ignored, poison=poison)


class Queue:
    """An SQS queue, by its URL; region and credentials are boto3's."""

    def __init__(self, url: str, client: Any) -> None:
        self.url = url
        self._client = client

    def receive(self, *, seconds: float, most: int, hidden: int) -> Iterator[Message]:
        """Messages until there are none, `most` are received or the time is over.

        They are invisible to others for `hidden` seconds.
        """
        end = time.monotonic() + seconds
        received = 0
        while received < most and time.monotonic() < end:
            answer = self._client.receive_message(
                QueueUrl=self.url,
                MaxNumberOfMessages=_BATCH,
                # The first request waits a second: it asks all of SQS's servers, not a sample.
                WaitTimeSeconds=0 if received else 1,
                VisibilityTimeout=hidden,
                MessageSystemAttributeNames=["SentTimestamp"],
            )
            found = answer.get("Messages", [])
            if not found:
                return
            received += len(found)
            for message in found:
                yield Message(
                    id=message["MessageId"],
                    handle=message["ReceiptHandle"],
                    body=message["Body"],
                    sent=int(message["Attributes"]["SentTimestamp"]) / 1000,
                )

    def delete(self, messages: Sequence[Message]) -> list[str]:
        """Delete them; returns what couldn't be deleted, with the reason."""
        failed: list[str] = []
        for first in range(0, len(messages), _BATCH):
            answer = self._client.delete_message_batch(
                QueueUrl=self.url,
                Entries=[
                    {"Id": str(number), "ReceiptHandle": message.handle}
                    for number, message in enumerate(messages[first : first + _BATCH])
                ],
            )
            failed += [f"{f['Code']}: {f.get('Message', '')}" for f in answer.get("Failed", [])]
        return failed


@cache
def open_queue(url: str) -> Queue:
    """The queue of this URL; SQS's region is taken from the URL where boto3 knows none."""
    session = boto3.session.Session()
    parts = (urlsplit(url).hostname or "").split(".")
    region = session.region_name or (parts[1] if "amazonaws" in parts else "us-east-1")
    return Queue(url, session.client("sqs", region_name=region))


def covered(
    instance: dg.DagsterInstance, tags: Mapping[str, str], *, job: str
) -> tuple[float, str]:
    """Until when (seconds since the epoch) requested runs see changes, and the latest run or `''`.

    A failed one counts: trying again is the listing's part.
    """
    filters = dg.RunsFilter(job_name=job, tags=dict(tags))
    records = instance.get_run_records(filters=filters, limit=10)
    until = 0.0
    for record in records:
        if record.start_time is not None:
            until = max(until, record.start_time - CLOCKS_DIFFER)
        elif record.dagster_run.status in UNFINISHED:
            until = float("inf")  # it hasn't looked yet
    return until, records[0].dagster_run.run_id if records else ""


def sqs_sensor(
    *,
    name: str,
    job: str,
    source: str,
    tag: str,
    queue_url: str,
    interval: int,
    status: dg.DefaultSensorStatus,
    messages_per_tick: int = 1000,
    open_queue: Callable[[str], Queue] = open_queue,
) -> dg.SensorDefinition:
    """A sensor that receives the messages of a queue and asks for a run of `job`.

    Args:
        name: the sensor's name.
        job: the job that is asked for.
        source: `s3://bucket/prefix`; messages about other objects are deleted.
        tag: the run tag of `job` whose value is the source.
        queue_url: the SQS queue.
        interval: least seconds between two ticks.
        status: whether it runs from the start.
        messages_per_tick: how many messages one tick receives at most.
        open_queue: makes the queue's client.

    Returns:
        The sensor.
    """
    check_number("interval", interval)
    check_number("messages_per_tick", messages_per_tick)
    if not re.match("s3://[^/]", source):
        raise ValueError(f"source is {source!r}, and no message would be about it; use s3://…")

    @dg.sensor(
        name=name,
        job_name=job,
        minimum_interval_seconds=interval,
        default_status=status,
        description=(
            "Receives S3's messages (direct, by EventBridge or by SNS) and asks for a run of "
            f"`{job}`. A message is deleted once its run has been requested."
        ),
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        queue = open_queue(queue_url)
        # Received again on the next tick but one at the latest, to be deleted then.
        hidden = min(interval, _MOST_HIDDEN)
        received = list(queue.receive(seconds=15, most=messages_per_tick, hidden=hidden))
        return handle(context, queue, received, source=source, tag=tag, job=job)

    return sensor


def handle(
    context: dg.SensorEvaluationContext,
    queue: Queue,
    received: Sequence[Message],
    *,
    source: str,
    tag: str,
    job: str,
) -> dg.RunRequest | dg.SkipReason:
    """Delete what is done with, and ask for a run where a message reports something newer."""
    found = sort_messages(received, source=source)
    for message, reason in found.poison:
        context.log.warning(
            f"message {message.id} is left for the queue's dead-letter queue: {reason}"
        )
    seen_until, latest = covered(context.instance, {tag: source}, job=job)
    done = [message for message in found.relevant if message.sent <= seen_until]
    for problem in queue.delete([*done, *found.ignored]):
        context.log.warning(f"a message could not be deleted, and will come again: {problem}")
    fresh = [message for message in found.relevant if message.sent > seen_until]
    summary = (
        f"{len(received):,} messages: {len(fresh):,} report something new, {len(done):,} are done "
        f"with, {len(found.ignored):,} are about other things, {len(found.poison):,} are unreadable"
    )
    context.log.info(summary)
    if not fresh:
        return dg.SkipReason(summary if received else "no messages")
    newest = max(message.sent for message in fresh)
    # A run that began within the clocks' difference of its message wouldn't count as later.
    time.sleep(min(max(newest + CLOCKS_DIFFER - time.time(), 0.0), CLOCKS_DIFFER))
    return dg.RunRequest(run_key=f"sqs/{newest:.3f}/after-{latest or 'none'}")
