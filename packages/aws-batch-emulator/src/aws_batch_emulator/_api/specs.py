"""From a SubmitJob request and its job definition to a `JobSpec`, and the checks on definitions.

Pure: knows the documents, not the engine. Raises `ApiError` for what Batch refuses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from aws_batch_emulator._api import limits, platforms, pods
from aws_batch_emulator._core.errors import rejected
from aws_batch_emulator._core.model import Dependency, Document, ExitRule, JobSpec

_REF = re.compile(r"Ref::([A-Za-z0-9_-]+)")
_CONTAINER_LISTS = (
    "command",
    "environment",
    "mountPoints",
    "ulimits",
    "resourceRequirements",
    "secrets",
)
OVERRIDES = {
    "containerOverrides": "containerProperties",
    "ecsPropertiesOverride": "ecsProperties",
    "eksPropertiesOverride": "eksProperties",
}
"""Which member of SubmitJob changes which of a definition's."""
_KEPT = (
    "parameters",
    "retryStrategy",
    "timeout",
    "tags",
    "propagateTags",
    "schedulingPriority",
)


def checked_definition(request: Document) -> Document:
    """Return a definition's document as DescribeJobDefinitions shows it, less name and number."""
    kinds = ("containerProperties", "ecsProperties", "eksProperties")
    given = [key for key in kinds if key in request]
    if len(given) != 1:
        raise rejected(f"Exactly one of {', '.join(kinds)} must be provided.")
    eks = given == ["eksProperties"]
    capabilities = request.get("platformCapabilities") or [platforms.EC2]
    if len(set(capabilities)) > 1:
        raise rejected(
            f"A job definition can't be for {' and '.join(capabilities)} at the same time"
        )
    platform = capabilities[0]
    properties: Document
    if eks:
        properties = pods.checked_pod(request)
    elif given == ["ecsProperties"]:
        properties = _checked_task(request["ecsProperties"], platform)
    else:
        properties = {
            "volumes": [],
            **_checked_container(request["containerProperties"], platform),
        }
        platforms.size(*_amounts([properties])[:2], platform=platform)
        if platform == platforms.FARGATE and not properties.get("executionRoleArn"):
            raise rejected("EXECUTION_ROLE is required for Fargate jobs.")
    limits.tags(request.get("tags", {}))
    return {
        "type": "container",
        "status": "ACTIVE",
        "parameters": {},
        "tags": {},
        **{key: request[key] for key in _KEPT if key in request},
        given[0]: properties,
        **({} if eks else {"platformCapabilities": [platform]}),
        "containerOrchestrationType": "EKS" if eks else "ECS",
    }


def _checked_container(container: Document, platform: str) -> Document:
    if not container.get("image"):
        raise rejected("Container image is required.")
    requirements = {r["type"]: r["value"] for r in container.get("resourceRequirements", [])}
    if "VCPU" not in requirements and not container.get("vcpus"):
        raise rejected("vCPU is not provided.")  # (recorded)
    if "MEMORY" not in requirements and not container.get("memory"):
        raise rejected("Memory is not provided.")
    platforms.requirements(container.get("resourceRequirements", []), platform=platform)
    platforms.container(container, platform=platform)
    return {**{key: [] for key in _CONTAINER_LISTS}, **container}


