"""Finding the work of an earlier life of a stage, live and finished, by its deterministic names:
nothing is done twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dagster_aws_batch._aws.answers import (
    environment_of,
    resources_of,
)
from dagster_aws_batch._aws.names import round_of
from dagster_aws_batch._aws.ranges import parse_ranges
from dagster_aws_batch._errors import BatchError
from dagster_aws_batch._run.state import (
    ENDED,
    JobSeen,
    Stage,
    Unit,
)
from dagster_aws_batch._run.watch import counts_of

if TYPE_CHECKING:
    from types_boto3_batch.type_defs import JobDetailTypeDef, JobSummaryTypeDef

__all__ = ["attach"]


def attach(stage: Stage) -> list[Unit]:
    """Take over the jobs of this stage that AWS Batch still knows. Returns the ended ones, to be
    settled.

    One listing by name and one description; a few listings more if a submission was noted in the
    scratch
    place and its job is not listed yet.
    """
    notes = _notes(stage)
    stage.noted = frozenset(notes)
    rows = _listed(stage, set(notes))
    if not rows:
        return []
    oldest = _oldest(stage, rows)
    details = stage.connection.api.describe([row["jobId"] for row in oldest])
    for row in oldest:
        name = row["jobName"]
        stage.next_round = max(stage.next_round, round_of(name) + 1)
        detail = details.get(row["jobId"])
        if detail is None:
            continue
        tasks = _tasks(stage, detail, notes.get(name, {}))
        if tasks:
            _adopt(stage, row, detail, tasks)
        elif detail["status"] not in ENDED:
            stage.log.warning(f"{stage.job.name}: job {row['jobId']} does not say its tasks: ended")
            stage.connection.api.terminate([row["jobId"]], "tasks not known any more")
    adopted = sorted(stage.units, key=lambda unit: (unit.round, unit.name))
    stage.units[:] = adopted
    ended = [unit for unit in adopted if unit.ended]
    if adopted:
        stage.log.info(
            f"{stage.job.name}: found {len(adopted)} AWS Batch job(s) of an earlier attempt, "
            f"{len(adopted) - len(ended)} of them still live: going on with them"
        )
    return ended


def _adopt(
    stage: Stage, row: JobSummaryTypeDef, detail: JobDetailTypeDef, tasks: tuple[int, ...]
) -> None:
    now = stage.connection.clock.now()
    unit = Unit(
        name=row["jobName"],
        token=environment_of(detail).get("BATCH_SUBMISSION", ""),
        tasks=tasks,
        queue=_queue_name(stage, detail),
        round=round_of(row["jobName"]),
        memory_mib=resources_of(detail)[1] or stage.job.memory_mib,
        job_id=row["jobId"],
        submitted_at=now,
        moved_at=now,
        adopted=True,
        detail=detail,
        ended=detail["status"] in ENDED,
    )
    unit.counts = counts_of(unit)
    stage.units.append(unit)
    for task in tasks:
        stage.runs[task] = stage.runs.get(task, 0) + 1
    if not unit.ended:
        stage.connection.describer.watch([unit.job_id])


def _queue_name(stage: Stage, detail: JobDetailTypeDef) -> str:
    arn = detail.get("jobQueue", "")
    matches = [queue for queue in stage.queues if arn == queue or arn.endswith(f"/{queue}")]
    return matches[0] if matches else stage.queue


def _notes(stage: Stage) -> dict[str, dict[str, Any]]:
    """The submissions noted in the scratch place, by job name."""
    if stage.scratch is None:
        return {}
    found: dict[str, dict[str, Any]] = {}
    for name in stage.scratch.names(stage.id.stem):
        job, _, kind = name.rpartition("/")
        if kind == "submit":
            found[job] = json.loads(stage.scratch.get(name) or b"{}")
            stage.next_round = max(stage.next_round, round_of(job))
    return found


def _listed(stage: Stage, noted: set[str]) -> list[JobSummaryTypeDef]:
    """All jobs of the stage; waits a little for those that must be there but are not listed yet."""
    waits = (0.0, *stage.options.lookup_waits[:2])
    rows: list[JobSummaryTypeDef] = []
    for wait in waits:
        stage.connection.clock.sleep(wait)
        rows = [
            row
            for queue in stage.queues
            for row in stage.connection.api.by_name(queue, f"{stage.id.stem}*")
        ]
        missing = noted - {row["jobName"] for row in rows}
        if not missing and (rows or not stage.resumed):
            break
    return rows


def _oldest(stage: Stage, rows: list[JobSummaryTypeDef]) -> list[JobSummaryTypeDef]:
    """One job a name; a newer one of the same name is a duplicate of an unclear answer and is
    ended.
    """
    first: dict[str, JobSummaryTypeDef] = {}
    extra: list[str] = []
    for row in rows:
        if row["jobName"] not in first:
            first[row["jobName"]] = row
        elif row.get("status") not in ENDED and not row.get("isTerminated"):
            extra.append(row["jobId"])
    if extra:
        stage.log.warning(f"{stage.job.name}: ended duplicate job(s) {', '.join(extra)}")
        stage.connection.api.terminate(extra, "duplicate of an older job of the same name")
    return list(first.values())


def _tasks(stage: Stage, detail: JobDetailTypeDef, note: Mapping[str, Any]) -> tuple[int, ...]:
    """Which tasks a job carries: from its own environment, the scratch place, or the note of its
    submission.
    """
    text = environment_of(detail).get("BATCH_TASKS", "")
    if text.startswith("@"):
        token = environment_of(detail).get("BATCH_SUBMISSION", "")
        data = stage.scratch.get(f"{detail['jobName']}/tasks-{token}") if stage.scratch else None
        text = data.decode() if data is not None else ""
    text = text or str(note.get("tasks", ""))
    try:
        tasks = parse_ranges(text)
    except BatchError:
        return ()
    size = detail.get("arrayProperties", {}).get("size", 1)
    return tasks if len(tasks) == size else ()


def seen(stage: Stage) -> tuple[JobSeen, ...]:
    """All jobs of the stage, for the outcome."""
    return tuple(
        JobSeen(unit.job_id, unit.name, len(unit.tasks), unit.round, unit.adopted, unit.queue)
        for unit in stage.units
    )
