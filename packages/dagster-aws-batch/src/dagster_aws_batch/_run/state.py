"""What one call of `execute` knows: its jobs and its progress. State only, no calls to AWS."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

from dagster_aws_batch._aws.answers import WAITING
from dagster_aws_batch._aws.calls import BatchApi
from dagster_aws_batch._aws.connect import Connection
from dagster_aws_batch._aws.names import ExecutionId
from dagster_aws_batch._aws.rates import RESUMING, persisting, watching
from dagster_aws_batch._errors import InvalidJobError
from dagster_aws_batch._job import Job, Retries
from dagster_aws_batch._results import JobInfo, TaskResult
from dagster_aws_batch._run.usage import Usage
from dagster_aws_batch._scratch import Scratch

if TYPE_CHECKING:
    from types_boto3_batch.type_defs import JobDetailTypeDef

__all__ = ["Execution", "Logger", "Options", "SubmittedJob"]

#: Between a job's own time limit and the moment by which it has certainly ended.
END_MARGIN_SECONDS = 3600.0

Logger = logging.Logger | logging.LoggerAdapter  # type: ignore[type-arg]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How the engine waits and when it acts. Seconds.

    `poll_seconds` grows to `poll_max_seconds` (twice that after an hour). A job that cannot start
    for `blocked_after_seconds` is reported with AWS's reason, and ended if `blocked_action` is
    "terminate".
    """

    poll_seconds: float = 5.0
    poll_max_seconds: float = 30.0
    blocked_after_seconds: float = 900.0
    blocked_action: Literal["warn", "terminate"] = "warn"
    forward_termination: bool = True

    def __post_init__(self) -> None:
        for name in ("poll_seconds", "poll_max_seconds", "blocked_after_seconds"):
            if not 0 < getattr(self, name) < float("inf"):
                raise InvalidJobError(f"{name} is {getattr(self, name)}; use seconds above 0")


@dataclass(slots=True, kw_only=True)
class SubmittedJob:
    """A job in AWS Batch and which tasks it carries: child i of the array is task `tasks[i]`."""

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
    resumed: bool = False
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

    @property
    def latest_end(self) -> float:
        """When its own time limit ends it at the latest; endless while tasks wait to start."""
        detail: Mapping[str, Any] = cast("Mapping[str, Any]", self.detail or {})
        limit = (detail.get("timeout") or {}).get("attemptDurationSeconds")
        if not limit or any(self.counts.get(state) for state in (*WAITING, "STARTING")):
            return float("inf")
        attempts = (detail.get("retryStrategy") or {}).get("attempts") or 1
        return self.moved_at + float(limit * attempts)

    def info(self) -> JobInfo:
        """The job as users see it."""
        return JobInfo(
            job_id=self.job_id,
            name=self.name,
            queue=self.queue,
            status=self.detail["status"] if self.detail is not None else "",
            tasks=len(self.tasks),
            children=dict(self.counts),
            round=self.round,
            resumed=self.resumed,
        )


@dataclass(slots=True, kw_only=True)
class Execution:
    """Everything one call of `execute` knows; submit, watch, settle and cancel work on it."""

    connection: Connection
    id: ExecutionId
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
    jobs: list[SubmittedJob] = field(default_factory=list)
    results: dict[int, TaskResult] = field(default_factory=dict)
    receipts: dict[int, Any] = field(default_factory=dict)
    runs: dict[int, int] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    next_round: int = 0
    # Name and queue of a job whose SubmitJob is under way.
    submitting: tuple[str, str] | None = None
    # Submissions noted in the scratch place by an earlier attempt, by job name.
    noted: frozenset[str] = frozenset()
    closed: bool = False
    # Jobs that are to end although the execution goes on, and why.
    to_end: dict[str, str] = field(default_factory=dict)
    # Tasks whose logs are followed; None: that of a job of one task.
    follow: frozenset[int] | None = frozenset()
    log_tokens: dict[str, str | None] = field(default_factory=dict)
    # Called at each poll of a job of one task, also the last, with its description.
    on_poll: Callable[[Mapping[str, Any]], None] | None = None
    finished_at: float | None = None

    @property
    def api(self) -> BatchApi:
        """For calls that begin something: given up soon while nothing runs yet, else in an hour."""
        api = self.connection.api
        if self.jobs:
            return api.with_patience(persisting(self._report))
        return api.with_patience(RESUMING) if self.resumed else api

    @property
    def watch_api(self) -> BatchApi:
        """For looks at jobs: a failed one is repeated as long as they may live, and an hour."""
        now = self.connection.clock.now()
        deadline = max((one.latest_end for one in self.active), default=now) + END_MARGIN_SECONDS
        return self.connection.api.with_patience(watching(self._report, deadline))

    def _report(self, text: str) -> None:
        self.log.warning(f"{self.job.name}: {text}")

    @property
    def retries(self) -> Retries:
        """The job's retries, or the defaults."""
        return self.job.retries or Retries()

    @property
    def queues(self) -> tuple[str, ...]:
        """The queues its jobs can be in."""
        fallback = self.retries.fallback_queue
        return (self.queue, fallback) if fallback and fallback != self.queue else (self.queue,)

    @property
    def active(self) -> list[SubmittedJob]:
        """Jobs that have not been seen to end."""
        return [submitted for submitted in self.jobs if not submitted.ended]

    @property
    def unclear(self) -> list[tuple[str, str]]:
        """Name and queue of submissions of which a (second) job may turn up in the listing."""
        found = [(one.name, one.queue) for one in self.active if one.unsure]
        return [*found, self.submitting] if self.submitting else found
