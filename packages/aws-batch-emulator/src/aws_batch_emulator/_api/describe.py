"""Jobs as AWS Batch shows them: the documents of DescribeJobs, ListJobs and of state-change events.

Pure functions. `startedAt` is left out until a job has started, as AWS does, although the service
model calls it required.
"""

from __future__ import annotations

from typing import Any

from aws_batch_emulator._api import pods
from aws_batch_emulator._core.launch import log_stream
from aws_batch_emulator._core.model import Attempt, Document, Job, Status

CLUSTER = "local_Batch"


class Names:
    """Makes ARNs of one account and Region."""

    def __init__(self, *, region: str, account_id: str) -> None:
        self.region = region
        self.account_id = account_id

    def arn(self, kind: str, name: str) -> str:
        """Return an ARN of AWS Batch, e.g. kind `job-queue`."""
        return f"arn:aws:batch:{self.region}:{self.account_id}:{kind}/{name}"

    def short(self, kind: str, name_or_arn: str) -> str:
        """Return the name in an ARN of that kind, account and Region; else what was given."""
        return name_or_arn.removeprefix(self.arn(kind, ""))

    def cluster(self, environment: str) -> str:
        """Return the ARN of the ECS cluster of a compute environment."""
        return f"arn:aws:ecs:{self.region}:{self.account_id}:cluster/{environment}_Batch"

    def task(self, task_id: str) -> str:
        """Return the ARN of an ECS task."""
        return f"arn:aws:ecs:{self.region}:{self.account_id}:task/{CLUSTER}/{task_id}"

    def instance(self) -> str:
        """Return the ARN of the one container instance."""
        return f"arn:aws:ecs:{self.region}:{self.account_id}:container-instance/{CLUSTER}/local"


def _present(document: Document) -> Document:
    return {key: value for key, value in document.items() if value is not None}


def detail(job: Job, names: Names) -> Document:
    """Return the JobDetail of a job, array parent or child."""
    spec = job.spec
    document: dict[str, Any] = {
        "jobArn": names.arn("job", job.id),
        "jobName": spec.name,
        "jobId": job.id,
        "jobQueue": names.arn("job-queue", spec.queue),
        "status": job.status.value,
        "statusReason": job.status_reason,
        "shareIdentifier": spec.share_identifier,
        "schedulingPriority": spec.scheduling_priority if spec.share_identifier else None,
        "attempts": [] if spec.eks else [_attempt(attempt, names) for attempt in job.attempts],
        "createdAt": job.created_at,
        "startedAt": job.started_at,
        "stoppedAt": job.stopped_at,
        "retryStrategy": spec.retry or {"attempts": 1, "evaluateOnExit": []},
        "dependsOn": [_present({"jobId": d.job_id, "type": d.type}) for d in spec.depends_on],
        "jobDefinition": spec.definition_arn,
        "parameters": dict(spec.parameters),
        **_work(job, names),
        "timeout": {"attemptDurationSeconds": spec.timeout_seconds}
        if spec.timeout_seconds
        else None,
        "tags": dict(job.tags_now),
        "propagateTags": spec.propagate_tags,
        "platformCapabilities": None if spec.eks else [spec.platform],
        "eksAttempts": [_eks_attempt(job, attempt) for attempt in job.attempts] if spec.eks else [],
        "isCancelled": job.cancelled,
        "isTerminated": job.terminated,
        "arrayProperties": _array(job),
    }
    return _present(document)


def summary(job: Job, names: Names) -> Document:
    """Return the JobSummary of a job, array parent or child."""
    exit_code, reason = (None, None) if job.spec.several else _last(job)
    container = _present({"exitCode": exit_code, "reason": reason})
    return _present(
        {
            "jobArn": names.arn("job", job.id),
            "jobId": job.id,
            "jobName": job.spec.name,
            "createdAt": job.created_at,
            "status": job.status.value,
            "statusReason": job.status_reason,
            "shareIdentifier": job.spec.share_identifier,
            "startedAt": job.started_at,
            "stoppedAt": job.stopped_at,
            "container": container if container or job.started_at else None,
            "arrayProperties": _array(job),
            "jobDefinition": job.spec.definition_arn,
            "isCancelled": job.cancelled or None,
            "isTerminated": job.terminated or None,
        }
    )


