"""Behaviours 2, 12, 14 and 15: sizes, payload, definitions, tags, links and figures."""

from __future__ import annotations

import json
import logging
from types import SimpleNamespace

import pytest

from aws_batch_emulator import SimulatedRun
from dagster_aws_batch._aws.job_definitions import prune
from dagster_aws_batch._aws.requests import INPUT_OFFSET_WIDTH
from dagster_aws_batch._errors import (
    InvalidJobError,
    PayloadTooLargeError,
    ScratchError,
    SubmitRejectedError,
)
from dagster_aws_batch._job import BatchJobDefinition, Job, Price, Retries

DEFINITION = BatchJobDefinition(image="tool:1", vcpus=2, memory_mib=4096)


def job(**fields):
    fields.setdefault("definition", DEFINITION)
    return Job(name="count", **fields)


def sizes(bench):
    return sorted(row.get("arrayProperties", {}).get("size", 1) for row in bench.jobs())


def test_no_task_no_call(bench):
    result = bench.run(0)
    assert result.tasks == () and result.jobs == ()
    assert not bench.aws.calls


@pytest.mark.parametrize("tasks", [1, 2, 10_001])
def test_sizes_and_the_same_container_contract_in_all(bench, tasks, record_figure):
    totals = set()

    def run(child, task):
        totals.add(child.environment["BATCH_TASK_TOTAL"])
        return SimulatedRun(seconds=5)

    bench.behaviour = run
    result = bench.run(tasks, job(retries=Retries(host_loss=0)))
    assert [task.ok for task in result.tasks] == [True] * tasks
    assert sorted(bench.work) == list(range(tasks))
    assert totals == {str(tasks)}
    assert sizes(bench) == {1: [1], 2: [2], 10_001: [5000, 5001]}[tasks]
    assert bench.aws.calls["SubmitJob"] == len(sizes(bench))
    record_figure(f"2 jobs for {tasks} tasks", sizes(bench))


def test_an_input_list_of_50_mb_goes_with_one_submit(bench, scratch, record_figure):
    inputs = [f"{number:05d}" + "ü" * 2500 for number in range(10_000)]
    seen = {}

    def run(child, task):
        if task % 20 and task != 9_999:
            return SimulatedRun(seconds=5)  # a sample is enough
        path = child.environment["BATCH_INPUTS"].removeprefix("file://")
        with open(path, "rb") as listed:  # noqa: PTH123
            listed.seek(INPUT_OFFSET_WIDTH * task)
            start, end = (int(part) for part in listed.read(2 * INPUT_OFFSET_WIDTH).split())
            listed.seek(start)
            seen[task] = listed.read(end - start).decode()
        return SimulatedRun(seconds=5)

    bench.behaviour = run
    bench.run(10_000, job(inputs=inputs), scratch=scratch)
    assert seen == {task: inputs[task] for task in (*range(0, 10_000, 20), 9_999)}
    assert bench.aws.calls["SubmitJob"] == 1
    megabytes = sum(len(text.encode()) for text in inputs) / 1e6
    record_figure("12 submits for 10,000 inputs", 1, f"{megabytes:.0f} MB")
    assert megabytes > 50


def test_a_long_task_list_goes_to_the_scratch_place_by_itself(bench, scratch):
    bench.receipts = {task: SimpleNamespace(exit_code=0) for task in range(0, 9000, 2)}
    result = bench.run(9000, job(), with_receipts=True, scratch=scratch)
    assert all(task.ok for task in result.tasks)
    assert sorted(bench.work) == list(range(1, 9000, 2))
    [row] = bench.jobs()
    [described] = bench.client().describe_jobs(jobs=[row["jobId"]])["jobs"]
    overrides = described["container"]["environment"]
    assert len(json.dumps(overrides)) < 7500


def test_without_a_scratch_place_the_error_says_what_to_set(bench):
    bench.receipts = {task: SimpleNamespace(exit_code=0) for task in range(0, 9000, 2)}
    with pytest.raises(ScratchError, match="Set scratch"):
        bench.run(9000, job(), with_receipts=True)
    with pytest.raises(ScratchError, match="Set scratch"):
        bench.run(1, job(inputs=["x"]))


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"environment": {"LONG": "x" * 8000}}, "environment variable LONG"),
        ({"command": ["x"] * 3000}, "command"),
        ({"environment": {"QUOTES": '"' * 4000}}, "environment variable QUOTES"),
    ],
)
def test_what_cannot_be_moved_is_refused_before_the_call(bench, fields, named):
    with pytest.raises(PayloadTooLargeError, match=named):
        bench.run(1, job(**fields))
    assert bench.aws.calls["SubmitJob"] == 0


def test_a_definition_over_24_kib_is_refused_before_the_call(bench):
    big = BatchJobDefinition(image="t:1", environment={"LONG": "x" * 25_000})
    with pytest.raises(PayloadTooLargeError, match="24,576"):
        bench.run(1, job(definition=big))
    assert bench.aws.calls["RegisterJobDefinition"] == 0


# -- definitions -----------------------------------------------------------------------------------


def test_a_second_run_registers_nothing(bench, record_figure):
    first = bench.connection()
    for number in range(3):
        bench.run(1, job(), connection=first, run_id=f"a{number}")
    assert bench.aws.calls["DescribeJobDefinitions"] == 1
    bench.run(1, job(), run_id="b")
    assert bench.aws.calls["DescribeJobDefinitions"] == 2
    assert bench.aws.calls["RegisterJobDefinition"] == 1
    record_figure("14 registrations in the second run", 0)


