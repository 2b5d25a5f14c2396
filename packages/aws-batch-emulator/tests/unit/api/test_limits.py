"""Each of AWS Batch's limits: refused with AWS's error, through an unmodified boto3 client."""

from __future__ import annotations

from typing import Any

import pytest

from aws_batch_emulator import EmbeddedBatch, EmulatorError, VirtualClock

UUID = "11111111-2222-3333-4444-555555555555"

REFUSED_SUBMITS = [
    ({"jobName": ""}, "Job name should match valid pattern"),
    ({"jobQueue": "nowhere"}, "JobQueue nowhere not found."),
    (
        {"jobDefinition": "nothing"},
        "JobDefinition name nothing does not exist or is not in ACTIVE status",
    ),
    ({"jobDefinition": "work:9"}, "JobDefinition name work:9 does not exist"),
    ({"retryStrategy": {}}, "RetryAttempts must be provided with retry strategy"),
    (
        {"retryStrategy": {"attempts": 2, "evaluateOnExit": [{"action": "EXIT"}]}},
        "evaluateOnExit needs one of",
    ),
    ({"dependsOn": [{"jobId": UUID}]}, f"The job {UUID} in dependsOn does not exist"),
    ({"dependsOn": [{"jobId": UUID, "type": "AFTER"}]}, "Invalid value 'AFTER'"),
    ({"dependsOn": [{}]}, "A dependency without job ID must be of type SEQUENTIAL"),
    ({"timeout": {"attemptDurationSeconds": "60"}}, "Invalid type for parameter"),
    ({"containerOverrides": {"vcpus": 0}}, "vcpus must be at least 1, got 0"),
    ({"containerOverrides": {"vcpus": -1}}, "vcpus must be at least 1, got -1"),
    ({"containerOverrides": {"memory": 0}}, "memory must be at least 4, got 0"),
    ({"containerOverrides": {"memory": -64}}, "memory must be at least 4, got -64"),
    ({"colour": "red"}, 'Unknown parameter in input: "colour"'),
]
"""Beside those that AWS documents (test_refusals.py)."""


@pytest.mark.parametrize(
    ("change", "message"), REFUSED_SUBMITS, ids=[m[:30] for _, m in REFUSED_SUBMITS]
)
def test_submit_job_is_refused(bench: Any, change: dict[str, Any], message: str) -> None:
    # Unknown parameters never leave boto3: the raw request goes through the signed low-level call.
    request = {"jobName": "job", "jobQueue": "local", "jobDefinition": "work", **change}
    if "colour" in change:
        bench.batch.meta.events.register("before-sign.batch.SubmitJob", _add_colour)
        request.pop("colour")
    code, text = bench.refused(bench.batch.submit_job, **request)
    assert code == "ClientException"
    assert message in text
    assert bench.batch.list_jobs(jobQueue="local", jobStatus="SUBMITTED")["jobSummaryList"] == []


def _add_colour(request: Any, **_: Any) -> None:
    request.data = request.data[:-1] + b', "colour": "red"}'


def test_the_usual_texts_carry_the_request_id(bench: Any) -> None:
    code, text = bench.refused(
        bench.batch.submit_job, jobName="a b", jobQueue="local", jobDefinition="work"
    )
    assert code == "ClientException"
    assert text.startswith("Error executing request, Exception : Job name should match valid ")
    assert ", RequestId: " in text


def test_a_disabled_queue_takes_no_jobs(bench: Any) -> None:
    bench.batch.update_job_queue(jobQueue="local", state="DISABLED")
    code, text = bench.refused(
        bench.batch.submit_job, jobName="job", jobQueue="local", jobDefinition="work"
    )
    assert (code, "not in ENABLED state" in text) == ("ClientException", True)


def test_overrides_over_8192_characters_are_accepted_and_the_job_fails(bench: Any) -> None:
    overrides = {"environment": [{"name": "X", "value": "x" * 9_000}]}
    job = bench.submit(containerOverrides=overrides)
    array = bench.submit(size=2, containerOverrides=overrides)
    bench.clock.advance(1)
    shown = bench.job(job)
    assert shown["status"] == "FAILED"
    assert shown["statusReason"] == "Container Overrides length must be at most 8192"
    assert shown["attempts"] == []
    assert bench.counts(array) == {"FAILED": 2}
    fits = bench.submit(containerOverrides={"environment": [{"name": "X", "value": "x" * 8_000}]})
    bench.clock.advance(1)
    assert bench.status(fits) == "SUCCEEDED"


def test_more_than_50_tags_together_with_propagated_ones_fail_the_job(bench: Any) -> None:
    bench.define(tags={f"d{i}": "v" for i in range(30)})
    tags = {f"j{i}": "v" for i in range(30)}
    alone = bench.submit(tags=tags)
    together = bench.submit(tags=tags, propagateTags=True)
    bench.clock.advance(1)
    assert bench.status(alone) == "SUCCEEDED"
    assert bench.status(together) == "FAILED"


def test_describe_jobs_takes_100_ids_and_leaves_unknown_ones_out(bench: Any) -> None:
    job = bench.submit()
    ids = [job, *[f"{i:08}-2222-3333-4444-555555555555" for i in range(100)]]
    code, text = bench.refused(bench.batch.describe_jobs, jobs=ids)
    assert code == "ClientException"
    assert "Exception : Maximum number of jobs supported is  100 .," in text
    assert [j["jobId"] for j in bench.batch.describe_jobs(jobs=ids[:100])["jobs"]] == [job]
    assert bench.batch.describe_jobs(jobs=[])["jobs"] == []


