"""What `BatchJobs.run` gives back: results, figures, metadata for Dagster, and one exception."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from functools import cached_property
from typing import Any, Generic, TypeVar

import dagster as dg

from dagster_aws_batch._aws.console import Console
from dagster_aws_batch._errors import InvalidJobError
from dagster_aws_batch._job import Price
from dagster_aws_batch._results import FailureClass, JobInfo, TaskResult
from dagster_aws_batch._run.retry import KILLED
from dagster_aws_batch._run.run import ExecutionResult
from dagster_aws_batch._run.usage import Usage

__all__ = ["Outcome"]

R = TypeVar("R")

SHOWN_FAILURES = 10
SHOWN_TAIL = 30
# An event of Dagster that is too large is refused or can't be shown: what a failure holds is
# bounded, all in all to less than 256 kB in description and metadata; the rest is in the log.
SHOWN_LINE = 400
SHOWN_REASON = 1_000
_FIRST_REASON = 200
TAIL_CHARACTERS = 6_000
# Numbers of `Outcome.metadata` that are worth a plot whatever the job.
_PLOTTED = ("batch/seconds", "batch/cost_")
# No retry of Dagster can change these.
HOPELESS = frozenset({FailureClass.IMAGE_PULL_AUTH, FailureClass.OVERRIDE_TOO_LONG})


class Outcome(Generic[R]):
    """What came of `BatchJobs.run`: one `TaskResult` per task, the receipts, and Dagster's view."""

    def __init__(self, result: ExecutionResult, console: Console, price: Price | None = None):
        self._result = result
        self._console = console
        self.price = price or Price()

    @property
    def jobs(self) -> tuple[JobInfo, ...]:
        """The AWS Batch jobs that carried the tasks, also those of an earlier attempt."""
        return self._result.jobs

    @property
    def seconds(self) -> float:
        """How long the call took."""
        return self._result.seconds

    @property
    def usage(self) -> Usage:
        """Seconds, vCPU-hours and waste, from AWS's times."""
        return self._result.usage

    @property
    def tasks(self) -> tuple[TaskResult, ...]:
        """All results; `tasks[i]` is task i."""
        return self._result.tasks

    @property
    def receipts(self) -> Mapping[int, R]:
        """The receipts that the reader found, by task; empty without a reader."""
        return self._result.receipts

    @cached_property
    def succeeded(self) -> tuple[TaskResult, ...]:
        """The tasks that did their work."""
        return tuple(task for task in self.tasks if task.ok)

    @cached_property
    def failed(self) -> tuple[TaskResult, ...]:
        """The tasks that did not."""
        return tuple(task for task in self.tasks if not task.ok)

    def metadata(self, *, plots: bool = True) -> dict[str, Any]:
        """Metadata for a materialization or a failure; all keys begin with `batch/`.

        Args:
            plots: Dagster plots each number over time. False: only seconds and costs; the other
                numbers are the table `batch/figures`.
        """
        result, usage = self._result, self.usage
        found: dict[str, Any] = {
            "batch/tasks": len(self.tasks),
            "batch/succeeded": len(self.succeeded),
            "batch/failed": len(self.failed),
            "batch/seconds": round(result.seconds, 1),
            "batch/rounds": result.rounds,
            "batch/api_calls": sum(result.calls.values()),
        }
        if result.jobs:
            first = self._console.job(result.jobs[0].job_id)
            found["batch/job"] = dg.MetadataValue.url(first) if first else result.jobs[0].job_id
            found["batch/jobs"] = dg.MetadataValue.md(self._jobs_table())
            found["batch/queue_seconds_median"] = round(usage.median_queue_seconds, 1)
            found["batch/queue_seconds_longest"] = round(usage.longest_queue_seconds, 1)
            found["batch/run_seconds"] = round(usage.run_seconds, 1)
            found["batch/vcpu_hours"] = round(usage.vcpu_seconds / 3600, 4)
            found["batch/gib_hours"] = round(usage.gib_seconds / 3600, 4)
            found["batch/wasted_vcpu_hours"] = round(usage.wasted_vcpu_seconds / 3600, 4)
        if usage.gpu_seconds:
            found["batch/gpu_hours"] = round(usage.gpu_seconds / 3600, 4)
        if self.price != Price(currency=self.price.currency):
            unit = self.price.currency.lower()
            found[f"batch/cost_estimate_{unit}"] = round(usage.cost(self.price), 4)
            found[f"batch/cost_wasted_{unit}"] = round(usage.wasted_cost(self.price), 4)
        if self.failed:
            found["batch/failures"] = dg.MetadataValue.md(self._failures_table())
        return found if plots else _in_a_table(found)

    def raise_for_failure(self, *, minimum_success: float = 1.0) -> None:
        """Raise `dagster.Failure` unless at least this share of the tasks succeeded.

        It carries what a person needs: how many failed of what, the raw reasons, exit codes,
        attempts, log tails, links and what to do.

        Args:
            minimum_success: The share, 0 to 1.

        Raises:
            dagster.Failure: Fewer tasks succeeded.
            InvalidJobError: `minimum_success` is not from 0 to 1.
        """
        if not 0 <= minimum_success <= 1:
            raise InvalidJobError(f"minimum_success is {minimum_success}; use 0 to 1 (1 is all)")
        if not self.failed or len(self.succeeded) >= minimum_success * len(self.tasks):
            return
        causes = {task.failure for task in self.failed}
        raise dg.Failure(
            description=self.explain(),
            metadata=self.failure_metadata(),
            allow_retries=not causes <= HOPELESS,
        )

    def failure_metadata(self) -> dict[str, Any]:
        """The metadata of a failure, for a `dagster.Failure` of one's own.

        `metadata()`, and of the first failure class, reason, exit code, job and log, and the log
        tails of the first failures, bounded in size.
        """
        metadata = self.metadata()
        if not self.failed:
            return metadata
        first = self.failed[0]
        metadata["batch/failure_class"] = first.failure.value if first.failure else "unknown"
        metadata["batch/reason"] = _shorter(first.reason, SHOWN_REASON)
        if first.exit_code is not None:
            metadata["batch/exit_code"] = first.exit_code
        metadata["batch/failed_job"] = (
            dg.MetadataValue.url(first.job_url) if first.job_url else first.job_id
        )
        if first.log_url:
            metadata["batch/log"] = dg.MetadataValue.url(first.log_url)
        for task in self.failed[:SHOWN_FAILURES]:
            if task.log_tail:
                text = _bounded(task.log_tail)
                metadata[f"batch/log_tail_task_{task.task}"] = dg.MetadataValue.md(
                    f"```text\n{text.replace('```', '` ` `')}\n```"
                )
        return metadata

    def explain(self) -> str:
        """The failures in words, for a log or an exception."""
        by_class = Counter(task.failure or FailureClass.UNKNOWN for task in self.failed)
        causes = ", ".join(
            f"{number:,} × {cause.value}" for cause, number in by_class.most_common()
        )
        lines = [
            f"{self._result.name}: {len(self.failed):,} of {len(self.tasks):,} task(s) failed on "
            f"AWS Batch: {causes}.{_first_reason(self.failed)}"
        ]
        lines += [f"{cause.value}: {cause.remedy}" for cause in by_class]
        ends = {(task.failure, task.exit_code) for task in self.failed}
        if (FailureClass.USER_CODE, KILLED) in ends:
            lines.append("Exit code 137 is SIGKILL: often too little memory.")
        for task in self.failed[:SHOWN_FAILURES]:
            lines.append(_paragraph(task))
        if len(self.failed) > SHOWN_FAILURES:
            rest = [str(task.task) for task in self.failed[SHOWN_FAILURES : SHOWN_FAILURES + 50]]
            more = " …" if len(self.failed) > SHOWN_FAILURES + 50 else ""
            lines.append(f"also failed: tasks {', '.join(rest)}{more}")
        return "\n".join(lines)

    def _jobs_table(self) -> str:
        lines = ["| job | tasks | round | queue | |", "|---|---:|---:|---|---|"]
        for job in self._result.jobs[:50]:
            how = "found again" if job.resumed else "submitted"
            url = self._console.job(job.job_id)
            link = f"[{job.name}]({url})" if url else f"{job.name} `{job.job_id}`"
            lines.append(f"| {link} | {job.tasks:,} | {job.round + 1} | {job.queue} | {how} |")
        return "\n".join(lines)

    def _failures_table(self) -> str:
        lines = [
            "| task | class | exit | reason | attempts | job | log |",
            "|---:|---|---:|---|---:|---|---|",
        ]
        for task in self.failed[:100]:
            code = "" if task.exit_code is None else str(task.exit_code)
            job = f"[job]({task.job_url})" if task.job_url else task.job_id
            log = f"[log]({task.log_url})" if task.log_url else ""
            cause = task.failure.value if task.failure else ""
            reason = _shorter(task.reason, 200).replace("|", "\\|").replace("\n", " ")
            tries = max(task.runs, len(task.attempts))
            lines.append(f"| {task.task} | {cause} | {code} | {reason} | {tries} | {job} | {log} |")
        return "\n".join(lines)