def test_an_existing_definition_is_looked_up_once_for_its_kind(bench):
    arn = bench.connection().definitions.arn(DEFINITION)
    bench.aws.calls.clear()
    connection = bench.connection()
    for command in ("a", "b"):
        named = job(definition=arn, command=[command])
        assert bench.run(2, named, connection=connection).tasks[0].ok
    assert bench.aws.calls["DescribeJobDefinitions"] == 1


def test_prune_leaves_what_is_in_use_and_what_others_made(bench):
    connection = bench.connection()
    bench.behaviour = lambda child, task: SimulatedRun(seconds=1000)
    used = connection.definitions.arn(BatchJobDefinition(image="used:1"))
    old = connection.definitions.arn(BatchJobDefinition(image="old:1"))
    bench.client().register_job_definition(
        jobDefinitionName="foreign",
        type="container",
        containerProperties={
            "image": "x",
            "resourceRequirements": [
                {"type": "VCPU", "value": "1"},
                {"type": "MEMORY", "value": "512"},
            ],
        },
    )
    bench.client().submit_job(
        jobName="live",
        jobQueue="local",
        jobDefinition=used,
        containerOverrides={
            "environment": [
                {"name": "BATCH_TASKS", "value": "0"},
                {"name": "BATCH_SUBMISSION", "value": "x"},
            ]
        },
    )
    shown = prune(connection.api, ["local"])
    assert (shown.removed, shown.in_use) == ((old,), (used,))
    prune(connection.api, ["local"], apply=True)
    active = bench.client().describe_job_definitions(status="ACTIVE")["jobDefinitions"]
    assert sorted(one["jobDefinitionName"] for one in active)[0] == "foreign"
    assert len(active) == 2


# -- tags, figures ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inputs", "error", "words"),
    [
        (["a", "b"], InvalidJobError, "2 inputs for 3 tasks; give one per task"),
        (["a", "b", "c"], ScratchError, "go through the scratch place"),
    ],
)
def test_inputs_that_cannot_be_handed_over_are_refused_before_any_call(bench, inputs, error, words):
    with pytest.raises(error, match=words) as caught:
        bench.run(3, job(inputs=inputs))
    assert caught.value.job == "count"
    assert not bench.aws.calls


def test_more_than_fifty_tags_are_refused_before_the_call(bench):
    with pytest.raises(InvalidJobError, match="job count has 51 tags; AWS Batch allows 50 in all"):
        bench.run(1, job(tags={f"tag{number}": "x" for number in range(49)}))
    assert not bench.aws.calls


def test_hours_waste_and_cost_come_from_the_jobs(bench, record_figure):
    def run(child, task):
        bad = task < 10 and child.environment["BATCH_TASKS"] == "0-99"
        return SimulatedRun(seconds=360, exit_code=1 if bad else 0)

    bench.behaviour = run
    usage = bench.run(100, job(retries=Retries(user_code=1))).usage
    # 110 containers of 0.1 h with 2 vCPUs and 4 GiB; ten of them for nothing.
    assert usage.vcpu_seconds / 3600 == pytest.approx(110 * 0.1 * 2)
    assert usage.gib_seconds / 3600 == pytest.approx(110 * 0.1 * 4)
    assert usage.wasted_vcpu_seconds / 3600 == pytest.approx(10 * 0.1 * 2)
    price = Price(vcpu_hour=0.04, gib_hour=0.005)
    assert usage.cost(price) == pytest.approx(22 * 0.04 + 44 * 0.005)
    assert usage.wasted_cost(price) == pytest.approx(2 * 0.04 + 4 * 0.005)
    record_figure("15 vCPU-hours of 110 containers of 0.1 h x 2", usage.vcpu_seconds / 3600)


def test_fair_share_needs_an_identifier_and_the_error_says_so(bench):
    client = bench.client()
    policy = client.create_scheduling_policy(name="fair", fairsharePolicy={})["arn"]
    client.create_job_queue(
        jobQueueName="fair",
        priority=1,
        schedulingPolicyArn=policy,
        computeEnvironmentOrder=[{"order": 1, "computeEnvironment": "local"}],
    )
    assert bench.run(2, job(queue="fair", share_identifier="team")).tasks[0].ok
    with pytest.raises(SubmitRejectedError, match=r"[Ss]hare"):
        bench.run(2, job(queue="fair"), run_id="b")


def followed(bench, caplog, tasks, **options):
    bench.behaviour = lambda child, task: SimulatedRun(
        seconds=600, exit_code=task % 2, log=[f"line {number} of {task}" for number in range(30)]
    )
    with caplog.at_level(logging.INFO):
        bench.run(tasks, job(), **options)
    return [line for text in caplog.messages for line in text.splitlines() if "line " in line]


def test_the_log_of_one_job_is_followed_each_line_once(bench, caplog, record_figure):
    lines = followed(bench, caplog, 1, follow=None)
    assert [line[-len(f"line {n} of 0") :] for n, line in enumerate(lines)] == [
        f"line {number} of 0" for number in range(30)
    ]
    calls = bench.aws.calls["GetLogEvents"]
    record_figure("13 calls to follow a quiet log for 600 s", calls)
    # One a poll, and one page more where there were lines.
    assert 2 <= calls <= bench.aws.calls["DescribeJobs"] + 3


def test_the_logs_of_chosen_children_are_followed(bench, caplog):
    lines = followed(bench, caplog, 5, follow=frozenset({2, 4}))
    assert len(lines) == 60
    assert {line.rpartition(" ")[2] for line in lines} == {"2", "4"}


def test_no_log_is_followed_unless_asked_for(bench, caplog):
    assert followed(bench, caplog, 1) == []
    assert bench.aws.calls["GetLogEvents"] == 0
