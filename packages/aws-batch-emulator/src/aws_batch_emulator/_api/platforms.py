"""What a job or a compute environment may hold on Fargate and on EC2.

Sources: AWS Batch API reference ("This parameter isn't applicable to jobs that are running on
Fargate resources", "Jobs that are running on Amazon EC2 resources must not specify this parameter")
on the members named here. Texts marked (recorded) are AWS's own, as users have reported them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from aws_batch_emulator._core.errors import rejected
from aws_batch_emulator._core.model import Document

FARGATE: Final = "FARGATE"
EC2: Final = "EC2"


def _sizes(low: int, high: int, step: int) -> tuple[int, ...]:
    return tuple(range(low, high + 1, step))


FARGATE_SIZES: Final = {
    0.25: (512, 1_024, 2_048),
    0.5: _sizes(1_024, 4_096, 1_024),
    1.0: _sizes(2_048, 8_192, 1_024),
    2.0: _sizes(4_096, 16_384, 1_024),
    4.0: _sizes(8_192, 30_720, 1_024),
    8.0: _sizes(16_384, 61_440, 4_096),
    16.0: _sizes(32_768, 122_880, 8_192),
    32.0: (61_440, 122_880, 249_856),
}
"""The MiB that there are for each number of vCPUs (ResourceRequirement.value)."""

FARGATE_VCPUS: Final = tuple(f"{vcpus:g}" for vcpus in FARGATE_SIZES)
MEMORY_MIB: Final = 4
FARGATE_DRIVERS: Final = ("awslogs", "splunk")

NOT_ON_FARGATE: Final = {
    "container": ("ulimits", "instanceType"),
    "linuxParameters": ("devices", "sharedMemorySize", "tmpfs", "maxSwap", "swappiness"),
    "volume": ("host",),
    "task": ("ipcMode", "networkMode"),
    "computeResources": (
        "allocationStrategy",
        "minvCpus",
        "desiredvCpus",
        "instanceTypes",
        "imageId",
        "ec2KeyPair",
        "instanceRole",
        "tags",
        "placementGroup",
        "bidPercentage",
        "spotIamFleetRole",
        "launchTemplate",
        "ec2Configuration",
        "scalingPolicy",
    ),
}
NOT_ON_EC2: Final = {
    "container": ("networkConfiguration", "fargatePlatformConfiguration", "instanceType"),
    "task": ("networkConfiguration", "platformVersion", "networkMode"),
}
FARGATE_SUBNETS: Final = 16
FARGATE_GROUPS: Final = 5
FARGATE_TIMEOUT_SECONDS: Final = 120


def container(document: Document, *, platform: str) -> None:
    """Check a container of a job definition."""
    if platform == EC2:
        _refuse(document, NOT_ON_EC2["container"], "EC2")
        return
    for member in ("vcpus", "memory"):
        override({member: document[member]} if member in document else {}, platform=platform)
    _refuse(document, NOT_ON_FARGATE["container"], "Fargate")
    _refuse(document.get("linuxParameters", {}), NOT_ON_FARGATE["linuxParameters"], "Fargate")
    if document.get("privileged"):  # (recorded)
        raise rejected(
            "Fargate requires that the 'privileged' setting be 'false' at the container level."
        )
    driver = document.get("logConfiguration", {}).get("logDriver", "awslogs")
    if driver not in FARGATE_DRIVERS and "firelensConfiguration" not in document:
        raise rejected(f"The log driver {driver} is not applicable for Fargate.")
    for member in ("startTimeout", "stopTimeout"):
        if document.get(member, 0) > FARGATE_TIMEOUT_SECONDS:
            raise rejected(f"{member} must be at most {FARGATE_TIMEOUT_SECONDS} on Fargate")
    _volumes(document)


def task(document: Document, *, platform: str) -> None:
    """Check the members of an ECS task around its containers."""
    if platform == EC2:
        _refuse(document, NOT_ON_EC2["task"], "EC2")
    else:
        _refuse(document, NOT_ON_FARGATE["task"], "Fargate")
        _volumes(document)


def _volumes(document: Document) -> None:
    for volume in document.get("volumes", []):
        _refuse(volume, NOT_ON_FARGATE["volume"], "Fargate")


def override(document: Document, *, platform: str) -> None:
    """Check the overrides of a container."""
    if platform == FARGATE:
        for member in ("vcpus", "memory"):
            if member in document:  # (recorded)
                text = f"{member} is not applicable for Fargate. Use resource requirements instead."
                raise rejected(text)
    _refuse(document, ("instanceType",), "single-node jobs")


def requirements(documents: Iterable[Document], *, platform: str) -> None:
    """Check the values of `resourceRequirements`."""
    for requirement in documents:
        kind, value = requirement["type"], requirement["value"]
        if platform == FARGATE and kind == "GPU":
            raise rejected("GPU is not applicable for Fargate.")
        if platform == FARGATE and kind == "VCPU":
            if value not in FARGATE_VCPUS:
                raise rejected(f"Fargate vCPU requirement {value} is not supported")
        elif not value.isascii() or not value.isdecimal() or len(value) > 9 or int(value) < 1:
            raise rejected(f"{kind} requirement must be a positive whole number, got {value[:40]}")
        elif kind == "MEMORY" and int(value) < MEMORY_MIB:
            raise rejected(f"At least {MEMORY_MIB} MiB of memory are required, got {value}")


def size(vcpus: float, memory_mib: int, *, platform: str) -> None:
    """Check the size of a whole job."""
    if platform == FARGATE and memory_mib not in FARGATE_SIZES.get(vcpus, ()):  # (recorded)
        raise rejected(
            f"Fargate resource requirements ({vcpus:.2f} vCPU, {memory_mib} MiB) not valid."
        )


def compute_resources(document: Document) -> None:
    """Check the `computeResources` of a new compute environment."""
    kind: str = document["type"]
    if not document.get("subnets"):
        raise rejected("Subnets are required.")
    if kind.startswith(FARGATE):
        changed_fargate(document)
        if not document.get("securityGroupIds"):
            raise rejected("Security groups are required.")
        return
    if "minvCpus" not in document:
        raise rejected("Resource minvCpus is required.")  # (recorded)
    if document["minvCpus"] > document["maxvCpus"]:
        raise rejected("minvCpus must not be greater than maxvCpus")
    if not document.get("instanceRole"):
        raise rejected("Instance role is required.")  # (recorded)
    if not document.get("securityGroupIds") and "launchTemplate" not in document:
        raise rejected("Security groups are required, here or in a launch template.")
    strategy = document.get("allocationStrategy", "BEST_FIT")
    strategy_fits(strategy, kind)
    if kind == "SPOT" and strategy == "BEST_FIT" and not document.get("spotIamFleetRole"):
        raise rejected("spotIamFleetRole is required for SPOT with BEST_FIT.")


def updated(resources: Document, changes: Document, *, eks: bool) -> Document:
    """Return the `computeResources` of an environment after UpdateComputeEnvironment."""
    if not resources:
        raise rejected("computeResources is not applicable for UNMANAGED compute environments")
    done_once = ("updateToLatestImageVersion",)  # what is asked to be done is nothing to show
    after = {**resources, **{k: v for k, v in changes.items() if k not in done_once}}
    kind: str = after["type"]
    if kind.startswith(FARGATE) != resources["type"].startswith(FARGATE):
        raise rejected(f"The type {resources['type']} of compute resources can't become {kind}")
    if kind.startswith(FARGATE):
        changed_fargate(changes)
        return after
    if after["minvCpus"] > after["maxvCpus"]:
        raise rejected("minvCpus must not be greater than maxvCpus")
    if "desiredvCpus" in changes:
        desired = changes["desiredvCpus"]
        if eks:
            raise rejected("desiredvCpus is not applicable for Amazon EKS.")
        least = max(after["minvCpus"], resources.get("desiredvCpus", 0))
        if not least <= desired <= after["maxvCpus"]:
            raise rejected(f"desiredvCpus must be between {least} and {after['maxvCpus']}")
    if "allocationStrategy" in changes:
        strategy_fits(changes["allocationStrategy"], kind)
    return after


def changed_fargate(document: Document) -> None:
    """Check what is set or changed of a Fargate environment's resources."""
    _refuse(document, NOT_ON_FARGATE["computeResources"], "Fargate")
    for member, most in (("subnets", FARGATE_SUBNETS), ("securityGroupIds", FARGATE_GROUPS)):
        if len(document.get(member, [])) > most:
            raise rejected(f"{member} can have at most {most} entries on Fargate")


def strategy_fits(strategy: str, kind: str) -> None:
    """Check an allocation strategy against the type of compute resources."""
    only = "SPOT" if strategy.startswith("SPOT_") else "EC2"
    if strategy not in ("BEST_FIT", "BEST_FIT_PROGRESSIVE") and kind != only:
        raise rejected(f"The allocation strategy {strategy} is only for {only} compute resources")


def _refuse(document: Document, members: Iterable[str], place: str) -> None:
    for member in members:
        if member in document:  # (recorded for tags and desiredvCpus on Fargate, network… on EC2)
            link = "" if place == "EC2" and member == "networkConfiguration" else "is "
            raise rejected(f"{member} {link}not applicable for {place}.")
