"""Executions on AWS Batch from submission to result, without Dagster.

`execute` and `execute_all` are all a caller needs; `BatchJobs` gives them a Dagster face.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
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
    ScratchError,
    SubmitRejectedError,
    about,
)
from dagster_aws_batch._job import Job
from dagster_aws_batch._results import FailureClass, JobInfo, TaskResult, TaskState
from dagster_aws_batch._run.cancel import cancel, end_beside
from dagster_aws_batch._run.find import KEEP_TAG
from dagster_aws_batch._run.resume import resume
from dagster_aws_batch._run.retry import RetryBudget, RetryPlan
from dagster_aws_batch._run.settle import add_evidence, settle, settle_receipts
from dagster_aws_batch._run.state import Execution, Logger, Options
from dagster_aws_batch._run.submit import submit_round
from dagster_aws_batch._run.unresolved import end_unresolved
from dagster_aws_batch._run.usage import Usage
from dagster_aws_batch._run.watch import Poll, Steps, drive, wait
from dagster_aws_batch._scratch import Scratch

__all__ = ["ExecutionResult", "Request", "execute", "execute_all"]

CANCEL_SECONDS = 30.0
# Before the second round of tasks that failed for their host; it doubles with each further round.
RETRY_PAUSE_SECONDS = 10.0
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What one execution is to do.

    `resumed`: it was begun by an earlier process. `follow`: tasks whose logs are followed; None:
    that of a job of one task. `while_waiting` is called after each poll of jobs that go on, with
    the seconds until the next; `on_poll` with the description of a job of one task.
    """

    id: ExecutionId
    job: Job
    queue: str
    tasks: int
    tags: Mapping[str, str] = field(default_factory=dict)
    scratch: Scratch | None = None
    receipts: Callable[[Collection[int]], Mapping[int, Any]] | None = None
    while_waiting: Callable[[float], None] | None = None
    options: Options = field(default_factory=Options)
    log: Logger = field(default_factory=lambda: logging.getLogger(__name__))
    resumed: bool = False
    follow: frozenset[int] | None = frozenset()
    on_poll: Callable[[Mapping[str, Any]], None] | None = None


def execute(connection: Connection, request: Request) -> ExecutionResult:
    """Run one request: see `execute_all`."""
    return execute_all(connection, [request])[0]


def execute_all(connection: Connection, requests: Sequence[Request]) -> list[ExecutionResult]:
    """Run tasks 0 … `tasks`-1 of each request; return when all have ended. 0 tasks: no call.

    Any exception, an interrupt of the main thread included, ends all jobs of all requests before it
    goes on (unless `options.forward_termination` is off, or AWS Batch can't be reached: then they
    are left to a retry). A failed task is no exception: see the results.
    """
    executions = []
    for request in requests:
        with about(request.job.name):
            executions.append(_execution(connection, request))
    clock = connection.clock
    started, before = clock.now(), _calls(connection)
    try:
        drive([(execution, _run(execution)) for execution in executions if execution.total])
    except BaseException as error:
        deadline = clock.now() + CANCEL_SECONDS
        for execution in executions:
            if execution.total:
                _end(execution, error, deadline)
        raise
    calls = dict(_calls(connection) - before)
    return [
        ExecutionResult(
            name=execution.job.name,
            tasks=tuple(execution.results[task] for task in range(execution.total)),
            receipts=dict(execution.receipts),
            jobs=tuple(submitted.info() for submitted in execution.jobs),
            usage=execution.usage,
            seconds=(execution.finished_at or started) - started,
            calls=calls,
            rounds=max((submitted.round for submitted in execution.jobs), default=-1) + 1,
        )
        for execution in executions
    ]


def _execution(connection: Connection, request: Request) -> Execution:
    job, tasks = request.job, request.tasks
    if not isinstance(tasks, int) or tasks < 0:
        raise InvalidJobError(f"job {job.name}: tasks is {tasks!r}; use a whole number, 0 or more")
    if job.inputs is not None and len(job.inputs) != tasks:
        raise InvalidJobError(
            f"job {job.name}: {len(job.inputs):,} inputs for {tasks:,} tasks; give one per task"
        )
    if job.inputs is not None and request.scratch is None:
        raise ScratchError(
            f"job {job.name} has inputs, which go through the scratch place. Set scratch (an S3 "
            "prefix, or a folder that the containers can read)"
        )
    kept = {} if request.options.forward_termination else {KEEP_TAG: "true"}
    return Execution(
        connection=connection,
        id=request.id,
        job=job,
        queue=job.queue or request.queue,
        total=tasks,
        tags=clean_tags(request.tags, kept, owner=f"job {job.name}"),
        options=request.options,
        log=request.log,
        scratch=request.scratch,
        receipts_of=request.receipts,
        while_waiting=request.while_waiting,
        resumed=request.resumed,
        follow=request.follow,
        on_poll=request.on_poll,
    )


def _run(execution: Execution) -> Steps:
    budget = _budget(execution)
    pending, plans = _begin(execution)
    rounds = 0
    while True:
        submit_round(execution, pending, plans)
        if not execution.active:
            break
        waiting = execution.active
        yield from wait(execution)
        plans = {}
        for submitted in waiting:
            plans.update(settle(execution, submitted, budget))
        # A task may have been carried by two jobs, of which one has done it.
        plans = {task: plan for task, plan in plans.items() if not execution.results[task].ok}
        pending = sorted(plans)
        if pending:
            rounds += 1
            yield Poll(execution.connection.clock.now() + _pause(execution, pending, rounds))
    for task in range(execution.total):
        execution.results.setdefault(task, _never_run(task))
    end_beside(execution, {})
    add_evidence(execution)
    execution.finished_at = execution.connection.clock.now()


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
    return RetryBudget(execution.retries, execution.job.first_memory_mib)


def _pause(execution: Execution, pending: list[int], rounds: int) -> float:
    """Say what runs again. Returns the seconds that what is broken is given: more each round."""
    causes = Counter(
        failure for task in pending if (failure := execution.results[task].failure) is not None
    )
    seconds: float = min(LONGEST_RETRY_PAUSE, RETRY_PAUSE_SECONDS * 2 ** (rounds - 1))
    if set(causes) <= {FailureClass.OUT_OF_MEMORY}:
        seconds = 0.0
    text = ", ".join(f"{number:,} × {cause.value}" for cause, number in causes.most_common())
    execution.log.warning(
        f"{execution.job.name}: {len(pending):,} task(s) run "
        f"again{f' in {seconds:.0f} s' if seconds else ''}: {text}"
    )
    return seconds


def _never_run(task: int) -> TaskResult:
    return TaskResult(
        task=task,
        state=TaskState.FAILED,
        failure=FailureClass.LOST,
        reason="no AWS Batch job carried this task",
        runs=0,
    )


def _end(execution: Execution, error: BaseException, deadline: float) -> None:
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
    cancel(execution, f"orchestrator stopped waiting: {name}", deadline)


def _answers(execution: Execution) -> bool:
    """Whether AWS Batch can be seen at this moment."""
    try:
        execution.api.once("DescribeJobs", jobs=[one.job_id for one in execution.jobs[:1]])
    except (ClientError, BotoCoreError):
        return False
    return True


def _calls(connection: Connection) -> Counter[str]:
    return Counter(connection.api.calls) + Counter(connection.logs.calls)
