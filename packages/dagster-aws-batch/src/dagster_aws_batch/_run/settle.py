"""From an ended job to one result a task: AWS's rows and the receipts of the containers,
reconciled.

The receipt decides where there is one to be had: a job without it has not succeeded, whatever AWS
says, and a
task that left it is done although its host was lost a moment later.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dagster_aws_batch._aws.answers import (
    Row,
    child_index,
    from_detail,
    from_summary,
    resources_of,
    to_result,
)
from dagster_aws_batch._job import (
    FailureClass,
    TaskResult,
    TaskState,
)
from dagster_aws_batch._run.classify import Evidence
from dagster_aws_batch._run.retry import (
    HOST,
    Again,
    RetryBook,
)
from dagster_aws_batch._run.state import (
    Stage,
    Unit,
)

__all__ = ["add_evidence", "settle", "settle_receipts"]

DESCRIBED_FAILURES = 100
LOGGED_FAILURES = 10
LIST_TRIES = 3
# What a receipt overrules: failures that can strike after the work was done.
_AFTER_THE_WORK = HOST | {FailureClass.LOST, FailureClass.UNKNOWN, FailureClass.START}


def settle(stage: Stage, unit: Unit, book: RetryBook) -> dict[int, Again]:
    """Record the results of an ended job. Returns the tasks that should run again, and how."""
    rows = _rows(stage, unit)
    receipts = read_receipts(stage, unit.tasks)
    resources = resources_of(unit.detail) if unit.detail else (0.0, 0, 0)
    if book.first_memory_mib is None and resources[1]:
        book.first_memory_mib = resources[1]
    again: dict[int, Again] = {}
    for task in unit.tasks:
        result = _judge(stage, task, rows[task], receipts)
        row = rows[task]
        stage.usage.add(row.run_seconds or 0.0, resources, wasted=not result.ok)
        stage.usage.add_attempts(row.attempts, resources)
        if row.queue_seconds is not None:
            stage.usage.queue_seconds.append(row.queue_seconds)
        known = stage.results.get(task)
        if known is None or not known.ok:
            stage.results[task] = result
        if result.failure is None or _said_no(receipts.get(task)):
            continue
        how = book.again(
            task,
            result.failure,
            memory_mib=unit.memory_mib,
            queue=unit.queue,
            exit_code=result.exit_code,
        )
        if how is not None:
            again[task] = how
    return again


def read_receipts(stage: Stage, tasks: Collection[int]) -> Mapping[int, Any]:
    """Ask the caller's reader which of the tasks left a receipt; nothing without a reader."""
    if stage.receipts_of is None or not tasks:
        return {}
    found = dict(stage.receipts_of(tasks))
    stage.receipts.update(found)
    return found


def settle_receipts(stage: Stage, tasks: Sequence[int]) -> list[int]:
    """Tasks done by an earlier life of this stage whose jobs AWS has forgotten. Returns what is
    left to do.
    """
    found = read_receipts(stage, tasks)
    left = []
    for task in tasks:
        if task in found and not _said_no(found[task]):
            stage.results[task] = TaskResult(
                task=task,
                state=TaskState.SUCCEEDED,
                runs=0,
                note="its receipt was there already: not run again",
            )
        else:
            left.append(task)
    return left


def _said_no(receipt: Any) -> bool:
    return receipt is not None and getattr(receipt, "exit_code", 0) != 0


def _judge(stage: Stage, task: int, row: Row, receipts: Mapping[int, Any]) -> TaskResult:
    console, runs = stage.connection.console, stage.runs.get(task, 1)
    result = to_result(task, row, console=console, runs=runs)
    if stage.receipts_of is None:
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
    if _said_no(receipt):
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


