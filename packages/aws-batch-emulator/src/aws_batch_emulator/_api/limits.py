"""AWS Batch's limits, and the refusal of what goes beyond them.

Each check raises `ApiError` with AWS's code and status. Texts marked (recorded) are AWS's own, as
users have reported them; for the others AWS's exact words are not on public record and only code
and status are true. Sources: AWS Batch API reference (SubmitJob, RegisterJobDefinition, ListJobs,
...) and service quotas page.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from aws_batch_emulator._core.errors import plain, rejected

ARRAY_SIZE: Final = (2, 10_000)
DESCRIBE_JOBS: Final = 100
BULK_IDS: Final = 50
SUBMIT_BYTES: Final = 30 * 1024
DEFINITION_BYTES: Final = 24 * 1024
OVERRIDES_CHARACTERS: Final = 8_192
TAGS: Final = 50
REASON_CHARACTERS: Final = 1_024
DEPENDENCIES: Final = 20
SHARES: Final = 500
QUEUES: Final = 50
ENVIRONMENTS: Final = 50
ENVIRONMENTS_PER_QUEUE: Final = 3
CONTAINERS: Final = 10

OVERRIDES_TOO_LONG: Final = "Container Overrides length must be at most 8192"  # (recorded)
TOO_MANY_TAGS: Final = (
    "The total number of combined tags from the job and job definition is over 50"
)

_JOB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_JOB_ID = re.compile(
    r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}(:\d{1,5})?"
)


def job_name(name: str) -> None:
    """1 to 128 letters, digits, `-`, `_`; the first a letter or digit."""
    if not _JOB_NAME.fullmatch(name):
        raise rejected("Job name should match valid pattern")  # (recorded)


def name(value: str) -> None:
    """Check the name of a queue, environment, definition or policy."""
    if not _NAME.fullmatch(value):  # (recorded)
        raise plain(f"Provided name {value} is not supported pattern[a-zA-Z_0-9-]{{1,128}}")


def new_resource(value: str, request: Mapping[str, Any], existing: Collection[str]) -> None:
    """Check name and tags of what is to be created, and that there is none of its name."""
    name(value)
    tags(request.get("tags", {}))
    if value in existing:
        raise plain("Object already exists")


def payload(size: int) -> None:
    """Check the length of a SubmitJob request in bytes."""
    if size > SUBMIT_BYTES:  # (recorded)
        raise rejected(f"Job size must be less than 30 KiB, got {math.ceil(size / 1024)} KiB")


def definition_payload(size: int) -> None:
    """Check the length of a RegisterJobDefinition request in bytes."""
    if size > DEFINITION_BYTES:
        got = math.ceil(size / 1024)
        raise rejected(f"Job Definition size must be less than 24 KiB, got {got} KiB")


def array_size(size: int) -> None:
    """Check the size of an array job."""
    low, high = ARRAY_SIZE
    if not low <= size <= high:
        raise rejected(f"Array size must be between {low} and {high}, got {size}")


def dependencies(count: int) -> None:
    """Check the number of entries in `dependsOn`."""
    if count > DEPENDENCIES:  # (recorded)
        raise rejected(f"Job cannot have more than {DEPENDENCIES} dependencies")


def job_id(value: str) -> None:
    """Check the form of a job id: a UUID, for array children followed by `:<index>`."""
    if not _JOB_ID.fullmatch(value):
        raise rejected(f"Invalid job ID: {value}")


def described(count: int) -> None:
    """Check the number of ids of DescribeJobs."""
    if count > DESCRIBE_JOBS:  # (recorded, with these blanks)
        raise rejected(f"Maximum number of jobs supported is  {DESCRIBE_JOBS} .")


def bulk(count: int) -> None:
    """Check the number of ids of TerminateJobs and CancelJobs."""
    if not 1 <= count <= BULK_IDS:
        raise rejected(f"The number of jobs must be between 1 and {BULK_IDS}, got {count}")


def reason(text: str) -> None:
    """Check the reason of a cancel or terminate."""
    if not text:
        raise rejected("Reason must not be empty")
    if len(text) > REASON_CHARACTERS:
        raise rejected(f"Reason length must be at most {REASON_CHARACTERS}")


def tags(values: Mapping[str, str]) -> None:
    """At most 50; keys of 1 to 128 characters, values of up to 256; no `aws:` keys."""
    if len(values) > TAGS:
        raise rejected(f"Number of tags must be at most {TAGS}, got {len(values)}")
    for key, value in values.items():
        if not 1 <= len(key) <= 128:
            raise rejected(f"Tag key length must be between 1 and 128: {key[:140]}")
        if len(value) > 256:
            raise rejected(f"Tag value length must be at most 256 for tag {key}")
        if key.lower().startswith("aws:"):
            raise rejected(f"Tag keys can't start with aws: {key}")
        for text in (key, value):
            if not all(c.isalnum() or c.isspace() or c in "_.:/=+-@" for c in text):
                raise rejected(f"Tag {key} has characters that are not allowed: {text}")


def share_identifier(value: str | None, *, fair_share: bool) -> None:
    """Required on a fair-share queue, refused elsewhere."""
    if fair_share and not value:
        raise plain("shareIdentifier must be specified.")  # (recorded)
    if value and not fair_share:
        raise plain("shareIdentifier cannot be specified: the job queue has no fair-share policy.")


def overrides_length(overrides: Mapping[str, Any]) -> int:
    """Return the length in characters that ECS limits to 8,192, JSON formatting included.

    Batch accepts longer ones; the job then fails with `OVERRIDES_TOO_LONG`.
    """
    return len(json.dumps(overrides, separators=(",", ":"), ensure_ascii=False))
