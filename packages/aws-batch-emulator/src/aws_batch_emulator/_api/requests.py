"""From a request's document to the input of an operation, by the service model of botocore.

Null members, and optional strings and structures that are empty, count as absent, as AWS Batch
takes them. Types, number ranges and enumerations are checked. What AWS can do and this emulator
can't is refused by name, at whatever depth it stands, and so is what a newer service model brings.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, Final

from botocore.model import OperationModel, Shape
from botocore.validate import ParamValidator

from aws_batch_emulator._api import rules
from aws_batch_emulator._core.errors import rejected, unsupported
from aws_batch_emulator._core.model import Document

_NODES: Final = "multi-node parallel jobs"
_CONSUMABLE: Final = "consumable resources"
_MANAGED: Final = "Amazon ECS Managed Instances"
_TRAINING: Final = "service environments and service jobs"

REFUSED: Final[dict[str, dict[str, str]]] = {
    "ComputeResource": {"managedInstancesProvider": _MANAGED, "capacityTags": _MANAGED},
    "ComputeResourceUpdate": {"managedInstancesProvider": _MANAGED, "capacityTags": _MANAGED},
    "CreateJobQueueRequest": {"serviceEnvironmentOrder": _TRAINING},
    "UpdateJobQueueRequest": {"serviceEnvironmentOrder": _TRAINING},
    "CreateSchedulingPolicyRequest": {"quotaSharePolicy": "quota shares"},
    "UpdateSchedulingPolicyRequest": {"quotaSharePolicy": "quota shares"},
    "RegisterJobDefinitionRequest": {
        "nodeProperties": _NODES,
        "consumableResourceProperties": _CONSUMABLE,
    },
    "SubmitJobRequest": {
        "nodeOverrides": _NODES,
        "consumableResourcePropertiesOverride": _CONSUMABLE,
    },
    "ListJobsRequest": {"multiNodeJobId": _NODES},
}
"""Members that this emulator can't serve, by the shape they belong to, and what they stand for."""

REFUSED_VALUES: Final[dict[str, dict[str, str]]] = {
    "JobQueueType": {
        "SAGEMAKER_TRAINING": _TRAINING,
        "ECS_MANAGED_INSTANCES": _MANAGED,
    },
    "CRType": {"ECS_MANAGED_INSTANCES": _MANAGED},
    "PlatformCapability": {"MANAGED_INSTANCES": _MANAGED},
    "JobDefinitionType": {"multinode": _NODES},
}
"""The same for values of enumerations, by the shape of the enumeration."""

TAKEN: Final[dict[str, frozenset[str]]] = {
    shape: frozenset(members.split())
    for shape, members in {
        "CreateComputeEnvironmentRequest": "computeEnvironmentName type state unmanagedvCpus "
        "computeResources serviceRole tags context ecsSettings eksConfiguration",
        "UpdateComputeEnvironmentRequest": "computeEnvironment state unmanagedvCpus "
        "computeResources serviceRole updatePolicy context ecsSettings eksConfiguration",
        "ComputeResource": "type allocationStrategy minvCpus maxvCpus desiredvCpus instanceTypes "
        "imageId subnets securityGroupIds ec2KeyPair instanceRole tags placementGroup "
        "bidPercentage spotIamFleetRole launchTemplate ec2Configuration scalingPolicy",
        "ComputeResourceUpdate": "minvCpus maxvCpus desiredvCpus subnets securityGroupIds "
        "allocationStrategy instanceTypes ec2KeyPair instanceRole tags placementGroup "
        "bidPercentage launchTemplate ec2Configuration updateToLatestImageVersion type imageId "
        "scalingPolicy",
        "CreateJobQueueRequest": "jobQueueName state schedulingPolicyArn priority "
        "computeEnvironmentOrder jobQueueType tags jobStateTimeLimitActions",
        "UpdateJobQueueRequest": "jobQueue state schedulingPolicyArn priority "
        "computeEnvironmentOrder jobStateTimeLimitActions",
        "CreateSchedulingPolicyRequest": "name fairsharePolicy tags",
        "UpdateSchedulingPolicyRequest": "arn fairsharePolicy",
        "RegisterJobDefinitionRequest": "jobDefinitionName type parameters schedulingPriority "
        "containerProperties retryStrategy propagateTags timeout tags platformCapabilities "
        "ecsProperties eksProperties",
        "ContainerProperties": "image vcpus memory command jobRoleArn executionRoleArn volumes "
        "environment mountPoints readonlyRootFilesystem privileged ulimits user instanceType "
        "resourceRequirements linuxParameters logConfiguration secrets networkConfiguration "
        "fargatePlatformConfiguration enableExecuteCommand ephemeralStorage runtimePlatform "
        "repositoryCredentials",
        "SubmitJobRequest": "jobName jobQueue shareIdentifier schedulingPriorityOverride "
        "arrayProperties dependsOn jobDefinition parameters containerOverrides retryStrategy "
        "propagateTags timeout tags ecsPropertiesOverride eksPropertiesOverride",
        "ListJobsRequest": "jobQueue arrayJobId jobStatus maxResults nextToken filters",
    }.items()
}
"""Members that are acted on or shown again, of the shapes to which new ones are still added."""

