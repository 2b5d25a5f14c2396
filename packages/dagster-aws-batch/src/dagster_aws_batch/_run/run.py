"""One stage of work on AWS Batch from submit to result, without Dagster: the heart of this package.

`run_stage` is all a caller needs; `resource.py` gives it a Dagster face.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from dagster_aws_batch._aws.connect import Connection
from dagster_aws_batch._aws.names import (
    StageId,
    clean_tags,
)
from dagster_aws_batch._errors import InvalidJobError
from dagster_aws_batch._job import (
    FailureClass,
    Job,
    TaskResult,
    TaskState,
)
from dagster_aws_batch._run.cancel import cancel
from dagster_aws_batch._run.resume import (
    attach,
    seen,
)
from dagster_aws_batch._run.retry import (
    Again,
    RetryBook,
)
from dagster_aws_batch._run.settle import (
    add_evidence,
    settle,
    settle_receipts,
)
from dagster_aws_batch._run.state import (
    JobSeen,
    Logger,
    Options,
    Stage,
)
from dagster_aws_batch._run.submit import submit_round
from dagster_aws_batch._run.usage import Usage
from dagster_aws_batch._run.watch import wait
from dagster_aws_batch._scratch import Scratch

__all__ = ["StageResult", "run_stage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageResult:
    """What became of a stage: one result a task (in order), the jobs, the receipts, what it used.

    `calls` counts the requests to AWS Batch and Logs made meanwhile by this process, by operation.
    """

    name: str
    tasks: tuple[TaskResult, ...]
    receipts: Mapping[int, Any]
    jobs: tuple[JobSeen, ...]
    usage: Usage
    seconds: float
    calls: Mapping[str, int]
    rounds: int


def run_stage(
    connection: Connection,
    *,
    id: StageId,
    job: Job,
    queue: str,
    tasks: int,
    tags: Mapping[str, str] | None = None,
    scratch: Scratch | None = None,
    receipts: Callable[[Collection[int]], Mapping[int, Any]] | None = None,
    while_waiting: Callable[[float], None] | None = None,
    options: Options | None = None,
    log: Logger | None = None,
    resumed: bool = False,
) -> StageResult:
    """Run tasks 0 … `tasks`-1 and return when all have ended. With 0 tasks nothing is called.

    Any exception, an interrupt of the main thread included, ends all jobs of the stage before it
    goes on
    (unless `options.forward_termination` is off). A failed task is no exception: see the result.
    `while_waiting` is called after each look at jobs that go on, with the seconds until the next.
    `resumed`: this stage was begun by an earlier process.
    """
    if tasks < 0:
        raise InvalidJobError(f"job {job.name}: tasks is {tasks}; use 0 or more")
    stage = Stage(
        connection=connection,
        id=id,
        job=job,
        queue=job.queue or queue,
        total=tasks,
        tags=clean_tags(tags or {}, job.tags),
        options=options or Options(),
        log=log or logging.getLogger(__name__),
        scratch=scratch,
        receipts_of=receipts,
        while_waiting=while_waiting,
        resumed=resumed,
    )
    clock = connection.clock
    started, before = clock.now(), _calls(connection)
    if tasks:
        try:
            _run(stage)
        except BaseException as error:
            _end(stage, error)
            raise
    return StageResult(
        name=job.name,
        tasks=tuple(stage.results[task] for task in range(tasks)),
        receipts=dict(stage.receipts),
        jobs=seen(stage),
        usage=stage.usage,
        seconds=clock.now() - started,
        calls=dict(_calls(connection) - before),
        rounds=max((unit.round for unit in stage.units), default=-1) + 1,
    )


def _run(stage: Stage) -> None:
    book = _book(stage)
    pending, how = _begin(stage)
    while True:
        submit_round(stage, pending, how)
        if not stage.active:
            break
        waiting = stage.active
        wait(stage)
        how = {}
        for unit in waiting:
            how.update(settle(stage, unit, book))
        # A task may have been carried by two jobs, of which one has done it.
        how = {task: again for task, again in how.items() if not stage.results[task].ok}
        pending = sorted(how)
        if pending:
            _say_again(stage, pending)
    for task in range(stage.total):
        stage.results.setdefault(task, _never_run(task))
    add_evidence(stage)


def _begin(stage: Stage) -> tuple[list[int], dict[int, Again]]:
    """Take over what an earlier attempt left, and return the tasks that are still to be
    submitted.
    """
    # Failures of an earlier attempt run again: whoever started this attempt asked for it. So they
    # don't count against the retries of this one, but what they teach about memory is kept.
    earlier = _book(stage)
    how: dict[int, Again] = {}
    for unit in attach(stage):
        how.update(settle(stage, unit, earlier))
    carried = {task for unit in stage.active for task in unit.tasks}
    open_ = [
        task
        for task in range(stage.total)
        if task not in carried and not (task in stage.results and stage.results[task].ok)
    ]
    return settle_receipts(stage, open_), how


def _book(stage: Stage) -> RetryBook:
    return RetryBook(stage.job.retries, stage.first_memory_mib, memory_step=stage.memory_step)


def _say_again(stage: Stage, pending: list[int]) -> None:
    causes = Counter(
        failure.value for task in pending if (failure := stage.results[task].failure) is not None
    )
    text = ", ".join(f"{number:,} × {cause}" for cause, number in causes.most_common())
    stage.log.warning(f"{stage.job.name}: {len(pending):,} task(s) run again: {text}")


def _never_run(task: int) -> TaskResult:
    return TaskResult(
        task=task,
        state=TaskState.FAILED,
        failure=FailureClass.LOST,
        reason="no AWS Batch job carried this task",
        runs=0,
    )


def _end(stage: Stage, error: BaseException) -> None:
    name = type(error).__name__
    if not stage.options.forward_termination:
        stage.log.warning(f"{stage.job.name}: {name}; its AWS Batch jobs go on, as configured")
        stage.connection.describer.leave([unit.job_id for unit in stage.active])
        return
    stage.log.warning(f"{stage.job.name}: {name}: ending its AWS Batch jobs")
    cancel(stage, f"orchestrator stopped waiting: {name}: {error}")


def _calls(connection: Connection) -> Counter[str]:
    return Counter(connection.api.calls) + Counter(connection.logs.calls)
