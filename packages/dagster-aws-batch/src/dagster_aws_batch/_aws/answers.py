"""What AWS answers about one finished job, brought into one form.

A listing row, a full description, or nothing. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dagster_aws_batch._aws.console import Console
from dagster_aws_batch._results import ENDED, Attempt, FailureClass, LogRef, TaskResult, TaskState

__all__ = [
    "DEFAULT_LOG_GROUP",
    "LIVE",
    "EndedJob",
    "Evidence",
    "child_index",
    "classify",
    "environment_of",
    "from_detail",
    "from_summary",
    "is_live",
    "lacks_image",
    "memory_of",
    "stream_of",
    "streams_of",
    "to_result",
]

DEFAULT_LOG_GROUP = "/aws/batch/job"
# The states of a job, as AWS names them.
WAITING = ("SUBMITTED", "PENDING", "RUNNABLE")
LIVE = (*WAITING, "STARTING", "RUNNING")


def is_live(row: Mapping[str, Any]) -> bool:
    """Whether a job of a listing can still use resources and has not been asked to end."""
    return row.get("status") not in ENDED and not row.get("isTerminated")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What AWS said about a failed job.

    The job's reason, its container's, the exit code, the terminate flag.
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

# An image or tag that is not there, or not for this processor: the next pull fails as well.
_NO_IMAGE = re.compile(
    r"manifest.* (?:not found|unknown)|does not exist|no matching manifest|404 Not Found"
    r"|invalid reference format|InvalidImageName|is unknown to the Batch emulator",
    re.IGNORECASE,
)

# In this order: the first that matches decides. Each pattern is searched in both reasons.
_RULES: tuple[tuple[re.Pattern[str], FailureClass], ...] = (
    (re.compile(r"Container Overrides length", re.I), FailureClass.OVERRIDE_TOO_LONG),
    (re.compile(r"MISCONFIGURATION:|CAPACITY:"), FailureClass.UNSCHEDULABLE),
    (re.compile(r"OutOfMemory|OOMKilled", re.I), FailureClass.OUT_OF_MEMORY),
    (re.compile(r"Job attempt duration exceeded timeout", re.I), FailureClass.TIMEOUT),
    (re.compile(r"^Host EC2", re.M), FailureClass.SPOT_EC2),
    (
        re.compile(r"Your Spot Task was interrupted|SpotInterruption", re.I),
        FailureClass.SPOT_FARGATE,
    ),
    (re.compile(r"CannotPull|ImagePullBackOff|ErrImage|InvalidImageName"), FailureClass.IMAGE_PULL),
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
            r"|unable to assume (?:the )?role|ContainerRuntime"
            # Kubernetes' words for the same.
            r"|CreateContainer(?:Config)?Error|RunContainerError|StartError",
            re.I,
        ),
        FailureClass.START,
    ),
    (re.compile(r"Dependent Job|\bdependency\b.*\bfailed\b", re.I), FailureClass.DEPENDENCY),
)


def classify(evidence: Evidence) -> FailureClass:
    """Name the cause of a failure.

    Never guesses from an exit code alone what a reason does not say.
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


def lacks_image(failure: FailureClass | None, reason: str) -> bool:
    """Whether a pull failed for an image that doesn't exist, which no repeat can change."""
    return failure is FailureClass.IMAGE_PULL and _NO_IMAGE.search(reason) is not None


def _refine(failure: FailureClass, reasons: str) -> FailureClass:
    if failure is FailureClass.IMAGE_PULL and _PULL_AUTH.search(reasons):
        return FailureClass.IMAGE_PULL_AUTH
    if failure is FailureClass.START and "registry auth" in reasons and "AccessDenied" in reasons:
        return FailureClass.IMAGE_PULL_AUTH
    return failure


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedJob:
    """One ended job or array child.

    Times are epoch seconds. `exit_known`: a success was proven by an exit code.
    """

    job_id: str
    succeeded: bool
    evidence: Evidence = field(default_factory=Evidence)
    created_at: float | None = None
    started_at: float | None = None
    stopped_at: float | None = None
    attempts: tuple[Attempt, ...] = ()
    exit_known: bool = True
    failure: FailureClass | None = None

    @property
    def cause(self) -> FailureClass:
        """The class of the failure: given, or by the evidence."""
        return self.failure or classify(self.evidence)

    @property
    def run_seconds(self) -> float | None:
        """From start to stop of the last attempt."""
        if self.started_at is None or self.stopped_at is None:
            return None
        return max(0.0, self.stopped_at - self.started_at)

    @property
    def queue_seconds(self) -> float | None:
        """From the job's creation to the start of its (last) attempt."""
        if self.created_at is None or self.started_at is None:
            return None
        return max(0.0, self.started_at - self.created_at)


