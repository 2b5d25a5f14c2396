"""From a job and its task numbers to one SubmitJob request that is sure to fit.

Pure but for the scratch place.

Two limits of AWS: a request of 30 KiB is refused; container overrides over 8,192 characters are
*accepted* and the
job fails later. Both are kept with room to spare, and what is too long goes to the scratch place by
itself.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from dagster_aws_batch._aws.names import format_ranges
from dagster_aws_batch._errors import InvalidJobError, PayloadTooLargeError, ScratchError
from dagster_aws_batch._job import DEFAULT_TIMEOUT_SECONDS, Job, Retries
from dagster_aws_batch._scratch import Scratch

__all__ = [
    "INPUT_OFFSET_WIDTH",
    "Shape",
    "attempts_of",
    "encode_inputs",
    "merged",
    "pod_resources",
    "retry_strategy",
    "shape_of",
    "submit_request",
]

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
            *({field: f"{text}*", "action": "RETRY"} for text, field in _REPEATED.items()),
            {"onReason": "*", "action": "EXIT"},
        ],
    }


# How the reasons begin that AWS Batch itself answers with another attempt, and where they stand.
_REPEATED = {
    "Host EC2": "onStatusReason",
    "Your Spot Task was interrupted": "onStatusReason",
    "DockerTimeoutError": "onReason",
    "CannotInspectContainerError": "onReason",
}


def attempts_of(detail: Mapping[str, Any], *, status_reason: str, reason: str) -> int:
    """How often AWS Batch itself has tried a task that failed for these reasons, in one job."""
    said = {"onStatusReason": status_reason, "onReason": reason}
    attempts: int = (detail.get("retryStrategy") or {}).get("attempts") or 1
    return attempts if any(said[field].startswith(text) for text, field in _REPEATED.items()) else 1


def merged(
    what: str, ours: Mapping[str, Any], given: Mapping[str, Any], *, reserved: Collection[str] = ()
) -> dict[str, Any]:
    """Join what the client sets with a user's further fields, which may add but never replace.

    Mappings are joined, lists appended, equal values accepted.

    Raises:
        InvalidJobError: A field is set by the client, with another value.
    """
    result = dict(ours)
    for key, value in given.items():
        known = result.get(key)
        if key in reserved or (key in result and type(known) is not type(value)):
            raise InvalidJobError(f"{what}: {key} is set by this client; leave it out")
        if isinstance(value, Mapping) and isinstance(known, Mapping):
            result[key] = merged(f"{what}.{key}", known, value)
        elif isinstance(value, list) and isinstance(known, list):
            result[key] = _joined(f"{what}.{key}", known, value)
        elif key in result and known != value:
            raise InvalidJobError(f"{what}: {key} is set by this client to {known!r}; leave it out")
        else:
            result[key] = value
    return result


def _joined(what: str, ours: list[Any], given: list[Any]) -> list[Any]:
    """Both lists; of named or typed entries (variables, resources) none may be there twice."""

    def label(entry: Any) -> Any:
        return entry.get("name", entry.get("type")) if isinstance(entry, Mapping) else None

    known = {label(entry) for entry in ours} - {None}
    for entry in given:
        if label(entry) in known and entry not in ours:
            raise InvalidJobError(f"{what}: {label(entry)} is set by this client")
    return [*ours, *(entry for entry in given if entry not in ours)]


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
    shape: Shape | None = None,
) -> dict[str, Any]:
    """Build the request for `tasks` (one: a plain job; more: an array), within both limits.

    Raises PayloadTooLargeError, naming what is too long, or ScratchError where a place is needed
    and none is set.
    """
    shape = shape or shape_of(job, {})
    variables = {
        **job.environment,
        "BATCH_TASKS": format_ranges(tasks),
        "BATCH_TASK_TOTAL": str(total),
        "BATCH_SUBMISSION": token,
    }
    if inputs_uri:
        variables["BATCH_INPUTS"] = inputs_uri
    request = _assemble(job, name, queue, definition, tasks, tags, memory_mib, variables, shape)
    if _fits(request):
        return request
    listed = variables["BATCH_TASKS"]
    if len(listed) > 200:
        if scratch is None:
            raise ScratchError(
                f"job {job.name}: the list of its {len(tasks):,} tasks has {len(listed):,} "
                "characters, too many for SubmitJob. Set scratch (an S3 prefix or a folder that "
                "the containers can read)"
            )
        # Named by the submission's token: a repeated submission writes the same object again.
        uri = scratch.put(f"{name}/tasks-{token}", listed.encode())
        variables["BATCH_TASKS"] = f"@{uri}"
        request = _assemble(job, name, queue, definition, tasks, tags, memory_mib, variables, shape)
        if _fits(request):
            return request
    raise PayloadTooLargeError(_complaint(job, request, variables))


@dataclass(frozen=True, slots=True)
class Shape:
    """What kind of job a definition makes, and which of its containers is the task's."""

    kind: Literal["container", "ecs", "eks"] = "container"
    container: str = ""


