"""SubmitJob, made safe to repeat although it has no client token.

A refusal (429) is repeated. After an unclear answer the job is looked for by its deterministic name
before anything is repeated; should two jobs of one name ever exist, the older is kept and the newer
ended, and inside the containers the token BATCH_SUBMISSION serves as the key of a lease, so that
only one of the two does the work.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from dagster_aws_batch._aws.answers import is_live
from dagster_aws_batch._aws.calls import BatchApi
from dagster_aws_batch._aws.failures import (
    CallError,
    advice_for,
    classify_call,
    error_code,
    is_hopeless,
)
from dagster_aws_batch._aws.fargate import fargate_problem
from dagster_aws_batch._aws.names import balanced, format_ranges
from dagster_aws_batch._aws.requests import encode_inputs, shape_of, submit_request
from dagster_aws_batch._errors import (
    DOCTOR,
    BatchError,
    BatchUnavailableError,
    CallRefusedError,
    InvalidJobError,
    SubmitRejectedError,
    about,
)
from dagster_aws_batch._job import MAX_ARRAY, BatchJobDefinition
from dagster_aws_batch._run.cancel import end_beside
from dagster_aws_batch._run.retry import RetryPlan
from dagster_aws_batch._run.state import Execution, SubmittedJob

if TYPE_CHECKING:
    from types_boto3_batch.type_defs import JobSummaryTypeDef

__all__ = [
    "HOLD_SECONDS",
    "HOLD_UNRECEIPTED_SECONDS",
    "LOOKUP_WAITS",
    "end_duplicates",
    "recheck",
    "submit_round",
]

_DEFINITION_TROUBLE = re.compile(r"definition", re.IGNORECASE)
# When to look for a job in the listing after an unclear answer, seconds after each other.
LOOKUP_WAITS = (2.0, 4.0, 8.0)
# When to look again for a second job after an unclear answer, in seconds after the submission.
RECHECKS = (15.0, 45.0, 90.0, 180.0, 320.0)
# Until then the end of such a job decides nothing: its containers may have left the work to the
# other one, which holds the lease and is not listed yet. The longer one where tasks have no
# receipt: then they probably did.
HOLD_SECONDS = 60.0
HOLD_UNRECEIPTED_SECONDS = 330.0


def submit_round(execution: Execution, pending: Sequence[int], how: dict[int, RetryPlan]) -> None:
    """Submit `pending` as few jobs: one array (or plain job) for each need of memory and queue."""
    if not pending:
        return
    groups: dict[tuple[int | None, str], list[int]] = {}
    for task in pending:
        plan = how.get(task, RetryPlan(execution.job.memory_mib, None))
        key = (plan.memory_mib, plan.queue or execution.queue)
        groups.setdefault(key, []).append(task)
    round_ = execution.next_round
    execution.next_round += 1
    part = 0
    for (memory, queue), tasks in groups.items():
        for chunk in balanced(tasks, MAX_ARRAY):
            submitted = SubmittedJob(
                name=execution.id.job(round_, part),
                token=execution.id.token(round_, part),
                tasks=chunk,
                queue=queue,
                round=round_,
                memory_mib=memory,
            )
            part += 1
            try:
                with about(execution.job.name, queue):
                    _submit(execution, submitted)
            except (CallRefusedError, InvalidJobError) as error:
                # In a later round (more memory than there is, say) the results so far stand.
                if not all(task in execution.results for task in chunk):
                    raise
                execution.log.warning(f"{execution.job.name}: not run again: {error}")
                continue
            for task in chunk:
                execution.runs[task] = execution.runs.get(task, 0) + 1


def _submit(execution: Execution, submitted: SubmittedJob) -> None:
    if execution.closed:
        raise BatchError(f"job {execution.job.name} is being cancelled: nothing more is submitted")
    _check_size(execution, submitted)
    definitions = execution.connection.definitions
    shape = shape_of(
        execution.job, definitions.described(execution.job.definition, api=execution.api)
    )
    request = submit_request(
        execution.job,
        shape=shape,
        name=submitted.name,
        token=submitted.token,
        queue=submitted.queue,
        definition=definitions.arn(execution.job.definition, api=execution.api),
        tasks=submitted.tasks,
        total=execution.total,
        tags=execution.tags,
        memory_mib=submitted.memory_mib,
        scratch=execution.scratch,
        inputs_uri=_inputs(execution),
    )
    if execution.scratch is not None:
        note = {
            "tasks": format_ranges(submitted.tasks),
            "round": submitted.round,
            "queue": submitted.queue,
        }
        execution.scratch.put(f"{submitted.name}/submit", json.dumps(note).encode())
    # From here until the job is in the list, only its name is known to the cancel.
    execution.submitting = (submitted.name, submitted.queue)
    try:
        submitted.job_id, submitted.unsure = _send(execution, request)
    except SubmitRejectedError:
        execution.submitting = None
        raise
    submitted.submitted_at = submitted.moved_at = execution.connection.clock.now()
    execution.jobs.append(submitted)
    execution.submitting = None
    size = f"array of {len(submitted.tasks):,}" if submitted.is_array else "one job"
    again = f", round {submitted.round + 1}" if submitted.round else ""
    execution.log.info(
        f"{execution.job.name}: submitted {size} to queue {submitted.queue}{again}: "
        f"{execution.connection.console.job(submitted.job_id) or submitted.job_id}"
    )


def _check_size(execution: Execution, submitted: SubmittedJob) -> None:
    """Fargate has a table of sizes: what it lacks is refused before the call."""
    job, definition = execution.job, execution.job.definition
    if isinstance(definition, str) or definition.platform != "FARGATE":
        return
    vcpus = definition.vcpus if job.vcpus is None else job.vcpus
    problem = fargate_problem(vcpus, submitted.memory_mib or definition.memory_mib)
    if problem:
        raise InvalidJobError(f"job {job.name}: {problem}")


def _inputs(execution: Execution) -> str | None:
    inputs = execution.job.inputs
    if inputs is not None and execution.scratch is not None and execution.inputs_uri is None:
        execution.inputs_uri = execution.scratch.put(
            f"{execution.id.stem}inputs", encode_inputs(inputs)
        )
    return execution.inputs_uri


def _send(execution: Execution, request: dict[str, Any]) -> tuple[str, bool]:
    """Return the job's id, and whether a second one may exist."""
    api = execution.api
    backoff = api.backoff()
    # How many requests may have been carried out without our knowing. One that an earlier attempt
    # noted, and that is not listed so far, is such a one.
    unclear = 1 if request["jobName"] in execution.noted else 0
    refused = 0
    while True:
        try:
            answer = api.once("SubmitJob", **request)
        except (ClientError, BotoCoreError) as error:
            kind = classify_call(error, "SubmitJob")
            if kind is CallError.REFUSED:
                refused += 1
                _raise_unless_definition(execution, request, error, refused)
            elif kind is CallError.UNCERTAIN:
                unclear += 1
                found = _look_up(execution, request["jobQueue"], request["jobName"])
                if found is not None:
                    execution.log.info(
                        f"{execution.job.name}: the answer to SubmitJob was lost ({error}); the "
                        f"job was found by its name: {found}"
                    )
                    return found, unclear > 1
            advice = advice_for(error, "SubmitJob")
            if backoff.give_up(hopeless=not unclear and is_hopeless(error, "SubmitJob")):
                if not unclear:
                    # No request can have been carried out: a cancel has nothing to look for.
                    execution.submitting = None
                rest = "Its jobs that run go on" if execution.jobs else "None of its jobs runs"
                raise BatchUnavailableError(
                    f"job {execution.job.name} could not be submitted to {request['jobQueue']} in "
                    f"{backoff.count} tries, last: {error}. {advice}. {rest}",
                    **_of(execution, request, error),
                ) from error
            backoff.failed(f"SubmitJob fails: {error}. It is tried again. {advice}")
            backoff.wait()
            continue
        if not unclear:
            return answer["jobId"], False
        kept = _keep_oldest(execution, execution.api, request["jobQueue"], request["jobName"])
        return kept or answer["jobId"], True


