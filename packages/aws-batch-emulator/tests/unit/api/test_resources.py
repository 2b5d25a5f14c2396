"""Compute environments, queues, definitions, scheduling policies and tags."""

from __future__ import annotations

from typing import Any

import pytest

from aws_batch_emulator import SimulatedRun

POLICY = "arn:aws:batch:us-east-1:000000000000:scheduling-policy/fair"


def test_a_new_emulator_has_one_environment_and_one_queue(bench: Any) -> None:
    environments = bench.batch.describe_compute_environments()["computeEnvironments"]
    assert [(e["computeEnvironmentName"], e["status"]) for e in environments] == [
        ("local", "VALID")
    ]
    queues = bench.batch.describe_job_queues()["jobQueues"]
    assert [(q["jobQueueName"], q["state"], q["status"]) for q in queues] == [
        ("local", "ENABLED", "VALID")
    ]


def test_environments_and_queues_are_made_used_and_deleted(bench: Any) -> None:
    resources = {"type": "FARGATE", "maxvCpus": 4, "subnets": ["s-1"], "securityGroupIds": ["g-1"]}
    bench.batch.create_compute_environment(
        computeEnvironmentName="mine", type="MANAGED", computeResources=resources
    )
    order = [{"order": 1, "computeEnvironment": "mine"}]
    arn = bench.batch.create_job_queue(
        jobQueueName="mine", priority=5, computeEnvironmentOrder=order
    )["jobQueueArn"]
    assert "a job queue of EC2, mine is none" in bench.refused(bench.submit, jobQueue=arn)[1]
    bench.define(
        "fargate",
        platformCapabilities=["FARGATE"],
        container={
            "executionRoleArn": "role",
            "resourceRequirements": [
                {"type": "VCPU", "value": "0.25"},
                {"type": "MEMORY", "value": "512"},
            ],
        },
    )
    job = bench.submit(jobQueue=arn, jobDefinition="fargate")
    bench.clock.advance(1)
    assert bench.job(job)["jobQueue"] == arn
    assert bench.seen[0].environment["AWS_BATCH_CE_NAME"] == "mine"
    code, text = bench.refused(bench.batch.delete_compute_environment, computeEnvironment="mine")
    assert (code, "must be DISABLED" in text) == ("ClientException", True)
    assert "must be DISABLED" in bench.refused(bench.batch.delete_job_queue, jobQueue="mine")[1]
    bench.batch.update_compute_environment(computeEnvironment="mine", state="DISABLED")
    text = bench.refused(bench.batch.delete_compute_environment, computeEnvironment="mine")[1]
    assert "JobQueue relationship" in text
    bench.batch.update_job_queue(jobQueue="mine", state="DISABLED")
    bench.batch.delete_job_queue(jobQueue="mine")
    bench.batch.delete_compute_environment(computeEnvironment="mine")
    assert bench.batch.describe_job_queues(jobQueues=["mine"])["jobQueues"] == []


def test_deleting_a_queue_ends_its_jobs(bench: Any) -> None:
    bench.behaviour = lambda job: SimulatedRun(seconds=1_000)
    job = bench.submit()
    bench.clock.advance(1)
    bench.batch.update_job_queue(jobQueue="local", state="DISABLED")
    bench.batch.delete_job_queue(jobQueue="local")
    bench.clock.advance(1)
    assert bench.status(job) == "FAILED"


def test_revisions_count_up_and_the_latest_active_one_is_used(bench: Any) -> None:
    bench.define("d", container={"command": ["one"]})
    second = bench.define("d", container={"command": ["two"]})
    assert second.endswith("job-definition/d:2")
    job = bench.submit(jobDefinition="d")
    assert bench.job(job)["container"]["command"] == ["two"]
    bench.batch.deregister_job_definition(jobDefinition="d:2")
    job = bench.submit(jobDefinition="d")
    assert bench.job(job)["container"]["command"] == ["one"]
    assert "not in ACTIVE status" in bench.refused(bench.submit, jobDefinition=second)[1]
    found = bench.batch.describe_job_definitions(jobDefinitionName="d")["jobDefinitions"]
    assert [(d["revision"], d["status"]) for d in found] == [(2, "INACTIVE"), (1, "ACTIVE")]
    active = bench.batch.describe_job_definitions(jobDefinitionName="d", status="ACTIVE")
    assert [d["revision"] for d in active["jobDefinitions"]] == [1]
    assert bench.define("d").endswith(":3")


