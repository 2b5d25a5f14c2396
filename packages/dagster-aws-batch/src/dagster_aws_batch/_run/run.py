"""One execution on AWS Batch from submission to result, without Dagster.

`execute` is all a caller needs; `BatchJobs` gives it a Dagster face.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from dagster_aws_batch._aws.connect import Connection
from dagster_aws_batch._aws.names import ExecutionId, clean_tags
from dagster_aws_batch._errors import (
    DOCTOR,
    BatchError,
    BatchUnavailableError,
    CallRefusedError,
    InvalidJobError,
    SubmitRejectedError,
)
from dagster_aws_batch._job import FailureClass, Job, JobInfo, TaskResult, TaskState
from dagster_aws_batch._run.cancel import cancel, end_beside
from dagster_aws_batch._run.find import KEEP_TAG
from dagster_aws_batch._run.resume import resume
from dagster_aws_batch._run.retry import RetryBudget, RetryPlan
from dagster_aws_batch._run.settle import add_evidence, settle, settle_receipts
from dagster_aws_batch._run.state import Execution, Logger, Options
from dagster_aws_batch._run.submit import submit_round
from dagster_aws_batch._run.unresolved import end_unresolved
from dagster_aws_batch._run.usage import Usage
from dagster_aws_batch._run.watch import wait
from dagster_aws_batch._scratch import Scratch

__all__ = ["ExecutionResult", "execute"]

LONGEST_RETRY_PAUSE = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionResult:
    """What became of an execution: one result per task (in order), jobs, receipts, what it used.

    `calls` counts the requests to AWS Batch and Logs made meanwhile by this process, by operation.
    """

    name: str
    tasks: tuple[TaskResult, ...]
    receipts: Mapping[int, Any]
    jobs: tuple[JobInfo, ...]
    usage: Usage
    seconds: float
    calls: Mapping[str, int]
    rounds: int


def execute(
    connection: Connection,
    *,
    id: ExecutionId,
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
    follow: frozenset[int] | None = frozenset(),
) -> ExecutionResult:
    """Run tasks 0 … `tasks`-1 and return when all have ended. With 0 tasks nothing is called.

    Any exception, an interrupt of the main thread included, ends all jobs of the execution before
    it goes on (unless `options.forward_termination` is off, or AWS Batch can't be reached: then
    they are left to a retry). A failed task is no exception: see the result. `while_waiting` is
    called after each poll of jobs that go on, with the seconds until the next. `resumed`: this
    execution was begun by an earlier process. `follow`: tasks whose logs are followed; None: that
    of a job of one task.
    """
    if tasks < 0:
        raise InvalidJobError(f"job {job.name}: tasks is {tasks}; use 0 or more", job=job.name)
    options = options or Options()
    kept = {} if options.forward_termination else {KEEP_TAG: "true"}
    execution = Execution(
        connection=connection,
        id=id,
        job=job,
        queue=job.queue or queue,
        total=tasks,
        tags=clean_tags(tags or {}, job.tags, kept),
        options=options,
        log=log or logging.getLogger(__name__),
        scratch=scratch,
        receipts_of=receipts,
        while_waiting=while_waiting,
        resumed=resumed,
        follow=follow,
    )
    clock = connection.clock
    started, before = clock.now(), _calls(connection)
    if tasks:
        try:
            _run(execution)
        except BaseException as error:
            _end(execution, error)
            raise
    return ExecutionResult(
        name=job.name,
        tasks=tuple(execution.results[task] for task in range(tasks)),
        receipts=dict(execution.receipts),
        jobs=tuple(submitted.info() for submitted in execution.jobs),
        usage=execution.usage,
        seconds=clock.now() - started,
        calls=dict(_calls(connection) - before),
        rounds=max((submitted.round for submitted in execution.jobs), default=-1) + 1,
    )


def _run(execution: Execution) -> None:
    budget = _budget(execution)
    pending, plans = _begin(execution)
    rounds = 0
    while True:
        submit_round(execution, pending, plans)
        if not execution.active:
            break
        waiting = execution.active
        wait(execution)
        plans = {}
        for submitted in waiting:
            plans.update(settle(execution, submitted, budget))
        # A task may have been carried by two jobs, of which one has done it.
        plans = {task: plan for task, plan in plans.items() if not execution.results[task].ok}
        pending = sorted(plans)
        if pending:
            rounds += 1
            _pause(execution, pending, rounds)
    for task in range(execution.total):
        execution.results.setdefault(task, _never_run(task))
    end_beside(execution, {})
    add_evidence(execution)


def _begin(execution: Execution) -> tuple[list[int], dict[int, RetryPlan]]:
    """Take over what an earlier attempt left, and return the tasks that are to be submitted."""
    if execution.scratch is not None:
        end_unresolved(execution.api, execution.scratch, stem=execution.id.stem)
    # Failures of an earlier attempt run again: whoever started this attempt asked for it. So they
    # don't count against the retries of this one, but what they teach about memory is kept.
    earlier = _budget(execution)
    plans: dict[int, RetryPlan] = {}
    try:
        ended = resume(execution)
    except CallRefusedError as error:
        if execution.jobs:
            raise
        raise SubmitRejectedError(
            f"job {execution.job.name} was not submitted: {error}",
            job=execution.job.name,
            queue=execution.queue,
            operation=error.operation,
            code=error.code,
        ) from error
    for submitted in ended:
        plans.update(settle(execution, submitted, earlier))
    carried = {task for submitted in execution.active for task in submitted.tasks}
    open_ = [
        task
        for task in range(execution.total)
        if task not in carried and not (task in execution.results and execution.results[task].ok)
    ]
    return settle_receipts(execution, open_), plans


def _budget(execution: Execution) -> RetryBudget:
    return RetryBudget(execution.retries, execution.first_memory_mib)


def _pause(execution: Execution, pending: list[int], rounds: int) -> None:
    """Say what runs again, and give what is broken time: longer with each round."""
    causes = Counter(
        failure for task in pending if (failure := execution.results[task].failure) is not None
    )
    seconds = min(LONGEST_RETRY_PAUSE, execution.options.retry_pause * 2 ** (rounds - 1))
    if set(causes) <= {FailureClass.OUT_OF_MEMORY}:
        seconds = 0.0
    text = ", ".join(f"{number:,} × {cause.value}" for cause, number in causes.most_common())
    execution.log.warning(
        f"{execution.job.name}: {len(pending):,} task(s) run "
        f"again{f' in {seconds:.0f} s' if seconds else ''}: {text}"
    )
    execution.connection.clock.sleep(seconds)


def _never_run(task: int) -> TaskResult:
    return TaskResult(
        task=task,
        state=TaskState.FAILED,
        failure=FailureClass.LOST,
        reason="no AWS Batch job carried this task",
        runs=0,
    )


def _end(execution: Execution, error: BaseException) -> None:
    name, log = type(error).__name__, execution.log
    nothing = not execution.jobs and execution.submitting is None
    if nothing and isinstance(error, BatchError):
        # Nothing was submitted; what an earlier attempt left can't be seen, or is none of ours.
        return
    if not execution.options.forward_termination:
        log.warning(f"{execution.job.name}: {name}; its AWS Batch jobs go on, as configured")
        return
    if isinstance(error, BatchUnavailableError) and not _answers(execution):
        log.error(
            f"{execution.job.name}: AWS Batch can't be reached, so its jobs are left as they are: "
            f"a retry of this run continues with them, else the reaper ends them. `{DOCTOR}` looks "
            "at the connection"
        )
        return
    log.warning(f"{execution.job.name}: {name}: ending its AWS Batch jobs")
    # The type only: the text of a user's exception may hold what AWS should not keep.
    cancel(execution, f"orchestrator stopped waiting: {name}")


def _answers(execution: Execution) -> bool:
    """Whether AWS Batch can be seen at this moment."""
    try:
        execution.api.once("DescribeJobs", jobs=[one.job_id for one in execution.jobs[:1]])
    except (ClientError, BotoCoreError):
        return False
    return True


def _calls(connection: Connection) -> Counter[str]:
    return Counter(connection.api.calls) + Counter(connection.logs.calls)
