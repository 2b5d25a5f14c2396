"""The log of a running job in the run's own log, as far as the caller asked for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dagster_aws_batch._aws.answers import stream_of, streams_of
from dagster_aws_batch._run.state import Execution, SubmittedJob

__all__ = ["follow_logs"]

# One event of Dagster per poll and task; what is beyond these is in the log itself.
LINES = 200
LINE_CHARACTERS = 1_000


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