def _raise_unless_definition(
    execution: Execution, request: dict[str, Any], error: Exception, refused: int
) -> None:
    """A definition just registered may not be known everywhere yet, or somebody deregistered it."""
    ours = isinstance(execution.job.definition, BatchJobDefinition)
    if ours and refused <= 5 and _DEFINITION_TROUBLE.search(str(error)):
        definitions = execution.connection.definitions
        definitions.forget(request["jobDefinition"])
        request["jobDefinition"] = definitions.arn(execution.job.definition, api=execution.api)
        return
    # What botocore finds wrong, such as an unknown field among the options, was not sent.
    who = "AWS Batch" if isinstance(error, ClientError) else "botocore"
    raise SubmitRejectedError(
        f"{who} refused job {execution.job.name} for queue {request['jobQueue']}: {error}. "
        f"`{DOCTOR}` checks queue, definition and share identifier",
        **_of(execution, request, error),
    ) from error


def _of(execution: Execution, request: dict[str, Any], error: Exception) -> dict[str, Any]:
    """What errors of SubmitJob carry."""
    return {
        "job": execution.job.name,
        "queue": request["jobQueue"],
        "operation": "SubmitJob",
        "code": error_code(error),
    }


def _look_up(execution: Execution, queue: str, name: str) -> str | None:
    """Find a job by name, giving the listing some time: how long it lags is not documented."""
    for wait in LOOKUP_WAITS:
        execution.connection.clock.sleep(wait)
        found = _keep_oldest(execution, execution.api, queue, name)
        if found is not None:
            return found
    return None


def end_duplicates(
    execution: Execution, rows: Iterable[JobSummaryTypeDef]
) -> list[JobSummaryTypeDef]:
    """The oldest job of each name in a listing; newer ones that live are ended.

    More than one of a name come from answers to SubmitJob that were lost.
    """
    oldest: dict[str, JobSummaryTypeDef] = {}
    extra: list[str] = []
    for row in rows:
        if oldest.setdefault(row["jobName"], row) is not row and is_live(row):
            extra.append(row["jobId"])
    if extra:
        execution.log.warning(
            f"{execution.job.name}: {len(extra)} more job(s) of the same name appeared after an "
            f"unclear answer; kept the oldest and ended {', '.join(extra)}"
        )
        why = "duplicate of an older job of the same name"
        end_beside(execution, dict.fromkeys(extra, why))
    return list(oldest.values())


def _keep_oldest(execution: Execution, api: BatchApi, queue: str, name: str) -> str | None:
    kept = end_duplicates(execution, api.by_name(queue, name))
    return kept[0]["jobId"] if kept else None


def recheck(execution: Execution, submitted: SubmittedJob, *, final: bool = False) -> None:
    """After an unclear answer: look a few times more whether a second job has appeared."""
    if not submitted.unsure or submitted.rechecks >= len(RECHECKS):
        return
    age = execution.connection.clock.now() - submitted.submitted_at
    if not final and age < RECHECKS[submitted.rechecks]:
        return
    submitted.rechecks = submitted.rechecks + 1 if not final else len(RECHECKS)
    kept = _keep_oldest(execution, execution.watch_api, submitted.queue, submitted.name)
    if kept is not None and kept != submitted.job_id:
        submitted.job_id, submitted.detail, submitted.counts = kept, None, {}
        submitted.ended = False
