"""SubmitJob, made safe to repeat although it has no client token.

A refusal (429) is repeated. After an unclear answer the job is looked for by its deterministic name
before anything is repeated; should two jobs of one name ever exist, the older is kept and the newer
ended, and inside the containers the token BATCH_SUBMISSION serves as the key of a lease, so that
only one of the two does the work.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from dagster_aws_batch._aws.calls import (
    Trouble,
    triage,
)
from dagster_aws_batch._aws.ranges import (
    balanced,
    format_ranges,
)
from dagster_aws_batch._aws.requests import (
    encode_inputs,
    submit_request,
)
from dagster_aws_batch._errors import (
    DOCTOR,
    BatchError,
    BatchUnavailableError,
    InvalidJobError,
    ScratchError,
    SubmitRejectedError,
)
from dagster_aws_batch._job import (
    MAX_ARRAY,
    JobDefinition,
)
from dagster_aws_batch._run.retry import Again
from dagster_aws_batch._run.state import (
    ENDED,
    Stage,
    Unit,
)

__all__ = ["keep_oldest", "recheck", "submit_round"]

_DEFINITION_TROUBLE = re.compile(r"definition", re.IGNORECASE)
# When to look again for a second job after an unclear answer, in seconds after the submission.
RECHECKS = (15.0, 45.0, 90.0, 180.0)
# Until then the end of such a job is not believed: its containers may have left the work to the
# other one, which holds the lease and is not listed yet.
HOLD_SECONDS = 60.0


def submit_round(stage: Stage, pending: Sequence[int], how: dict[int, Again]) -> None:
    """Submit `pending` as few jobs: one array (or plain job) for each need of memory and queue."""
    if not pending:
        return
    groups: dict[tuple[int | None, str], list[int]] = {}
    for task in pending:
        again = how.get(task, Again(stage.job.memory_mib, None))
        key = (again.memory_mib, again.queue or stage.queue)
        groups.setdefault(key, []).append(task)
    round_ = stage.next_round
    stage.next_round += 1
    part = 0
    for (memory, queue), tasks in groups.items():
        for chunk in balanced(tasks, MAX_ARRAY):
            unit = Unit(
                name=stage.id.job(round_, part),
                token=stage.id.token(round_, part),
                tasks=chunk,
                queue=queue,
                round=round_,
                memory_mib=memory,
            )
            part += 1
            try:
                _submit(stage, unit)
            except (SubmitRejectedError, InvalidJobError) as error:
                # In a later round (more memory than there is, say) the results so far stand.
                if not all(task in stage.results for task in chunk):
                    raise
                stage.log.warning(f"{stage.job.name}: not run again: {error}")
                continue
            for task in chunk:
                stage.runs[task] = stage.runs.get(task, 0) + 1


def _submit(stage: Stage, unit: Unit) -> None:
    if stage.closed:
        raise BatchError(f"job {stage.job.name} is being cancelled: nothing more is submitted")
    request = submit_request(
        stage.job,
        name=unit.name,
        token=unit.token,
        queue=unit.queue,
        definition=stage.connection.definitions.arn(stage.job.definition),
        tasks=unit.tasks,
        total=stage.total,
        tags=stage.tags,
        memory_mib=unit.memory_mib,
        scratch=stage.scratch,
        inputs_uri=_inputs(stage),
    )
    if stage.scratch is not None:
        note = {"tasks": format_ranges(unit.tasks), "round": unit.round, "queue": unit.queue}
        stage.scratch.put(f"{unit.name}/submit", json.dumps(note).encode())
    # From here until the unit is listed, only its name is known to the cancel.
    stage.submitting = unit.name
    try:
        unit.job_id, unit.unsure = _send(stage, request)
    except SubmitRejectedError:
        stage.submitting = ""
        raise
    unit.submitted_at = unit.moved_at = stage.connection.clock.now()
    stage.units.append(unit)
    stage.submitting = ""
    stage.connection.describer.watch([unit.job_id])
    size = f"array of {len(unit.tasks):,}" if unit.is_array else "one job"
    again = f", round {unit.round + 1}" if unit.round else ""
    stage.log.info(
        f"{stage.job.name}: submitted {size} to queue {unit.queue}{again}: "
        f"{stage.connection.console.job(unit.job_id) or unit.job_id}"
    )


def _inputs(stage: Stage) -> str | None:
    inputs = stage.job.inputs
    if inputs is None:
        return None
    if len(inputs) != stage.total:
        raise BatchError(
            f"job {stage.job.name}: {len(inputs):,} inputs for {stage.total:,} tasks; give one a "
            f"task"
        )
    if stage.scratch is None:
        raise ScratchError(
            f"job {stage.job.name} has inputs, which go through the scratch place. Set scratch "
            "(an S3 prefix, or a folder that the containers can read)"
        )
    if stage.inputs_uri is None:
        stage.inputs_uri = stage.scratch.put(f"{stage.id.stem}inputs", encode_inputs(inputs))
    return stage.inputs_uri


def _send(stage: Stage, request: dict[str, Any]) -> tuple[str, bool]:
    """Return the job's id, and whether a second one may exist."""
    api = stage.connection.api
    backoff = api.backoff()
    # How many requests may have been carried out without our knowing. One that an earlier life of
    # the stage noted, and that is not listed so far, is such a one.
    unclear = 1 if request["jobName"] in stage.noted else 0
    refused = 0
    while True:
        try:
            answer = api.once("SubmitJob", "SubmitJob", lambda: api.client.submit_job(**request))
        except (ClientError, BotoCoreError) as error:
            trouble = triage(error)
            if trouble is Trouble.REJECTED:
                refused += 1
                _raise_unless_definition(stage, request, error, refused)
            elif trouble is Trouble.UNCERTAIN:
                unclear += 1
                found = _look_up(stage, request["jobQueue"], request["jobName"])
                if found is not None:
                    stage.log.info(
                        f"{stage.job.name}: the answer to SubmitJob was lost ({error}); "
                        f"the job was found by its name: {found}"
                    )
                    return found, unclear > 1
            if backoff.give_up():
                raise BatchUnavailableError(
                    f"job {stage.job.name} could not be submitted to {request['jobQueue']} in "
                    f"{backoff.count} tries, last: {error}"
                ) from error
            backoff.wait()
            continue
        if not unclear:
            return answer["jobId"], False
        kept = keep_oldest(stage, request["jobQueue"], request["jobName"])
        return kept or answer["jobId"], True


