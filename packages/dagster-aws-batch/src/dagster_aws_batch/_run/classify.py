"""From the words of AWS to one of fifteen failure classes. Pure: the same evidence always gives the
same class.

The words are free text of AWS Batch, ECS and Docker, so prefixes and telling parts are matched and
the raw text is
kept. Sources: AWS Batch user guide, "Troubleshooting" and "Job retries"; ECS "Stopped task error
messages".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dagster_aws_batch._job import FailureClass

__all__ = ["Evidence", "classify"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What AWS said about a failed job: the job's reason, its container's, the exit code, the
    terminate flag.
    """

    status_reason: str = ""
    container_reason: str = ""
    exit_code: int | None = None
    terminated: bool = False

    @property
    def text(self) -> str:
        """Both reasons, each once, for people."""
        parts = [part.strip() for part in (self.status_reason, self.container_reason)]
        return ": ".join(dict.fromkeys(part for part in parts if part))


_PULL_AUTH = re.compile(
    r"access denied|denied:|unauthorized|not authorized|no basic auth|authentication required"
    r"|AccessDenied|forbidden|\b40[13]\b|may require .docker login|authorization",
    re.IGNORECASE,
)

# In this order: the first that matches decides. Each pattern is searched in both reasons.
_RULES: tuple[tuple[re.Pattern[str], FailureClass], ...] = (
    (re.compile(r"Container Overrides length", re.I), FailureClass.OVERRIDE_TOO_LONG),
    (re.compile(r"MISCONFIGURATION:|CAPACITY:"), FailureClass.UNSCHEDULABLE),
    (re.compile(r"OutOfMemory", re.I), FailureClass.OUT_OF_MEMORY),
    (re.compile(r"Job attempt duration exceeded timeout", re.I), FailureClass.TIMEOUT),
    (re.compile(r"^Host EC2", re.M), FailureClass.SPOT_EC2),
    (
        re.compile(r"Your Spot Task was interrupted|SpotInterruption", re.I),
        FailureClass.SPOT_FARGATE,
    ),
    (re.compile(r"CannotPull|ImagePullBackOff|ErrImagePull"), FailureClass.IMAGE_PULL),
    (
        re.compile(
            r"CannotInspectContainer|DockerTimeout|DockerStateError|^AGENT\b|ECS agent"
            r"|CannotStopContainer|TaskFailedToStart: AGENT",
            re.M,
        ),
        FailureClass.AGENT,
    ),
    (
        re.compile(
            r"CannotStartContainer|CannotCreateContainer|CannotCreateVolume|ResourceInitialization"
            r"|unable to assume role|ContainerRuntime",
            re.I,
        ),
        FailureClass.START,
    ),
    (re.compile(r"Dependent Job|\bdependency\b.*\bfailed\b", re.I), FailureClass.DEPENDENCY),
)


def classify(evidence: Evidence) -> FailureClass:
    """Name the cause of a failure. Never guesses from an exit code alone what a reason does not
    say.
    """
    reasons = f"{evidence.status_reason}\n{evidence.container_reason}"
    # A job that was ended on purpose must not run again, whatever happened to its host in the
    # meantime.
    # Two things are known for certain before anybody can have ended it, so they win.
    for pattern, failure in _RULES[:2]:
        if pattern.search(reasons):
            return failure
    if evidence.terminated:
        return FailureClass.TERMINATED
    for pattern, failure in _RULES[2:]:
        if pattern.search(reasons):
            return _refine(failure, reasons)
    if evidence.exit_code is not None and evidence.exit_code != 0:
        return FailureClass.USER_CODE
    if evidence.exit_code is None and "Task failed to start" in reasons:
        return FailureClass.START
    return FailureClass.UNKNOWN


def _refine(failure: FailureClass, reasons: str) -> FailureClass:
    if failure is FailureClass.IMAGE_PULL and _PULL_AUTH.search(reasons):
        return FailureClass.IMAGE_PULL_AUTH
    if failure is FailureClass.START and "registry auth" in reasons and "AccessDenied" in reasons:
        return FailureClass.IMAGE_PULL_AUTH
    return failure