def test_definitions_are_described_in_pages(bench: Any) -> None:
    for i in range(7):
        bench.define(f"many-{i}")
    pages = bench.batch.get_paginator("describe_job_definitions").paginate(
        PaginationConfig={"PageSize": 3}
    )
    assert [len(page["jobDefinitions"]) for page in pages] == [3, 3, 2]


@pytest.fixture
def fair(bench: Any) -> Any:
    policy = {
        "shareDistribution": [
            {"shareIdentifier": "slow*", "weightFactor": 4.0},
            {"shareIdentifier": "quick", "weightFactor": 1.0},
        ]
    }
    bench.batch.create_scheduling_policy(name="fair", fairsharePolicy=policy)
    bench.batch.create_job_queue(
        jobQueueName="fair",
        priority=1,
        schedulingPolicyArn=POLICY,
        computeEnvironmentOrder=[{"order": 1, "computeEnvironment": "local"}],
    )
    return bench


def test_a_fair_share_queue_needs_a_share_identifier(fair: Any) -> None:
    code, text = fair.refused(fair.submit, jobQueue="fair")
    assert (code, text) == ("ClientException", "shareIdentifier must be specified.")
    job = fair.submit(jobQueue="fair", shareIdentifier="demobatch*", schedulingPriorityOverride=1)
    shown = fair.job(job)
    assert (shown["shareIdentifier"], shown["schedulingPriority"]) == ("demobatch*", 1)
    assert (
        "Invalid shareIdentifier"
        in fair.refused(fair.submit, jobQueue="fair", shareIdentifier="a-b")[1]
    )


def test_shares_are_served_by_weight_and_jobs_by_priority(fair: Any) -> None:
    fair.batch.update_compute_environment(
        computeEnvironment="local", computeResources={"maxvCpus": 5}
    )
    fair.behaviour = lambda job: SimulatedRun(seconds=10)
    for i in range(8):
        fair.submit(f"s{i}", jobQueue="fair", shareIdentifier="slow1")
        fair.submit(f"q{i}", jobQueue="fair", shareIdentifier="quick", schedulingPriorityOverride=i)
    fair.clock.advance(1)
    started = sorted(job.name for job in fair.seen)
    assert started == ["q4", "q5", "q6", "q7", "s0"]
    usage = fair.batch.get_job_queue_snapshot(jobQueue="fair")["queueUtilization"]
    shares = usage["fairshareUtilization"]["topCapacityUtilization"]
    assert [s["shareIdentifier"] for s in shares] == ["quick", "slow1"]
    listed = fair.batch.list_jobs(
        jobQueue="fair",
        jobStatus="RUNNING",
        filters=[{"name": "SHARE_IDENTIFIER", "values": ["slow1"]}],
    )
    assert [row["jobName"] for row in listed["jobSummaryList"]] == ["s0"]


def test_policies_are_kept_while_used(fair: Any) -> None:
    assert "used by" in fair.refused(fair.batch.delete_scheduling_policy, arn=POLICY)[1]
    found = fair.batch.describe_scheduling_policies(arns=[POLICY])["schedulingPolicies"]
    assert found[0]["name"] == "fair"
    assert fair.batch.list_scheduling_policies()["schedulingPolicies"] == [{"arn": POLICY}]


def test_tags_of_jobs_and_resources_change(bench: Any) -> None:
    job = bench.submit(tags={"a": "1"})
    arn = bench.job(job)["jobArn"]
    bench.batch.tag_resource(resourceArn=arn, tags={"b": "2"})
    bench.batch.untag_resource(resourceArn=arn, tagKeys=["a"])
    assert bench.batch.list_tags_for_resource(resourceArn=arn)["tags"] == {"b": "2"}
    assert bench.job(job)["tags"] == {"b": "2"}
    definition = bench.define("tagged", tags={"x": "y"})
    bench.batch.tag_resource(resourceArn=definition, tags={"z": ""})
    found = bench.batch.describe_job_definitions(jobDefinitions=["tagged:1"])["jobDefinitions"]
    assert found[0]["tags"] == {"x": "y", "z": ""}


def test_tags_of_children_are_refused(bench: Any) -> None:
    job = bench.submit(size=2)
    arn = bench.job(f"{job}:0")["jobArn"]
    code, _ = bench.refused(bench.batch.tag_resource, resourceArn=arn, tags={"a": "b"})
    assert code == "ClientException"


def test_what_the_emulator_can_not_do_it_says(bench: Any) -> None:
    code, text = bench.refused(
        bench.batch.create_consumable_resource, consumableResourceName="licence"
    )
    assert code == "ClientException"
    assert text == "The Batch emulator does not support the operation CreateConsumableResource."
