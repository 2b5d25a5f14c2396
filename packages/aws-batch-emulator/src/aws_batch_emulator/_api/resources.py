"""Compute environments, job queues, definitions, scheduling policies and their operations.

Everything becomes VALID at once; in AWS environments and queues take some seconds to minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from aws_batch_emulator._api import limits, platforms, pods
from aws_batch_emulator._api.describe import Names
from aws_batch_emulator._api.paging import page
from aws_batch_emulator._api.scheduling_policies import Policies
from aws_batch_emulator._api.specs import checked_definition
from aws_batch_emulator._core.errors import plain, rejected
from aws_batch_emulator._core.model import ComputeEnvironment, Document, JobQueue
from aws_batch_emulator._core.store import Store

Operation = Callable[[Document], Document]


class Resources:
    """All named things that jobs refer to, by name. Used under the engine's lock."""

    def __init__(self, *, names: Names, store: Store) -> None:
        self.environments: dict[str, ComputeEnvironment] = {}
        self.queues: dict[str, JobQueue] = {}
        self.definitions: dict[str, list[Document]] = {}
        """All revisions of each definition, the first at index 0."""
        self.policies = Policies(names=names, store=store, queues=lambda: [*self.queues.values()])
        self.changed: Callable[[], None] = lambda: None
        self.end_jobs: Callable[[str], None] = lambda _: None
        self._names = names
        self._store = store
        for name, document in store.resources("environment"):
            self.environments[name] = ComputeEnvironment(name=name, document=document)
        for name, document in store.resources("queue"):
            self.queues[name] = JobQueue(name=name, document=document)
        definitions = [document for _, document in store.resources("definition")]
        for document in sorted(definitions, key=lambda document: int(document["revision"])):
            self.definitions.setdefault(document["jobDefinitionName"], []).append(document)

    def operations(self) -> dict[str, Operation]:
        """Return the operations by their AWS names."""
        return {
            "CreateComputeEnvironment": self.create_environment,
            "DescribeComputeEnvironments": self.describe_environments,
            "UpdateComputeEnvironment": self.update_environment,
            "DeleteComputeEnvironment": self.delete_environment,
            "CreateJobQueue": self.create_queue,
            "DescribeJobQueues": self.describe_queues,
            "UpdateJobQueue": self.update_queue,
            "DeleteJobQueue": self.delete_queue,
            "RegisterJobDefinition": self.register_definition,
            "DescribeJobDefinitions": self.describe_definitions,
            "DeregisterJobDefinition": self.deregister_definition,
            **self.policies.operations(),
        }

    # Compute environments

    def create_environment(self, request: Document) -> Document:
        """CreateComputeEnvironment."""
        name = request["computeEnvironmentName"]
        limits.new_resource(name, request, self.environments)
        if len(self.environments) >= limits.ENVIRONMENTS:
            raise rejected(f"Compute environment limit of {limits.ENVIRONMENTS} exceeded")
        resources = request.get("computeResources")
        if request["type"] == "MANAGED":
            if resources is None:
                raise rejected(
                    "computeResources must be provided for a MANAGED compute environment"
                )
            platforms.compute_resources(resources)
            if "unmanagedvCpus" in request:
                raise rejected("unmanagedvCpus is only for UNMANAGED compute environments")
        if request.get("state", "ENABLED") != "ENABLED":
            raise rejected("A compute environment must be created in the ENABLED state")
        cluster = request.get("eksConfiguration")
        if cluster is not None:
            pods.checked_cluster(cluster, resources or {})
        document = {
            **request,
            "computeEnvironmentArn": self._names.arn("compute-environment", name),
            **({} if cluster else {"ecsClusterArn": self._names.cluster(name)}),
            "state": "ENABLED",
            "status": "VALID",
            "statusReason": "ComputeEnvironment Healthy",
            "containerOrchestrationType": "EKS" if cluster else "ECS",
            "tags": request.get("tags", {}),
        }
        self.environments[name] = ComputeEnvironment(name=name, document=document)
        self._save("environment", name, document)
        return {
            "computeEnvironmentName": name,
            "computeEnvironmentArn": document["computeEnvironmentArn"],
        }

    def describe_environments(self, request: Document) -> Document:
        """DescribeComputeEnvironments; unknown names are left out."""
        documents = self._chosen(ENVIRONMENT, self.environments, request.get("computeEnvironments"))
        return page("computeEnvironments", documents, request, most=100)

    def update_environment(self, request: Document) -> Document:
        """UpdateComputeEnvironment: state, role and the sizes of the compute resources."""
        environment = self._environment(request["computeEnvironment"])
        document = environment.document
        eks = "eksConfiguration" in document
        if "unmanagedvCpus" in request and document["type"] == "MANAGED":
            raise rejected("unmanagedvCpus is only for UNMANAGED compute environments")
        if "eksConfiguration" in request and not eks:
            raise rejected("eksConfiguration is only for Amazon EKS compute environments")
        changes: Document = {
            key: request[key]
            for key in ("state", "serviceRole", "updatePolicy", "unmanagedvCpus", "context")
            if key in request
        }
        for key in ("eksConfiguration", "ecsSettings"):
            if key in request:
                changes[key] = {**document.get(key, {}), **request[key]}
        if "computeResources" in request:
            changes["computeResources"] = platforms.updated(
                document.get("computeResources", {}), request["computeResources"], eks=eks
            )
        document.update(changes)
        self._save("environment", environment.name, document)
        return {
            "computeEnvironmentName": environment.name,
            "computeEnvironmentArn": document["computeEnvironmentArn"],
        }

    def delete_environment(self, request: Document) -> Document:
        """DeleteComputeEnvironment: only disabled and unused ones."""
        name = self._names.short(ENVIRONMENT, request["computeEnvironment"])
        environment = self.environments.get(name)
        if environment is None:
            return {}
        if environment.document["state"] != "DISABLED":
            raise plain("Cannot delete, compute environment must be DISABLED.")
        for queue in self.queues.values():
            used = [e["computeEnvironment"] for e in queue.document["computeEnvironmentOrder"]]
            if environment.document["computeEnvironmentArn"] in used:
                raise plain("Cannot delete, found existing JobQueue relationship")
        del self.environments[name]
        self._store.delete_resource("environment", name)
        return {}

    def _environment(self, name_or_arn: str) -> ComputeEnvironment:
        environment = self.environments.get(self._names.short(ENVIRONMENT, name_or_arn))
        if environment is None:
            raise plain(f"{name_or_arn} does not exist")
        return environment

    # Queues

    def create_queue(self, request: Document) -> Document:
        """CreateJobQueue."""
        name = request["jobQueueName"]
        limits.new_resource(name, request, self.queues)
        if len(self.queues) >= limits.QUEUES:
            raise rejected(f"Job queue limit of {limits.QUEUES} exceeded")
        policy = request.get("schedulingPolicyArn")
        if policy is not None:
            self.policies.by_arn(policy)
        order = self._order(request.get("computeEnvironmentOrder", []))
        kind = self._kind(order)
        if request.get("jobQueueType", kind) != kind:
            raise rejected(f"A job queue of these compute environments has the type {kind}")
        document: dict[str, Any] = {
            "jobQueueName": name,
            "jobQueueArn": self._names.arn("job-queue", name),
            "state": request.get("state", "ENABLED"),
            "status": "VALID",
            "statusReason": "JobQueue Healthy",
            "priority": request["priority"],
            "computeEnvironmentOrder": order,
            "serviceEnvironmentOrder": [],
            "jobQueueType": kind,
            "tags": request.get("tags", {}),
            "jobStateTimeLimitActions": request.get("jobStateTimeLimitActions", []),
        }
        if policy is not None:
            document["schedulingPolicyArn"] = policy
        self.queues[name] = JobQueue(name=name, document=document)
        self._save("queue", name, document)
        return {"jobQueueName": name, "jobQueueArn": document["jobQueueArn"]}

    def describe_queues(self, request: Document) -> Document:
        """DescribeJobQueues; unknown names are left out."""
        documents = self._chosen(QUEUE, self.queues, request.get("jobQueues"))
        return page("jobQueues", documents, request, most=100)

    def update_queue(self, request: Document) -> Document:
        """UpdateJobQueue."""
        queue = self.queue(request["jobQueue"])
        document = queue.document
        if "schedulingPolicyArn" in request:
            if not queue.fair_share:
                raise plain("A scheduling policy can't be added to a FIFO job queue.")
            self.policies.by_arn(request["schedulingPolicyArn"])
        changes: Document = {
            key: request[key]
            for key in ("state", "priority", "schedulingPolicyArn", "jobStateTimeLimitActions")
            if key in request
        }
        if "computeEnvironmentOrder" in request:
            order = self._order(request["computeEnvironmentOrder"])
            if self._kind(order) != document["jobQueueType"]:
                raise rejected(f"The type of job queue {queue.name} can't be changed")
            changes["computeEnvironmentOrder"] = order
        document.update(changes)
        self._save("queue", queue.name, document)
        return {"jobQueueName": queue.name, "jobQueueArn": document["jobQueueArn"]}

    def delete_queue(self, request: Document) -> Document:
        """DeleteJobQueue: only disabled ones; their jobs are ended."""
        name = self._names.short(QUEUE, request["jobQueue"])
        queue = self.queues.get(name)
        if queue is None:
            return {}
        if queue.document["state"] != "DISABLED":
            raise plain("Cannot delete, job queue must be DISABLED.")
        self.end_jobs(name)
        del self.queues[name]
        self._store.delete_resource("queue", name)
        return {}

    def queue(self, name_or_arn: str) -> JobQueue:
        """Return a queue by name or ARN; `ApiError` in AWS's words if there is none."""
        name = self._names.short(QUEUE, name_or_arn)
        queue = self.queues.get(name)
        if queue is None:
            raise plain(f"JobQueue {name} not found.")  # (recorded)
        return queue

    def first_environment(self, queue: JobQueue) -> Document:
        """Return the document of a queue's first compute environment."""
        first = min(queue.document["computeEnvironmentOrder"], key=lambda entry: entry["order"])
        return self._environment(first["computeEnvironment"]).document

    def _kind(self, order: list[Document]) -> str:
        """Return the type of a queue of these environments; those of two types can't be mixed."""
        documents = [self._environment(e["computeEnvironment"]).document for e in order]
        kinds = {
            "EKS"
            if document["containerOrchestrationType"] == "EKS"
            else "ECS_FARGATE"
            if document.get("computeResources", {}).get("type", "").startswith("FARGATE")
            else "ECS"
            for document in documents
        }
        if len(kinds) > 1:
            raise rejected(f"Compute environments of {' and '.join(sorted(kinds))} can't be mixed")
        return kinds.pop()

    def _order(self, entries: Iterable[Document]) -> list[Document]:
        order = [
            {
                "order": entry["order"],
                "computeEnvironment": self._environment(entry["computeEnvironment"]).document[
                    "computeEnvironmentArn"
                ],
            }
            for entry in entries
        ]
        if not 1 <= len(order) <= limits.ENVIRONMENTS_PER_QUEUE:
            most = limits.ENVIRONMENTS_PER_QUEUE
            raise rejected(f"A job queue needs 1 to {most} compute environments, got {len(order)}")
        if len({entry["order"] for entry in order}) < len(order):
            raise rejected("The orders of compute environments must be unique")
        return order

    # Job definitions

    def register_definition(self, request: Document) -> Document:
        """RegisterJobDefinition: a new revision."""
        name = request["jobDefinitionName"]
        limits.name(name)
        checked = checked_definition(request)
        revisions = self.definitions.setdefault(name, [])
        revision = len(revisions) + 1
        document = {
            "jobDefinitionName": name,
            "jobDefinitionArn": self._names.arn("job-definition", f"{name}:{revision}"),
            "revision": revision,
            **checked,
        }
        revisions.append(document)
        self._save("definition", f"{name}:{revision}", document)
        return {k: document[k] for k in ("jobDefinitionName", "jobDefinitionArn", "revision")}

    def describe_definitions(self, request: Document) -> Document:
        """DescribeJobDefinitions, newest revision first."""
        wanted = request.get("jobDefinitions")
        if wanted is not None:
            found = [d for d in map(self._revision, wanted) if d is not None]
        else:
            name, status = request.get("jobDefinitionName"), request.get("status")
            found = [
                document
                for key, revisions in sorted(self.definitions.items())
                for document in reversed(revisions)
                if name in (None, key) and status in (None, document["status"])
            ]
        return page("jobDefinitions", found, request, most=100)

    def deregister_definition(self, request: Document) -> Document:
        """DeregisterJobDefinition: the revision becomes INACTIVE."""
        document = self._revision(request["jobDefinition"])
        if document is not None:
            document["status"] = "INACTIVE"
            key = f"{document['jobDefinitionName']}:{document['revision']}"
            self._save("definition", key, document)
        return {}

    def definition(self, name_or_arn: str) -> Document:
        """Return the ACTIVE revision that a job names; without number the latest ACTIVE one."""
        short = self._names.short(DEFINITION, name_or_arn)
        name, _, revision = short.partition(":")
        found = [
            document
            for document in self.definitions.get(name, [])
            if document["status"] == "ACTIVE" and revision in ("", str(document["revision"]))
        ]
        if not found:  # (recorded)
            raise plain(f"JobDefinition name {short} does not exist or is not in ACTIVE status")
        return found[-1]

    def _revision(self, name_or_arn: str) -> Document | None:
        name, _, revision = self._names.short(DEFINITION, name_or_arn).partition(":")
        for document in self.definitions.get(name, []):
            if str(document["revision"]) == revision:
                return document
        return None

    # Tags

    def tagged(self, arn: str) -> tuple[str, str, Document] | None:
        """Return (kind, name, document) of the resource with this ARN, None if it is none."""
        if not arn.startswith("arn:"):
            return None
        names = self._names
        if queue := self.queues.get(names.short(QUEUE, arn)):
            return "queue", queue.name, queue.document
        if environment := self.environments.get(names.short(ENVIRONMENT, arn)):
            return "environment", environment.name, environment.document
        if definition := self._revision(arn):
            return "definition", names.short(DEFINITION, arn), definition
        name = names.short("scheduling-policy", arn)
        policy = self.policies.documents.get(name)
        return None if policy is None else ("policy", name, policy)

    def _chosen(
        self,
        kind: str,
        resources: Mapping[str, ComputeEnvironment | JobQueue],
        wanted: list[str] | None,
    ) -> list[Document]:
        if not wanted:
            return [resource.document for resource in resources.values()]
        names = (self._names.short(kind, name) for name in wanted)
        return [resources[name].document for name in names if name in resources]

    def save_tags(self, kind: str, name: str, document: Document) -> None:
        """Write a document whose tags were changed."""
        self._store.put_resource(kind, name, document)

    def _save(self, kind: str, name: str, document: Document) -> None:
        self._store.put_resource(kind, name, document)
        self.changed()


ENVIRONMENT: Final = "compute-environment"
QUEUE: Final = "job-queue"
DEFINITION: Final = "job-definition"
