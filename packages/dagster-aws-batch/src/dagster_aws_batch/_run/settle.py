"""From an ended job to one result per task: AWS's answers and the containers' receipts together.

The receipt decides where there is one to be had: a job without it has not succeeded, whatever AWS
says, and a task that left it is done although its host was lost a moment later.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from dagster_aws_batch._aws.answers import (
    EndedJob,
    Evidence,
    child_index,
    from_detail,
    from_summary,
    lacks_image,
    memory_of,
    resources_of,
    to_result,
)
from dagster_aws_batch._aws.fargate import fargate_memory
from dagster_aws_batch._aws.requests import attempts_of
from dagster_aws_batch._errors import BatchError
from dagster_aws_batch._results import FailureClass, TaskResult, TaskState
from dagster_aws_batch._run.retry import HOST, RetryBudget, RetryPlan
from dagster_aws_batch._run.state import Execution, SubmittedJob

__all__ = ["add_evidence", "settle", "settle_receipts"]

DESCRIBED_FAILURES = 100
LOGGED_FAILURES = 10
LIST_TRIES = 3
# What a receipt overrules: failures that can come after the work was done.
_AFTER_THE_WORK = HOST | {FailureClass.LOST, FailureClass.UNKNOWN, FailureClass.START}


def settle(
    execution: Execution, submitted: SubmittedJob, budget: RetryBudget
) -> dict[int, RetryPlan]:
    """Record the results of an ended job. Returns the tasks that should run again, and how."""
    rows = _ended_jobs(execution, submitted)
    receipts = read_receipts(execution, submitted.tasks)
    resources = resources_of(submitted.detail) if submitted.detail else (0.0, 0, 0)
    if budget.first_memory_mib is None and submitted.detail:
        budget.first_memory_mib = memory_of(submitted.detail, execution.job.container) or None
    if submitted.detail and "FARGATE" in submitted.detail.get("platformCapabilities", []):
        vcpus = resources[0]
        budget.sizes = lambda memory: fargate_memory(vcpus, memory)
    plans: dict[int, RetryPlan] = {}
    for task in submitted.tasks:
        result = _result_of(execution, task, rows[task], receipts)
        row = rows[task]
        execution.usage.add(row.run_seconds or 0.0, resources, wasted=not result.ok)
        execution.usage.add_attempts(row.attempts, resources)
        if row.queue_seconds is not None:
            execution.usage.queue_seconds.append(row.queue_seconds)
        known = execution.results.get(task)
        if known is None or not known.ok:
            execution.results[task] = result
        if result.failure is None or _reports_failure(receipts.get(task)):
            continue
        if lacks_image(result.failure, result.reason):
            continue  # neither now nor in a minute
        plan = budget.plan(
            task,
            result.failure,
            memory_mib=submitted.memory_mib,
            queue=submitted.queue,
            exit_code=result.exit_code,
            attempts=attempts_of(
                cast("Mapping[str, Any]", submitted.detail or {}),
                status_reason=row.evidence.status_reason,
                reason=row.evidence.container_reason,
            ),
        )
        if plan is not None:
            plans[task] = plan
    return plans


def read_receipts(execution: Execution, tasks: Collection[int]) -> Mapping[int, Any]:
    """Ask the caller's reader which of the tasks left a receipt; nothing without a reader."""
    if execution.receipts_of is None or not tasks:
        return {}
    # A reader may name every task that it was asked for, with None where there is no receipt.
    found = {
        task: receipt
        for task, receipt in execution.receipts_of(tasks).items()
        if receipt is not None
    }
    execution.receipts.update(found)
    return found


def settle_receipts(execution: Execution, tasks: Sequence[int]) -> list[int]:
    """Take tasks with a good receipt of an earlier attempt for done. Returns what is left."""
    found = read_receipts(execution, tasks)
    left = []
    for task in tasks:
        if task in found and not _reports_failure(found[task]):
            execution.results[task] = TaskResult(
                task=task,
                state=TaskState.SUCCEEDED,
                runs=0,
                note="its receipt was there already: not run again",
            )
        else:
            left.append(task)
    return left


def _reports_failure(receipt: Any) -> bool:
    return getattr(receipt, "exit_code", 0) != 0


def _result_of(
    execution: Execution, task: int, row: EndedJob, receipts: Mapping[int, Any]
) -> TaskResult:
    console, runs = execution.connection.console, execution.runs.get(task, 1)
    result = to_result(task, row, console=console, runs=runs)
    if execution.receipts_of is None:
        return result
    receipt = receipts.get(task)
    if receipt is None:
        if not row.succeeded:
            return result
        said = f" ({row.evidence.text})" if row.evidence.text else ""
        return replace(
            result,
            state=TaskState.FAILED,
            failure=FailureClass.LOST,
            reason=f"AWS Batch says SUCCEEDED, but the task left no receipt{said}",
        )
    if _reports_failure(receipt):
        return replace(
            result,
            state=TaskState.FAILED,
            failure=result.failure or FailureClass.USER_CODE,
            reason=result.reason or f"the receipt says exit code {receipt.exit_code}",
        )
    if result.ok:
        return result
    if row.succeeded or result.failure in _AFTER_THE_WORK:
        return replace(
            result,
            state=TaskState.SUCCEEDED,
            failure=None,
            note=f"AWS Batch reported a failure ({result.reason}), but the receipt says it is done",
        )
    return result


