"""Telling people that a run has failed: SNS, a Slack webhook, or both, by configuration."""

import json
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

    def __bool__(self) -> bool:
        return bool(self.sns_topic or self.slack_webhook)


def failure_sensor(
    channels: Channels, *, status: dg.DefaultSensorStatus = dg.DefaultSensorStatus.RUNNING
) -> dg.SensorDefinition:
    """A sensor that reports each failed run of this code location once.

    Args:
        channels: Where to.
        status: Whether it runs from the start.
    """

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
        if channels.sns_topic:
            _publish(channels.sns_topic, subject, text)
        if channels.slack_webhook:
            _post(channels.slack_webhook, f"*{subject}*\n{text}")
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


def _post(webhook: str, text: str) -> None:
    if not webhook.startswith(("https://", "http://")):
        raise ValueError("the Slack webhook is no http(s) address; give `Channels` one that is")
    request = urllib.request.Request(  # noqa: S310 - the scheme was checked
        webhook,
        data=json.dumps({"text": text}).encode(),
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310
        answer.read()