def _checked_task(properties: Document, platform: str) -> Document:
    tasks = properties["taskProperties"]
    if len(tasks) != 1:
        raise rejected(f"ecsProperties needs exactly one entry of taskProperties, got {len(tasks)}")
    containers = tasks[0]["containers"]
    if not 1 <= len(containers) <= limits.CONTAINERS:
        raise rejected(f"A job has 1 to {limits.CONTAINERS} containers, got {len(containers)}")
    checked = []
    for number, container in enumerate(containers):
        named = {"essential": True, **container}
        if not named.get("name"):
            if len(containers) > 1:
                raise rejected(f"Container {number} needs a name")
            named["name"] = "default"
        checked.append(_checked_container(named, platform))
    platforms.task(tasks[0], platform=platform)
    platforms.size(*_amounts(checked)[:2], platform=platform)
    if platform == platforms.FARGATE and not tasks[0].get("executionRoleArn"):
        raise rejected("EXECUTION_ROLE is required for Fargate jobs.")
    names = [container["name"] for container in checked]
    if len(set(names)) < len(names):
        raise rejected(f"Container names must be unique: {', '.join(names)}")
    if not any(container["essential"] for container in checked):
        raise rejected("At least one container must be essential")
    for place, container in enumerate(checked):
        for entry in container.get("dependsOn", []):
            named_one = next((c for c in checked if c["name"] == entry.get("containerName")), {})
            if entry.get("condition", "START") != "START" and named_one.get("essential"):
                raise rejected(
                    f"The condition {entry['condition']} can't be set on an essential container"
                )
            # Only on earlier ones: AWS only demands that there is no circle.
            if entry.get("containerName") not in names[:place]:
                raise rejected(
                    f"Container {container['name']} can only depend on one listed before it, "
                    f"not on {entry.get('containerName')}"
                )
    return {"taskProperties": [{**tasks[0], "containers": checked}]}


def job_spec(
    request: Document, definition: Document, *, number: int, queue: str, environment: Document
) -> JobSpec:
    """Return what a checked SubmitJob request comes to with this definition.

    `environment` is the document of the queue's first compute environment.
    """
    platform = definition.get("platformCapabilities", ["EC2"])[0]
    parameters = {**definition["parameters"], **request.get("parameters", {})}
    _check_kind(request, definition, environment, queue)
    ecs = eks = None
    if "eksProperties" in definition:
        containers, eks = pods.resolved(definition, request, environment)
    else:
        containers, ecs = _containers(request, definition, parameters, platform)
    retry: Document | None = request.get("retryStrategy") or definition.get("retryStrategy")
    timeout: Document = request.get("timeout") or definition.get("timeout") or {}
    tags = dict(request.get("tags", {}))
    settings: Document = {
        "propagateTags": definition.get("propagateTags", False),
        "schedulingPriorityOverride": definition.get("schedulingPriority", 0),
        **request,
    }
    propagate: bool = settings["propagateTags"]
    vcpus, memory_mib, gpus = _amounts(containers)
    platforms.size(vcpus, memory_mib, platform=platform)
    return JobSpec(
        id=number,
        name=request["jobName"],
        queue=queue,
        definition_arn=definition["jobDefinitionArn"],
        containers=containers,
        ecs=ecs,
        eks=eks,
        parameters=parameters,
        attempts=retry["attempts"] if retry else 1,
        rules=_rules(retry),
        retry=retry,
        timeout_seconds=timeout.get("attemptDurationSeconds"),
        depends_on=_dependencies(request),
        tags=tags,
        propagate_tags=propagate,
        share_identifier=request.get("shareIdentifier"),
        scheduling_priority=settings["schedulingPriorityOverride"],
        platform=platform,
        vcpus=vcpus,
        memory_mib=memory_mib,
        gpus=gpus,
        start_failure=_start_failure(request, {**definition["tags"], **tags} if propagate else {}),
    )


def _start_failure(request: Document, propagated: Document) -> str | None:
    """Return why a job that is accepted can't start."""
    given: Document = next((request[member] for member in OVERRIDES if member in request), {})
    if limits.overrides_length(given) > limits.OVERRIDES_CHARACTERS:
        return limits.OVERRIDES_TOO_LONG
    return limits.TOO_MANY_TAGS if len(propagated) > limits.TAGS else None


def substitute(text: str, parameters: Mapping[str, str]) -> str:
    """Replace `Ref::name` by the parameter's value; unknown names stay as they are."""
    return _REF.sub(lambda found: parameters.get(found[1], found[0]), text)