def shape_of(job: Job, definition: Mapping[str, Any]) -> Shape:
    """By a definition as AWS describes it; empty where it could not be read.

    Raises:
        InvalidJobError: It is of several nodes, or has several containers and none is chosen.
    """
    if definition.get("nodeProperties") or "nodeOverrides" in job.options:
        raise InvalidJobError(
            f"job {job.name}: its definition is of several nodes (multinode), which this client "
            "does not run: AWS Batch has no arrays of them, and a task would be many containers "
            "of which only the main node's counts. Submit it with boto3, or use one node",
        )
    if pod := (definition.get("eksProperties") or {}).get("podProperties"):
        return Shape("eks", _chosen(job, pod.get("containers", []), "Default"))
    tasks = (definition.get("ecsProperties") or {}).get("taskProperties")
    if tasks:
        return Shape("ecs", _chosen(job, tasks[0].get("containers", []), ""))
    return Shape("ecs", job.container) if job.container else Shape()


def _chosen(job: Job, containers: Sequence[Mapping[str, Any]], default: str) -> str:
    names = [one.get("name", default) for one in containers]
    if job.container is None and len(names) == 1:
        return str(names[0])
    if job.container not in names:
        raise InvalidJobError(
            f"job {job.name}: its definition has the containers {', '.join(names)}; name the one "
            "that does the work as `container`",
        )
    return str(job.container)


def pod_resources(vcpus: float | None, memory_mib: int | None, gpus: int | None) -> dict[str, Any]:
    """The resources of a container on EKS: requests and limits are equal."""
    wanted = {
        "cpu": None if vcpus is None else f"{vcpus:g}",
        "memory": None if memory_mib is None else f"{memory_mib}Mi",
        "nvidia.com/gpu": str(gpus) if gpus else None,
    }
    given = {key: value for key, value in wanted.items() if value}
    return {"limits": given, "requests": given} if given else {}


def _overrides(
    job: Job, shape: Shape, memory_mib: int | None, variables: Mapping[str, str]
) -> dict[str, Any]:
    """The one field of SubmitJob that overrides a container of this kind."""
    pairs = [{"name": key, "value": value} for key, value in variables.items()]
    if shape.kind == "eks":
        pod: dict[str, Any] = {"name": shape.container, "env": pairs}
        if job.command:
            pod["args"] = list(job.command)
        if resources := pod_resources(job.vcpus, memory_mib, job.gpus):
            pod["resources"] = resources
        return {"eksPropertiesOverride": {"podProperties": {"containers": [pod]}}}
    overrides: dict[str, Any] = {"environment": pairs}
    if job.command:
        overrides["command"] = list(job.command)
    wanted = {
        "VCPU": None if job.vcpus is None else f"{job.vcpus:g}",
        "MEMORY": None if memory_mib is None else str(memory_mib),
        "GPU": str(job.gpus) if job.gpus else None,
    }
    if requirements := [{"type": kind, "value": value} for kind, value in wanted.items() if value]:
        overrides["resourceRequirements"] = requirements
    if shape.kind == "ecs":
        container = {"name": shape.container, **overrides}
        return {"ecsPropertiesOverride": {"taskProperties": [{"containers": [container]}]}}
    return {"containerOverrides": overrides}


def _assemble(
    job: Job,
    name: str,
    queue: str,
    definition: str,
    tasks: Sequence[int],
    tags: Mapping[str, str],
    memory_mib: int | None,
    variables: Mapping[str, str],
    shape: Shape,
) -> dict[str, Any]:
    request: dict[str, Any] = {
        "jobName": name,
        "jobQueue": queue,
        "jobDefinition": definition,
        "tags": dict(tags),
        **_overrides(job, shape, memory_mib, variables),
    }
    if shape.kind != "eks":
        # Pods have labels, no tags (RegisterJobDefinition, propagateTags).
        request["propagateTags"] = True
    if len(tasks) > 1:
        request["arrayProperties"] = {"size": len(tasks)}
    # A definition given by name keeps its own retries and timeout unless the job says otherwise.
    named = isinstance(job.definition, str)
    if job.retries is not None or not named:
        request["retryStrategy"] = retry_strategy(job.retries or Retries())
    timeout = job.timeout_seconds
    if timeout == "default":
        timeout = None if named else DEFAULT_TIMEOUT_SECONDS
    if timeout is not None:
        request["timeout"] = {"attemptDurationSeconds": timeout}
    if job.share_identifier:
        request["shareIdentifier"] = job.share_identifier
    if job.scheduling_priority is not None:
        request["schedulingPriorityOverride"] = job.scheduling_priority
    return merged(
        f"job {job.name}: options",
        request,
        job.options,
        # Left to their fields: the client finds jobs, tasks and memory again by them.
        reserved=("jobName", "jobQueue", "jobDefinition", "arrayProperties", *_foreign(shape)),
    )


def _foreign(shape: Shape) -> set[str]:
    """The overrides of the other kinds of jobs, which AWS refuses."""
    own = {"container": "containerOverrides"}.get(shape.kind, f"{shape.kind}PropertiesOverride")
    return {"containerOverrides", "ecsPropertiesOverride", "eksPropertiesOverride"} - {own}


def _overrides_of(request: Mapping[str, Any]) -> Any:
    kinds = ("containerOverrides", "ecsPropertiesOverride", "eksPropertiesOverride")
    return next((request[kind] for kind in kinds if kind in request), {})


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
        f"job {job.name}: overrides of {_size(_overrides_of(request)):,} characters (limit here "
        f"{MAX_OVERRIDE_CHARACTERS:,}) in a request of {_size(request):,} bytes (limit "
        f"{MAX_REQUEST_BYTES:,}); the largest part is the {biggest} with {size:,}. Pass long data "
        "through Job.inputs or as an object in S3"
    )
