"""Jobs on Amazon EKS: what a pod may hold, how it runs without Kubernetes, and how it shows.

Pure. A pod's containers become containers as the runners know them; its own description stays
beside each of them. Sources: AWS Batch API reference, EksPodProperties and the shapes below it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from aws_batch_emulator._api import limits
from aws_batch_emulator._core.errors import rejected
from aws_batch_emulator._core.model import Document

DEFAULT_NAME: Final = "Default"
_NAMESPACE = re.compile(r"(?!default$|kube)[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_.-][A-Za-z0-9_.-]*)\)")
_KINDS = {"cpu": "VCPU", "memory": "MEMORY", "nvidia.com/gpu": "GPU"}


def checked_cluster(configuration: Document, resources: Document) -> None:
    """Check the `eksConfiguration` of a compute environment with these compute resources."""
    namespace(configuration["kubernetesNamespace"])
    if not configuration["eksClusterArn"].startswith("arn:"):
        raise rejected("eksClusterArn must be the ARN of an Amazon EKS cluster")
    if resources.get("type") not in ("EC2", "SPOT"):
        raise rejected("An Amazon EKS compute environment needs EC2 or SPOT resources")
    if "allocationStrategy" not in resources:
        raise rejected("allocationStrategy is required for Amazon EKS compute environments")


def namespace(name: str) -> None:
    """Check the name of a Kubernetes namespace."""
    if not _NAMESPACE.fullmatch(name):
        raise rejected(f"The Kubernetes namespace {name[:80]} is not valid")


def checked_pod(request: Document) -> Document:
    """Return the `eksProperties` of a definition as DescribeJobDefinitions shows them."""
    for member in ("platformCapabilities", "propagateTags"):
        if member in request:
            raise rejected(f"{member} must not be specified for jobs on Amazon EKS")
    pod = request["eksProperties"].get("podProperties") or {}
    inits = [{"name": DEFAULT_NAME, **c} for c in pod.get("initContainers", [])]
    mains = [{"name": DEFAULT_NAME, **c} for c in pod.get("containers", [])]
    if not mains:
        raise rejected("A pod needs at least one container")
    for what, found in (("containers", mains), ("initContainers", inits)):
        if len(found) > limits.CONTAINERS:
            raise rejected(f"A pod has at most {limits.CONTAINERS} {what}, got {len(found)}")
    names = [container["name"] for container in (*inits, *mains)]
    if len(set(names)) < len(names):
        raise rejected(f"Container names must be unique in a pod: {', '.join(names)}")
    for container in (*inits, *mains):
        _requirements(container)
    if "namespace" in pod.get("metadata", {}):
        namespace(pod["metadata"]["namespace"])
    return {"podProperties": {**pod, "containers": mains, "initContainers": inits}}


def resolved(
    definition: Document, request: Document, environment: Document
) -> tuple[tuple[Document, ...], Document]:
    """Return the containers to run, in order, and what is shown of the pod around them.

    `environment` is the document of the compute environment. Each container waits for all init
    containers; in its `eks` is its own description.
    """
    pod = definition["eksProperties"]["podProperties"]
    given = request.get("eksPropertiesOverride", {}).get("podProperties", {})
    inits = _overridden(pod["initContainers"], given.get("initContainers", []))
    mains = _overridden(pod["containers"], given.get("containers", []))
    cluster = environment["eksConfiguration"]
    metadata = {"namespace": cluster["kubernetesNamespace"], **pod.get("metadata", {})}
    metadata |= given.get("metadata", {})
    around = {k: v for k, v in pod.items() if k not in ("containers", "initContainers")}
    around |= {"metadata": metadata, "eksClusterArn": cluster["eksClusterArn"]}
    previous: list[str] = []
    run = []
    for place, container in enumerate((*inits, *mains)):
        document = _to_run(container, after=previous)
        if place < len(inits):
            document["init"] = True
            previous = [container["name"]]
        run.append(document)
    return tuple(run), around


def shown_pod(
    around: Document, containers: Sequence[Document], ends: Sequence[Document], task: str | None
) -> Document:
    """Return `eksProperties` as DescribeJobs shows it; `ends`: exitCode and reason of each."""
    shown = [{**c["eks"], **_end(e)} for c, e in zip(containers, ends, strict=True)]
    pod = {k: v for k, v in around.items() if k != "eksClusterArn"}
    pod |= _by_kind(containers, shown) | _place(task)
    return {"podProperties": pod}


def shown_attempt(
    around: Document, containers: Sequence[Document], ends: Sequence[Document], task: str
) -> Document:
    """Return an entry of `eksAttempts`, less its times and status reason."""
    shown = [
        {"name": c["name"], "containerID": f"local://{task}-{i}", **_end(e)}
        for i, (c, e) in enumerate(zip(containers, ends, strict=True))
    ]
    return {
        **_by_kind(containers, shown),
        **_place(task),
        "eksClusterArn": around["eksClusterArn"],
        "podNamespace": around["metadata"]["namespace"],
    }


def _end(document: Document) -> Document:
    return {key: document[key] for key in ("exitCode", "reason") if key in document}


def _by_kind(containers: Sequence[Document], shown: Sequence[Document]) -> Document:
    pairs = list(zip(containers, shown, strict=True))
    return {
        "containers": [document for c, document in pairs if not c.get("init")],
        "initContainers": [document for c, document in pairs if c.get("init")],
    }


def _place(task: str | None) -> Document:
    return {"podName": f"aws-batch.{task}", "nodeName": "local"} if task else {}


def _requirements(container: Document) -> list[Document]:
    """Check the container's resources, and return them as Batch's other jobs give them."""
    resources = container.get("resources", {})
    asked, most = resources.get("requests", {}), resources.get("limits", {})
    found = []
    for name, kind in _KINDS.items():
        amounts = [_amount(name, given[name]) for given in (asked, most) if name in given]
        if not amounts:
            continue
        if len(amounts) == 2 and (
            amounts[0] > amounts[1] or (name != "cpu" and len({*amounts}) > 1)
        ):
            raise rejected(f"{name} of limits does not suit that of requests")
        found.append({"type": kind, "value": str(amounts[0])})
    return found


def _amount(name: str, text: str) -> Decimal:
    suffix = "Mi" if name == "memory" else ""
    try:
        amount = Decimal(text.removesuffix(suffix)) if text.endswith(suffix) else Decimal("NaN")
    except InvalidOperation:
        amount = Decimal("NaN")
    step = Decimal("0.25") if name == "cpu" else Decimal(1)
    least = {"cpu": Decimal("0.25"), "memory": Decimal(4)}.get(name, Decimal(1))
    if not amount.is_finite() or amount > 10**9 or amount < least or amount % step:
        raise rejected(f"{name} can't be {text[:40]}: a multiple of {step}{suffix} from {least} on")
    return amount.normalize() if amount % 1 else amount.quantize(Decimal(1))


def _overridden(bases: list[Document], overrides: list[Document]) -> list[Document]:
    by_name = {container["name"]: container for container in bases}
    for override in overrides:
        name = override.get("name", next(iter(by_name)) if len(by_name) == 1 else "")
        if name not in by_name:
            raise rejected(f"The job definition has no container {name or 'without a name'}")
        base = by_name[name]
        merged = {**base, **override, "name": name}
        env = {e["name"]: e for e in (*base.get("env", []), *override.get("env", []))}
        if env:
            merged["env"] = list(env.values())
        if "resources" in override:
            old = base.get("resources", {})
            merged["resources"] = {
                part: {**old.get(part, {}), **override["resources"].get(part, {})}
                for part in ("limits", "requests")
                if part in old or part in override["resources"]
            }
        _requirements(merged)
        by_name[name] = merged
    return list(by_name.values())


def _to_run(container: Document, *, after: Sequence[str]) -> Document:
    environment = {e["name"]: e.get("value", "") for e in container.get("env", [])}

    def words(member: str) -> list[str]:
        return [expanded(word, environment) for word in container.get(member, [])]

    run: dict[str, Any] = {
        "name": container["name"],
        "image": container["image"],
        "command": words("args"),
        "environment": [{"name": k, "value": v} for k, v in environment.items()],
        "resourceRequirements": _requirements(container),
        "essential": True,
        "dependsOn": [{"containerName": name, "condition": "SUCCESS"} for name in after],
        "eks": container,
    }
    if container.get("command"):
        run["entrypoint"] = words("command")
    return run


def expanded(text: str, environment: Mapping[str, str]) -> str:
    """Replace `$(NAME)` by the variable's value; `$$` stands for `$`, unknown names stay."""

    def value(found: re.Match[str]) -> str:
        return "$" if found[0] == "$$" else environment.get(found[1], found[0])

    return _REFERENCE.sub(value, text)
