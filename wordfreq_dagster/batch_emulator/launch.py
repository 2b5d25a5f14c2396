"""From a job to the task that a runner starts: command, environment, names of log group and stream.

Sources: AWS Batch user guide, "AWS Batch job environment variables" and "Using the awslogs log
driver".
"""

from __future__ import annotations

from typing import Any

from wordfreq_dagster.batch_emulator.model import Job, JobSpec, Run
from wordfreq_dagster.batch_emulator.runners import Task

DEFAULT_GROUP = "/aws/batch/job"


def task_of(job: Job, run: Run, group: str, stream: str) -> Task:
    """Return the task of the job's attempt `run`."""
    spec = job.spec
    container = spec.container
    environment = {e["name"]: e.get("value", "") for e in container.get("environment", [])}
    environment |= {
        "AWS_BATCH_JOB_ID": job.id,
        "AWS_BATCH_JOB_ATTEMPT": str(run.number),
        "AWS_BATCH_CE_NAME": run.compute_environment,
        "AWS_BATCH_JQ_NAME": spec.queue,
    }
    if job.parent is not None:
        environment["AWS_BATCH_JOB_ARRAY_INDEX"] = str(job.index)
        environment["AWS_BATCH_JOB_ARRAY_SIZE"] = str(job.parent.size)
    return Task(
        id=run.task_id,
        job_id=job.id,
        job_name=spec.name,
        queue=spec.queue,
        index=job.index,
        attempt=run.number,
        image=container["image"],
        command=tuple(container.get("command", ())),
        environment=environment,
        vcpus=spec.vcpus,
        memory_mib=spec.memory_mib,
        log_group=group,
        log_stream=stream,
        container=container,
    )


def _options(spec: JobSpec) -> dict[str, Any]:
    logging = spec.container.get("logConfiguration") or {}
    options: dict[str, Any] = logging.get("options") or {}
    return options


def log_group(spec: JobSpec) -> str:
    """Return the CloudWatch log group the job writes to."""
    return str(_options(spec).get("awslogs-group", DEFAULT_GROUP))


def log_stream(spec: JobSpec, task_id: str) -> str:
    """Return the log stream of one attempt: `<definition or prefix>/default/<ECS task id>`."""
    definition = spec.definition_arn.rpartition("/")[2].partition(":")[0]
    return f"{_options(spec).get('awslogs-stream-prefix', definition)}/default/{task_id}"
