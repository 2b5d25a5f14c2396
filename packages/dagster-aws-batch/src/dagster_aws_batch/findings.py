"""What a doctor finds, and looks that any doctor may take: a request to AWS, Dagster's instance.

For `doctor` and for doctors of projects that need more than AWS Batch. Nothing is changed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import dagster as dg
from botocore.exceptions import BotoCoreError, ClientError

from dagster_aws_batch._aws.failures import advice_for, error_code, is_hopeless

__all__ = ["Finding", "Level", "answer_to", "examine_instance", "examine_request"]


class Level(str, Enum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"
    SKIPPED = "not checked"


_MARKS = {Level.OK: "ok", Level.WARNING: "WARNING", Level.ERROR: "ERROR", Level.SKIPPED: "-"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: what was found, and what to do about it."""

    level: Level
    about: str
    text: str
    advice: str = ""

    def __str__(self) -> str:
        """As the command prints it."""
        advice = f"\n         -> {self.advice}" if self.advice else ""
        return f"{_MARKS[self.level]:7}  {self.about}: {self.text}{advice}"


#: What IAM, S3, DynamoDB, SQS and SNS answer for something that isn't there.
_ABSENT = (
    "404", "NoSuchBucket", "NoSuchEntity", "ResourceNotFoundException", "NotFound",
    "NotFoundException", "QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue",
)  # fmt: skip


def answer_to(about: str, request: Callable[[], Any]) -> tuple[Any, list[Finding]]:
    """The answer to a request; or None, and what its failure says: not there, or not checked.

    Args:
        about: What is asked for.
        request: Asks for it by boto3.
    """
    try:
        return request(), []
    except (ClientError, BotoCoreError) as error:
        if (code := error_code(error)) in _ABSENT:
            advice = "Check the name, the Region and the account, or create it"
            return None, [Finding(Level.ERROR, about, f"isn't there ({code})", advice)]
        advice = advice_for(error) if is_hopeless(error) else ""
        return None, [Finding(Level.SKIPPED, about, f"could not be asked: {error}", advice)]


def examine_request(
    about: str, request: Callable[[], Any], text: str = "is there"
) -> list[Finding]:
    """Whether something that a request asks for is there; what may not be asked is not checked.

    Args:
        about: What is asked for.
        request: Asks for it by boto3.
        text: What an answer shows.
    """
    _, findings = answer_to(about, request)
    return findings or [Finding(Level.OK, about, text)]


def examine_instance() -> Finding:
    """Whether Dagster's instance (DAGSTER_HOME) opens and its runs can be read."""
    about = "Dagster's instance (DAGSTER_HOME)"
    try:
        with dg.DagsterInstance.get() as instance:
            instance.get_runs(limit=1)
    except Exception as error:  # noqa: BLE001 - each storage raises errors of its own
        why = str(error).partition(". ")[0].replace("\n", " ")
        advice = "Set DAGSTER_HOME to a folder with dagster.yaml, and see that its database answers"
        text = f"can't be opened: {type(error).__name__}: {why}"
        return Finding(Level.ERROR, about, text, advice)
    return Finding(Level.OK, about, "opens, and its runs can be read")
