"""From a job to the task that a runner starts, and from its end to what is shown of its containers.

Command, environment, names of log group and stream.

Sources: AWS Batch user guide, "AWS Batch job environment variables" and "Using the awslogs log
driver".
"""

from __future__ import annotations

import dataclasses
from typing import Any

from aws_batch_emulator._core.model import NOT_STARTED, Document, Exit, Job, JobSpec, RunningAttempt
from aws_batch_emulator._core.runner import Task

DEFAULT_GROUP = "/aws/batch/job"


def task_of(job: Job, run: RunningAttempt) -> Task:
    """Return the task of the job's attempt `run`."""
    spec = job.spec
    set_by_batch = {
        "AWS_BATCH_JOB_ID": job.id,
        "AWS_BATCH_JOB_ATTEMPT": str(run.number),
        "AWS_BATCH_CE_NAME": run.compute_environment,
        "AWS_BATCH_JQ_NAME": spec.queue,
    }
    if job.parent is not None:
        set_by_batch["AWS_BATCH_JOB_ARRAY_INDEX"] = str(job.index)
        set_by_batch["AWS_BATCH_JOB_ARRAY_SIZE"] = str(job.parent.size)

    def one(container: Document, task_id: str) -> Task:
        own = {e["name"]: e.get("value", "") for e in container.get("environment", [])}
        return Task(
            id=task_id,
            job_id=job.id,
            job_name=spec.name,
            queue=spec.queue,
            index=job.index,
            attempt=run.number,
            image=container["image"],
            command=tuple(container.get("command", ())),
            entrypoint=container.get("entrypoint"),
            environment={**own, **set_by_batch},
            vcpus=spec.vcpus,
            memory_mib=spec.memory_mib,
            log_group=log_group(container),
            log_stream=log_stream(spec, container, run.task_id),
            container=container,
        )

    task = one(spec.container, run.task_id)
    if not spec.several:
        return task
    parts = (one(c, f"{run.task_id}-{i}") for i, c in enumerate(spec.containers))
    return dataclasses.replace(task, parts=tuple(parts), pod=spec.eks is not None)


def _options(container: Document) -> dict[str, Any]:
    logging = container.get("logConfiguration") or {}
    options: dict[str, Any] = logging.get("options") or {}
    return options


def log_group(container: Document) -> str:
    """Return the CloudWatch log group the container writes to."""
    return str(_options(container).get("awslogs-group", DEFAULT_GROUP))


def log_stream(spec: JobSpec, container: Document, task_id: str) -> str:
    """Return the log stream: `<definition or prefix>/<container or default>/<ECS task id>`."""
    definition = spec.definition_arn.rpartition("/")[2].partition(":")[0]
    prefix = _options(container).get("awslogs-stream-prefix", definition)
    return f"{prefix}/{container.get('name', 'default')}/{task_id}"


def streams(spec: JobSpec, task_id: str) -> list[tuple[str, str]]:
    """Return (group, stream) of each container of an attempt."""
    return [(log_group(c), log_stream(spec, c, task_id)) for c in spec.containers]


def ended_containers(job: Job, run: RunningAttempt, end: Exit) -> tuple[Document, ...]:
    """Return what is shown of each container of an ended attempt, if there are several."""
    if not job.spec.several:
        return ()
    # An end that comes from a fault is the first container's.
    known = end.containers or ({"exitCode": end.exit_code, "reason": end.reason},)
    shown = []
    for place, container in enumerate(job.spec.containers):
        document: Document = {"name": container["name"]}
        if place < len(known):
            document |= {k: v for k, v in known[place].items() if v is not None}
        if run.started_at is not None:
            document["logStreamName"] = log_stream(job.spec, container, run.task_id)
        shown.append(document)
    return tuple(shown)


def cannot_start(error: Exception) -> Exit:
    """How an attempt ends that could not be started here, in AWS's words."""
    reason = f"CannotStartContainerError: {error}"[:1024]
    return Exit(exit_code=None, reason=reason, status_reason=NOT_STARTED)
