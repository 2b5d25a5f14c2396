"""The log of a running job in the run's own log, as far as the caller asked for it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from dagster_aws_batch._aws.answers import stream_of, streams_of
from dagster_aws_batch._errors import InvalidJobError
from dagster_aws_batch._job import Job
from dagster_aws_batch._run.state import Execution, Logger, SubmittedJob

__all__ = ["follow_logs", "followed_tasks"]

# One event of Dagster per poll and task; what is beyond these is in the log itself.
LINES = 200
LINE_CHARACTERS = 1_000
# Reading logs has a small quota for the whole account.
MOST_FOLLOWED = 10


def followed_tasks(
    job: Job, tasks: int, wanted: bool | Collection[int], log: Logger
) -> frozenset[int] | None:
    """The tasks whose logs are followed; None: that of a job of one task.

    Raises:
        InvalidJobError: Too many are named, or some that there are not.
    """
    if not wanted:
        return frozenset()
    if wanted is True:
        if tasks > 1:
            log.warning(
                f"{job.name}: no log is followed: follow_logs=True is for a job of one task, and "
                f"this one has {tasks:,}. Name up to {MOST_FOLLOWED}, as in follow_logs=[0, 1]"
            )
        return None
    chosen = frozenset(wanted)
    if len(chosen) > MOST_FOLLOWED:
        raise InvalidJobError(
            f"job {job.name}: follow_logs has {len(chosen)} tasks; at most {MOST_FOLLOWED}: each "
            "is a call per poll",
            job=job.name,
        )
    # 0 tasks: whoever names the first one of however many there are has nothing to follow.
    absent = [task for task in chosen if type(task) is not int or not 0 <= task < max(tasks, 1)]
    if absent:
        raise InvalidJobError(
            f"job {job.name}: follow_logs names {', '.join(map(repr, absent))}, but its tasks are "
            f"numbered 0 to {max(tasks, 1) - 1}",
            job=job.name,
        )
    return chosen


def follow_logs(execution: Execution, submitted: SubmittedJob) -> None:
    """Write the lines that have come since the last poll into the run's log."""
    for task, detail in _described(execution, submitted):
        ref = stream_of(streams_of(detail), execution.job.container)
        if ref is None:
            continue
        stream = ref.stream
        lines, token, _ = execution.connection.logs.read_on(ref, execution.log_tokens.get(stream))
        execution.log_tokens[stream] = token
        if not lines:
            continue
        shown = [line[:LINE_CHARACTERS] for line in lines[:LINES]]
        if len(lines) > LINES:
            shown.append(f"… {len(lines) - LINES:,} more lines in log stream {stream}")
        text = "\n".join(shown)
        execution.log.info(f"{execution.job.name}: task {task}: {text}")


def _described(
    execution: Execution, submitted: SubmittedJob
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    wanted = execution.follow
    if not submitted.is_array:
        if wanted is None or submitted.tasks[0] in wanted:
            yield submitted.tasks[0], submitted.detail or {}
        return
    indices = {
        f"{submitted.job_id}:{index}": task
        for index, task in enumerate(submitted.tasks)
        if wanted and task in wanted
    }
    if indices:
        for job_id, detail in execution.watch_api.describe(list(indices)).items():
            yield indices[job_id], detail