@pytest.mark.parametrize("call", ["terminate_job", "cancel_job"])
def test_reasons_and_ids_of_single_endings_are_checked(bench: Any, call: str) -> None:
    end = getattr(bench.batch, call)
    assert "at most 1024" in bench.refused(end, jobId=UUID, reason="x" * 1_025)[1]
    assert "must not be empty" in bench.refused(end, jobId=UUID, reason="")[1]
    assert "Invalid job ID" in bench.refused(end, jobId="nonsense", reason="x")[1]
    end(jobId=UUID, reason="an unknown job is no error")


@pytest.mark.parametrize("call", ["terminate_jobs", "cancel_jobs"])
def test_bulk_endings_take_50_ids(bench: Any, call: str) -> None:
    end = getattr(bench.batch, call)
    ids = [f"{i:08}-2222-3333-4444-555555555555" for i in range(51)]
    assert "between 1 and 50, got 51" in bench.refused(end, jobs=ids, reason="x")[1]
    answer = end(jobs=[*ids[:2], "nonsense"], reason="x")
    assert answer["successful"] == ids[:2]
    assert [(e["job"], e["code"]) for e in answer["errors"]] == [
        ("nonsense", "ValidationException")
    ]


REFUSED_DEFINITIONS = [
    ({"containerProperties": {"image": "i"}}, "vCPU is not provided."),
    ({"containerProperties": {"image": "i", "vcpus": 1}}, "Memory is not provided."),
    ({"containerProperties": {"image": "i", "vcpus": 0, "memory": 4}}, "vCPU is not provided."),
    ({"containerProperties": {"image": "i", "vcpus": -1, "memory": 4}}, "vcpus must be at least 0"),
    ({"containerProperties": {"vcpus": 1, "memory": 4}}, "Container image is required."),
    ({"platformCapabilities": ["EC2", "FARGATE"]}, "can't be for EC2 and FARGATE at the same time"),
]


@pytest.mark.parametrize(
    ("change", "message"), REFUSED_DEFINITIONS, ids=[m[:30] for _, m in REFUSED_DEFINITIONS]
)
def test_register_job_definition_is_refused(
    bench: Any, change: dict[str, Any], message: str
) -> None:
    request = {
        "jobDefinitionName": "other",
        "type": "container",
        "containerProperties": {"image": "i", "vcpus": 1, "memory": 4},
        **change,
    }
    code, text = bench.refused(bench.batch.register_job_definition, **request)
    assert code == "ClientException"
    assert message in text


FARGATE = {"type": "FARGATE", "maxvCpus": 4, "subnets": ["s-1"], "securityGroupIds": ["g-1"]}
REFUSED_ENVIRONMENTS: list[tuple[str, dict[str, Any], str]] = [
    ("local", {"computeResources": {"minvCpus": -1}}, "minvCpus must be at least 0, got -1"),
    ("local", {"computeResources": {"maxvCpus": -1}}, "maxvCpus must be at least 0, got -1"),
    ("local", {"computeResources": {"minvCpus": 9, "maxvCpus": 8}}, "must not be greater than"),
    ("fargate", {"computeResources": {"maxvCpus": -1}}, "maxvCpus must be at least 0, got -1"),
    ("own", {"unmanagedvCpus": -1}, "unmanagedvCpus must be at least 0, got -1"),
]


@pytest.mark.parametrize(("name", "change", "message"), REFUSED_ENVIRONMENTS)
def test_what_would_leave_an_environment_less_than_nothing_is_refused(
    bench: Any, name: str, change: dict[str, Any], message: str
) -> None:
    create = bench.batch.create_compute_environment
    create(computeEnvironmentName="fargate", type="MANAGED", computeResources=FARGATE)
    create(computeEnvironmentName="own", type="UNMANAGED")
    update = bench.batch.update_compute_environment
    code, text = bench.refused(update, computeEnvironment=name, **change)
    assert (code, message in text) == ("ClientException", True), text


def test_an_amount_of_the_old_kind_may_be_0_beside_a_requirement(bench: Any) -> None:
    """Some clients always send the member."""
    bench.define(container={"vcpus": 0})
    job = bench.submit()
    bench.clock.advance(1)
    assert (bench.status(job), bench.seen[0].vcpus) == ("SUCCEEDED", 1)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        *(("vcpus", value) for value in (0, -1, float("nan"), float("inf"))),
        *(("memory_mib", value) for value in (0, -1)),
        *(("port", value) for value in (-1, 70_000)),
    ],
)
def test_an_emulator_for_no_job_at_all_is_refused(setting: str, value: Any) -> None:
    with pytest.raises(EmulatorError, match=f"{setting} must be from "):
        EmbeddedBatch(**{setting: value})


def test_half_a_vcpu_is_enough_for_half_a_vcpu(connect: Any) -> None:
    with EmbeddedBatch(clock=VirtualClock(), vcpus=0.5) as emulator:
        shown = connect("batch", emulator.url).describe_compute_environments()
    assert shown["computeEnvironments"][0]["computeResources"]["maxvCpus"] == 1
