"""The operations of AWS Batch on jobs: submit, describe, list, end, tags, queue snapshot."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator

from aws_batch_emulator._api import limits, paging
from aws_batch_emulator._api.describe import Names, detail, summary
from aws_batch_emulator._api.resources import Operation, Resources
from aws_batch_emulator._api.specs import job_spec
from aws_batch_emulator._core.engine import Engine
from aws_batch_emulator._core.errors import ApiError, plain, rejected
from aws_batch_emulator._core.model import Document, Job, JobQueue, Status, like

PAGE = 1_000
FILTERED_PAGE = 100
SNAPSHOT = 100


class JobsApi:
    """Answers to requests about jobs. Every operation runs as one step of the engine."""

    def __init__(
        self, *, engine: Engine, resources: Resources, names: Names, first_spec: int
    ) -> None:
        self._engine = engine
        self._resources = resources
        self._names = names
        self._numbers = itertools.count(first_spec)

    def operations(self) -> dict[str, Operation]:
        """Return the operations by their AWS names."""
        return {
            "DescribeJobs": self.describe,
            "ListJobs": self.list_jobs,
            "TerminateJob": self.terminate,
            "CancelJob": self.cancel,
            "TerminateJobs": self.terminate_many,
            "CancelJobs": self.cancel_many,
            "TagResource": self.tag,
            "UntagResource": self.untag,
            "ListTagsForResource": self.tags,
            "GetJobQueueSnapshot": self.snapshot,
        }

    # Submit

    def submit(self, request: Document, *, size: int) -> Document:
        """SubmitJob; `size` is the request's length in bytes."""
        limits.payload(size)
        limits.job_name(request["jobName"])
        queue = self._resources.queue(request["jobQueue"])
        if queue.document["state"] != "ENABLED":
            raise plain(f"JobQueue {queue.name} is not in ENABLED state.")
        limits.share_identifier(request.get("shareIdentifier"), fair_share=queue.fair_share)
        limits.tags(request.get("tags", {}))
        array = request.get("arrayProperties")
        count: int | None = array.get("size") if array else None
        if count is not None:
            limits.array_size(count)
        definition = self._resources.definition(request["jobDefinition"])
        spec = job_spec(
            request,
            definition,
            number=next(self._numbers),
            queue=queue.name,
            environment=self._resources.first_environment(queue),
        )
        self._check_share_count(queue, request.get("shareIdentifier"))
        origins = self._origins(request.get("dependsOn", []), count)
        job = self._engine.submit(spec, size=count, origins=origins)
        return {
            "jobArn": self._names.arn("job", job.id),
            "jobName": spec.name,
            "jobId": job.id,
        }

    def _origins(self, entries: list[Document], size: int | None) -> dict[str, Job]:
        limits.dependencies(len(entries))
        origins: dict[str, Job] = {}
        for entry in entries:
            job_id, kind = entry.get("jobId"), entry.get("type")
            if job_id is None and kind != "SEQUENTIAL":
                raise rejected("A dependency without job ID must be of type SEQUENTIAL")
            if size is None and (kind == "N_TO_N" or job_id is None):
                raise rejected(f"A dependency of type {kind} is for array jobs only")
            if job_id is None:
                continue
            limits.job_id(job_id)
            origin = self._engine.find(job_id)
            if origin is None:
                raise rejected(f"The job {job_id} in dependsOn does not exist")
            if kind == "N_TO_N" and origin.size != size:
                raise rejected(
                    f"A dependency of type N_TO_N needs an array job of size {size}: {job_id}"
                )
            origins[job_id] = origin
        return origins

    def _check_share_count(self, queue: JobQueue, share: str | None) -> None:
        if share is None:
            return
        active = {
            job.spec.share_identifier
            for job in self._engine.jobs.values()
            if not job.final and job.spec.queue == queue.name
        }
        if share not in active and len(active) >= limits.SHARES:
            raise rejected(f"A job queue can have {limits.SHARES} active share identifiers")

    # Look

    def describe(self, request: Document) -> Document:
        """DescribeJobs: unknown ids are left out, an empty list gives an empty list."""
        ids: list[str] = request["jobs"]
        limits.described(len(ids))
        found = (self._engine.find(job_id) for job_id in ids)
        return {"jobs": [detail(job, self._names) for job in found if job is not None]}

    def list_jobs(self, request: Document) -> Document:
        """ListJobs: by queue, or children of an array; RUNNING ones unless a status is named."""
        given = [key for key in ("jobQueue", "arrayJobId") if key in request]
        if len(given) != 1:
            raise rejected(
                "Exactly one of jobQueue, arrayJobId and multiNodeJobId must be specified"
            )
        filters = request.get("filters")
        most = FILTERED_PAGE if filters else PAGE
        if request.get("maxResults", most) < 1:
            raise rejected("maxResults must be at least 1")
        size = min(request.get("maxResults", most), most)
        start = paging.position(request)
        status = Status(request.get("jobStatus", Status.RUNNING))
        if given == ["arrayJobId"]:
            jobs = self._children(request["arrayJobId"], status, start)
        else:
            queue = self._resources.queue(request["jobQueue"])
            jobs = self._of_queue(queue, status, request.get("jobStatus"), filters, start)
        taken = list(itertools.islice(jobs, size + 1))
        answer: Document = {"jobSummaryList": [summary(j, self._names) for _, j in taken[:size]]}
        if len(taken) > size:
            answer["nextToken"] = paging.token(taken[size][0])
        return answer

    def _children(self, job_id: str, status: Status, start: int) -> Iterator[tuple[int, Job]]:
        """Yield (token position, child) from that position on."""
        limits.job_id(job_id)
        parent = self._engine.find(job_id)
        if parent is None or parent.children is None:
            raise rejected(f"Job {job_id} is not an array job or does not exist")
        for index, child in enumerate(parent.children[start:], start):
            if child.status is status and not child.lost:
                yield index, child

    def _of_queue(
        self,
        queue: JobQueue,
        status: Status,
        named_status: str | None,
        filters: list[Document] | None,
        start: int,
    ) -> Iterator[tuple[int, Job]]:
        """Yield (token position, job): by status oldest first, by filter newest first."""
        late = int(self._engine.faults.seconds("late_listing", default=0.0) * 1000)
        shown_until = self._engine.now_ms() - late
        jobs: Iterable[Job] = self._engine.jobs.values()
        test: Callable[[Job], bool] = lambda job: job.status is status  # noqa: E731
        if filters:
            test = self._filter(filters, named_status)
            jobs = reversed(self._engine.jobs.values())
        newest_first = bool(filters)
        for job in jobs:
            if start and (job.seq > start if newest_first else job.seq < start):
                continue
            if job.lost or job.spec.queue != queue.name or (late and job.created_at > shown_until):
                continue
            if test(job):
                yield job.seq, job

    def _filter(self, filters: list[Document], status: str | None) -> Callable[[Job], bool]:
        if len(filters) != 1:
            raise rejected("Only one filter can be used at a time")
        name, values = filters[0].get("name"), filters[0].get("values") or []
        if not values:
            raise rejected("A filter needs at least one value")
        if name == "JOB_NAME":
            return lambda job: any(like(job.spec.name.lower(), v.lower()) for v in values)
        if name == "JOB_DEFINITION":
            return lambda job: any(_definition_like(job.spec.definition_arn, v) for v in values)
        if name == "SHARE_IDENTIFIER":
            return lambda job: (
                job.spec.share_identifier in values and status in (None, job.status.value)
            )
        if name in ("BEFORE_CREATED_AT", "AFTER_CREATED_AT"):
            if not all(v.isdecimal() for v in values):
                raise rejected(f"The filter {name} takes milliseconds since 1970")
            limit = int(values[0])
            if name == "BEFORE_CREATED_AT":
                return lambda job: job.created_at < limit
            return lambda job: job.created_at > limit
        raise rejected(f"Invalid filter name {name}")

    def snapshot(self, request: Document) -> Document:
        """GetJobQueueSnapshot: the first 100 runnable jobs in order, and the vCPUs in use."""
        queue = self._resources.queue(request["jobQueue"])
        now = self._engine.now_ms()
        scheduler = self._engine.scheduler
        waiting = itertools.islice(scheduler.in_order(queue.name), SNAPSHOT)
        used = scheduler.used_by_share(queue.name)

        def usage(quantity: float) -> list[Document]:
            return [{"capacityUnit": "VCPU", "quantity": quantity}]

        answer: Document = {
            "frontOfQueue": {
                "jobs": [
                    {"jobArn": self._names.arn("job", j.id), "earliestTimeAtPosition": j.created_at}
                    for j in waiting
                ],
                "lastUpdatedAt": now,
            },
            "queueUtilization": {
                "totalCapacityUsage": usage(sum(used.values())),
                "lastUpdatedAt": now,
            },
        }
        if queue.fair_share:
            answer["queueUtilization"]["fairshareUtilization"] = {
                "activeShareCount": len(used),
                "topCapacityUtilization": [
                    {"shareIdentifier": share, "capacityUsage": usage(vcpus)}
                    for share, vcpus in sorted(used.items(), key=lambda item: -item[1])
                ],
            }
        return answer

    # End

    def terminate(self, request: Document) -> Document:
        """TerminateJob; an unknown job is no error."""
        self._end(self._engine.terminate, request["jobId"], request["reason"])
        return {}

    def cancel(self, request: Document) -> Document:
        """CancelJob; success also where there is nothing to cancel."""
        self._end(self._engine.cancel, request["jobId"], request["reason"])
        return {}

    def terminate_many(self, request: Document) -> Document:
        """TerminateJobs: up to 50 ids, each with its own result."""
        return self._end_many(self._engine.terminate, request)

    def cancel_many(self, request: Document) -> Document:
        """CancelJobs: up to 50 ids, each with its own result."""
        return self._end_many(self._engine.cancel, request)

    def _end(self, act: Callable[[Job, str], None], job_id: str, reason: str) -> None:
        limits.reason(reason)
        limits.job_id(job_id)
        job = self._engine.find(job_id)
        if job is not None:
            act(job, reason)

    def _end_many(self, act: Callable[[Job, str], None], request: Document) -> Document:
        limits.bulk(len(request["jobs"]))
        limits.reason(request["reason"])
        answer: Document = {"successful": [], "errors": []}
        for job_id in request["jobs"]:
            try:
                self._end(act, job_id, request["reason"])
                answer["successful"].append(job_id)
            except ApiError as error:
                text = error.text("")
                answer["errors"].append(
                    {"job": job_id, "code": "ValidationException", "message": text}
                )
        return answer

    # Tags

    def tag(self, request: Document) -> Document:
        """TagResource."""
        return self._retag(request["resourceArn"], lambda tags: {**tags, **request["tags"]})

    def untag(self, request: Document) -> Document:
        """UntagResource."""
        arn, keys = request["resourceArn"], request["tagKeys"]
        return self._retag(arn, lambda tags: {k: v for k, v in tags.items() if k not in keys})

    def tags(self, request: Document) -> Document:
        """ListTagsForResource."""
        job, resource = self._by_arn(request["resourceArn"])
        if job is not None:
            return {"tags": dict(job.tags_now)}
        return {"tags": resource[2]["tags"]}

    def _retag(self, arn: str, change: Callable[[dict[str, str]], dict[str, str]]) -> Document:
        job, (kind, name, document) = self._by_arn(arn)
        changed = change(document["tags"] if job is None else dict(job.tags_now))
        limits.tags(changed)
        if job is not None:
            self._engine.retag(job, changed)
        else:
            document["tags"] = changed
            self._resources.save_tags(kind, name, document)
        return {}

    def _by_arn(self, arn: str) -> tuple[Job | None, tuple[str, str, Document]]:
        job_id = self._names.short("job", arn)
        if job_id != arn:
            if ":" in job_id:
                raise rejected(f"Tags of child jobs are not supported: {arn}")
            job = self._engine.find(job_id)
            if job is not None:
                return job, ("", "", {})
        resource = self._resources.tagged(arn)
        if resource is None:
            raise rejected(f"Resource {arn} not found")
        return None, resource


def _definition_like(arn: str, pattern: str) -> bool:
    if pattern.startswith("arn:"):
        return arn == pattern
    return like(arn.rpartition("/")[2].partition(":")[0], pattern)
