"""ListJobs: statuses, pages, filters, children."""

from __future__ import annotations

from typing import Any

import pytest

from aws_batch_emulator import SimulatedRun


def names(answer: dict[str, Any]) -> list[str]:
    return [row["jobName"] for row in answer["jobSummaryList"]]


@pytest.fixture
def many(bench: Any) -> Any:
    bench.define("other")
    for i in range(5):
        bench.submit(f"Alpha-{i}")
        bench.clock.advance(1)
    for i in range(3):
        bench.submit(f"beta-{i}", jobDefinition="other")
        bench.clock.advance(1)
    return bench


def test_only_running_jobs_are_listed_unless_a_status_is_named(bench: Any) -> None:
    bench.behaviour = lambda job: SimulatedRun(seconds=100 if job.name == "slow" else 0)
    bench.submit("slow")
    bench.submit("fast")
    bench.clock.advance(1)
    assert names(bench.batch.list_jobs(jobQueue="local")) == ["slow"]
    assert names(bench.batch.list_jobs(jobQueue="local", jobStatus="SUCCEEDED")) == ["fast"]


def test_a_queue_lists_parents_but_not_children(bench: Any) -> None:
    bench.behaviour = lambda job: SimulatedRun(seconds=100)
    job = bench.submit(size=3)
    bench.clock.advance(1)
    rows = bench.batch.list_jobs(jobQueue="local", jobStatus="PENDING")["jobSummaryList"]
    assert [row["jobId"] for row in rows] == [job]
    assert rows[0]["arrayProperties"]["size"] == 3
    assert names(bench.batch.list_jobs(jobQueue="local")) == []
    assert bench.children(job, "RUNNING") == [0, 1, 2]


def test_pages_are_complete_and_without_doubles(many: Any) -> None:
    pages = many.batch.get_paginator("list_jobs").paginate(
        jobQueue="local", jobStatus="SUCCEEDED", PaginationConfig={"PageSize": 3}
    )
    found = [names(page) for page in pages]
    assert [len(page) for page in found] == [3, 3, 2]
    assert [name for page in found for name in page] == [f"Alpha-{i}" for i in range(5)] + [
        f"beta-{i}" for i in range(3)
    ]


def test_a_page_has_1000_rows_by_status_and_100_by_filter(bench: Any) -> None:
    job = bench.submit(size=1_500)
    for i in range(101):
        bench.submit(f"n{i}")
    bench.clock.advance(1)
    page = bench.batch.list_jobs(arrayJobId=job, jobStatus="SUCCEEDED", maxResults=5_000)
    assert len(page["jobSummaryList"]) == 1_000
    rest = bench.batch.list_jobs(arrayJobId=job, jobStatus="SUCCEEDED", nextToken=page["nextToken"])
    assert len(rest["jobSummaryList"]) == 500
    assert "nextToken" not in rest
    found = bench.batch.list_jobs(
        jobQueue="local", filters=[{"name": "JOB_NAME", "values": ["n*"]}]
    )
    assert len(found["jobSummaryList"]) == 100
    assert found["nextToken"]


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("JOB_NAME", ["alpha-1"], ["Alpha-1"]),
        ("JOB_NAME", ["ALPHA*"], [f"Alpha-{i}" for i in (4, 3, 2, 1, 0)]),
        ("JOB_NAME", ["alpha"], []),
        ("JOB_DEFINITION", ["other"], ["beta-2", "beta-1", "beta-0"]),
        ("JOB_DEFINITION", ["OTHER"], []),
        ("JOB_DEFINITION", ["oth*"], ["beta-2", "beta-1", "beta-0"]),
        (
            "JOB_DEFINITION",
            ["arn:aws:batch:us-east-1:000000000000:job-definition/other:1"],
            ["beta-2", "beta-1", "beta-0"],
        ),
        ("BEFORE_CREATED_AT", ["1800000002000"], ["Alpha-1", "Alpha-0"]),
        ("AFTER_CREATED_AT", ["1800000005000"], ["beta-2", "beta-1"]),
    ],
)
def test_filters_ignore_the_status_and_show_the_newest_first(
    many: Any, name: str, values: list[str], expected: list[str]
) -> None:
    answer = many.batch.list_jobs(
        jobQueue="local", jobStatus="RUNNING", filters=[{"name": name, "values": values}]
    )
    assert names(answer) == expected


def test_filtered_pages_go_on_where_the_last_one_ended(many: Any) -> None:
    pages = many.batch.get_paginator("list_jobs").paginate(
        jobQueue="local",
        filters=[{"name": "JOB_NAME", "values": ["alpha*"]}],
        PaginationConfig={"PageSize": 2},
    )
    assert [names(page) for page in pages] == [
        ["Alpha-4", "Alpha-3"],
        ["Alpha-2", "Alpha-1"],
        ["Alpha-0"],
    ]


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"jobQueue": "local", "arrayJobId": "x"},
        {"jobQueue": "nowhere"},
        {"jobQueue": "local", "filters": [{"name": "COLOUR", "values": ["x"]}]},
        {"jobQueue": "local", "filters": [{"name": "JOB_NAME", "values": ["x"]}] * 2},
        {"jobQueue": "local", "nextToken": "x"},
        {"jobQueue": "local", "maxResults": 0},
        {"jobQueue": "local", "jobStatus": "DONE"},
        {"arrayJobId": "11111111-2222-3333-4444-555555555555"},
    ],
)
def test_senseless_listings_are_refused(bench: Any, request_: dict[str, Any]) -> None:
    assert bench.refused(bench.batch.list_jobs, **request_)[0] == "ClientException"


def test_rows_of_failed_children_say_why(bench: Any) -> None:
    bench.behaviour = lambda job: SimulatedRun(exit_code=9, reason="it hurt")
    job = bench.submit(size=2)
    bench.clock.advance(1)
    rows = bench.batch.list_jobs(arrayJobId=job, jobStatus="FAILED")["jobSummaryList"]
    assert rows[0]["container"] == {"exitCode": 9, "reason": "it hurt"}
    assert rows[1]["statusReason"] == "Essential container in task exited"


def test_the_snapshot_shows_who_is_next(bench: Any) -> None:
    bench.batch.update_compute_environment(
        computeEnvironment="local", computeResources={"maxvCpus": 1}
    )
    bench.behaviour = lambda job: SimulatedRun(seconds=10)
    ids = [bench.submit(f"n{i}") for i in range(3)]
    bench.clock.advance(1)
    snapshot = bench.batch.get_job_queue_snapshot(jobQueue="local")
    arns = [job["jobArn"] for job in snapshot["frontOfQueue"]["jobs"]]
    assert [arn.rpartition("/")[2] for arn in arns] == ids[1:]
    assert snapshot["queueUtilization"]["totalCapacityUsage"][0]["quantity"] == 1
