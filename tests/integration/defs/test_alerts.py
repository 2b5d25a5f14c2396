"""Failed runs are reported: by SNS (a real SQS queue) and a webhook (a real HTTP server)."""

import json

import dagster as dg

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


def test_a_failed_run_is_reported_by_sns_and_slack(ministack, webhook, monkeypatch):
    for name, value in ministack.environment.items():
        monkeypatch.setenv(name, value)
    url, sent = webhook
    sns, sqs = ministack.client("sns"), ministack.client("sqs")
    topic = sns.create_topic(Name=ministack.name("failures"))["TopicArn"]
    queue = sqs.create_queue(QueueName=ministack.name("mail"))["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn["QueueArn"])

    channels = Channels(
        sns_topic=topic, slack_webhook=url, ui="http://ui:3000/", report="/ranking/report.html"
    )
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

    received = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
    notification = json.loads(received[0]["Body"])
    run = result.dagster_run.run_id
    assert notification["Subject"] == f"Dagster run {run[:8]} of word_frequency failed"
    for text in (notification["Message"], sent[0]["text"]):
        assert "c.gz: the archive is cut off" in text
        assert "The latest report: /ranking/report.html" in text
        assert f"http://ui:3000/runs/{run}" in text


def test_long_reasons_are_cut():
    run = dg.DagsterRun(job_name="ü" * 200, run_id="1234567890")
    subject, text = message(run, reasons=["x" * 10_000], ui="")
    assert len(subject) <= 100
    assert subject.isascii()
    assert len(text) < 3100
    assert text.endswith("the run's log has all)")
