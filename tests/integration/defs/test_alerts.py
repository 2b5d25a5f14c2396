"""Failed runs are reported: by SNS (a real SQS queue) and a webhook (a real HTTP server)."""

import json

import dagster as dg
import pytest
from botocore.exceptions import ClientError

from dagster_aws_batch.automation.alerts import (
    Channels,
    failure_sensor,
    message,
)


@dg.op
def count():
    raise dg.Failure("1 of 3 files could not be counted:\n- c.gz: the archive is cut off")


@dg.job
def word_frequency():
    count()


@pytest.fixture
def sns(ministack, monkeypatch):
    for name, value in ministack.environment.items():
        monkeypatch.setenv(name, value)
    return ministack.client("sns")


def report_a_failed_run(channels):
    """The run that the sensor saw fail."""
    sensor = failure_sensor(channels)
    with dg.DagsterInstance.ephemeral() as instance:
        result = word_frequency.execute_in_process(instance=instance, raise_on_error=False)
        context = dg.build_run_status_sensor_context(
            sensor_name="failure_alerts",
            dagster_event=result.get_run_failure_event(),
            dagster_instance=instance,
            dagster_run=result.dagster_run,
        ).for_run_failure()
        sensor(context)
    return result.dagster_run.run_id


def test_a_failed_run_is_reported_by_sns_and_slack(ministack, sns, webhook):
    url, sent = webhook
    sqs = ministack.client("sqs")
    topic = sns.create_topic(Name=ministack.name("failures"))["TopicArn"]
    queue = sqs.create_queue(QueueName=ministack.name("mail"))["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn["QueueArn"])

    channels = Channels(
        sns_topic=topic, slack_webhook=url, ui="http://ui:3000/", report="/ranking/report.html"
    )
    run = report_a_failed_run(channels)

    received = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
    notification = json.loads(received[0]["Body"])
    assert notification["Subject"] == f"Dagster run {run[:8]} of word_frequency failed"
    for text in (notification["Message"], sent[0]["text"]):
        assert "c.gz: the archive is cut off" in text
        assert "The latest report: /ranking/report.html" in text
        assert f"http://ui:3000/runs/{run}" in text


def test_a_channel_that_fails_does_not_silence_the_other(sns, webhook):
    url, sent = webhook
    gone = "arn:aws:sns:us-east-1:000000000000:deleted"
    with pytest.raises(ClientError, match="NotFound"):
        report_a_failed_run(Channels(sns_topic=gone, slack_webhook=url, ui=""))
    assert "c.gz: the archive is cut off" in sent[0]["text"]


@pytest.mark.parametrize(
    ("topic", "webhook", "said"),
    [
        ("failures", "", "sns_topic is 'failures'; give the ARN"),
        ("arn:aws:sns:eu-west-1:1:", "", "give the ARN of an SNS topic"),
        ("arn:aws:sqs:eu-west-1:1:queue", "", "give the ARN of an SNS topic"),
        ("", "hooks.slack.com/T/secret", "^slack_webhook is no http.s. address$"),
        ("", "file:///etc/passwd", "^slack_webhook is no http.s. address$"),
        ("", "", "give one of them"),
    ],
)
def test_channels_that_could_report_nothing_are_refused(topic, webhook, said):
    with pytest.raises(ValueError, match=said):
        failure_sensor(Channels(sns_topic=topic, slack_webhook=webhook, ui=""))


def test_long_reasons_are_cut():
    run = dg.DagsterRun(job_name="ü" * 200, run_id="1234567890")
    subject, text = message(run, reasons=["x" * 10_000], ui="")
    assert len(subject) <= 100
    assert subject.isascii()
    assert len(text) < 3100
    assert text.endswith("the run's log has all)")
