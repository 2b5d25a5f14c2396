"""The stages as AWS Batch jobs: which command, which job definition, which resources.

The one place that knows both the container's commands and how they are submitted. Assets ask it for
a `Job` and hand that to `BatchJobs.run`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

import dagster as dg

from dagster_aws_batch import (
    BatchJobDefinition,
    Job,
)

#: What `wordfreq merge --parts` takes at most.
MOST_PARTS = 64
LOCAL_IMAGE = "wordfreq:local"
#: What the image's ENTRYPOINT is where jobs run as subprocesses of the embedded AWS Batch.
LOCAL_IMAGES = {LOCAL_IMAGE: (sys.executable, "-m", "wordfreq_batch")}


class Stages(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The job definitions of the stages, and what every job of them has in common.

    A definition left empty is registered from the local image; that is for the embedded AWS Batch.
    """

    plan_definition: str = ""
    migrate_definition: str = ""
    merge_definition: str = ""
    ingest_definition: str = ""
    timeout_seconds: int = 4 * 3600
    share_identifier: str = ""
    scheduling_priority: int | None = None
    image: str = LOCAL_IMAGE
    merge_part_words: int = 1_000_000_000

    def plan(self, *, source: str, destination: str, plan: str, pack: int) -> Job:
        """List the source, compare it with what is counted, write the plan."""
        return self._job(
            "plan",
            self.plan_definition,
            [
                *("plan", "--source", source, "--destination", destination, "--plan", plan),
                *("--pack", str(pack), "--pending"),
            ],
        )

    def migrate(self, *, plan: str) -> Job:
        """Count the files of one task of the plan."""
        return self._job("migrate", self.migrate_definition, ["migrate", "--plan", plan])

    def merge(self, *, plan: str, output: str, options: list[str], parts: int = 1) -> Job:
        """Add up the counts of the plan's files, or the parts that were, and rank the words."""
        parted = ["--parts", str(parts)] if parts > 1 else []
        return self._job(
            "merge",
            self.merge_definition,
            ["merge", "--plan", plan, "--output", output, *options, *parted],
        )

    def merge_part(self, *, plan: str, parts: int) -> Job:
        """Add up the words of one part of `parts`; each task is a part."""
        return self._job(
            "merge-part",
            self.merge_definition,
            ["merge", "--plan", plan, "--parts", str(parts), "--part"],
        )

    def parts_of_merge(self, words: int) -> int:
        """In how many parts that many words, each file's different ones, are merged: 1 is whole."""
        return max(1, min(-(-words // self.merge_part_words), MOST_PARTS))

    def ingest(
        self, *, plan: str, table: str, options: list[str], environment: Mapping[str, str]
    ) -> Job:
        """Load the CSVs of one task of the plan into a DynamoDB table."""
        return self._job(
            "ingest",
            self.ingest_definition,
            ["ingest", "--plan", plan, "--table", table, *options],
            environment,
        )

    def _job(
        self,
        stage: str,
        definition: str,
        command: list[str],
        environment: Mapping[str, str] | None = None,
    ) -> Job:
        return Job(
            name=f"wordfreq-{stage}",
            command=command,
            environment=environment or {},
            definition=definition or BatchJobDefinition(image=self.image, vcpus=1, memory_mib=2048),
            timeout_seconds=self.timeout_seconds,
            share_identifier=self.share_identifier or None,
            scheduling_priority=self.scheduling_priority,
        )
