"""Telling people that a run has failed: SNS, a Slack webhook, or both, by configuration."""

import json
import re
import urllib.request
from dataclasses import dataclass

import boto3
import dagster as dg

# No `from __future__ import annotations` here: Dagster reads the annotations of sensor functions.

_SNS_SUBJECT = 100  # characters, SNS's limit
_LONGEST = 3000  # characters: Slack cuts a section there, and nobody reads more in a chat
_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Channels:
    """Where failures are reported; an empty one isn't used.

    `ui` is the webserver's address, `report` that of a page about the latest result.
    """

    sns_topic: str
    slack_webhook: str
    ui: str
    report: str = ""

    def __post_init__(self) -> None:
        if self.sns_topic and not re.fullmatch(r"arn:[\w-]+:sns:[\w-]+:\d+:.+", self.sns_topic):
            raise ValueError(f"sns_topic is {self.sns_topic!r}; give the ARN of an SNS topic")
        if self.slack_webhook and not re.match("https?://.", self.slack_webhook):
            raise ValueError("slack_webhook is no http(s) address")  # a secret, so not shown

    def __bool__(self) -> bool:
        return bool(self.sns_topic or self.slack_webhook)


def failure_sensor(
    channels: Channels, *, status: dg.DefaultSensorStatus = dg.DefaultSensorStatus.RUNNING
) -> dg.SensorDefinition:
    """A sensor that reports each failed run of this code location once.

    Args:
        channels: Where to; at least one of them.
        status: Whether it runs from the start.
    """
    if not channels:
        raise ValueError("Channels has neither sns_topic nor slack_webhook; give one of them")

    @dg.run_failure_sensor(
        name="failure_alerts",
        default_status=status,
        description="Reports failed runs to SNS or Slack.",
    )
    def failure_alerts(context: dg.RunFailureSensorContext) -> dg.SkipReason:
        steps = [
            f"{event.step_key}: {event.step_failure_data.error_display_string}"
            for event in context.get_step_failure_events()
        ]
        subject, text = message(
            context.dagster_run,
            reasons=steps or [context.failure_event.message or ""],
            ui=channels.ui,
            report=channels.report,
        )
        errors: list[Exception] = []
        for send, address in ((_publish, channels.sns_topic), (_post, channels.slack_webhook)):
            try:
                if address:
                    send(address, subject, text)
            except Exception as error:  # noqa: BLE001 - the other one is tried all the same
                errors.append(error)
        if errors:  # Dagster doesn't ask again: its log of the tick is all that tells
            raise errors[0]
        return dg.SkipReason(f"reported run {context.dagster_run.run_id}")

    return failure_alerts


def message(
    run: dg.DagsterRun, *, reasons: list[str], ui: str, report: str = ""
) -> tuple[str, str]:
    """Subject (one line, at most 100 ASCII characters) and text of the message about a run."""
    name = "assets" if run.job_name.startswith("__") else run.job_name
    subject = f"Dagster run {run.run_id[:8]} of {name} failed".encode("ascii", "replace").decode()
    lines = [reason.strip() for reason in reasons]
    text = "\n\n".join(lines)
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + " … (cut; the run's log has all)"
    if ui:
        text += f"\n\n{ui.rstrip('/')}/runs/{run.run_id}"
    if report:
        text += f"\n\nThe latest report: {report}"
    return subject[:_SNS_SUBJECT], text


def _publish(topic: str, subject: str, text: str) -> None:
    region = topic.split(":")[3]
    client = boto3.session.Session().client("sns", region_name=region)
    client.publish(TopicArn=topic, Subject=subject, Message=text)


def _post(webhook: str, subject: str, text: str) -> None:
    request = urllib.request.Request(  # noqa: S310 - the scheme was checked
        webhook,
        data=json.dumps({"text": f"*{subject}*\n{text}"}).encode(),
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310
        answer.read()
