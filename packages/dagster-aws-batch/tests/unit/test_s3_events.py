"""What S3's messages say: direct, by EventBridge, by SNS; and what is none of them."""

from __future__ import annotations

import json
from types import SimpleNamespace

import dagster as dg
import pytest

from dagster_aws_batch.automation.s3_events import (
    Change,
    PoisonError,
    changes_in,
)
from dagster_aws_batch.automation.sqs_sensor import (
    Message,
    Queue,
    sort_messages,
    sqs_sensor,
)


def direct(key="docs/a+b%2Bc%C3%BC.txt", what="ObjectCreated:Put", bucket="bucket", **record):
    found = {"eventName": what, "s3": {"bucket": {"name": bucket}, "object": {"key": key}}}
    return json.dumps({"Records": [found | record]})


def bridged(key="docs/a b+cü.txt", what="Object Created", bucket="bucket"):
    return json.dumps(
        {
            "source": "aws.s3",
            "detail-type": what,
            "detail": {"bucket": {"name": bucket}, "object": {"key": key, "size": 1}},
        }
    )


def test_s3_itself_encodes_keys_and_eventbridge_does_not():
    key = "docs/a b+cü.txt"
    assert changes_in(direct()) == (Change(bucket="bucket", key=key, what="ObjectCreated:Put"),)
    assert changes_in(bridged()) == (Change(bucket="bucket", key=key, what="Object Created"),)
    assert changes_in(bridged(key="100%41+b"))[0].key == "100%41+b"
    assert changes_in(direct(key="100%2541%2Bb"))[0].key == "100%41+b"


def test_a_message_that_sns_wrapped():
    wrapped = json.dumps({"Type": "Notification", "Message": direct()})
    assert changes_in(wrapped) == changes_in(direct())


@pytest.mark.parametrize(
    "what",
    [
        "ObjectCreated:Put",
        "ObjectCreated:CompleteMultipartUpload",
        "s3:ObjectCreated:Copy",
        "ObjectRemoved:Delete",
        "ObjectRemoved:DeleteMarkerCreated",
        "LifecycleExpiration:Delete",
    ],
)
def test_what_changes_the_bucket(what):
    assert len(changes_in(direct(what=what))) == 1


def test_deleted_by_eventbridge():
    assert len(changes_in(bridged(what="Object Deleted"))) == 1


def test_what_means_nothing():
    test = json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "bucket"})
    assert changes_in(test) == ()
    assert changes_in(direct(what="ObjectTagging:Put")) == ()
    assert changes_in(bridged(what="Object Tags Added")) == ()
    assert changes_in(json.dumps({"Records": []})) == ()


@pytest.mark.parametrize(
    "body",
    [
        "",
        "hello",
        "[]",
        "null",
        "{}",
        '{"Records": 7}',
        '{"Records": [{}]}',
        '{"Records": [{"eventName": "ObjectCreated:Put", "s3": {}}]}',
        '{"source": "aws.s3"}',
        '{"source": "aws.ec2", "detail-type": "x"}',
        '{"Type": "Notification", "Message": "hello"}',
        "[" * 100_000,
    ],
)
def test_poison_is_named(body):
    with pytest.raises(PoisonError):
        changes_in(body)


def message(body, number=0):
    return Message(id=f"m{number}", handle=f"h{number}", body=body, sent=0.0)


def test_messages_about_other_places_are_ignored():
    found = sort_messages(
        [
            message(direct(), 0),
            message(direct(key="docs2/x"), 1),
            message(direct(bucket="other"), 2),
            message(bridged(), 3),
            message("poison", 4),
        ],
        source="s3://bucket/docs",
    )
    assert [m.id for m in found.relevant] == ["m0", "m3"]
    assert [m.id for m in found.ignored] == ["m1", "m2"]
    assert [(m.id, "poison" in why) for m, why in found.poison] == [("m4", True)]
    everything = sort_messages([message(direct(key="x"))], source="s3://bucket")
    assert len(everything.relevant) == 1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"source": ""}, "source is ''"),
        ({"source": "s3://"}, "source is 's3://'"),
        ({"source": "/inbox"}, "source is '/inbox'"),
        ({"interval": 0}, "interval is 0"),
        ({"interval": "60"}, "interval is '60'"),
        ({"messages_per_tick": float("nan")}, "messages_per_tick is nan"),
    ],
)
def test_a_sensor_that_would_delete_every_message_or_read_none_is_refused(wrong, said):
    good = {"source": "s3://bucket/docs", "interval": 60}
    options = {"name": "s", "job": "j", "tag": "t/source", "queue_url": "https://q"}
    status = dg.DefaultSensorStatus.RUNNING
    assert sqs_sensor(status=status, **options, **good).name == "s"
    with pytest.raises(ValueError, match=said):
        sqs_sensor(status=status, **options, **good | wrong)


def test_a_day_between_two_ticks_hides_messages_as_long_as_sqs_can():
    asked = []
    client = SimpleNamespace(receive_message=lambda **request: asked.append(request) or {})
    sensor = sqs_sensor(
        name="s",
        job="j",
        source="s3://bucket",
        tag="t/source",
        queue_url="https://q",
        interval=86_400,
        status=dg.DefaultSensorStatus.RUNNING,
        open_queue=lambda url: Queue(url, client),
    )
    with dg.DagsterInstance.ephemeral() as instance:
        sensor(dg.build_sensor_context(instance=instance))
    assert [request["VisibilityTimeout"] for request in asked] == [43_200]