def _ended_jobs(execution: Execution, submitted: SubmittedJob) -> dict[int, EndedJob]:
    """One answer per task: where AWS no longer gives one, it is of class LOST."""
    found: dict[int, EndedJob] = {}
    if submitted.detail is not None and not submitted.lost:
        if submitted.is_array:
            found = _children(execution, submitted)
        else:
            found = {submitted.tasks[0]: from_detail(submitted.detail)}
    found = {task: _blocked(submitted, row) for task, row in found.items()}
    for task in submitted.tasks:
        if task not in found:
            found[task] = _unanswered(submitted)
    return found


def _blocked(submitted: SubmittedJob, row: EndedJob) -> EndedJob:
    if not submitted.blocked_reason or row.succeeded or row.started_at is not None:
        return row
    evidence = replace(row.evidence, status_reason=submitted.blocked_reason)
    return replace(row, evidence=evidence, failure=FailureClass.UNSCHEDULABLE)


def _unanswered(submitted: SubmittedJob) -> EndedJob:
    """A task without an answer of AWS: its array's own reason, if that failed before."""
    if (
        submitted.detail is not None
        and not submitted.lost
        and submitted.detail["status"] == "FAILED"
    ):
        parent = from_detail({**submitted.detail, "container": None})
        if parent.evidence.status_reason or parent.evidence.terminated:
            return _blocked(submitted, replace(parent, started_at=None, stopped_at=None))
    text = f"AWS Batch knows nothing (more) about this task of job {submitted.job_id}"
    return EndedJob(
        job_id=submitted.job_id,
        succeeded=False,
        evidence=Evidence(status_reason=text),
        failure=FailureClass.LOST,
    )


def _children(execution: Execution, submitted: SubmittedJob) -> dict[int, EndedJob]:
    assert submitted.detail is not None
    api, clock = execution.watch_api, execution.connection.clock
    found: dict[int, EndedJob] = {}
    for attempt in range(LIST_TRIES):
        for status in ("FAILED", "SUCCEEDED"):
            if not submitted.counts.get(status) and attempt == 0 and submitted.counts:
                continue
            for child in api.children(submitted.job_id, status):
                index = child_index(child)
                if 0 <= index < len(submitted.tasks):
                    found[submitted.tasks[index]] = from_summary(child)
        if len(found) == len(submitted.tasks):
            break
        # The counts of an array may run ahead of its listing.
        if attempt < LIST_TRIES - 1:
            clock.sleep(5.0)
    return _described(execution, found)


def _described(execution: Execution, rows: dict[int, EndedJob]) -> dict[int, EndedJob]:
    """Describe the children whose row says too little: no exit code, or no known cause."""
    doubtful = [
        task
        for task, row in rows.items()
        if (row.succeeded and not row.exit_known and row.evidence.exit_code is None)
        or (not row.succeeded and row.cause is FailureClass.UNKNOWN)
    ]
    if execution.receipts_of is not None:
        doubtful = [task for task in doubtful if not rows[task].succeeded][:DESCRIBED_FAILURES]
    details = execution.watch_api.describe([rows[task].job_id for task in doubtful])
    for task in doubtful:
        detail = details.get(rows[task].job_id)
        if detail is not None:
            rows[task] = from_detail(detail)
    return rows


def add_evidence(execution: Execution) -> None:
    """For the failures that stay: attempts of the first hundred, log tails of the first ten."""
    failed = [
        execution.results[task]
        for task in sorted(execution.results)
        if not execution.results[task].ok
    ]
    lacking = [one for one in failed[:DESCRIBED_FAILURES] if not one.attempts and one.job_id]
    try:
        details = execution.api.describe([one.job_id for one in lacking])
    except BatchError as error:
        execution.log.warning(f"{execution.job.name}: the attempts could not be read: {error}")
        details = {}
    for one in lacking:
        detail = details.get(one.job_id)
        if detail is None:
            continue
        row = from_detail(detail)
        full = to_result(one.task, row, console=execution.connection.console)
        execution.results[one.task] = replace(
            one,
            attempts=row.attempts,
            log_url=full.log_url,
            exit_code=one.exit_code if one.exit_code is not None else full.exit_code,
        )
    for one in failed[:LOGGED_FAILURES]:
        result = execution.results[one.task]
        lines, note = execution.connection.logs.tail(result.attempts)
        notes = "; ".join(text for text in (result.note, note) if text)
        execution.results[one.task] = replace(result, log_tail=lines, note=notes)
