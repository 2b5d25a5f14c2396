"""CloudWatch Logs for jobs, and what the HTTP server refuses."""

from __future__ import annotations

import http.client
import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from aws_batch_emulator import (
    EmbeddedBatch,
    SimulatedRun,
    VirtualClock,
)
from aws_batch_emulator._core.errors import EmulatorError
from aws_batch_emulator._runners.processes import SubprocessRunner

GROUP = "/aws/batch/job"


@pytest.fixture
def stream(bench: Any) -> str:
    bench.behaviour = lambda job: SimulatedRun(log=[f"line {i}" for i in range(250)])
    job = bench.submit()
    bench.clock.advance(1)
    return str(bench.job(job)["container"]["logStreamName"])


def test_the_stream_is_named_after_definition_and_task(bench: Any, stream: str) -> None:
    assert stream.startswith("work/default/")
    found = bench.logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix="work/")
    assert [s["logStreamName"] for s in found["logStreams"]] == [stream]


def test_the_end_of_a_long_log_of_short_lines_is_its_end(bench: Any) -> None:
    bench.behaviour = lambda job: SimulatedRun(log=[f"line {i}" for i in range(50_000)])
    job = bench.submit()
    bench.clock.advance(1)
    request = {
        "logGroupName": GROUP,
        "logStreamName": bench.job(job)["container"]["logStreamName"],
        "limit": 100,
    }
    answer = bench.logs.get_log_events(**request)
    assert [e["message"] for e in answer["events"]] == [f"line {i}" for i in range(49_900, 50_000)]
    answer = bench.logs.get_log_events(**request, nextToken=answer["nextBackwardToken"])
    assert answer["events"][-1]["message"] == "line 49899"


def test_reading_forward_ends_when_the_token_stays_the_same(bench: Any, stream: str) -> None:
    lines: list[str] = []
    request: dict[str, Any] = {"logGroupName": GROUP, "logStreamName": stream, "limit": 100}
    answer = bench.logs.get_log_events(**request, startFromHead=True)
    while answer["events"]:
        lines += [event["message"] for event in answer["events"]]
        answer = bench.logs.get_log_events(**request, nextToken=answer["nextForwardToken"])
    assert lines == [f"line {i}" for i in range(250)]
    again = bench.logs.get_log_events(**request, nextToken=answer["nextForwardToken"])
    assert again["nextForwardToken"] == answer["nextForwardToken"]


def test_reading_starts_at_the_end_unless_asked_otherwise(bench: Any, stream: str) -> None:
    request = {"logGroupName": GROUP, "logStreamName": stream, "limit": 3}
    answer = bench.logs.get_log_events(**request)
    assert [e["message"] for e in answer["events"]] == ["line 247", "line 248", "line 249"]
    before = bench.logs.get_log_events(**request, nextToken=answer["nextBackwardToken"])
    assert [e["message"] for e in before["events"]] == ["line 244", "line 245", "line 246"]
    assert answer["events"][0]["timestamp"] == int(bench.clock.now() * 1000) - 1000


def test_filtering_finds_a_term(bench: Any, stream: str) -> None:
    found = bench.logs.filter_log_events(logGroupName=GROUP, filterPattern='"line 24"')
    assert [e["message"] for e in found["events"]] == [
        "line 24",
        *[f"line 24{i}" for i in range(10)],
    ]


def test_missing_groups_and_streams_are_told_apart(bench: Any, stream: str) -> None:
    code, text = bench.refused(bench.logs.get_log_events, logGroupName="/other", logStreamName="x")
    assert (code, text) == (
        "ResourceNotFoundException",
        "The specified log group does not exist.",
    )
    text = bench.refused(bench.logs.get_log_events, logGroupName=GROUP, logStreamName="x")[1]
    assert text == "The specified log stream does not exist."


def test_a_definition_can_name_its_own_group_and_prefix(bench: Any) -> None:
    options = {"awslogs-group": "/my/group", "awslogs-stream-prefix": "mine"}
    bench.define(container={"logConfiguration": {"logDriver": "awslogs", "options": options}})
    bench.behaviour = lambda job: SimulatedRun(log=["hello"])
    job = bench.submit()
    bench.clock.advance(1)
    name = bench.job(job)["container"]["logStreamName"]
    assert name.startswith("mine/default/")
    events = bench.logs.get_log_events(logGroupName="/my/group", logStreamName=name)["events"]
    assert [e["message"] for e in events] == ["hello"]


def raw(bench: Any, method: str, path: str, headers: dict[str, str], body: str = "{}") -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", bench.emulator.port, timeout=10)
    connection.request(method, path, body=body, headers=headers)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=local"}


def test_unsigned_requests_are_refused_as_a_web_page_would_send_them(bench: Any) -> None:
    status, document = raw(bench, "POST", "/v1/listjobs", {"Content-Type": "text/plain"})
    assert (status, document["message"]) == (403, "Missing Authentication Token")


def test_requests_for_another_host_are_refused(bench: Any) -> None:
    status, _ = raw(bench, "POST", "/v1/listjobs", {**SIGNED, "Host": "evil.example"})
    assert status == 403


def test_unknown_addresses_and_bodies_are_told(bench: Any) -> None:
    status, document = raw(bench, "POST", "/v1/dance", SIGNED)
    assert (status, document["__type"]) == (404, "UnknownOperationException")
    status, document = raw(bench, "POST", "/v1/listjobs", SIGNED, body="not json")
    assert (status, document["__type"]) == (400, "SerializationException")
    status, document = raw(bench, "GET", "/_emulator/dance", {})
    assert status == 404
    assert "GET /_emulator/health" in document["message"]


def test_health_counts_jobs_by_status(bench: Any) -> None:
    bench.submit()
    with urllib.request.urlopen(f"{bench.emulator.url}/_emulator/health", timeout=10) as answer:
        health = json.load(answer)
    assert (health["status"], health["jobs"]) == ("ok", {"SUBMITTED": 1})


def test_a_virtual_clock_can_not_run_processes() -> None:
    with pytest.raises(EmulatorError, match="needs a SimulatedRunner"):
        EmbeddedBatch(clock=VirtualClock(), runner=SubprocessRunner({}))


def test_an_emulator_that_is_not_started_has_no_address(tmp_path: Path) -> None:
    with pytest.raises(EmulatorError, match="context manager"):
        _ = EmbeddedBatch(state=tmp_path).url
