"""From a SubmitJob request and its job definition to a `JobSpec`, and the checks on definitions.

Pure: knows the documents, not the engine. Raises `ApiError` for what Batch refuses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from wordfreq_dagster.batch_emulator import limits
from wordfreq_dagster.batch_emulator.errors import rejected, unsupported
from wordfreq_dagster.batch_emulator.model import Dependency, Document, ExitRule, JobSpec

_REF = re.compile(r"Ref::([A-Za-z0-9_-]+)")
_CONTAINER_LISTS = (
    "command",
    "volumes",
    "environment",
    "mountPoints",
    "ulimits",
    "resourceRequirements",
    "secrets",
)


def checked_definition(request: Document) -> Document:
    """Return a definition's document as DescribeJobDefinitions shows it, less name and number."""
    if request["type"] != "container" or "nodeProperties" in request:
        raise unsupported("multi-node parallel jobs")
    if "eksProperties" in request:
        raise unsupported("jobs on Amazon EKS")
    if "ecsProperties" in request:
        raise unsupported("ecsProperties; use containerProperties")
    container = request.get("containerProperties")
    if container is None:
        raise rejected("containerProperties, ecsProperties or eksProperties must be provided.")
    if not container.get("image"):
        raise rejected("Container image is required.")
    platform = (request.get("platformCapabilities") or ["EC2"])[0]
    if platform not in ("EC2", "FARGATE"):
        raise rejected(f"Invalid platformCapabilities: {platform}")
    requirements = {r["type"]: r["value"] for r in container.get("resourceRequirements", [])}
    if "VCPU" not in requirements and not container.get("vcpus"):
        raise rejected("vCPU is not provided.")  # (recorded)
    if "MEMORY" not in requirements and not container.get("memory"):
        raise rejected("Memory is not provided.")
    if platform == "FARGATE" and not container.get("executionRoleArn"):
        raise rejected("EXECUTION_ROLE is required for Fargate jobs.")
    if platform == "EC2" and "networkConfiguration" in container:
        raise rejected("networkConfiguration not applicable for EC2.")  # (recorded)
    limits.resources(container.get("resourceRequirements", []), platform=platform)
    limits.command(container.get("command", []))
    limits.environment(container.get("environment", []))
    limits.retry(request.get("retryStrategy"))
    limits.timeout(request.get("timeout"))
    limits.priority(request.get("schedulingPriority"))
    limits.tags(request.get("tags", {}))
    kept = (
        "parameters",
        "retryStrategy",
        "timeout",
        "tags",
        "propagateTags",
        "schedulingPriority",
    )
    return {
        "type": "container",
        "status": "ACTIVE",
        "parameters": {},
        "tags": {},
        **{key: request[key] for key in kept if key in request},
        "containerProperties": {**{k: [] for k in _CONTAINER_LISTS}, **container},
        "platformCapabilities": [platform],
        "containerOrchestrationType": "ECS",
    }


def job_spec(request: Document, definition: Document, *, number: int, queue: str) -> JobSpec:
    """Return what a checked SubmitJob request comes to with this definition."""
    for key, what in (
        ("nodeOverrides", "multi-node parallel jobs"),
        ("eksPropertiesOverride", "jobs on Amazon EKS"),
        ("ecsPropertiesOverride", "ecsPropertiesOverride"),
        ("consumableResourcePropertiesOverride", "consumable resources"),
    ):
        if key in request:
            raise unsupported(what)
    overrides: Document = request.get("containerOverrides", {})
    platform = definition["platformCapabilities"][0]
    limits.command(overrides.get("command", []))
    limits.environment(overrides.get("environment", []))
    limits.resources(overrides.get("resourceRequirements", []), platform=platform)
    parameters = {**definition["parameters"], **request.get("parameters", {})}
    container = _container(definition["containerProperties"], overrides, parameters)
    retry: Document | None = request.get("retryStrategy") or definition.get("retryStrategy")
    timeout: Document = request.get("timeout") or definition.get("timeout") or {}
    tags = dict(request.get("tags", {}))
    settings: Document = {
        "propagateTags": definition.get("propagateTags", False),
        "schedulingPriorityOverride": definition.get("schedulingPriority", 0),
        **request,
    }
    propagate: bool = settings["propagateTags"]
    failure = None
    if limits.overrides_length(overrides) > limits.OVERRIDES_CHARACTERS:
        failure = limits.OVERRIDES_TOO_LONG
    elif propagate and len({**definition["tags"], **tags}) > limits.TAGS:
        failure = limits.TOO_MANY_TAGS
    vcpus, memory, gpus = _resources(container)
    return JobSpec(
        id=number,
        name=request["jobName"],
        queue=queue,
        definition_arn=definition["jobDefinitionArn"],
        container=container,
        parameters=parameters,
        attempts=retry["attempts"] if retry else 1,
        rules=_rules(retry),
        retry=retry,
        timeout_seconds=timeout.get("attemptDurationSeconds"),
        depends_on=tuple(
            Dependency(job_id=d.get("jobId"), type=d.get("type"))
            for d in request.get("dependsOn", ())
        ),
        tags=tags,
        propagate_tags=propagate,
        share_identifier=request.get("shareIdentifier"),
        scheduling_priority=settings["schedulingPriorityOverride"],
        platform=platform,
        vcpus=vcpus,
        memory_mib=memory,
        gpus=gpus,
        start_failure=failure,
    )


def substitute(text: str, parameters: Mapping[str, str]) -> str:
    """Replace `Ref::name` by the parameter's value; unknown names stay as they are."""
    return _REF.sub(lambda found: parameters.get(found[1], found[0]), text)


def _container(base: Document, overrides: Document, parameters: Mapping[str, str]) -> Document:
    container: dict[str, Any] = dict(base)
    command: list[str] = {"command": [], **base, **overrides}["command"]
    container["command"] = [substitute(element, parameters) for element in command]
    merged = {e["name"]: e for e in base.get("environment", [])}
    merged |= {e["name"]: e for e in overrides.get("environment", [])}
    container["environment"] = list(merged.values())
    required = {r["type"]: r for r in base.get("resourceRequirements", [])}
    required |= {r["type"]: r for r in overrides.get("resourceRequirements", [])}
    container["resourceRequirements"] = list(required.values())
    for key in ("vcpus", "memory", "instanceType"):
        if key in overrides:
            container[key] = overrides[key]
    # A definition's old-style value gives way to an override in resourceRequirements.
    for key, kind in (("vcpus", "VCPU"), ("memory", "MEMORY")):
        if kind in required:
            container.pop(key, None)
    return container


def _resources(container: Document) -> tuple[float, int, int]:
    amounts: Document = {
        "VCPU": container.get("vcpus", 1),
        "MEMORY": container.get("memory", 512),
        "GPU": 0,
        **{r["type"]: r["value"] for r in container["resourceRequirements"]},
    }
    return float(amounts["VCPU"]), int(amounts["MEMORY"]), int(amounts["GPU"])


def _rules(retry: Document | None) -> tuple[ExitRule, ...]:
    documents: list[Document] = (retry or {"evaluateOnExit": []}).get("evaluateOnExit") or []
    return tuple(
        ExitRule(
            action=document["action"],
            on_status_reason=document.get("onStatusReason"),
            on_reason=document.get("onReason"),
            on_exit_code=document.get("onExitCode"),
        )
        for document in documents
    )
