"""What AWS Batch documents of single members: ranges, lengths, patterns, what goes together.

Tables by the shapes and members of botocore's service model, whose texts (the API reference) are
their source; `requests` checks every request with them. Rules that depend on more than one place
of a request, or on what exists, stand in `limits`, `platforms`, `pods` and with the operations.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from aws_batch_emulator._core.errors import rejected
from aws_batch_emulator._core.model import Document, like

_PORT: Final = (0, 65_535)
_PRIORITY: Final = (0, 9_999)
_COMPUTE: Final[dict[str, tuple[float, float | None]]] = {
    **dict.fromkeys(("minvCpus", "maxvCpus", "desiredvCpus"), (0, None)),
    "bidPercentage": (0, 100),
}

RANGES: Final[dict[str, dict[str, tuple[float, float | None]]]] = {
    "ComputeResource": _COMPUTE,
    "ComputeResourceUpdate": _COMPUTE,
    "ContainerOverrides": {"vcpus": (1, None), "memory": (4, None)},
    "ContainerProperties": {"vcpus": (0, None), "memory": (4, None)},  # 0 counts as none
    "CreateComputeEnvironmentRequest": {"unmanagedvCpus": (0, None)},
    "CreateJobQueueRequest": {"priority": (0, None)},
    "UpdateComputeEnvironmentRequest": {"unmanagedvCpus": (0, None)},
    "UpdateJobQueueRequest": {"priority": (0, None)},
    "EFSVolumeConfiguration": {"transitEncryptionPort": _PORT},
    "EphemeralStorage": {"sizeInGiB": (21, 200)},
    "FairsharePolicy": {"shareDecaySeconds": (0, 604_800), "computeReservation": (0, 99)},
    "JobStateTimeLimitAction": {"maxTimeSeconds": (600, 86_400)},
    "JobTimeout": {"attemptDurationSeconds": (60, None)},
    "LinuxParameters": {"maxSwap": (0, None), "swappiness": (0, 100)},
    "RegisterJobDefinitionRequest": {"schedulingPriority": _PRIORITY},
    "RetryStrategy": {"attempts": (1, 10)},
    "S3FilesVolumeConfiguration": {"transitEncryptionPort": _PORT},
    "ShareAttributes": {"weightFactor": (0.0001, 999.9999)},
    "SubmitJobRequest": {"schedulingPriorityOverride": _PRIORITY},
    "TaskContainerProperties": {"startTimeout": (2, None), "stopTimeout": (2, None)},
    "UpdatePolicy": {"jobExecutionTimeoutMinutes": (1, 7_200)},
    "EksContainerSecurityContext": {"runAsUser": (0, 2**31 - 1), "runAsGroup": (0, 2**31 - 1)},
    "EksPodSecurityContext": {"runAsUser": (0, 2**31 - 1), "runAsGroup": (0, 2**31 - 1)},
}
"""The least and the largest number; None: without limit."""

LENGTHS: Final[dict[str, dict[str, int]]] = {
    "DescribeComputeEnvironmentsRequest": {"computeEnvironments": 100},
    "DescribeJobDefinitionsRequest": {"jobDefinitions": 100},
    "DescribeJobQueuesRequest": {"jobQueues": 100},
    "DescribeSchedulingPoliciesRequest": {"arns": 100},
    "EFSVolumeConfiguration": {"rootDirectory": 4_096},
    "EksContainerLinuxCapabilities": {"add": 64, "drop": 64},
    "LaunchTemplateSpecification": {"overrides": 10},
    "RetryStrategy": {"evaluateOnExit": 5},
}
"""The most elements of a list or characters of a text."""

_SHARE = re.compile(r"[A-Za-z0-9]{1,255}\*?")
PATTERNS: Final[dict[str, dict[str, re.Pattern[str]]]] = {
    "ShareAttributes": {"shareIdentifier": _SHARE},
    "Volume": {"name": re.compile(r"[A-Za-z0-9_-]{1,255}")},
    "EksVolume": {"name": re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")},
    "EksSecret": {"secretName": re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")},
    "EksContainer": {"imagePullPolicy": re.compile("Always|IfNotPresent|Never")},
    "EksPodProperties": {"dnsPolicy": re.compile("Default|ClusterFirst|ClusterFirstWithHostNet")},
    "EcsTaskProperties": {
        "ipcMode": re.compile("host|task|none"),
        "pidMode": re.compile("host|task"),
    },
    "RuntimePlatform": {"cpuArchitecture": re.compile("X86_64|ARM64")},
    "TaskContainerDependency": {"condition": re.compile("START|COMPLETE|SUCCESS")},
    "SubmitJobRequest": {"shareIdentifier": _SHARE},
    "EvaluateOnExit": {
        "action": re.compile("(?i)RETRY|EXIT"),
        "onStatusReason": re.compile(r"(?=.{1,512}\Z)[A-Za-z0-9.:\s]*\*?", re.DOTALL),
        "onReason": re.compile(r"(?=.{1,512}\Z)[A-Za-z0-9.:\s]*\*?", re.DOTALL),
        "onExitCode": re.compile(r"(?=.{1,512}\Z)[0-9]*\*?"),
    },
}
"""What a text must match; values that AWS lists in words are not enumerations of the model."""

_TEMPLATE: Final = ("launchTemplateId", "launchTemplateName")
ALONE: Final[dict[str, Sequence[tuple[str, str]]]] = {
    "LaunchTemplateSpecification": [_TEMPLATE],
    "LaunchTemplateSpecificationOverride": [_TEMPLATE],
    "DescribeJobDefinitionsRequest": [
        ("jobDefinitions", "jobDefinitionName"),
        ("jobDefinitions", "status"),
        ("jobDefinitions", "maxResults"),
        ("jobDefinitions", "nextToken"),
    ],
}
"""Pairs of members of which only one can be given."""


def check(shape: str, document: Document) -> None:
    """Check one structure, without those in it; raises `ApiError`."""
    for member, (low, high) in RANGES.get(shape, {}).items():
        value = document.get(member)
        if value is not None and not (low <= value and (high is None or value <= high)):
            bounds = f"at least {low:g}" if high is None else f"between {low:,g} and {high:,g}"
            raise rejected(f"{member} must be {bounds}, got {value}")
    for member, most in LENGTHS.get(shape, {}).items():
        if len(found := document.get(member, "")) > most:
            raise rejected(f"{member} can have at most {most:,} entries, got {len(found):,}")
    for member, pattern in PATTERNS.get(shape, {}).items():
        if member in document and not pattern.fullmatch(document[member]):
            raise rejected(f"Invalid {member}: {document[member][:260]}")
    for one, other in ALONE.get(shape, ()):
        if one in document and other in document:
            raise rejected(f"{one} and {other} can't be given together")
    if shape in TOGETHER:
        TOGETHER[shape](document)


def _retry(document: Document) -> None:
    if "attempts" not in document:  # (recorded)
        raise rejected("RetryAttempts must be provided with retry strategy")


def _rule(document: Document) -> None:
    if not {"onStatusReason", "onReason", "onExitCode"} & set(document):
        raise rejected("evaluateOnExit needs one of onStatusReason, onReason and onExitCode")


def _variable(document: Document) -> None:
    if not document.get("name"):
        raise rejected("Environment variable name must not be blank")
    if document["name"].startswith("AWS_BATCH"):
        raise rejected(f"Environment variable names can't start with AWS_BATCH: {document['name']}")


def _command(document: Document) -> None:
    if "" in document.get("command", []):
        raise rejected("Command can't contain an empty string")


def _time_limit(document: Document) -> None:
    if document["action"] != "CANCEL":
        raise rejected("The only supported action is CANCEL")


def _scaling(document: Document) -> None:
    minutes = document.get("minScaleDownDelayMinutes", 0)
    if minutes and not 20 <= minutes <= 10_080:
        raise rejected(f"minScaleDownDelayMinutes must be 0 or from 20 to 10080, got {minutes}")


def _file_system(document: Document) -> None:
    access: Document = document.get("authorizationConfig", {})
    encrypted = document.get("transitEncryption") == "ENABLED"
    if not encrypted and (access.get("iam") == "ENABLED" or "accessPointId" in access):
        raise rejected("transitEncryption must be ENABLED for EFS access points and IAM")
    if "accessPointId" in access and document.get("rootDirectory", "/") != "/":
        raise rejected("rootDirectory must be / with an EFS access point")


def _platform(document: Document) -> None:
    system: str = document.get("operatingSystemFamily", "")
    if system.startswith("WINDOWS") and document.get("cpuArchitecture") == "ARM64":
        raise rejected("cpuArchitecture must be X86_64 for Windows containers")


def _override(document: Document) -> None:
    if not document.get("targetInstanceTypes"):
        raise rejected("A launch template override needs targetInstanceTypes")


def _shares(document: Document) -> None:
    names = [entry["shareIdentifier"] for entry in document.get("shareDistribution", [])]
    for place, name in enumerate(names):
        for other in names[place + 1 :]:
            if like(name, other) or like(other, name):
                raise rejected(f"Share identifiers can't overlap: {name} and {other}")


TOGETHER: Final[dict[str, Callable[[Any], None]]] = {
    "ComputeScalingPolicy": _scaling,
    "ContainerOverrides": _command,
    "ContainerProperties": _command,
    "EFSVolumeConfiguration": _file_system,
    "EksContainerEnvironmentVariable": _variable,
    "EvaluateOnExit": _rule,
    "FairsharePolicy": _shares,
    "JobStateTimeLimitAction": _time_limit,
    "KeyValuePair": _variable,
    "LaunchTemplateSpecificationOverride": _override,
    "RetryStrategy": _retry,
    "RuntimePlatform": _platform,
    "TaskContainerOverrides": _command,
    "TaskContainerProperties": _command,
}
"""Rules on members of one structure that no table holds."""
