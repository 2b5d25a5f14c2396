"""Job definitions named by their content: looked up once a process, registered only when new,
pruned on request.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from botocore.exceptions import BotoCoreError, ClientError

from dagster_aws_batch._aws.calls import BatchApi
from dagster_aws_batch._aws.names import (
    digest,
    slug,
)
from dagster_aws_batch._errors import (
    PayloadTooLargeError,
    SubmitRejectedError,
)
from dagster_aws_batch._job import JobDefinition

__all__ = ["Definitions", "prune", "registration"]

MAX_DEFINITION_BYTES = 24 * 1024
MARK = {"managed-by": "dagster-batch"}
LIVE = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING")


def registration(definition: JobDefinition) -> dict[str, Any]:
    """The RegisterJobDefinition request. Its name carries the hash of everything else in it."""
    container: dict[str, Any] = {
        "image": definition.image,
        "command": list(definition.command),
        "environment": [
            {"name": key, "value": value} for key, value in sorted(definition.environment.items())
        ],
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
    container.update(definition.container_properties)
    request: dict[str, Any] = {
        "type": "container",
        "platformCapabilities": [definition.platform],
        "containerProperties": container,
        "propagateTags": True,
        "tags": MARK,
        **definition.options,
    }
    content = json.dumps(request, sort_keys=True, separators=(",", ":"))
    size = len(content.encode())
    if size > MAX_DEFINITION_BYTES:
        raise PayloadTooLargeError(
            f"the job definition for {definition.image} has {size:,} bytes; AWS Batch allows "
            f"{MAX_DEFINITION_BYTES:,}. Move environment or command into the image or an object "
            f"in S3"
        )
    readable = definition.name or definition.image.rsplit("/", 1)[-1].split("@")[0]
    return {"jobDefinitionName": f"{slug(readable, 80)}-{digest(content, length=16)}", **request}


class Definitions:
    """The definitions this process has already seen, by name. Thread-safe."""

    def __init__(self, api: BatchApi) -> None:
        self._api = api
        self._lock = threading.Lock()
        self._arns: dict[str, str] = {}

    def arn(self, definition: str | JobDefinition) -> str:
        """What SubmitJob should name. A given name or ARN is used as it is, without a call."""
        if isinstance(definition, str):
            return definition
        request = registration(definition)
        name = request["jobDefinitionName"]
        # Under the lock, so that fifty stages that start together look once.
        with self._lock:
            if name not in self._arns:
                self._arns[name] = self._find(name) or self._register(request)
            return self._arns[name]

    def forget(self, arn: str) -> None:
        """Look again next time: somebody has deregistered this one."""
        with self._lock:
            self._arns = {name: known for name, known in self._arns.items() if known != arn}

    def _find(self, name: str) -> str | None:
        def ask() -> Any:
            return self._api.client.describe_job_definitions(
                jobDefinitionName=name, status="ACTIVE", maxResults=100
            )

        found = self._api.patiently("DescribeJobDefinitions", "Definitions", ask)["jobDefinitions"]
        if not found:
            return None
        return cast(str, max(found, key=lambda one: one["revision"])["jobDefinitionArn"])

    def _register(self, request: Mapping[str, Any]) -> str:
        # A repeat after an unclear answer makes at most a second, equal revision: no harm.
        def ask() -> Any:
            return self._api.client.register_job_definition(**request)

        try:
            answer = self._api.patiently("RegisterJobDefinition", "Definitions", ask)
        except (ClientError, BotoCoreError) as error:
            raise SubmitRejectedError(
                f"AWS Batch refused the job definition {request['jobDefinitionName']} "
                f"(image {request['containerProperties'].get('image')}): {error}"
            ) from error
        return cast(str, answer["jobDefinitionArn"])


@dataclass(frozen=True, slots=True)
class Pruned:
    """What `prune` did or would do: definition ARNs."""

    removed: tuple[str, ...]
    in_use: tuple[str, ...]


def prune(
    api: BatchApi, queues: Collection[str], *, name_prefix: str = "", apply: bool = False
) -> Pruned:
    """Deregister this client's definitions that no live job of `queues` uses (only shown unless
    `apply`).

    Safe: a definition that is needed again is registered again by the next run.
    """
    used = {
        row.get("jobDefinition", "")
        for queue in queues
        for status in LIVE
        for row in api.in_queue(queue, cast(Any, status))
    }
    removed: list[str] = []
    kept: list[str] = []
    for definition in _all_active(api):
        arn, name = definition["jobDefinitionArn"], definition["jobDefinitionName"]
        if definition.get("tags", {}).get("managed-by") != MARK["managed-by"]:
            continue
        if not name.startswith(name_prefix):
            continue
        (kept if arn in used else removed).append(arn)
    if apply:
        for arn in removed:

            def drop(arn: str = arn) -> Any:
                return api.client.deregister_job_definition(jobDefinition=arn)

            api.patiently("DeregisterJobDefinition", "Definitions", drop)
    return Pruned(tuple(removed), tuple(kept))


def _all_active(api: BatchApi) -> Iterator[dict[str, Any]]:
    token: str | None = None
    while True:
        request: dict[str, Any] = {"status": "ACTIVE", "maxResults": 100}
        if token:
            request["nextToken"] = token

        def ask(request: dict[str, Any] = request) -> Any:
            return api.client.describe_job_definitions(**request)

        answer = api.patiently("DescribeJobDefinitions", "Definitions", ask)
        yield from answer["jobDefinitions"]
        token = answer.get("nextToken")
        if not token:
            return