def _raise_unless_definition(
    stage: Stage, request: dict[str, Any], error: Exception, refused: int
) -> None:
    """A definition just registered may not be known everywhere yet, or somebody deregistered it."""
    ours = isinstance(stage.job.definition, JobDefinition)
    if ours and refused <= 5 and _DEFINITION_TROUBLE.search(str(error)):
        definitions = stage.connection.definitions
        definitions.forget(request["jobDefinition"])
        request["jobDefinition"] = definitions.arn(stage.job.definition)
        return
    raise SubmitRejectedError(
        f"AWS Batch refused job {stage.job.name} for queue {request['jobQueue']}: {error}. "
        f"`{DOCTOR}` checks queue, definition and share identifier"
    ) from error


def _look_up(stage: Stage, queue: str, name: str) -> str | None:
    """Find a job by name, giving the listing some time: how long it lags behind is not
    documented.
    """
    for wait in stage.options.lookup_waits:
        stage.connection.clock.sleep(wait)
        found = keep_oldest(stage, queue, name)
        if found is not None:
            return found
    return None


def keep_oldest(stage: Stage, queue: str, name: str) -> str | None:
    """The id of the oldest job of this very name; newer ones that live are ended. None: none is
    listed.
    """
    rows = stage.connection.api.by_name(queue, name)
    if not rows:
        return None
    newer = [
        row["jobId"]
        for row in rows[1:]
        if row.get("status") not in ENDED and not row.get("isTerminated")
    ]
    if newer:
        stage.log.warning(
            f"{stage.job.name}: {len(newer)} more job(s) named {name} appeared after an unclear "
            f"answer; kept the oldest, {rows[0]['jobId']}, and ended {', '.join(newer)}"
        )
        stage.connection.api.terminate(newer, f"duplicate of {rows[0]['jobId']}")
    return rows[0]["jobId"]


def recheck(stage: Stage, unit: Unit, *, final: bool = False) -> None:
    """After an unclear answer: look a few times more whether a second job has appeared."""
    if not unit.unsure or unit.rechecks >= len(RECHECKS):
        return
    age = stage.connection.clock.now() - unit.submitted_at
    if not final and age < RECHECKS[unit.rechecks]:
        return
    unit.rechecks = unit.rechecks + 1 if not final else len(RECHECKS)
    kept = keep_oldest(stage, unit.queue, unit.name)
    if kept is not None and kept != unit.job_id:
        stage.connection.describer.leave([unit.job_id])
        unit.job_id, unit.detail, unit.counts = kept, None, {}
        unit.ended = False
        stage.connection.describer.watch([kept])
