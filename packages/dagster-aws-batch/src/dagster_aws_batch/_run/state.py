"""One Batch job of a stage, plain or array, as the engine follows it, and the stage it belongs to.
State only, no calls.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from dagster_aws_batch._aws.connect import Connection
from dagster_aws_batch._aws.names import StageId
from dagster_aws_batch._job import (
    Job,
    JobDefinition,
    TaskResult,
)
from dagster_aws_batch._run.usage import Usage
from dagster_aws_batch._scratch import Scratch

if TYPE_CHECKING:
    from types_boto3_batch.type_defs import JobDetailTypeDef

__all__ = ["ENDED", "JobSeen", "Options", "Stage", "Unit"]

ENDED = frozenset({"SUCCEEDED", "FAILED"})
Logger = logging.Logger | logging.LoggerAdapter  # type: ignore[type-arg]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How the engine waits and when it acts. Seconds.

    `poll_seconds` grows to `poll_max_seconds` (twice that after an hour). A job that AWS does not
    know is waited for `missing_grace`, then three more looks decide. A job that cannot start for
    `blocked_after` is reported with AWS's reason, and ended if `blocked_action` is "terminate".
    """

    poll_seconds: float = 5.0
    poll_max_seconds: float = 30.0
    missing_grace: float = 60.0
    missing_polls: int = 3
    blocked_after: float = 900.0
    blocked_action: Literal["warn", "terminate"] = "warn"
    failures_every: float = 55.0
    progress_every: float = 30.0
    cancel_seconds: float = 30.0
    lookup_waits: tuple[float, ...] = (2.0, 4.0, 8.0)
    forward_termination: bool = True


@dataclass(slots=True, kw_only=True)
class Unit:
    """One submitted job and which tasks it carries: child i of the array is task `tasks[i]`."""

    name: str
    token: str
    tasks: tuple[int, ...]
    queue: str
    round: int
    memory_mib: int | None = None
    job_id: str = ""
    submitted_at: float = 0.0
    # Another job of the same name may still turn up: an answer to SubmitJob was lost.
    unsure: bool = False
    rechecks: int = 0
    adopted: bool = False
    detail: JobDetailTypeDef | None = None
    lost: bool = False
    ended: bool = False
    missing: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    failed_listed: int = 0
    failed_listed_at: float = float("-inf")
    named: set[int] = field(default_factory=set)
    moved_at: float = 0.0
    warned_at: float = float("-inf")
    blocked_reason: str = ""

    @property
    def is_array(self) -> bool:
        """Whether its tasks are children."""
        return len(self.tasks) > 1


@dataclass(frozen=True, slots=True)
class JobSeen:
    """A job that the stage started or found, for people: id, name, how many tasks, adopted or
    submitted.
    """

    job_id: str
    name: str
    tasks: int
    round: int
    adopted: bool
    queue: str


@dataclass(slots=True, kw_only=True)
class Stage:
    """Everything one call of `run_stage` knows; its parts (submit, watch, settle, cancel) work on
    it.
    """

    connection: Connection
    id: StageId
    job: Job
    queue: str
    total: int
    tags: Mapping[str, str]
    options: Options
    log: Logger
    scratch: Scratch | None = None
    receipts_of: Callable[[Collection[int]], Mapping[int, Any]] | None = None
    while_waiting: Callable[[float], None] | None = None
    # A run that goes on with the work of an earlier one: jobs are expected to be there.
    resumed: bool = False
    inputs_uri: str | None = None
    units: list[Unit] = field(default_factory=list)
    results: dict[int, TaskResult] = field(default_factory=dict)
    receipts: dict[int, Any] = field(default_factory=dict)
    runs: dict[int, int] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    next_round: int = 0
    submitting: str = ""
    # Submissions noted in the scratch place by an earlier life, by job name.
    noted: frozenset[str] = frozenset()
    closed: bool = False

    @property
    def queues(self) -> tuple[str, ...]:
        """The queues its jobs can be in."""
        fallback = self.job.retries.fallback_queue
        return (self.queue, fallback) if fallback and fallback != self.queue else (self.queue,)

    @property
    def active(self) -> list[Unit]:
        """Jobs that have not been seen to end."""
        return [unit for unit in self.units if not unit.ended]

    @property
    def memory_step(self) -> int:
        """In what steps memory is to be had, MiB."""
        definition = self.job.definition
        fargate = isinstance(definition, JobDefinition) and definition.platform == "FARGATE"
        return 1024 if fargate else 1

    @property
    def first_memory_mib(self) -> int | None:
        """What the tasks start with, as far as the job says."""
        if self.job.memory_mib is not None:
            return self.job.memory_mib
        if isinstance(self.job.definition, JobDefinition):
            return self.job.definition.memory_mib
        return None
