"""What a caller gets back of a job: how each task ended, and why.

Plain immutable values, no I/O, no Dagster.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from dagster_aws_batch._errors import DOCTOR

__all__ = ["ENDED", "Attempt", "FailureClass", "JobInfo", "LogRef", "TaskResult", "TaskState"]

#: The states of AWS Batch in which a job uses nothing any more.
ENDED = frozenset({"SUCCEEDED", "FAILED"})


class FailureClass(str, Enum):
    """Why a task failed. The raw words of AWS are always kept beside the class."""

    USER_CODE = "user code"
    OUT_OF_MEMORY = "out of memory"
    SPOT_EC2 = "EC2 host lost"
    SPOT_FARGATE = "Fargate Spot interruption"
    TIMEOUT = "timeout"
    IMAGE_PULL_AUTH = "image pull not permitted"
    IMAGE_PULL = "image pull failed"
    START = "container did not start"
    AGENT = "container agent or Docker"
    OVERRIDE_TOO_LONG = "overrides too long"
    UNSCHEDULABLE = "unschedulable"
    TERMINATED = "terminated by user"
    DEPENDENCY = "dependency failed"
    LOST = "lost"
    UNKNOWN = "unknown"

    @property
    def remedy(self) -> str:
        """One sentence: what the reader of the error can do about it."""
        return _REMEDIES[self]


_REMEDIES: Mapping[FailureClass, str] = {
    FailureClass.USER_CODE: ("The container's own program ended with an error: read its log."),
    FailureClass.OUT_OF_MEMORY: (
        "Raise memory_mib, or retries.memory_ceiling_mib so that it may grow."
    ),
    FailureClass.SPOT_EC2: (
        "The instance went away. Raise retries.host_loss, or name a retries.fallback_queue with "
        "on-demand capacity."
    ),
    FailureClass.SPOT_FARGATE: (
        "AWS took the Spot capacity back. Raise retries.host_loss, or name a "
        "retries.fallback_queue with on-demand capacity."
    ),
    FailureClass.TIMEOUT: "Raise timeout_seconds, or give each task less to do.",
    FailureClass.IMAGE_PULL_AUTH: (
        "Let the execution role (Fargate) or instance role (EC2) pull the image, and check that "
        "the repository and tag exist."
    ),
    FailureClass.IMAGE_PULL: (
        "Check the image's name and tag, and that the subnet reaches the registry."
    ),
    FailureClass.START: (
        "Check the execution role, the log group, secrets, volumes and the command of the job "
        f"definition; `{DOCTOR}` looks at the first two."
    ),
    FailureClass.AGENT: "Run again; if it comes back, look at the ECS agent of the named instance.",
    FailureClass.OVERRIDE_TOO_LONG: (
        "Shorten command and environment, or pass the data through Job.inputs or an object in S3."
    ),
    FailureClass.UNSCHEDULABLE: (
        "No compute environment of the queue can hold the job: compare its vCPUs, memory and GPUs "
        f"with the instance types; `{DOCTOR}` compares them."
    ),
    FailureClass.TERMINATED: "A person or a program ended the job; the reason given is shown.",
    FailureClass.DEPENDENCY: "A job that this one depends on failed: look at that one first.",
    FailureClass.LOST: (
        "AWS Batch no longer knows the job, or it ended without leaving its receipt; run it again "
        "(finished tasks are not repeated)."
    ),
    FailureClass.UNKNOWN: (
        "AWS gave no reason that is known; the raw words and the log are all there is."
    ),
}


class TaskState(str, Enum):
    """How a task ended."""

    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class LogRef:
    """One CloudWatch log stream of one container of one attempt."""

    group: str
    stream: str
    container: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One start of a container (or a failed try). Times are epoch seconds as AWS gave them.

    `pod`: namespace and name on EKS, by which the cluster's logs are found.
    """

    started_at: float | None = None
    stopped_at: float | None = None
    exit_code: int | None = None
    reason: str = ""
    status_reason: str = ""
    logs: tuple[LogRef, ...] = ()
    pod: str = ""

    @property
    def seconds(self) -> float:
        """How long it ran; 0 if it never did."""
        if self.started_at is None or self.stopped_at is None:
            return 0.0
        return max(0.0, self.stopped_at - self.started_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """The end of one task, with all that is known about it.

    `reason` is the raw text of AWS (status reason and container reason). `runs` counts the Batch
    jobs this client started for the task. Empty `log_tail`: not fetched (succeeded, or beyond the
    first ten failures) or not there; `note` says why.
    """

    task: int
    state: TaskState
    failure: FailureClass | None = None
    reason: str = ""
    exit_code: int | None = None
    attempts: tuple[Attempt, ...] = ()
    log_tail: tuple[str, ...] = ()
    job_id: str = ""
    job_url: str | None = None
    log_url: str | None = None
    queue_seconds: float | None = None
    run_seconds: float | None = None
    runs: int = 1
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether the task did its work."""
        return self.state is TaskState.SUCCEEDED


@dataclass(frozen=True, slots=True, kw_only=True)
class JobInfo:
    """One job in AWS Batch: a plain job, or an array with all its children.

    Attributes:
        job_id: AWS's id.
        name: Its name, by which it is found again.
        queue: The queue it was submitted to.
        status: AWS's state when it was last seen; "" if it never was.
        tasks: How many tasks it carries.
        children: How many of them were in which state.
        round: 0 for the first submission of its tasks, then 1, 2, ….
        resumed: Whether an earlier attempt of the run had submitted it.
        run_id: The Dagster run that its tags name; "" if not read.
        created_at: When it was made; None if not read.
        kept: Whether it is meant to outlive its run (`forward_termination=False`).
    """

    job_id: str
    name: str
    queue: str
    status: str
    tasks: int
    children: Mapping[str, int]
    round: int = 0
    resumed: bool = False
    run_id: str = ""
    created_at: datetime | None = None
    kept: bool = False

    @property
    def live(self) -> bool:
        """Whether it can still use resources."""
        return self.status not in ENDED
