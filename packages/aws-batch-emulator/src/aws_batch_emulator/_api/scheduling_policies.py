"""Fair-share scheduling policies: their operations, and the weights that the scheduler asks for."""

from __future__ import annotations

from collections.abc import Callable

from aws_batch_emulator._api import limits
from aws_batch_emulator._api.describe import Names
from aws_batch_emulator._api.paging import page
from aws_batch_emulator._core.errors import plain
from aws_batch_emulator._core.model import Document, JobQueue, like
from aws_batch_emulator._core.store import Store

KIND = "policy"


class Policies:
    """All scheduling policies by name. `queues` tells which queues there are."""

    def __init__(self, *, names: Names, store: Store, queues: Callable[[], list[JobQueue]]) -> None:
        self.documents: dict[str, Document] = dict(store.resources(KIND))
        self._names = names
        self._store = store
        self._queues = queues

    def operations(self) -> dict[str, Callable[[Document], Document]]:
        """Return the operations by their AWS names."""
        return {
            "CreateSchedulingPolicy": self.create,
            "DescribeSchedulingPolicies": self.describe,
            "UpdateSchedulingPolicy": self.update,
            "DeleteSchedulingPolicy": self.delete,
            "ListSchedulingPolicies": self.list_arns,
        }

    def create(self, request: Document) -> Document:
        """CreateSchedulingPolicy (fair share)."""
        name = request["name"]
        limits.new_resource(name, request, self.documents)
        document = {
            "name": name,
            "arn": self._names.arn("scheduling-policy", name),
            "fairsharePolicy": request.get("fairsharePolicy", {}),
            "tags": request.get("tags", {}),
        }
        self.documents[name] = document
        self._store.put_resource(KIND, name, document)
        return {"name": name, "arn": document["arn"]}

    def describe(self, request: Document) -> Document:
        """DescribeSchedulingPolicies; unknown ARNs are left out."""
        wanted = request["arns"]
        return {"schedulingPolicies": [p for p in self.documents.values() if p["arn"] in wanted]}

    def update(self, request: Document) -> Document:
        """UpdateSchedulingPolicy."""
        document = self.by_arn(request["arn"])
        document["fairsharePolicy"] = request.get("fairsharePolicy", document["fairsharePolicy"])
        self._store.put_resource(KIND, document["name"], document)
        return {}

    def delete(self, request: Document) -> Document:
        """DeleteSchedulingPolicy: only those that no queue uses."""
        arn: str = request["arn"]
        if any(queue.document.get("schedulingPolicyArn") == arn for queue in self._queues()):
            raise plain("Cannot delete, scheduling policy is used by a job queue")
        name = arn.rpartition("/")[2]
        self.documents.pop(name, None)
        self._store.delete_resource(KIND, name)
        return {}

    def list_arns(self, request: Document) -> Document:
        """ListSchedulingPolicies."""
        arns = [{"arn": policy["arn"]} for policy in self.documents.values()]
        return page("schedulingPolicies", arns, request, most=100)

    def by_arn(self, arn: str) -> Document:
        """Return the policy with this ARN; `ApiError` if there is none."""
        policy = self.documents.get(arn.rpartition("/")[2])
        if policy is None or policy["arn"] != arn:
            raise plain(f"Scheduling policy {arn} does not exist")
        return policy

    def weight(self, queue: JobQueue, share: str) -> float:
        """Return a share's weight factor: lower means more compute (API ref., ShareAttributes)."""
        arn: str = queue.document.get("schedulingPolicyArn", "")
        policy = self.documents.get(arn.rpartition("/")[2], {})
        for entry in policy.get("fairsharePolicy", {}).get("shareDistribution", []):
            if like(share, entry["shareIdentifier"]):
                return float(entry.get("weightFactor", 1.0))
        return 1.0
