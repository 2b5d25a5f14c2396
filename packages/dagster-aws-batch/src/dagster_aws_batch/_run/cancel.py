"""Ending everything a stage has started: no more submissions, bulk terminate, then a sweep by name
until nothing is left.
"""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError

from dagster_aws_batch._errors import BatchError
from dagster_aws_batch._run.state import (
    ENDED,
    Stage,
)

__all__ = ["cancel"]

# A job whose SubmitJob was under way when the interrupt came may be listed late: look at least so
# long.
IN_DOUBT_SECONDS = 15.0
PAUSE = 1.0


def cancel(stage: Stage, why: str) -> None:
    """End the stage's jobs within `options.cancel_seconds`; never raises an error of AWS.

    A second interrupt during this work (an impatient user, a supervisor) is held back once, so that
    the work is still done, and then raised.
    """
    stage.closed = True
    deadline = stage.connection.clock.now() + stage.options.cancel_seconds
    asked: set[str] = set()
    try:
        _cancel(stage, why, deadline, asked)
    except BaseException:
        _cancel(stage, why, deadline, asked)
        raise


def _cancel(stage: Stage, why: str, deadline: float, asked: set[str]) -> None:
    clock, api = stage.connection.clock, stage.connection.api
    started = clock.now()
    doubtful = bool(stage.submitting) or any(unit.unsure for unit in stage.active)
    known = [unit.job_id for unit in stage.active if unit.job_id and unit.job_id not in asked]
    clean = False
    troubles: dict[str, str] = {}
    while not clean:
        try:
            if known:
                troubles = api.terminate(known, why)
                asked.update(job_id for job_id in known if job_id not in troubles)
            known = _left(stage, asked)
        except (ClientError, BotoCoreError, BatchError) as error:
            stage.log.warning(f"{stage.job.name}: cancel goes on after: {error}")
        else:
            clean = not known and (not doubtful or clock.now() - started >= IN_DOUBT_SECONDS)
        if clean or clock.now() >= deadline:
            break
        if not known:
            clock.sleep(PAUSE)
    for unit in stage.active:
        stage.connection.describer.leave([unit.job_id])
    if clean:
        stage.log.info(f"{stage.job.name}: ended {len(asked)} AWS Batch job(s); none is left")
    else:
        stage.log.error(
            f"{stage.job.name}: after {stage.options.cancel_seconds:.0f} s these AWS Batch jobs "
            f"could not be "
            f"ended: {', '.join(known) or 'not known'} {troubles or ''}. Run: "
            f"python -m {__package__} kill --name-prefix {stage.id.prefix} --queue {stage.queue} "
            f"--run-id "
            f"{stage.id.run_id}"
        )


def _left(stage: Stage, asked: set[str]) -> list[str]:
    """Jobs of this stage, by name, that still live and were not asked to end."""
    rows = [
        row
        for queue in stage.queues
        for row in stage.connection.api.by_name(queue, f"{stage.id.stem}*", sweep=True)
    ]
    return [
        row["jobId"]
        for row in rows
        if row.get("status") not in ENDED
        and not row.get("isTerminated")
        and row["jobId"] not in asked
    ]