def _array(job: Job) -> Document | None:
    if job.parent is not None:
        return {"index": job.index}
    if job.size is None or job.counts is None:
        return None
    counts = {status.value: job.counts.get(status, 0) for status in Status}
    return {
        "size": job.size,
        "statusSummary": counts,
        "statusSummaryLastUpdatedAt": job.counted_at or job.created_at,
    }


def _last(job: Job) -> tuple[int | None, str | None]:
    """Exit code and reason of the last attempt, none while another one is under way."""
    if job.run is not None or not job.attempts:
        return None, None
    return job.attempts[-1].exit_code, job.attempts[-1].reason


def _work(job: Job, names: Names) -> Document:
    """Return the container, for ecsProperties the task, for eksProperties the pod."""
    run, last = job.run, job.attempts[-1] if job.attempts else None
    task_id = run.task_id if run else last.task_id if last else None
    stream = run.log_stream if run else last.log_stream if last else None
    place = {
        "taskArn": names.task(task_id) if task_id else None,
        "containerInstanceArn": names.instance() if stream else None,
    }
    if job.spec.eks is not None:
        ends = last.containers if last and not run else ({},) * len(job.spec.containers)
        return {"eksProperties": pods.shown_pod(job.spec.eks, job.spec.containers, ends, task_id)}
    if job.spec.ecs is not None:
        containers = _task_containers(job)
        task = _present({**job.spec.ecs, **place, "containers": containers})
        return {"container": {}, "ecsProperties": {"taskProperties": [task]}}
    exit_code, reason = _last(job)
    container = {
        **job.spec.container,
        **place,
        "networkInterfaces": [],
        "exitCode": exit_code,
        "reason": reason,
        "logStreamName": stream,
    }
    return {"container": _present(container)}


def _task_containers(job: Job) -> list[Document]:
    run, spec = job.run, job.spec
    if run is not None:
        streams = [
            {"logStreamName": log_stream(spec, c, run.task_id)} if run.log_stream else {}
            for c in spec.containers
        ]
        return [{**c, **s} for c, s in zip(spec.containers, streams, strict=True)]
    ended = job.attempts[-1].containers if job.attempts else ({},) * len(spec.containers)
    return [
        {**c, "networkInterfaces": [], **e} for c, e in zip(spec.containers, ended, strict=True)
    ]


def _eks_attempt(job: Job, attempt: Attempt) -> Document:
    around: Document = job.spec.eks or {}
    pod = pods.shown_attempt(around, job.spec.containers, attempt.containers, attempt.task_id)
    times = {"startedAt": attempt.started_at, "stoppedAt": attempt.stopped_at}
    return _present({**pod, **times, "statusReason": attempt.status_reason})


def _attempt(attempt: Attempt, names: Names) -> Document:
    container: Document = {}
    tasks: list[Document] = []
    place = {"taskArn": names.task(attempt.task_id)}
    if attempt.containers:
        tasks = [{**place, "containers": list(attempt.containers)}]
    else:
        container = {
            **place,
            "containerInstanceArn": names.instance() if attempt.log_stream else None,
            "exitCode": attempt.exit_code,
            "reason": attempt.reason,
            "logStreamName": attempt.log_stream,
            "networkInterfaces": [],
        }
    return _present(
        {
            "container": _present(container),
            "startedAt": attempt.started_at,
            "stoppedAt": attempt.stopped_at,
            "statusReason": attempt.status_reason,
            "taskProperties": tasks,
        }
    )
