"""Empty the buckets of a deployment, all versions, so that `cdk destroy` can remove them.

`make destroy` calls it; buckets that outlive their stack (keep_data) are left alone. It deletes
data: without `--delete-all-data` it only says what it would delete.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Any

import boto3  # type: ignore[import-untyped]
import botocore.exceptions  # type: ignore[import-untyped]

STACKS = ("dagster", "storage")


def buckets(cloudformation: Any, name: str) -> Iterator[str]:
    """The buckets of the deployment's stacks that go away with their stack."""
    for stack in STACKS:
        try:
            found = cloudformation.get_template(StackName=f"{name}-{stack}")["TemplateBody"]
            pages = cloudformation.get_paginator("list_stack_resources")
            rows = [
                row
                for page in pages.paginate(StackName=f"{name}-{stack}")
                for row in page["StackResourceSummaries"]
            ]
        except botocore.exceptions.ClientError as error:
            if "does not exist" in str(error):
                continue
            raise
        for row in rows:
            if row["ResourceType"] == "AWS::S3::Bucket":
                declared = found["Resources"][row["LogicalResourceId"]]
                if declared.get("DeletionPolicy") == "Delete":
                    yield row["PhysicalResourceId"]


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


def main() -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="empty_buckets.py", description=__doc__)
    parser.add_argument("--name", default="wordfreq", help="the deployment (default: wordfreq)")
    parser.add_argument("--delete-all-data", action="store_true", help="really delete")
    options = parser.parse_args()
    s3 = boto3.client("s3")
    for bucket in buckets(boto3.client("cloudformation"), options.name):
        if not options.delete_all_data:
            sys.stdout.write(f"would delete everything in s3://{bucket} (--delete-all-data)\n")
            continue
        sys.stdout.write(f"s3://{bucket}: {empty(s3, bucket)} versions deleted\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