def _rows(stage: Stage, unit: Unit) -> dict[int, Row]:
    """One row a task, whatever happens: what AWS no longer tells becomes a row of class LOST."""
    found: dict[int, Row] = {}
    if unit.detail is not None and not unit.lost:
        if unit.is_array:
            found = _children(stage, unit)
        else:
            found = {unit.tasks[0]: from_detail(unit.detail)}
    found = {task: _blocked(unit, row) for task, row in found.items()}
    for task in unit.tasks:
        if task not in found:
            found[task] = _untold(unit)
    return found


def _blocked(unit: Unit, row: Row) -> Row:
    if not unit.blocked_reason or row.succeeded or row.started_at is not None:
        return row
    evidence = replace(row.evidence, status_reason=unit.blocked_reason)
    return replace(row, evidence=evidence, failure=FailureClass.UNSCHEDULABLE)


def _untold(unit: Unit) -> Row:
    """A task about which no row exists: the parent's own reason, if it failed before it had
    children.
    """
    if unit.detail is not None and not unit.lost and unit.detail["status"] == "FAILED":
        parent = from_detail({**unit.detail, "container": None})
        if parent.evidence.status_reason or parent.evidence.terminated:
            return _blocked(unit, replace(parent, started_at=None, stopped_at=None))
    text = f"AWS Batch knows nothing (more) about this task of job {unit.job_id}"
    return Row(
        job_id=unit.job_id,
        succeeded=False,
        evidence=Evidence(status_reason=text),
        failure=FailureClass.LOST,
    )


def _children(stage: Stage, unit: Unit) -> dict[int, Row]:
    assert unit.detail is not None
    api, clock = stage.connection.api, stage.connection.clock
    found: dict[int, Row] = {}
    for attempt in range(LIST_TRIES):
        for status in ("FAILED", "SUCCEEDED"):
            if not unit.counts.get(status) and attempt == 0 and unit.counts:
                continue
            for child in api.children(unit.job_id, status):
                index = child_index(child)
                if 0 <= index < len(unit.tasks):
                    found[unit.tasks[index]] = from_summary(child)
        if len(found) == len(unit.tasks):
            break
        # The counts of an array may run ahead of its listing.
        if attempt < LIST_TRIES - 1:
            clock.sleep(5.0)
    return _ask_again(stage, found)


def _ask_again(stage: Stage, rows: dict[int, Row]) -> dict[int, Row]:
    """Describe the children whose row does not tell enough: no exit code, or a cause that is not
    known.
    """
    doubtful = [
        task
        for task, row in rows.items()
        if (row.succeeded and not row.exit_known and row.evidence.exit_code is None)
        or (not row.succeeded and row.cause is FailureClass.UNKNOWN)
    ]
    if stage.receipts_of is not None:
        doubtful = [task for task in doubtful if not rows[task].succeeded][:DESCRIBED_FAILURES]
    details = stage.connection.api.describe([rows[task].job_id for task in doubtful])
    for task in doubtful:
        detail = details.get(rows[task].job_id)
        if detail is not None:
            rows[task] = from_detail(detail)
    return rows


def add_evidence(stage: Stage) -> None:
    """For the failures that stay: all attempts of the first hundred, the log tail of the first
    ten.
    """
    failed = [stage.results[task] for task in sorted(stage.results) if not stage.results[task].ok]
    lacking = [one for one in failed[:DESCRIBED_FAILURES] if not one.attempts and one.job_id]
    details = stage.connection.api.describe([one.job_id for one in lacking])
    for one in lacking:
        detail = details.get(one.job_id)
        if detail is None:
            continue
        row = from_detail(detail)
        full = to_result(one.task, row, console=stage.connection.console)
        stage.results[one.task] = replace(
            one,
            attempts=row.attempts,
            log_url=full.log_url,
            exit_code=one.exit_code if one.exit_code is not None else full.exit_code,
        )
    for one in failed[:LOGGED_FAILURES]:
        result = stage.results[one.task]
        lines, note = stage.connection.logs.tail(result.attempts)
        notes = "; ".join(text for text in (result.note, note) if text)
        stage.results[one.task] = replace(result, log_tail=lines, note=notes)
