"""The emulator's data: jobs, their specifications and attempts, queues and compute environments.

Plain values without behaviour beyond trivial look-ups; `engine` changes them, `describe` renders
them. Times are milliseconds since the epoch, as in AWS Batch's answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

Document = dict[str, Any]
"""A JSON object in the shape of botocore's service model."""


class Status(str, Enum):
    """The seven states of a job."""

    SUBMITTED = "SUBMITTED"
    PENDING = "PENDING"
    RUNNABLE = "RUNNABLE"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


def like(text: str, pattern: str) -> bool:
    """Whether the text is the pattern, or begins like it where that ends in `*`."""
    return text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern


FINAL = frozenset({Status.SUCCEEDED, Status.FAILED})
UNSTARTED = frozenset({Status.SUBMITTED, Status.PENDING, Status.RUNNABLE})
ACTIVE = frozenset({Status.STARTING, Status.RUNNING})


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitRule:
    """One rule of `retryStrategy.evaluateOnExit`; patterns may end in `*`, None matches all."""

    action: str
    on_status_reason: str | None = None
    on_reason: str | None = None
    on_exit_code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """One entry of `dependsOn`."""

    job_id: str | None
    type: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """What was submitted, resolved against its definition. All children of an array share one."""

    id: int
    name: str
    queue: str
    definition_arn: str
    containers: tuple[Document, ...]
    """The resolved container properties; several only for ecsProperties and eksProperties."""
    ecs: Document | None = None
    """The task properties less their containers, if the definition has ecsProperties."""
    eks: Document | None = None
    """The pod around its containers, if the definition has eksProperties."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    attempts: int = 1
    rules: tuple[ExitRule, ...] = ()
    retry: Document | None = None
    timeout_seconds: int | None = None
    depends_on: tuple[Dependency, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    propagate_tags: bool = False
    share_identifier: str | None = None
    scheduling_priority: int = 0
    platform: str = "EC2"
    vcpus: float = 1.0
    memory_mib: int = 512
    gpus: int = 0
    start_failure: str | None = None
    """Why a job that was accepted can't start, e.g. overrides over 8,192 characters."""

    @property
    def container(self) -> Document:
        """The only container, or the first one."""
        return self.containers[0]

    @property
    def several(self) -> bool:
        """Whether each container has an end of its own, even if there is only one."""
        return self.ecs is not None or self.eks is not None


HOST_LOST = "Host EC2 (instance {}) terminated."
OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"
NOT_STARTED = "Task failed to start"
EXITED = "Essential container in task exited"
TIMED_OUT = "Job attempt duration exceeded timeout"
DEPENDENCY_FAILED = "Dependent Job failed"
CHILD_FAILED = "Array Child Job failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How an attempt ended. No exit code: the container never ran or its host was lost."""

    exit_code: int | None
    reason: str | None = None
    status_reason: str = EXITED
    containers: tuple[Document, ...] = ()
    """For jobs of several containers, in their order: exitCode and reason of each, if any."""


LOST = Exit(exit_code=None, status_reason=HOST_LOST)
"""How an attempt ends whose real end is not known; the engine names the instance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One finished attempt."""

    task_id: str
    log_stream: str | None
    started_at: int | None
    stopped_at: int
    exit_code: int | None
    reason: str | None
    status_reason: str
    containers: tuple[Document, ...] = ()
    """For jobs of several containers: what DescribeJobs shows of each."""


@dataclass(slots=True, kw_only=True)
class RunningAttempt:
    """The attempt under way."""

    task_id: str
    number: int
    compute_environment: str
    instance_id: str
    log_stream: str | None = None
    handle: str | None = None
    """What the runner needs to find the attempt again after a restart, e.g. pid and start time."""
    started_at: int | None = None
    stopping: str | None = None
    """Set once the attempt is being ended: the status reason it will get."""
    override: Exit | None = None
    """How the attempt counts as ended, whatever the runner says (fault injection)."""
    final: bool = False
    """The attempt is not retried, whatever the strategy says."""


@dataclass(slots=True, kw_only=True, eq=False)
class Job:
    """A plain job, an array parent (`size`) or an array child (`parent`, `index`)."""

    id: str
    seq: int
    spec: JobSpec
    created_at: int
    status: Status = Status.SUBMITTED
    status_reason: str | None = None
    started_at: int | None = None
    stopped_at: int | None = None
    parent: Job | None = None
    index: int | None = None
    size: int | None = None
    children: list[Job] | None = None
    counts: dict[Status, int] | None = None
    counted_at: int | None = None
    attempts: tuple[Attempt, ...] = ()
    run: RunningAttempt | None = None
    waiting: int = 0
    """Dependencies not yet fulfilled."""
    cancelled: bool = False
    terminated: bool = False
    end_reason: str | None = None
    """The text given to Cancel or Terminate; it becomes the status reason."""
    lost: bool = False
    """Hidden from every answer (fault injection)."""
    tags: dict[str, str] | None = None
    """Tags after TagResource or UntagResource; None: as submitted."""

    @property
    def tags_now(self) -> Mapping[str, str]:
        """The job's tags."""
        return self.spec.tags if self.tags is None else self.tags

    @property
    def final(self) -> bool:
        """Whether the job has ended."""
        return self.status in FINAL


@dataclass(slots=True, kw_only=True)
class ComputeEnvironment:
    """A compute environment; `document` is what DescribeComputeEnvironments shows."""

    name: str
    document: Document
    used_vcpus: float = 0.0

    @property
    def max_vcpus(self) -> float | None:
        """The limit of `maxvCpus`; None for unmanaged environments."""
        resources = self.document.get("computeResources")
        return float(resources["maxvCpus"]) if resources else None

    @property
    def usable(self) -> bool:
        """Whether jobs may be placed here."""
        return (self.document["state"], self.document["status"]) == ("ENABLED", "VALID")


@dataclass(slots=True, kw_only=True)
class JobQueue:
    """A job queue; `document` is what DescribeJobQueues shows."""

    name: str
    document: Document

    @property
    def priority(self) -> int:
        """Queues with a higher value are served first."""
        return int(self.document["priority"])

    @property
    def fair_share(self) -> bool:
        """Whether a scheduling policy is attached, so that jobs need a share identifier."""
        return bool(self.document.get("schedulingPolicyArn"))
