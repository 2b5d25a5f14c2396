"""Ending everything an execution has started, for whatever reason its wait ends early.

No more submissions, bulk terminate, then a sweep by name until nothing is left.
"""

from __future__ import annotations

from collections.abc import Mapping

from dagster_aws_batch._aws.answers import is_live
from dagster_aws_batch._aws.calls import BatchApi
from dagster_aws_batch._aws.rates import ONCE, cancelling
from dagster_aws_batch._errors import BatchError, BatchUnavailableError, ScratchError
from dagster_aws_batch._run.state import Execution
from dagster_aws_batch._run.unresolved import note_unresolved

__all__ = ["cancel", "end_beside"]

# A job whose SubmitJob was under way when the interrupt came may be listed late: look for it at
# least so long.
IN_DOUBT_SECONDS = 15.0
PAUSE = 1.0


def cancel(execution: Execution, why: str, deadline: float) -> None:
    """End the execution's jobs, by a time of the clock at most; never raises an error of AWS.

    A second interrupt during this work (an impatient user, a supervisor) is held back once, so that
    the work is still done, and then raised.
    """
    execution.closed = True
    asked: set[str] = set()
    try:
        _cancel(execution, why, deadline, asked)
    except BaseException:
        _cancel(execution, why, deadline, asked)
        raise


def _cancel(execution: Execution, why: str, deadline: float, asked: set[str]) -> None:
    clock = execution.connection.clock
    api = execution.api.with_patience(cancelling(deadline))
    started = clock.now()
    unclear = execution.unclear
    known = [one.job_id for one in execution.active if one.job_id and one.job_id not in asked]
    errors: dict[str, str] = {}
    problem: Exception | None = None
    clean = False
    while not clean:
        try:
            if known:
                errors = api.terminate(known, why)
                asked.update(job_id for job_id in known if job_id not in errors)
            known = _left(execution, api, asked)
        except BatchError as error:
            if problem is None:
                execution.log.warning(f"{execution.job.name}: ending its jobs goes on: {error}")
            problem = error
            if not isinstance(error, BatchUnavailableError):
                break
        else:
            clean = not known and (not unclear or clock.now() - started >= IN_DOUBT_SECONDS)
        if clean or clock.now() >= deadline:
            break
        if not known or errors or problem:
            clock.sleep(min(PAUSE, max(0.0, deadline - clock.now())))
    _note(execution, unclear)
    if clean:
        execution.log.info(
            f"{execution.job.name}: ended {len(asked)} AWS Batch job(s); none is left"
        )
        return
    execution.log.error(
        f"{execution.job.name}: after {clock.now() - started:.0f} s it is not certain that all AWS "
        f"Batch jobs have ended: {', '.join(known) or 'they could not be listed'} "
        f"{errors or problem or ''}. {_kill_command(execution)}"
    )


def _kill_command(execution: Execution) -> str:
    identity = execution.id
    queues = " ".join(f"--queue {queue}" for queue in execution.queues)
    return (
        f"Run: python -m dagster_aws_batch kill --name-prefix {identity.prefix} {queues} "
        f"--run-id {identity.run_id}{execution.connection.address_options}"
    )


def _note(execution: Execution, unclear: list[tuple[str, str]]) -> None:
    """A job may be listed after this process has ended: leave word for the next one."""
    for name, queue in unclear:
        text = f"{execution.job.name}: job {name} may still appear in queue {queue}"
        if execution.scratch is None:
            execution.log.warning(f"{text}; without a scratch place only the reaper may find it")
            continue
        try:
            note_unresolved(execution.scratch, name, queue)
        except ScratchError as error:
            execution.log.warning(f"{text}, and that could not be noted: {error}")
        else:
            execution.log.warning(f"{text}: noted, the next run or the reaper ends it")


def end_beside(execution: Execution, jobs: Mapping[str, str]) -> None:
    """Ask AWS to end jobs (the reason by id) while the execution goes on.

    What can't be ended now is tried again after each poll: it never disturbs the other jobs.
    """
    fresh = [job_id for job_id in jobs if job_id not in execution.to_end]
    execution.to_end.update(jobs)
    by_reason: dict[str, list[str]] = {}
    for job_id, why in execution.to_end.items():
        by_reason.setdefault(why, []).append(job_id)
    api = execution.api.with_patience(ONCE)
    for why, ids in by_reason.items():
        try:
            errors = api.terminate(ids, why)
        except BatchError as error:
            errors = dict.fromkeys(ids, str(error))
        for job_id in ids:
            if job_id not in errors:
                del execution.to_end[job_id]
            elif job_id in fresh:
                execution.log.warning(
                    f"{execution.job.name}: job {job_id} could not be ended, it is tried again at "
                    f"each poll: {errors[job_id]}. {_kill_command(execution)}"
                )


def _left(execution: Execution, api: BatchApi, asked: set[str]) -> list[str]:
    """Jobs of this execution, by name, that still live and were not asked to end."""
    return [
        row["jobId"]
        for queue in execution.queues
        for row in api.by_name(queue, f"{execution.id.stem}*", sweep=True)
        if is_live(row) and row["jobId"] not in asked
    ]
