"""What S3's messages say: direct, by EventBridge, by SNS; and what is none of them."""

from __future__ import annotations

import json

import pytest

from dagster_aws_batch.automation.s3_events import (
    Change,
    PoisonError,
    changes_in,
)
from dagster_aws_batch.automation.sqs_sensor import (
    Message,
    sort_messages,
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