def _check_kind(request: Document, definition: Document, environment: Document, queue: str) -> None:
    """Refuse overrides for another kind of definition, and a queue for another orchestration."""
    for member, properties in OVERRIDES.items():
        if member in request and properties not in definition:
            raise rejected(f"{member} is not applicable to this kind of job definition")
    needed = definition["containerOrchestrationType"]
    kind: str = environment.get("computeResources", {}).get("type", platforms.EC2)
    fargate = platforms.FARGATE in definition.get("platformCapabilities", ())
    if environment["containerOrchestrationType"] != needed:
        raise rejected(f"The job definition needs a job queue of type {needed}, {queue} is none")
    if kind.startswith(platforms.FARGATE) != fargate:
        needed = platforms.FARGATE if fargate else platforms.EC2
        raise rejected(f"The job definition needs a job queue of {needed}, {queue} is none")


def _containers(
    request: Document, definition: Document, parameters: Mapping[str, str], platform: str
) -> tuple[tuple[Document, ...], Document | None]:
    """Return the containers to run, and the properties of an ECS task around them."""
    overrides = _overrides(request, ecs="ecsProperties" in definition)
    for override in overrides.values():
        platforms.override(override, platform=platform)
        platforms.requirements(override.get("resourceRequirements", []), platform=platform)
    bases, ecs = _bases(definition)
    if unknown := set(overrides) - {base.get("name") for base in bases}:
        raise rejected(f"The job definition has no container {', '.join(map(str, unknown))}")
    merged = (_container(base, overrides.get(base.get("name"), {}), parameters) for base in bases)
    return tuple(merged), ecs


def _overrides(request: Document, *, ecs: bool) -> dict[str | None, Document]:
    """Return the overrides by container name; None names the container of containerProperties."""
    if not ecs:
        return {None: request.get("containerOverrides", {})}
    tasks = request.get("ecsPropertiesOverride", {}).get("taskProperties", [])
    return {
        container.get("name", "default"): container
        for task in tasks
        for container in task.get("containers", [])
    }


def _bases(definition: Document) -> tuple[list[Document], Document | None]:
    """Return the definition's containers, and the properties of an ECS task around them."""
    if "ecsProperties" not in definition:
        return [definition["containerProperties"]], None
    task = definition["ecsProperties"]["taskProperties"][0]
    return task["containers"], {k: v for k, v in task.items() if k != "containers"}


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
    # A definition's old-style value gives way to an override in resourceRequirements.
    for key, kind in (("vcpus", "VCPU"), ("memory", "MEMORY")):
        if key in overrides:
            container[key] = overrides[key]
        if kind in required:
            container.pop(key, None)
    return container


def _amounts(containers: Sequence[Document]) -> tuple[float, int, int]:
    """Return vCPUs, MiB and GPUs of a job: its containers together, or its largest init one."""
    together = [_resources(container) for container in containers if not container.get("init")]
    alone = [_resources(container) for container in containers if container.get("init")]
    sums = [sum(amounts) for amounts in zip(*together, strict=True)]
    vcpus, memory_mib, gpus = (max(amounts) for amounts in zip(sums, *alone, strict=True))
    return vcpus, int(memory_mib), int(gpus)


def _resources(container: Document) -> tuple[float, int, int]:
    amounts: Document = {
        "VCPU": container.get("vcpus", 1),
        "MEMORY": container.get("memory", 512),
        "GPU": 0,
        **{r["type"]: r["value"] for r in container["resourceRequirements"]},
    }
    return float(amounts["VCPU"]), int(amounts["MEMORY"]), int(amounts["GPU"])


def _dependencies(request: Document) -> tuple[Dependency, ...]:
    documents: list[Document] = request.get("dependsOn", [])
    return tuple(Dependency(job_id=d.get("jobId"), type=d.get("type")) for d in documents)


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
