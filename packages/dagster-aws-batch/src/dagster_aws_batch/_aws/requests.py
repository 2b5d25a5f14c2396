"""From a job and its task numbers to one SubmitJob request that is sure to fit. Pure but for the
scratch place.

Two limits of AWS: a request of 30 KiB is refused; container overrides over 8,192 characters are
*accepted* and the
job fails later. Both are kept with room to spare, and what is too long goes to the scratch place by
itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from dagster_aws_batch._aws.ranges import format_ranges
from dagster_aws_batch._errors import (
    PayloadTooLargeError,
    ScratchError,
)
from dagster_aws_batch._job import (
    Job,
    Retries,
)
from dagster_aws_batch._scratch import Scratch

__all__ = ["INPUT_OFFSET_WIDTH", "encode_inputs", "retry_strategy", "submit_request"]

MAX_OVERRIDE_CHARACTERS = 7_500
MAX_REQUEST_BYTES = 28 * 1024
INPUT_OFFSET_WIDTH = 20


def retry_strategy(retries: Retries) -> dict[str, Any]:
    """Repeat by AWS Batch itself what is the host's fault and nothing else.

    Without a last EXIT on `*`, AWS Batch would repeat whatever no rule matches.
    """
    return {
        "attempts": min(10, 1 + retries.host_loss),
        "evaluateOnExit": [
            {"onStatusReason": "Host EC2*", "action": "RETRY"},
            {"onStatusReason": "Your Spot Task was interrupted*", "action": "RETRY"},
            {"onReason": "DockerTimeoutError*", "action": "RETRY"},
            {"onReason": "CannotInspectContainerError*", "action": "RETRY"},
            {"onReason": "*", "action": "EXIT"},
        ],
    }


def encode_inputs(inputs: Sequence[str]) -> bytes:
    """One object for all tasks' inputs, from which each reads only its own.

    First len+1 lines of 20 bytes (19 digits and a line end): where each input begins, and where the
    last ends; then the inputs, UTF-8, one after the other. Task i reads bytes 20*i to 20*i+40, and
    then the bytes between the two numbers found.
    """
    blobs = [text.encode() for text in inputs]
    position = INPUT_OFFSET_WIDTH * (len(blobs) + 1)
    head: list[str] = []
    for blob in blobs:
        head.append(f"{position:019d}\n")
        position += len(blob)
    head.append(f"{position:019d}\n")
    return "".join(head).encode() + b"".join(blobs)


def submit_request(
    job: Job,
    *,
    name: str,
    token: str,
    queue: str,
    definition: str,
    tasks: Sequence[int],
    total: int,
    tags: Mapping[str, str],
    memory_mib: int | None,
    scratch: Scratch | None,
    inputs_uri: str | None = None,
) -> dict[str, Any]:
    """Build the request for `tasks` (one: a plain job; more: an array), within both limits.

    Raises PayloadTooLargeError, naming what is too long, or ScratchError where a place is needed
    and
    none is set.
    """
    variables = {
        **job.environment,
        "BATCH_TASKS": format_ranges(tasks),
        "BATCH_TASK_TOTAL": str(total),
        "BATCH_SUBMISSION": token,
    }
    if inputs_uri:
        variables["BATCH_INPUTS"] = inputs_uri
    request = _assemble(job, name, queue, definition, tasks, tags, memory_mib, variables)
    if _fits(request):
        return request
    listed = variables["BATCH_TASKS"]
    if len(listed) > 200:
        if scratch is None:
            raise ScratchError(
                f"job {job.name}: the list of its {len(tasks):,} tasks has {len(listed):,} "
                f"characters, too "
                "many for SubmitJob. Set scratch (an S3 prefix or a folder that the containers "
                "can read)"
            )
        # Named by the submission's token: a repeated submission writes the same object again.
        uri = scratch.put(f"{name}/tasks-{token}", listed.encode())
        variables["BATCH_TASKS"] = f"@{uri}"
        request = _assemble(job, name, queue, definition, tasks, tags, memory_mib, variables)
        if _fits(request):
            return request
    raise PayloadTooLargeError(_complaint(job, request, variables))


def _assemble(
    job: Job,
    name: str,
    queue: str,
    definition: str,
    tasks: Sequence[int],
    tags: Mapping[str, str],
    memory_mib: int | None,
    variables: Mapping[str, str],
) -> dict[str, Any]:
    overrides: dict[str, Any] = {
        "environment": [{"name": key, "value": value} for key, value in variables.items()]
    }
    if job.command:
        overrides["command"] = list(job.command)
    wanted = {
        "VCPU": None if job.vcpus is None else f"{job.vcpus:g}",
        "MEMORY": None if memory_mib is None else str(memory_mib),
        "GPU": str(job.gpus) if job.gpus else None,
    }
    resources = [{"type": kind, "value": value} for kind, value in wanted.items() if value]
    if resources:
        overrides["resourceRequirements"] = resources
    request: dict[str, Any] = {
        "jobName": name,
        "jobQueue": queue,
        "jobDefinition": definition,
        "retryStrategy": retry_strategy(job.retries),
        "propagateTags": True,
        "tags": dict(tags),
    }
    if job.container:
        request["ecsPropertiesOverride"] = {
            "taskProperties": [{"containers": [{"name": job.container, **overrides}]}]
        }
    else:
        request["containerOverrides"] = overrides
    if len(tasks) > 1:
        request["arrayProperties"] = {"size": len(tasks)}
    if job.timeout_seconds is not None:
        request["timeout"] = {"attemptDurationSeconds": job.timeout_seconds}
    if job.share_identifier:
        request["shareIdentifier"] = job.share_identifier
    if job.scheduling_priority is not None:
        request["schedulingPriorityOverride"] = job.scheduling_priority
    request.update(job.options)
    return request


def _overrides_of(request: Mapping[str, Any]) -> Any:
    return request.get("containerOverrides") or request.get("ecsPropertiesOverride") or {}


def _size(value: Any) -> int:
    # Counted as botocore sends it: JSON with escapes and its default separators.
    return len(json.dumps(value))


def _fits(request: Mapping[str, Any]) -> bool:
    return (
        _size(_overrides_of(request)) <= MAX_OVERRIDE_CHARACTERS
        and _size(request) <= MAX_REQUEST_BYTES
    )


def _complaint(job: Job, request: Mapping[str, Any], variables: Mapping[str, str]) -> str:
    parts = {f"environment variable {key}": _size(value) for key, value in variables.items()}
    parts["command"] = _size(list(job.command))
    parts["tags"] = _size(request.get("tags", {}))
    biggest, size = max(parts.items(), key=lambda part: part[1])
    return (
        f"job {job.name}: overrides of {_size(_overrides_of(request)):,} characters "
        f"(limit here {MAX_OVERRIDE_CHARACTERS:,}) in a request of {_size(request):,} bytes (limit "
        f"{MAX_REQUEST_BYTES:,}); the largest part is the {biggest} with {size:,}. "
        "Pass long data through Job.inputs or as an object in S3"
    )
