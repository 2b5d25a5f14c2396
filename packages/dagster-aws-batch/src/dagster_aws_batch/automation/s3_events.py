"""What an SQS message about S3 objects says. Pure: text in, a verdict out.

Two ways lead from S3 to SQS, and they write keys differently: S3 itself percent-encodes them (a
blank is `+`), EventBridge passes them as they are. Either may come wrapped by SNS. Source: S3 user
guide, "Event message structure" and "EventBridge event message structure".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

_CHANGES = ("ObjectCreated:", "ObjectRemoved:", "ObjectRestore:", "LifecycleExpiration:")
_DETAIL_TYPES = frozenset({"Object Created", "Object Deleted", "Object Restore Completed"})
_MOST_WRAPPERS = 3


class PoisonError(ValueError):
    """The message is none of S3's; says what it is instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One object that was created, removed or restored. `what` is the event's own name."""

    bucket: str
    key: str
    what: str


def changes_in(body: str) -> tuple[Change, ...]:
    """The changes that a message reports; none for a test event and for events of other kinds.

    Raises:
        PoisonError: it is no message of S3.
    """
    document = _unwrapped(body)
    try:
        if document.get("Event") == "s3:TestEvent":
            return ()
        if "Records" in document:
            return tuple(_records(document["Records"]))
        if document.get("source") == "aws.s3":
            return tuple(_detail(document))
    except (KeyError, TypeError, AttributeError) as error:
        raise PoisonError(f"a message of S3 that lacks {error}: {body[:200]!r}") from error
    raise PoisonError(f"no message of S3: {body[:200]!r}")


def _unwrapped(body: str) -> Mapping[str, Any]:
    text: object = body
    for _ in range(_MOST_WRAPPERS):
        try:
            document = json.loads(text) if isinstance(text, str) else None
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            break
        if document.get("Type") != "Notification" or "Message" not in document:
            return document
        text = document["Message"]  # SNS, without raw delivery
    raise PoisonError(f"no JSON object: {body[:200]!r}")


def _records(records: list[Mapping[str, Any]]) -> Iterator[Change]:
    for record in records:
        what = str(record["eventName"]).removeprefix("s3:")
        if what.startswith(_CHANGES):
            found = record["s3"]
            key = unquote_plus(str(found["object"]["key"]), errors="surrogateescape")
            yield Change(bucket=str(found["bucket"]["name"]), key=key, what=what)


def _detail(document: Mapping[str, Any]) -> Iterator[Change]:
    what = str(document["detail-type"])
    if what in _DETAIL_TYPES:
        detail = document["detail"]
        bucket, key = str(detail["bucket"]["name"]), str(detail["object"]["key"])
        yield Change(bucket=bucket, key=key, what=what)