def _seconds(value: Any) -> float | None:
    return None if not value else float(value) / 1000


def child_index(row: Mapping[str, Any]) -> int:
    """The index of an array child in a listing; -1 for a row that is no child.

    Said by `arrayProperties`, and also by the id: `PARENT:INDEX` (user guide, "Array jobs").
    """
    given = row.get("arrayProperties", {}).get("index")
    if given is not None:
        return int(given)
    suffix = row["jobId"].rpartition(":")[2]
    return int(suffix) if ":" in row["jobId"] and suffix.isdecimal() else -1


def from_summary(row: Mapping[str, Any]) -> EndedJob:
    """A row of ListJobs (array children)."""
    container = row.get("container") or {}
    code = container.get("exitCode")
    succeeded = row["status"] == "SUCCEEDED"
    return EndedJob(
        job_id=row["jobId"],
        succeeded=succeeded,
        evidence=Evidence(
            status_reason=row.get("statusReason") or "",
            container_reason=container.get("reason") or "",
            exit_code=code,
            terminated=bool(row.get("isTerminated") or row.get("isCancelled")),
        ),
        created_at=_seconds(row.get("createdAt")),
        started_at=_seconds(row.get("startedAt")),
        stopped_at=_seconds(row.get("stoppedAt")),
        exit_known=code == 0,
    )


def from_detail(job: Mapping[str, Any]) -> EndedJob:
    """A description of DescribeJobs: a plain job or a child, attempts and containers included."""
    containers = _containers(job)
    codes = [one.get("exitCode") for one in containers if one.get("essential", True)]
    wrong = [code for code in codes if code not in (0, None)]
    code = wrong[0] if wrong else (0 if codes and None not in codes else None)
    reasons = dict.fromkeys(one["reason"] for one in containers if one.get("reason"))
    return EndedJob(
        job_id=job["jobId"],
        succeeded=job["status"] == "SUCCEEDED",
        evidence=Evidence(
            status_reason=job.get("statusReason") or "",
            container_reason="; ".join(reasons),
            exit_code=code,
            terminated=bool(job.get("isTerminated") or job.get("isCancelled")),
        ),
        created_at=_seconds(job.get("createdAt")),
        started_at=_seconds(job.get("startedAt")),
        stopped_at=_seconds(job.get("stoppedAt")),
        attempts=tuple(
            _attempt(one, containers)
            for one in [*(job.get("attempts") or []), *(job.get("eksAttempts") or [])]
        ),
        exit_known=bool(codes) and all(one == 0 for one in codes),
    )