def _in_a_table(metadata: Mapping[str, Any]) -> dict[str, Any]:
    lines, kept = ["| figure | value |", "|---|---:|"], {}
    for name, value in metadata.items():
        if isinstance(value, int | float) and not name.startswith(_PLOTTED):
            lines.append(f"| {name.removeprefix('batch/').replace('_', ' ')} | {value:,} |")
        else:
            kept[name] = value
    return kept | {"batch/figures": dg.MetadataValue.md("\n".join(lines))}


def _first_reason(failed: Sequence[TaskResult]) -> str:
    """What lists of runs, alerts and step errors show of it is the first line."""
    if not failed or not failed[0].reason:
        return ""
    reason = " ".join(failed[0].reason.split())
    return f" Task {failed[0].task}: {_shorter(reason, _FIRST_REASON)}"


def _paragraph(task: TaskResult) -> str:
    code = "no exit code" if task.exit_code is None else f"exit code {task.exit_code}"
    cause = task.failure.value if task.failure else "unknown"
    reason = _shorter(task.reason, SHOWN_REASON) or "no reason given"
    lines = [f"task {task.task}: {cause}, {code}: {reason}"]
    for number, attempt in enumerate(task.attempts, 1):
        reasons = ": ".join(text for text in (attempt.status_reason, attempt.reason) if text)
        reasons = _shorter(reasons, SHOWN_REASON // 5)
        code = "-" if attempt.exit_code is None else str(attempt.exit_code)
        when = ""
        if attempt.started_at is not None:
            start = datetime.fromtimestamp(attempt.started_at, timezone.utc)
            when = f"{start:%Y-%m-%d %H:%M:%S}Z, {attempt.seconds:.0f} s, "
        pod = f" (pod {attempt.pod})" if attempt.pod else ""
        lines.append(f"  attempt {number}: {when}exit {code} {reasons}".rstrip() + pod)
    if task.job_id:
        lines.append(f"  job: {task.job_url or task.job_id}")
    if task.log_url:
        lines.append(f"  log: {task.log_url}")
    if task.note:
        lines.append(f"  note: {task.note}")
    tail = _bounded(task.log_tail[-SHOWN_TAIL:], TAIL_CHARACTERS // 4)
    lines += [f"  | {line}" for line in tail.split("\n") if tail]
    return "\n".join(lines)


def _shorter(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _bounded(lines: Sequence[str], limit: int = TAIL_CHARACTERS) -> str:
    """The last lines of a log, each and all of them bounded."""
    kept: list[str] = []
    size = 0
    for line in reversed(lines):
        short = _shorter(line, SHOWN_LINE)
        # As it is stored: a sign outside ASCII takes six or twelve.
        size += len(json.dumps(short))
        if size > limit and not kept:
            return _shorter(line, limit // 12)
        if size > limit:
            kept.append("… (more in the log)")
            break
        kept.append(short)
    return "\n".join(reversed(kept))
