"""Stages as AWS Batch jobs: which job definition, and what the jobs of all stages have in common.

A pipeline knows the container's commands; this resource says how they are submitted.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

import dagster as dg

from dagster_aws_batch import BatchJobDefinition, Job

LOCAL_IMAGE = "wordfreq:local"
#: What the image's ENTRYPOINT is where jobs run as subprocesses of the embedded AWS Batch.
LOCAL_IMAGES = {LOCAL_IMAGE: (sys.executable, "-m", "wordfreq_batch")}


class Stages(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The job definitions of the stages, and what every job of them has in common.

    Attributes:
        definitions: job definition by stage, a name or an ARN; a stage without one is registered
            from `image`, which is for the embedded AWS Batch.
        timeout_seconds: longest time of one attempt.
        share_identifier: for queues with a fair-share policy; `''`: none.
        scheduling_priority: 0 to 9999, or None.
        image: the image of stages without a job definition.
    """

    definitions: dict[str, str]
    timeout_seconds: int
    share_identifier: str
    scheduling_priority: int | None
    image: str

    def job(
        self,
        stage: str,
        command: Sequence[str],
        *,
        name: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> Job:
        """The job that runs a command of `wordfreq`.

        Args:
            stage: whose job definition is used: `plan`, `migrate`, `merge` or `ingest`.
            command: the command and its options.
            name: ending of the job's name where it isn't the stage.
            environment: variables of the container besides its own.

        Returns:
            The job, for `BatchJobs.run`.
        """
        return Job(
            name=f"wordfreq-{name or stage}",
            command=list(command),
            environment=environment or {},
            definition=self.definitions.get(stage)
            or BatchJobDefinition(image=self.image, vcpus=1, memory_mib=2048),
            timeout_seconds=self.timeout_seconds,
            share_identifier=self.share_identifier or None,
            scheduling_priority=self.scheduling_priority,
        )
