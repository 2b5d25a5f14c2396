"""Job definitions named by their content: looked up once per process, registered when new.

Used by the submission and by the command `prune`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, cast

from dagster_aws_batch._aws.answers import LIVE
from dagster_aws_batch._aws.calls import BatchApi
from dagster_aws_batch._aws.names import digest, slug
from dagster_aws_batch._aws.requests import merged, pod_resources
from dagster_aws_batch._errors import (
    CallRefusedError,
    InvalidJobError,
    PayloadTooLargeError,
    SubmitRejectedError,
)
from dagster_aws_batch._job import BatchJobDefinition

__all__ = ["Definitions", "prune", "registration"]

MAX_DEFINITION_BYTES = 24 * 1024
MARK = {"managed-by": "dagster-batch"}


def registration(definition: BatchJobDefinition) -> dict[str, Any]:
    """The RegisterJobDefinition request. Its name carries the hash of everything else in it."""
    eks = definition.platform == "EKS"
    container = merged(
        f"definition of {definition.image}: container_properties",
        _pod_container(definition) if eks else _container(definition),
        definition.container_properties,
    )
    kind: dict[str, Any] = (
        {"eksProperties": {"podProperties": {"containers": [container]}}}
        if eks
        else {
            "platformCapabilities": [definition.platform],
            "containerProperties": container,
            "propagateTags": True,
        }
    )
    request = merged(
        f"definition of {definition.image}: options",
        {"type": "container", **kind, "tags": MARK},
        definition.options,
        reserved=("jobDefinitionName",),
    )
    content = json.dumps(request, sort_keys=True, separators=(",", ":"))
    size = len(content.encode())
    if size > MAX_DEFINITION_BYTES:
        raise PayloadTooLargeError(
            f"the job definition for {definition.image} has {size:,} bytes; AWS Batch allows "
            f"{MAX_DEFINITION_BYTES:,}. Move environment or command into the image or an object in "
            "S3"
        )
    readable = definition.name or definition.image.rsplit("/", 1)[-1].split("@")[0]
    return {"jobDefinitionName": f"{slug(readable, 80)}-{digest(content, length=16)}", **request}


def _pod_container(definition: BatchJobDefinition) -> dict[str, Any]:
    for field in ("job_role_arn", "execution_role_arn", "log_group", "assign_public_ip"):
        if getattr(definition, field):
            raise InvalidJobError(
                f"definition of {definition.image}: {field} is not for EKS: a pod's role comes "
                'from its service account (options={"eksProperties": {"podProperties": '
                '{"serviceAccountName": …}}}), logs and network from the cluster'
            )
    container: dict[str, Any] = {
        "image": definition.image,
        "env": [{"name": key, "value": value} for key, value in _sorted(definition)],
        "resources": pod_resources(definition.vcpus, definition.memory_mib, definition.gpus),
    }
    if definition.command:
        container["args"] = list(definition.command)
    return container


def _sorted(definition: BatchJobDefinition) -> list[tuple[str, str]]:
    return sorted(definition.environment.items())


def _container(definition: BatchJobDefinition) -> dict[str, Any]:
    container: dict[str, Any] = {
        "image": definition.image,
        "command": list(definition.command),
        "environment": [{"name": key, "value": value} for key, value in _sorted(definition)],
        "resourceRequirements": [
            {"type": "VCPU", "value": f"{definition.vcpus:g}"},
            {"type": "MEMORY", "value": str(definition.memory_mib)},
        ],
    }
    if definition.gpus:
        container["resourceRequirements"].append({"type": "GPU", "value": str(definition.gpus)})
    if definition.job_role_arn:
        container["jobRoleArn"] = definition.job_role_arn
    if definition.execution_role_arn:
        container["executionRoleArn"] = definition.execution_role_arn
    if definition.log_group:
        container["logConfiguration"] = {
            "logDriver": "awslogs",
            "options": {"awslogs-group": definition.log_group},
        }
    if definition.platform == "FARGATE":
        public = "ENABLED" if definition.assign_public_ip else "DISABLED"
        container["networkConfiguration"] = {"assignPublicIp": public}
    return container


class Definitions:
    """The definitions this process has already seen, by name. Thread-safe."""

    def __init__(self, api: BatchApi) -> None:
        self._api = api
        self._lock = threading.Lock()
        self._arns: dict[str, str] = {}
        self._described: dict[str, Mapping[str, Any]] = {}

    def arn(self, definition: str | BatchJobDefinition, *, api: BatchApi | None = None) -> str:
        """What SubmitJob should name. A given name or ARN is used as it is, without a call.

        `api`: the same endpoint with the caller's patience.
        """
        if isinstance(definition, str):
            return definition
        request = registration(definition)
        name = request["jobDefinitionName"]
        if name in self._arns:
            return self._arns[name]
        # Under the lock, so that fifty executions that start together look once.
        with self._lock:
            if name not in self._arns:
                try:
                    self._arns[name] = _find_or_register(api or self._api, request)
                except CallRefusedError as error:
                    raise SubmitRejectedError(
                        f"AWS Batch refused the job definition {name} (image {definition.image}): "
                        f"{error}",
                        operation=error.operation,
                        code=error.code,
                    ) from error
            return self._arns[name]

    def described(
        self, definition: str | BatchJobDefinition, *, api: BatchApi | None = None
    ) -> Mapping[str, Any]:
        """A definition as AWS describes it; one given by name is looked up once.

        Empty if it can't be read, or is not there: then SubmitJob's own answer decides.
        """
        if not isinstance(definition, str):
            return registration(definition)
        if definition in self._described:
            return self._described[definition]
        with self._lock:
            if definition not in self._described:
                found = self._look_up(api or self._api, definition)
                if not found:
                    return {}
                self._described[definition] = found
            return self._described[definition]

    def _look_up(self, api: BatchApi, definition: str) -> Mapping[str, Any]:
        name, _, revision = definition.rpartition("job-definition/")[2].partition(":")
        request: dict[str, Any] = (
            {"jobDefinitions": [definition]}
            if revision
            else {"jobDefinitionName": name, "status": "ACTIVE"}
        )
        try:
            answer = api.with_retries("DescribeJobDefinitions", **request)
        except CallRefusedError:
            return {}
        found: list[Mapping[str, Any]] = answer["jobDefinitions"]
        return max(found, key=lambda one: int(one["revision"]), default={})

    def forget(self, arn: str) -> None:
        """Look again next time: somebody has deregistered this one."""
        for name in [name for name, known in self._arns.items() if known == arn]:
            self._arns.pop(name, None)


def _find_or_register(api: BatchApi, request: Mapping[str, Any]) -> str:
    found = api.with_retries(
        "DescribeJobDefinitions",
        jobDefinitionName=request["jobDefinitionName"],
        status="ACTIVE",
        maxResults=100,
    )["jobDefinitions"]
    # A repeat after an unclear answer makes at most a second, equal revision: no harm.
    last = max(found, key=lambda one: one["revision"], default=None)
    last = last or api.with_retries("RegisterJobDefinition", **request)
    return cast(str, last["jobDefinitionArn"])


@dataclass(frozen=True, slots=True)
class Pruned:
    """What `prune` did or would do: definition ARNs."""

    removed: tuple[str, ...]
    in_use: tuple[str, ...]


def prune(
    api: BatchApi, queues: Collection[str], *, name_prefix: str = "", apply: bool = False
) -> Pruned:
    """Deregister this client's definitions that no live job of `queues` uses.

    Only shown unless `apply`. Safe: a definition that is needed again is registered again by the
    next run.

    Args:
        api: Where to ask.
        queues: Names or ARNs of the queues whose live jobs are looked at.
        name_prefix: Only definitions whose name begins so; "" for all.
        apply: Whether to deregister them.
    """
    used = {
        row.get("jobDefinition", "")
        for queue in queues
        for status in LIVE
        for row in api.in_queue(queue, cast(Any, status))
    }
    removed: list[str] = []
    kept: list[str] = []
    for definition in api.pages(
        "DescribeJobDefinitions", "jobDefinitions", status="ACTIVE", maxResults=100
    ):
        arn, name = definition["jobDefinitionArn"], definition["jobDefinitionName"]
        if definition.get("tags", {}).get("managed-by") != MARK["managed-by"]:
            continue
        if not name.startswith(name_prefix):
            continue
        (kept if arn in used else removed).append(arn)
    if apply:
        for arn in removed:
            api.with_retries("DeregisterJobDefinition", jobDefinition=arn)
    return Pruned(tuple(removed), tuple(kept))
