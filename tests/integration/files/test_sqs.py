"""The SQS sensor on a real SQS API: events of a real S3 API, direct and by EventBridge."""

import json
import time

import dagster as dg
import pytest

from dagster_aws_batch.automation.sqs_sensor import CLOCKS_DIFFER, Queue, sqs_sensor
from tests.waiting import until
from wordfreq_dagster.defs.word_frequency.automation import WORD_FREQUENCY
from wordfreq_dagster.files.tags import SOURCE_TAG


class Arrivals:
    """A bucket whose events go to a queue with a dead-letter queue, and the sensor reading it."""

    def __init__(self, ministack, instance):
        self.stack, self.instance = ministack, instance
        self.sqs, self.s3 = ministack.client("sqs"), ministack.client("s3")
        self.bucket = ministack.bucket()
        self.source = f"s3://{self.bucket}/docs"
        self.dead = self._queue("dead")
        self.queue = self._queue(
            "arrivals",
            VisibilityTimeout="1",
            RedrivePolicy=json.dumps(
                {"deadLetterTargetArn": self.arn(self.dead), "maxReceiveCount": 3}
            ),
        )
        self.sensor = sqs_sensor(
            name="new_objects_sqs",
            job=WORD_FREQUENCY,
            source=self.source,
            tag=SOURCE_TAG,
            queue_url=self.queue,
            interval=1,
            status=dg.DefaultSensorStatus.RUNNING,
            open_queue=lambda url: Queue(url, self.sqs),
        )

    def _queue(self, name, **attributes):
        made = self.sqs.create_queue(QueueName=self.stack.name(name), Attributes=attributes)
        return made["QueueUrl"]

    def arn(self, url):
        return self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])[
            "Attributes"
        ]["QueueArn"]

    def events_direct(self):
        self.s3.put_bucket_notification_configuration(
            Bucket=self.bucket,
            NotificationConfiguration={
                "QueueConfigurations": [
                    {
                        "QueueArn": self.arn(self.queue),
                        "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"],
                    }
                ]
            },
        )

    def events_by_eventbridge(self):
        self.s3.put_bucket_notification_configuration(
            Bucket=self.bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
        events = self.stack.client("events")
        rule = self.stack.name("rule")
        pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": [self.bucket]}}}
        events.put_rule(Name=rule, EventPattern=json.dumps(pattern))
        events.put_targets(Rule=rule, Targets=[{"Id": "q", "Arn": self.arn(self.queue)}])

    def left(self, url=None, *, only=None):
        number = "ApproximateNumberOfMessages"
        found = self.sqs.get_queue_attributes(
            QueueUrl=url or self.queue,
            AttributeNames=[only] if only else [number, number + "NotVisible"],
        )["Attributes"]
        return sum(int(number) for number in found.values())

    def tick(self):
        """One tick, when hidden messages are visible again; the run asked for, or None."""
        hidden = "ApproximateNumberOfMessagesNotVisible"
        until(lambda: self.left(only=hidden) == 0, what="messages in flight to be visible again")
        context = dg.build_sensor_context(instance=self.instance, sensor_name="new_objects_sqs")
        result = self.sensor.evaluate_tick(context)
        assert len(result.run_requests) <= 1
        return result.run_requests[0] if result.run_requests else None

    def run(self, *, success=True):
        """What the daemon does with a request: a run of the job, here without its work."""

        @dg.op
        def work():
            if not success:
                raise dg.Failure("no")

        @dg.job(name=WORD_FREQUENCY, tags={SOURCE_TAG: self.source})
        def job():
            work()

        job.execute_in_process(instance=self.instance, raise_on_error=False)


@pytest.fixture
def arrivals(ministack):
    with dg.DagsterInstance.ephemeral() as instance:
        yield Arrivals(ministack, instance)


def wait_for_messages(arrivals, number):
    until(lambda: arrivals.left() >= number, what=arrivals.left)


@pytest.mark.parametrize("way", ["events_direct", "events_by_eventbridge"])
def test_an_object_asks_for_a_run_and_its_message_goes_when_the_run_has_been_asked_for(
    arrivals, way
):
    getattr(arrivals, way)()
    arrivals.s3.put_object(Bucket=arrivals.bucket, Key="docs/a b+c%41ü.txt", Body=b"x")
    wait_for_messages(arrivals, 1)

    assert arrivals.tick() is not None
    assert arrivals.left() >= 1  # the daemon may die before it launches what was asked for
    assert arrivals.tick() is not None  # and indeed it did

    arrivals.run()
    assert arrivals.tick() is None
    assert arrivals.left() == 0


def test_many_messages_are_one_run(arrivals):
    arrivals.events_direct()
    for number in range(25):
        arrivals.s3.put_object(Bucket=arrivals.bucket, Key=f"docs/{number}", Body=b"x")
    arrivals.s3.delete_object(Bucket=arrivals.bucket, Key="docs/3")
    wait_for_messages(arrivals, 26)
    assert arrivals.tick() is not None
    arrivals.run()
    assert arrivals.tick() is None
    assert arrivals.left() == 0


def test_doubled_and_late_messages_ask_for_nothing_more(arrivals):
    body = json.dumps(
        {
            "Records": [
                {
                    "eventName": "ObjectCreated:Put",
                    "s3": {"bucket": {"name": arrivals.bucket}, "object": {"key": "docs/a"}},
                }
            ]
        }
    )
    for _ in range(2):
        arrivals.sqs.send_message(QueueUrl=arrivals.queue, MessageBody=body)
    assert arrivals.tick() is not None
    arrivals.run()
    assert arrivals.tick() is None
    assert arrivals.left() == 0


def test_a_message_that_comes_while_a_run_is_under_way_asks_for_another(arrivals):
    arrivals.events_direct()
    arrivals.run()
    ended = time.time()
    until(lambda: time.time() > ended + CLOCKS_DIFFER, what="a message that surely came later")
    arrivals.s3.put_object(Bucket=arrivals.bucket, Key="docs/new", Body=b"x")
    wait_for_messages(arrivals, 1)
    assert arrivals.tick() is not None


def test_a_failed_run_is_not_tried_again_by_its_message(arrivals):
    arrivals.events_direct()
    arrivals.s3.put_object(Bucket=arrivals.bucket, Key="docs/broken", Body=b"x")
    wait_for_messages(arrivals, 1)
    assert arrivals.tick() is not None
    arrivals.run(success=False)
    assert arrivals.tick() is None
    assert arrivals.left() == 0


def test_other_places_and_test_events_are_thrown_away(arrivals):
    arrivals.events_direct()
    arrivals.s3.put_object(Bucket=arrivals.bucket, Key="docs2/x", Body=b"x")
    arrivals.s3.put_object(Bucket=arrivals.bucket, Key="output/docs/x", Body=b"x")
    arrivals.sqs.send_message(
        QueueUrl=arrivals.queue,
        MessageBody=json.dumps({"Event": "s3:TestEvent", "Bucket": arrivals.bucket}),
    )
    wait_for_messages(arrivals, 3)
    assert arrivals.tick() is None
    assert arrivals.left() == 0


def test_poison_is_named_and_goes_to_the_dead_letter_queue(arrivals, capfd):
    sent = arrivals.sqs.send_message(QueueUrl=arrivals.queue, MessageBody="hello, queue")
    for _ in range(4):
        assert arrivals.tick() is None
    assert arrivals.left(arrivals.dead) == 1
    assert arrivals.left() == 0
    printed = capfd.readouterr()
    assert sent["MessageId"] in printed.err + printed.out
    assert "hello, queue" in printed.err + printed.out


def test_no_messages(arrivals):
    assert arrivals.tick() is None
