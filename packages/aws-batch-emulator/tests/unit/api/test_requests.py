"""What counts as absent, what is refused by name, and that no member is forgotten silently."""

from __future__ import annotations

import http.client
import json
from typing import Any

import pytest
from botocore.loaders import create_loader
from botocore.model import ServiceModel

from aws_batch_emulator._api.requests import REFUSED, REFUSED_VALUES, TAKEN

MODEL = ServiceModel(create_loader().load_service_model("batch", "service-2"), "batch")
SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=local"}


@pytest.mark.parametrize("shape", sorted(TAKEN))
def test_each_member_is_taken_or_refused_and_none_of_them_both(shape: str) -> None:
    refused = set(REFUSED.get(shape, {}))
    assert refused & TAKEN[shape] == set()
    assert refused | TAKEN[shape] == set(MODEL.shape_for(shape).members)


def test_refusals_name_what_there_is_in_the_service_model() -> None:
    for shape, members in REFUSED.items():
        assert set(members) <= set(MODEL.shape_for(shape).members)
    for shape, values in REFUSED_VALUES.items():
        assert set(values) <= set(MODEL.shape_for(shape).enum)


def test_an_empty_optional_string_or_structure_is_none(bench: Any) -> None:
    # AWS's own ParallelCluster CLI begins each listing with an empty token.
    listed = bench.batch.list_jobs(jobQueue="local", nextToken="", jobStatus="", arrayJobId="")
    assert listed["jobSummaryList"] == []
    for call in (
        bench.batch.describe_job_queues,
        bench.batch.describe_compute_environments,
        bench.batch.describe_job_definitions,
        bench.batch.list_scheduling_policies,
    ):
        call(nextToken="")
    job = bench.submit(
        nodeOverrides={},
        eksPropertiesOverride={},
        ecsPropertiesOverride={},
        consumableResourcePropertiesOverride={},
        shareIdentifier="",
    )
    bench.clock.advance(1)
    assert bench.status(job) == "SUCCEEDED"


def test_an_empty_environment_variable_is_one(bench: Any) -> None:
    bench.define(container={"environment": [{"name": "EMPTY", "value": ""}]})
    bench.submit()
    bench.clock.advance(1)
    assert bench.seen[0].environment["EMPTY"] == ""


def test_an_empty_required_string_stays_one(bench: Any) -> None:
    assert (
        "Job name should match"
        in bench.refused(
            bench.batch.submit_job, jobName="", jobQueue="local", jobDefinition="work"
        )[1]
    )


def _definition(**members: Any) -> dict[str, Any]:
    container = {"image": "i", "vcpus": 1, "memory": 4}
    return {
        "jobDefinitionName": "other",
        "type": "container",
        "containerProperties": container,
        **members,
    }


CONSUMABLE = {"consumableResourceList": [{"consumableResource": "licence", "quantity": 1}]}
SUBMIT = {"jobName": "job", "jobQueue": "local", "jobDefinition": "work"}
ORDER = [{"order": 1, "computeEnvironment": "local"}]
BY_NAME = [
    ("submit_job", {**SUBMIT, "nodeOverrides": {"numNodes": 2}}, "multi-node parallel jobs"),
    (
        "submit_job",
        {**SUBMIT, "consumableResourcePropertiesOverride": CONSUMABLE},
        "consumable resources",
    ),
    ("list_jobs", {"multiNodeJobId": "x"}, "multi-node parallel jobs"),
    (
        "register_job_definition",
        _definition(consumableResourceProperties=CONSUMABLE),
        "consumable resources",
    ),
    ("register_job_definition", _definition(type="multinode"), "multi-node parallel jobs"),
    (
        "register_job_definition",
        _definition(platformCapabilities=["MANAGED_INSTANCES"]),
        "Amazon ECS Managed Instances",
    ),
    (
        "create_job_queue",
        {
            "jobQueueName": "q",
            "priority": 1,
            "computeEnvironmentOrder": ORDER,
            "jobQueueType": "SAGEMAKER_TRAINING",
        },
        "service environments and service jobs",
    ),
    (
        "create_compute_environment",
        {
            "computeEnvironmentName": "e",
            "type": "MANAGED",
            "computeResources": {"type": "ECS_MANAGED_INSTANCES", "maxvCpus": 1},
        },
        "Amazon ECS Managed Instances",
    ),
    (
        "create_scheduling_policy",
        {"name": "p", "quotaSharePolicy": {"idleResourceAssignmentStrategy": "FIFO"}},
        "quota shares",
    ),
    ("create_consumable_resource", {"consumableResourceName": "r"}, "CreateConsumableResource"),
    ("list_quota_shares", {"jobQueue": "local"}, "ListQuotaShares"),
]


@pytest.mark.parametrize(
    ("call", "request_", "what"), BY_NAME, ids=[f"{c}-{w}" for c, _, w in BY_NAME]
)
def test_what_it_can_not_do_is_refused_by_name(
    bench: Any, call: str, request_: dict[str, Any], what: str
) -> None:
    code, text = bench.refused(getattr(bench.batch, call), **request_)
    assert code == "ClientException"
    assert text.startswith("The Batch emulator does not support ")
    assert what in text


def test_a_member_that_a_newer_service_model_brings_is_refused_by_name(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = {**TAKEN, "SubmitJobRequest": TAKEN["SubmitJobRequest"] - {"propagateTags"}}
    monkeypatch.setattr("aws_batch_emulator._api.requests.TAKEN", taken)
    code, text = bench.refused(bench.batch.submit_job, **SUBMIT, propagateTags=True)
    assert (code, text) == (
        "ClientException",
        "The Batch emulator does not support the member propagateTags of SubmitJobRequest.",
    )


@pytest.mark.parametrize("value", [True, -1, 2**31, 10**4000])
def test_a_queue_priority_is_a_number_from_0_on(bench: Any, value: object) -> None:
    request = {"jobQueueName": "q", "priority": value, "computeEnvironmentOrder": ORDER}
    assert bench.refused(bench.batch.create_job_queue, **request)[0] == "ClientException"
    request = {"jobQueue": "local", "priority": value}
    assert bench.refused(bench.batch.update_job_queue, **request)[0] == "ClientException"
    assert bench.batch.describe_job_queues()["jobQueues"][0]["priority"] == 1


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:batch:eu-west-1:000000000000:job-queue/local",
        "arn:aws:batch:us-east-1:999999999999:job-queue/local",
        "arn:aws:batch:us-east-1:000000000000:compute-environment/local",
        "arn:aws:sqs:us-east-1:000000000000:job-queue/local",
    ],
)
def test_the_arn_of_something_else_names_nothing(bench: Any, arn: str) -> None:
    code, text = bench.refused(bench.batch.submit_job, **{**SUBMIT, "jobQueue": arn})
    assert (code, text) == ("ClientException", f"JobQueue {arn} not found.")
    assert bench.batch.describe_job_queues(jobQueues=[arn])["jobQueues"] == []


def test_half_a_surrogate_pair_never_comes_in(bench: Any) -> None:
    job = bench.submit()
    bench.batch.terminate_job(jobId=job, reason="bad \ud83d text")
    bench.clock.advance(1)
    assert bench.job(job)["statusReason"] == "bad \ufffd text"


def test_a_body_nested_too_deep_is_no_request(bench: Any) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", bench.emulator.port, timeout=10)
    connection.request("POST", "/v1/listjobs", body='{"a":' * 100_000, headers=SIGNED)
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())["__type"]) == (400, "SerializationException")