def _containers(job: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The job's containers.

    One for a container job, several for ecsProperties and eksProperties (where `container` is
    empty). Of a pod also its init containers, in the words of the other kinds.
    """
    pod = (job.get("eksProperties") or {}).get("podProperties") or {}
    if pod:
        listed = [*(pod.get("initContainers") or []), *(pod.get("containers") or [])]
        return [{**one, "environment": one.get("env") or []} for one in listed]
    tasks = (job.get("ecsProperties") or {}).get("taskProperties") or []
    several = [container for task in tasks for container in task.get("containers", [])]
    if several:
        return several
    return [job["container"]] if job.get("container") else []


def log_group(container: Mapping[str, Any]) -> str:
    """The CloudWatch group of a container's log; a definition may change it."""
    options = (container.get("logConfiguration") or {}).get("options") or {}
    return str(options.get("awslogs-group") or DEFAULT_LOG_GROUP)


def streams_of(job: Mapping[str, Any]) -> tuple[LogRef, ...]:
    """The log streams of the attempt that runs or ran last, one per container."""
    return tuple(
        LogRef(log_group(one), one["logStreamName"], one.get("name", ""))
        for one in _containers(job)
        if one.get("logStreamName")
    )


def stream_of(refs: Sequence[LogRef], container: str | None) -> LogRef | None:
    """The stream of a container by its name, else the first; None without any."""
    named = (ref for ref in refs if ref.container == container)
    return next(named, refs[0] if refs else None)


def _attempt(attempt: Mapping[str, Any], containers: Sequence[Mapping[str, Any]]) -> Attempt:
    groups = {one.get("name", ""): log_group(one) for one in containers}
    fallback = log_group(containers[0]) if containers else DEFAULT_LOG_GROUP
    parts = [
        container
        for task in attempt.get("taskProperties") or []
        for container in task.get("containers", [])
    ]
    # On EKS AWS Batch names no log streams: they are where the cluster sends them.
    parts += [*(attempt.get("initContainers") or []), *(attempt.get("containers") or [])]
    parts = parts or [attempt.get("container") or {}]
    codes = [part["exitCode"] for part in parts if part.get("exitCode") is not None]
    reasons = dict.fromkeys(part["reason"] for part in parts if part.get("reason"))
    return Attempt(
        started_at=_seconds(attempt.get("startedAt")),
        stopped_at=_seconds(attempt.get("stoppedAt")),
        exit_code=next((code for code in codes if code), codes[0] if codes else None),
        reason="; ".join(reasons),
        status_reason=attempt.get("statusReason") or "",
        pod="/".join(attempt[key] for key in ("podNamespace", "podName") if attempt.get(key)),
        logs=tuple(
            LogRef(
                groups.get(part.get("name", ""), fallback),
                part["logStreamName"],
                part.get("name", ""),
            )
            for part in parts
            if part.get("logStreamName")
        ),
    )


def environment_of(job: Mapping[str, Any]) -> dict[str, str]:
    """The environment variables of a described job, overrides included, over all its containers."""
    found: dict[str, str] = {}
    for container in _containers(job):
        for pair in container.get("environment") or []:
            found[pair["name"]] = pair.get("value", "")
    return found


def resources_of(job: Mapping[str, Any]) -> tuple[float, int, int]:
    """(vCPUs, MiB, GPUs) of a described job, over all its containers."""
    totals = [0.0, 0.0, 0.0]
    for container in _containers(job):
        totals = [sum(pair) for pair in zip(totals, _resources(container), strict=True)]
    return totals[0], int(totals[1]), int(totals[2])


def memory_of(job: Mapping[str, Any], container: str | None) -> int:
    """The memory (MiB) of the container that does the work."""
    containers = _containers(job)
    named = [one for one in containers if one.get("name") == container]
    return int(_resources((named or containers or [{}])[0])[1])


_POD_KINDS = {"VCPU": "cpu", "MEMORY": "memory", "GPU": "nvidia.com/gpu"}


def _resources(container: Mapping[str, Any]) -> tuple[float, float, float]:
    pod = container.get("resources") or {}
    amounts = {**(pod.get("requests") or {}), **(pod.get("limits") or {})}
    listed = {
        kind: float(amounts[name].removesuffix("Mi"))
        for kind, name in _POD_KINDS.items()
        if name in amounts
    }
    listed |= {
        one["type"]: float(one["value"]) for one in container.get("resourceRequirements") or []
    }
    return (
        listed.get("VCPU", float(container.get("vcpus") or 0)),
        listed.get("MEMORY", float(container.get("memory") or 0)),
        listed.get("GPU", 0.0),
    )


def to_result(task: int, row: EndedJob, *, console: Console, runs: int = 1) -> TaskResult:
    """The caller's view of a row. A success that no exit code proves is a failure."""
    evidence = row.evidence
    good = row.succeeded and row.exit_known and row.failure is None
    reason = evidence.text
    failure: FailureClass | None = None
    if not good:
        failure = row.cause
        if row.succeeded and not row.exit_known and row.failure is None:
            failure = FailureClass.UNKNOWN
            unproven = (
                "AWS Batch says SUCCEEDED, but an essential container has no exit code"
                if evidence.exit_code is None
                else f"AWS Batch says SUCCEEDED, but a container ended with {evidence.exit_code}"
            )
            reason = f"{unproven} ({reason})" if reason else unproven
        elif not reason and evidence.exit_code is None:
            reason = "AWS Batch gave neither a reason nor an exit code"
    logs = [ref for attempt in row.attempts for ref in attempt.logs]
    return TaskResult(
        task=task,
        state=TaskState.SUCCEEDED if good else TaskState.FAILED,
        failure=failure,
        reason=reason,
        exit_code=evidence.exit_code,
        attempts=row.attempts,
        job_id=row.job_id,
        job_url=console.job(row.job_id) if row.job_id else None,
        log_url=console.log(logs[-1].group, logs[-1].stream) if logs else None,
        queue_seconds=row.queue_seconds,
        run_seconds=row.run_seconds,
        runs=runs,
    )