_EMPTY_COUNTS: Final = {
    ("KeyValuePair", "value"),  # an empty environment variable is one
    ("EksContainerEnvironmentVariable", "value"),
    ("RetryStrategy", "evaluateOnExit"),
    ("EvaluateOnExit", "onStatusReason"),
    ("EvaluateOnExit", "onReason"),
    ("EvaluateOnExit", "onExitCode"),
    ("RegisterJobDefinitionRequest", "retryStrategy"),  # recorded: it lacks its attempts
    ("SubmitJobRequest", "retryStrategy"),
}
_RANGES: Final = {"integer": 2**31, "long": 2**63}


def prepared(operation: OperationModel, document: Document) -> Document:
    """Return the input of the operation; raises `ApiError` for what is none."""
    shape = operation.input_shape
    if shape is None:
        return {}
    request: Document = _present(document, shape)
    report = _validator().validate(request, shape)
    if report.has_errors():
        raise rejected(report.generate_report())
    for path, problem in _problems(request, shape, ""):
        raise rejected(f"{problem} for {path}")
    structures = list(_structures(request, shape))
    for inner, value in structures:
        for what in _beyond(inner, value):
            raise unsupported(what)
    for inner, value in structures:
        if isinstance(value, dict):
            rules.check(inner.name, value)
    return request


@functools.cache
def _validator() -> ParamValidator:
    return ParamValidator()


def _present(value: Any, shape: Shape) -> Any:
    """Return the value without what counts as absent; what is of a wrong type stays as it is."""
    kind = shape.type_name
    if kind == "structure" and isinstance(value, dict):
        members: dict[str, Shape] = shape.members  # type: ignore[attr-defined]
        required: list[str] = shape.required_members
        present: Document = {}
        for key, given in value.items():
            if given is None:
                continue
            item = _present(given, members[key]) if key in members else given
            optional = key in members and key not in required
            if optional and item in ("", {}) and (shape.name, key) not in _EMPTY_COUNTS:
                continue
            present[key] = item
        return present
    if kind == "list" and isinstance(value, list):
        return [_present(item, shape.member) for item in value]  # type: ignore[attr-defined]
    return value


def _problems(value: Any, shape: Shape, path: str) -> Iterator[tuple[str, str]]:
    """Yield (path, problem) of what botocore leaves to the service."""
    kind = shape.type_name
    if kind in ("structure", "list", "map"):
        for name, item, inner in _parts(value, shape):
            yield from _problems(item, inner, f"{path}{name}".lstrip("."))
    elif kind in _RANGES:
        # For Python True is an integer; for a service it is not.
        if isinstance(value, bool) or not -_RANGES[kind] <= value < _RANGES[kind]:
            yield path, f"Invalid value {str(value)[:40]}"
    elif allowed := getattr(shape, "enum", None):
        # The actions of evaluateOnExit are "not case sensitive" (API reference).
        known = value.upper() if shape.name == "RetryAction" else value
        if known not in allowed:
            yield path, f"Invalid value {value[:200]!r} (must be one of: {', '.join(allowed)})"


def _structures(value: Any, shape: Shape) -> Iterator[tuple[Shape, Any]]:
    """Yield the structures and enumerations of a valid value, outer ones first."""
    if shape.type_name in ("structure", "list", "map"):
        if shape.type_name == "structure":
            yield shape, value
        for _, item, inner in _parts(value, shape):
            yield from _structures(item, inner)
    elif shape.name in REFUSED_VALUES:
        yield shape, value


def _beyond(shape: Shape, value: Any) -> Iterator[str]:
    """Yield what the emulator can't do of one structure or enumeration."""
    refused = REFUSED.get(shape.name, {})
    taken = TAKEN.get(shape.name)
    for key in value if isinstance(value, dict) else ():
        if key in refused and value[key] != []:
            yield refused[key]
        elif taken is not None and key not in taken and key not in refused:
            yield f"the member {key} of {shape.name}"
    if isinstance(value, str) and value in (found := REFUSED_VALUES.get(shape.name, {})):
        yield found[value]


def _parts(value: Any, shape: Shape) -> Iterator[tuple[str, Any, Shape]]:
    """Yield (name, value, shape) of the members or elements of a valid value."""
    if shape.type_name == "structure":
        members: dict[str, Shape] = shape.members  # type: ignore[attr-defined]
        yield from ((f".{k}", item, members[k]) for k, item in value.items() if k in members)
    elif shape.type_name == "list":
        member: Shape = shape.member  # type: ignore[attr-defined]
        yield from ((f"[{i}]", item, member) for i, item in enumerate(value))
    else:
        inner: Shape = shape.value  # type: ignore[attr-defined]
        yield from ((f".{k}", item, inner) for k, item in value.items())
