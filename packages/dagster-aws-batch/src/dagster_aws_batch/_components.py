"""Components: AWS Batch in a Dagster project by `defs.yaml` alone, without Python.

`dg scaffold defs dagster_aws_batch.BatchJobComponent NAME` makes one.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import dagster as dg
from pydantic import Field

from dagster_aws_batch._alive import dead_runs_sensor
from dagster_aws_batch._aws.job_definitions import registration
from dagster_aws_batch._errors import InvalidJobError
from dagster_aws_batch._job import BatchJobDefinition, Job
from dagster_aws_batch._outcome import Outcome
from dagster_aws_batch._reaper import batch_reaper_sensors
from dagster_aws_batch._resource import BatchJobs

__all__ = ["BatchJobComponent", "BatchJobsComponent"]

# The variable with the partition keys. Longer lists (as JSON, which AWS Batch counts) go through
# the scratch place, as the job's inputs.
LISTED = "BATCH_PARTITIONS"
LISTED_CHARACTERS = 4_000


class BatchJobsComponent(dg.Component, dg.Resolvable, dg.Model):
    """The resource `BatchJobs`, and the sensors that fail killed runs and end their jobs.

    Examples:
        ```yaml
        type: dagster_aws_batch.BatchJobsComponent
        attributes:
          queue: my-queue
          region_name: eu-central-1
          scratch: s3://my-bucket/batch-scratch
        ```
    """

    queue: str = Field(description="Name or ARN of the job queue.")
    region_name: str | None = Field(default=None, description="AWS Region.")
    profile_name: str | None = Field(default=None, description="Profile of the AWS configuration.")
    role_arn: str | None = Field(default=None, description="Role to assume.")
    endpoint_url: str | None = Field(default=None, description="Address of AWS Batch.")
    console_url: str | None = Field(default=None, description="Where links lead.")
    scratch: str | None = Field(default=None, description="s3://bucket/prefix, or a folder.")
    name_prefix: str = Field(default="dagster", description="How the names of all jobs begin.")
    tags: dict[str, str] = Field(default_factory=dict, description="Tags for every job.")
    poll_seconds: float = Field(default=5.0, description="The shortest wait between polls.")
    poll_max_seconds: float = Field(default=30.0, description="The longest wait between polls.")
    blocked_action: Literal["warn", "terminate"] = Field(
        default="warn", description="What becomes of a job that cannot start."
    )
    resource_key: str = Field(default="batch", description="The key of the resource.")
    reaper: bool = Field(default=True, description="Whether to add the sensors.")

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:  # noqa: ARG002
        """The resource under its key, and the sensors."""
        fields = self.model_dump(exclude={"resource_key", "reaper"})
        batch = BatchJobs(**fields)
        key = re.sub(r"\W", "_", self.resource_key)
        name = "batch_reaper" if key == "batch" else f"batch_reaper_{key}"
        sensors = [dead_runs_sensor(), *batch_reaper_sensors(batch=batch, name=name)]
        resources = {self.resource_key: batch}
        return dg.Definitions(resources=resources, sensors=sensors if self.reaper else [])


class BatchJobComponent(dg.Component, dg.Resolvable, dg.Model):
    """An asset that is made by a container on AWS Batch: one job, or one array of all partitions.

    With `partitions` a run of any of them is one array job, one task per partition. The container
    finds its task number as usual, and the keys in the order of the task numbers in
    `BATCH_PARTITIONS`, one per line; where that is too long, each task's key is its input.

    Examples:
        ```yaml
        type: dagster_aws_batch.BatchJobComponent
        attributes:
          asset: {key: report}
          image: 123456789012.dkr.ecr.eu-central-1.amazonaws.com/report:1.4
          command: [make-report, --all]
          memory_mib: 4096
        ```
    """

    asset: dg.ResolvedAssetSpec = Field(description="Key, group, owners, description, …")
    image: str | None = Field(default=None, description="The container's image.")
    definition: str | None = Field(
        default=None, description="Instead of an image: name or ARN of a job definition."
    )
    command: Sequence[str] = Field(default=(), description="What the container runs.")
    environment: Mapping[str, str] = Field(default_factory=dict, description="Its variables.")
    vcpus: float | None = Field(default=None, description="vCPUs of a task.")
    memory_mib: int | None = Field(default=None, description="Memory of a task, MiB.")
    platform: Literal["EC2", "FARGATE", "EKS"] | None = Field(None, description="Default: EC2.")
    job_role_arn: str | None = Field(default=None, description="The container's role.")
    execution_role_arn: str | None = Field(default=None, description="Fargate's execution role.")
    timeout_seconds: int | None = Field(default=None, description="Of one attempt.")
    tasks: int | None = Field(None, description="How many, without partitions; default: 1.")
    partitions: Sequence[str] | None = Field(default=None, description="Partition keys.")
    resource_key: str = Field(default="batch", description="The key of the resource BatchJobs.")

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:  # noqa: ARG002
        """The asset."""
        spec = self.asset
        # What is wrong is an error when it is loaded.
        if problems := list(self._problems()):
            raise InvalidJobError(f"{spec.key.to_python_identifier()}: {'; '.join(problems)}")
        definition = self._job(None, scratch=True).definition
        if isinstance(definition, BatchJobDefinition):
            registration(definition)
        if self.partitions:
            keys = dg.StaticPartitionsDefinition(list(self.partitions))
            spec = spec.replace_attributes(partitions_def=keys)

        @dg.multi_asset(
            name=spec.key.to_python_identifier(),
            specs=[spec],
            required_resource_keys={self.resource_key},
            backfill_policy=dg.BackfillPolicy.single_run() if self.partitions else None,
        )
        def on_batch(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
            return self._run(context, spec.key)

        return dg.Definitions(assets=[on_batch])

    def _run(
        self, context: dg.AssetExecutionContext, key: dg.AssetKey
    ) -> dg.MaterializeResult[Any]:
        batch: BatchJobs = getattr(context.resources, self.resource_key)
        keys = context.partition_keys if self.partitions else None
        job = self._job(keys, scratch=batch.scratch is not None)
        tasks = len(keys) if keys else self.tasks or 1
        outcome: Outcome[Any] = batch.run(context=context, job=job, tasks=tasks)
        if keys and outcome.failed:
            # What is done stays done, though the step fails.
            for task in outcome.succeeded:
                made = dg.AssetMaterialization(asset_key=key, partition=keys[task.task])
                context.log_event(made)
            bad = [f"{keys[task.task]} (task {task.task})" for task in outcome.failed]
            more = f" and {len(bad) - 20:,} more" if len(bad) > 20 else ""
            context.log.error(f"failed partitions: {', '.join(bad[:20])}{more}")
        outcome.raise_for_failure()
        return dg.MaterializeResult(asset_key=key, metadata=outcome.metadata())

    def _problems(self) -> Iterator[str]:
        """What no run could make good: fields that are missing, wrong, or would be ignored."""
        if (self.image is None) == (self.definition is None):
            yield "give it an image or a definition, one of them"
        for field in ("platform", "job_role_arn", "execution_role_arn"):
            if self.image is None and getattr(self, field) is not None:
                yield f"{field} is for an image; a definition has its own"
        if self.tasks is not None and (self.tasks < 1 or self.partitions is not None):
            yield f"tasks is {self.tasks}; use 1 or more, and none where there are partitions"
        if self.partitions is not None and not self.partitions:
            yield "partitions is empty; name some, or leave it out"
        if self.partitions and LISTED in self.environment:
            yield f"environment has {LISTED}, which this component sets; rename yours"

    def _job(self, keys: Sequence[str] | None, *, scratch: bool) -> Job:
        name = self.asset.key.to_python_identifier()
        environment = dict(self.environment)
        inputs = None
        if keys:
            listed = "\n".join(keys)
            if len(json.dumps(listed)) <= LISTED_CHARACTERS:
                environment[LISTED] = listed
            elif scratch:
                inputs = list(keys)
            else:
                raise InvalidJobError(
                    f"{name}: {len(keys):,} partitions are too many for one request. Give the "
                    "resource a scratch place"
                )
        definition: str | BatchJobDefinition
        if self.image is None:
            definition = str(self.definition)
        else:
            definition = BatchJobDefinition(
                image=self.image,
                name=name,
                platform=self.platform or "EC2",
                job_role_arn=self.job_role_arn,
                execution_role_arn=self.execution_role_arn,
            )
        return Job(
            name=name,
            definition=definition,
            command=list(self.command),
            environment=environment,
            vcpus=self.vcpus,
            memory_mib=self.memory_mib,
            timeout_seconds="default" if self.timeout_seconds is None else self.timeout_seconds,
            inputs=inputs,
        )
