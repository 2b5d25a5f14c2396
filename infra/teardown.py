"""Before `cdk destroy`: end what writes, and empty the buckets that go away with their stack.

`make destroy` calls it. Buckets that outlive their stack (keep_data) are left alone. It deletes
data only with `--delete-all-data`; without, it only says what it would delete, and refuses while
jobs are under way.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import boto3  # type: ignore[import-untyped]
import botocore.exceptions  # type: ignore[import-untyped]

STACKS = ("dagster", "storage")
LIVE = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING")
WAIT_SECONDS = 600.0
POLL_SECONDS = 5.0
Clients = Callable[[str], Any]


def resources(cloudformation: Any, stack: str, kind: str) -> Iterator[tuple[str, str]]:
    """Logical and physical names of a stack's resources of a type; none without the stack."""
    try:
        pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
        for page in pages:
            for row in page["StackResourceSummaries"]:
                if row["ResourceType"] == kind and row.get("PhysicalResourceId"):
                    yield row["LogicalResourceId"], row["PhysicalResourceId"]
    except botocore.exceptions.ClientError as error:
        if "does not exist" not in str(error):
            raise


def buckets(cloudformation: Any, name: str, stacks: Sequence[str] = STACKS) -> Iterator[str]:
    """The buckets of these stacks of the deployment that go away with their stack."""
    for stack in stacks:
        found = list(resources(cloudformation, f"{name}-{stack}", "AWS::S3::Bucket"))
        if not found:
            continue
        template = cloudformation.get_template(StackName=f"{name}-{stack}")["TemplateBody"]
        for logical, bucket in found:
            declared: Mapping[str, Any] = template["Resources"][logical]
            if declared.get("DeletionPolicy") == "Delete":
                yield bucket


def live_jobs(batch: Any, queue: str) -> list[str]:
    """The jobs of a queue that haven't ended."""
    return [
        job["jobId"]
        for status in LIVE
        for page in batch.get_paginator("list_jobs").paginate(jobQueue=queue, jobStatus=status)
        for job in page["jobSummaryList"]
    ]


def end_jobs(client: Clients, name: str, *, end: bool) -> None:
    """End what is in the queue, or refuse: an environment with live jobs can't be removed.

    Only what is ended has its queue switched off, as nobody would switch it on again.
    """
    batch = client("batch")
    found = resources(client("cloudformation"), f"{name}-compute", "AWS::Batch::JobQueue")
    for _, queue in found:
        jobs = live_jobs(batch, queue)
        if jobs and not end:
            raise SystemExit(
                f"{len(jobs)} jobs in the queue {queue} haven't ended, such as {jobs[0]}; "
                "wait for them or end their runs, then destroy"
            )
        if not end:
            continue
        batch.update_job_queue(jobQueue=queue, state="DISABLED")
        for job in jobs:
            batch.terminate_job(jobId=job, reason="make destroy")
        _wait(functools.partial(live_jobs, batch, queue), f"jobs of {queue}")


def stop_dagster(client: Clients, name: str) -> None:
    """Stop services and runs, which would go on writing to buckets that are to be emptied."""
    cloudformation, ecs = client("cloudformation"), client("ecs")
    for _, cluster in resources(cloudformation, f"{name}-dagster", "AWS::ECS::Cluster"):
        for _, service in resources(cloudformation, f"{name}-dagster", "AWS::ECS::Service"):
            ecs.update_service(cluster=cluster, service=service, desiredCount=0)

        def tasks(cluster: str = cluster) -> list[str]:
            pages = ecs.get_paginator("list_tasks").paginate(cluster=cluster)
            return [task for page in pages for task in page["taskArns"]]

        for task in tasks():
            ecs.stop_task(cluster=cluster, task=task, reason="make destroy")
        _wait(tasks, f"tasks of {cluster}")


def _wait(left: Callable[[], list[str]], what: str) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while found := left():
        if time.monotonic() > end:
            raise SystemExit(
                f"{len(found)} {what} haven't ended after {WAIT_SECONDS:.0f} s: {found[0]}"
            )
        time.sleep(POLL_SECONDS)


def empty(s3: Any, bucket: str) -> int:
    """Delete every version of every object; returns how many there were."""
    number = 0
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        rows = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        if not rows:
            continue
        keys = [{"Key": row["Key"], "VersionId": row["VersionId"]} for row in rows]
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
        if errors := answer.get("Errors"):
            raise SystemExit(f"{bucket}: {len(errors)} objects stay: {errors[0]}")
        number += len(keys)
    return number


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="teardown.py", description=__doc__)
    parser.add_argument("--name", default="wordfreq", help="the deployment (default: wordfreq)")
    parser.add_argument("--delete-all-data", action="store_true", help="really delete")
    options = parser.parse_args(arguments)
    name = options.name
    if (chosen := os.environ.get("WORDFREQ_INFRA_NAME") or name) != name:
        parser.error(f"WORDFREQ_INFRA_NAME is {chosen}, not {name}: give OPTIONS=name={chosen} too")
    # make hands it on. Nothing else goes with this stack: the jobs and the other data stay.
    only_dagster = os.environ.get("STACKS") == f"{name}-dagster"
    s3 = boto3.client("s3")
    if not (only_dagster and options.delete_all_data):
        end_jobs(boto3.client, name, end=options.delete_all_data)
    if options.delete_all_data:
        stop_dagster(boto3.client, name)
    stacks = STACKS[: 1 if only_dagster else None]
    for bucket in buckets(boto3.client("cloudformation"), name, stacks):
        if not options.delete_all_data:
            sys.stdout.write(f"would delete everything in s3://{bucket} (DELETE_ALL_DATA=1)\n")
            continue
        sys.stdout.write(f"s3://{bucket}: {empty(s3, bucket)} versions deleted\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
