"""Finding the jobs that an earlier attempt left, live and ended, by their deterministic names.

So nothing is done twice. Used when an execution begins.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dagster_aws_batch._aws.answers import environment_of, memory_of
from dagster_aws_batch._aws.names import parse_ranges, round_of
from dagster_aws_batch._errors import InvalidJobError
from dagster_aws_batch._results import ENDED
from dagster_aws_batch._run.cancel import end_beside
from dagster_aws_batch._run.state import Execution, SubmittedJob
from dagster_aws_batch._run.submit import LOOKUP_WAITS, end_duplicates
from dagster_aws_batch._run.watch import counts_of

if TYPE_CHECKING:
    from types_boto3_batch.type_defs import JobDetailTypeDef, JobSummaryTypeDef

__all__ = ["resume"]


def resume(execution: Execution) -> list[SubmittedJob]:
    """Take over the jobs of this execution that AWS Batch still knows. Returns the ended ones.

    One listing by name and one description; a few listings more if a submission was noted in the
    scratch place and its job is not listed yet.
    """
    notes = _notes(execution)
    execution.noted = frozenset(notes)
    rows = _listed(execution, set(notes))
    if not rows:
        return []
    oldest = end_duplicates(execution, rows)
    details = execution.api.describe([row["jobId"] for row in oldest])
    for row in oldest:
        name = row["jobName"]
        execution.next_round = max(execution.next_round, round_of(name) + 1)
        detail = details.get(row["jobId"])
        if detail is None:
            continue
        tasks = _tasks(execution, detail, notes.get(name, {}))
        if tasks:
            _take_over(execution, row, detail, tasks)
        elif detail["status"] not in ENDED:
            execution.log.warning(
                f"{execution.job.name}: job {row['jobId']} does not say its tasks: it is ended"
            )
            end_beside(execution, {row["jobId"]: "tasks not known any more"})
    execution.jobs.sort(key=lambda submitted: (submitted.round, submitted.name))
    ended = [submitted for submitted in execution.jobs if submitted.ended]
    if execution.jobs:
        execution.log.info(
            f"{execution.job.name}: found {len(execution.jobs)} AWS Batch job(s) of an earlier "
            f"attempt, {len(execution.jobs) - len(ended)} of them still live: continuing with them"
        )
    return ended


def _take_over(
    execution: Execution, row: JobSummaryTypeDef, detail: JobDetailTypeDef, tasks: tuple[int, ...]
) -> None:
    now = execution.connection.clock.now()
    submitted = SubmittedJob(
        name=row["jobName"],
        token=environment_of(detail).get("BATCH_SUBMISSION", ""),
        tasks=tasks,
        queue=_queue_name(execution, detail),
        round=round_of(row["jobName"]),
        memory_mib=memory_of(detail, execution.job.container) or execution.job.memory_mib,
        job_id=row["jobId"],
        submitted_at=now,
        moved_at=now,
        resumed=True,
        detail=detail,
        ended=detail["status"] in ENDED,
    )
    submitted.counts = counts_of(submitted)
    execution.jobs.append(submitted)
    for task in tasks:
        execution.runs[task] = execution.runs.get(task, 0) + 1


def _queue_name(execution: Execution, detail: JobDetailTypeDef) -> str:
    arn = detail.get("jobQueue", "")
    matches = [queue for queue in execution.queues if arn == queue or arn.endswith(f"/{queue}")]
    return matches[0] if matches else execution.queue


def _notes(execution: Execution) -> dict[str, dict[str, Any]]:
    """The submissions noted in the scratch place, by job name."""
    if execution.scratch is None:
        return {}
    found: dict[str, dict[str, Any]] = {}
    for name in execution.scratch.names(execution.id.stem):
        job, _, kind = name.rpartition("/")
        if kind == "submit":
            found[job] = json.loads(execution.scratch.get(name) or b"{}")
            execution.next_round = max(execution.next_round, round_of(job))
    return found


def _listed(execution: Execution, noted: set[str]) -> list[JobSummaryTypeDef]:
    """All jobs of the execution; waits a little for those that are noted but not listed yet."""
    rows: list[JobSummaryTypeDef] = []
    for wait in (0.0, *LOOKUP_WAITS[:2]):
        execution.connection.clock.sleep(wait)
        rows = [
            row
            for queue in execution.queues
            for row in execution.api.by_name(queue, f"{execution.id.stem}*")
        ]
        missing = noted - {row["jobName"] for row in rows}
        if not missing and (rows or not execution.resumed):
            break
    return rows


def _tasks(
    execution: Execution, detail: JobDetailTypeDef, note: Mapping[str, Any]
) -> tuple[int, ...]:
    """Which tasks a job carries.

    By its environment, the scratch place, or its submission's note.
    """
    text = environment_of(detail).get("BATCH_TASKS", "")
    if text.startswith("@"):
        token = environment_of(detail).get("BATCH_SUBMISSION", "")
        name = f"{detail['jobName']}/tasks-{token}"
        data = execution.scratch.get(name) if execution.scratch else None
        text = data.decode() if data is not None else ""
    text = text or str(note.get("tasks", ""))
    try:
        tasks = parse_ranges(text)
    except InvalidJobError:
        return ()
    size = detail.get("arrayProperties", {}).get("size", 1)
    return tasks if len(tasks) == size else ()
