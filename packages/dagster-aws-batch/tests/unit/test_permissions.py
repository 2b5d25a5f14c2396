"""The policies on the page of permissions hold what the client calls, and nothing else."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import boto3
import pytest

HOME = Path(__file__).resolve().parents[2]
SOURCE = HOME / "src/dagster_aws_batch"
# Checked by AWS for the tags of SubmitJob, and for the roles of a definition; no calls.
IMPLIED = {"batch:TagResource", "iam:PassRole"}
# By the names that IAM has for them.
S3 = {"ListObjectsV2": "ListBucket"}


def policies() -> list[set[str]]:
    page = (HOME / "docs/permissions.md").read_text(encoding="utf-8")
    documents = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]
    return [{a for one in document["Statement"] for a in one["Action"]} for document in documents]


def client(service: str):
    keys = {"aws_access_key_id": "k", "aws_secret_access_key": "s"}
    return boto3.client(service, region_name="us-east-1", **keys)


def strings(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        one.value for one in ast.walk(tree) if isinstance(one, ast.Constant)
    } & OPERATIONS.keys()


OPERATIONS = {
    operation: f"{service}:{operation}"
    for service in ("batch", "logs")
    for operation in client(service).meta.service_model.operation_names
}


def test_the_orchestrator_s_policy_is_what_the_client_calls() -> None:
    """Operations of Batch and Logs are named by strings; those of S3 are methods of its client."""
    files = [path for path in SOURCE.rglob("*.py") if path.name != "doctor.py"]
    called = {OPERATIONS[name] for path in files for name in strings(path)}
    methods = client("s3").meta.method_to_api_mapping
    scratch = (SOURCE / "_scratch.py").read_text()
    used = re.findall(r"_client\.(\w+)\(", scratch)
    used += re.findall(r"get_paginator\(\"(\w+)\"", scratch)
    s3 = {methods[name] for name in used if name in methods}
    called |= {f"s3:{S3.get(operation, operation)}" for operation in s3}
    assert called | IMPLIED == policies()[0]


def test_the_doctor_s_policy_is_what_it_calls() -> None:
    text = (SOURCE / "doctor.py").read_text()
    called = {
        f"{service}:{client(service).meta.method_to_api_mapping[method]}"
        for service, method in re.findall(r"clients\.(\w+)\.(\w+)\(", text)
    }
    assert called == policies()[1]


@pytest.mark.parametrize("policy", [0, 1])
def test_every_action_is_one_of_its_service(policy: int) -> None:
    for action in policies()[policy] - IMPLIED:
        service, _, operation = action.partition(":")
        known = client(service).meta.service_model.operation_names
        assert operation in known or operation in S3.values(), action
