"""CloudWatch Logs for jobs: reading, filtering and describing their streams."""

from __future__ import annotations

import contextlib
import json
import resource
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aws_batch_emulator import (
    EmbeddedBatch,
    SimulatedRun,
    SimulatedRunner,
    VirtualClock,
)
from aws_batch_emulator._api.log_patterns import compiled
from aws_batch_emulator._core.errors import EmulatorError
from aws_batch_emulator._core.log_store import LogStore
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


def filtered(bench: Any, **request: Any) -> list[str]:
    pages = bench.logs.get_paginator("filter_log_events").paginate(logGroupName=GROUP, **request)
    return [event["message"] for page in pages for event in page["events"]]


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ("", 250),
        ("24", 13),
        ('"line 24"', 11),
        ("line 24", 13),
        ("line -2", 162),
        ('?"line 1" ?"line 20"', 122),
        ("Line", 0),
        ('"\\"24"', 0),
    ],
)
def test_filter_patterns(bench: Any, stream: str, pattern: str, count: int) -> None:
    expected = compiled(pattern)
    lines = [f"line {i}" for i in range(250) if expected(f"line {i}")]
    assert filtered(bench, filterPattern=pattern) == lines
    assert len(lines) == count


@pytest.mark.parametrize(
    ("pattern", "code", "text"),
    [
        ("a.b", "InvalidParameterException", "Invalid character(s) in term 'a.b'"),
        ('"a', "InvalidParameterException", "at character 1"),
        ("{ $.x = 1 }", "ClientException", "does not support filter patterns for JSON events"),
        ("[a, b]", "ClientException", "does not support filter patterns for columns"),
        ("%a+%", "ClientException", "does not support regular expressions"),
        ("?a b", "ClientException", "does not support filter patterns of optional terms"),
    ],
)
def test_other_filter_patterns_are_refused(
    bench: Any, stream: str, pattern: str, code: str, text: str
) -> None:
    found = bench.refused(bench.logs.filter_log_events, logGroupName=GROUP, filterPattern=pattern)
    assert (found[0], text in found[1]) == (code, True), found


def test_filtering_goes_through_all_streams_in_the_order_of_time(bench: Any) -> None:
    bench.behaviour = lambda job: SimulatedRun(
        seconds=1, log=[f"{job.index} {i:05}" for i in range(6_000)]
    )
    for _ in range(2):
        bench.submit(size=2)
        bench.clock.advance(5)
    lines = [f"{stream} {i:05}" for stream in (0, 1) for i in range(6_000)]
    assert sorted(filtered(bench)) == sorted(lines * 2), "nothing beyond a page is left out"
    events = bench.logs.filter_log_events(logGroupName=GROUP, limit=10_000)["events"]
    times = [event["timestamp"] for event in events]
    assert times == sorted(times)
    assert len({event["eventId"] for event in events}) == 10_000
    later = times[-1] + 1
    assert sorted(filtered(bench, startTime=later)) == sorted(lines)
    assert sorted(filtered(bench, endTime=later - 1)) == sorted(lines)
    newest = bench.logs.filter_log_events(logGroupName=GROUP, limit=3, startFromHead=False)
    assert newest["events"][0]["message"].endswith("05999")
    token = newest["nextToken"]
    more = bench.logs.filter_log_events(logGroupName=GROUP, limit=3, nextToken=token)["events"]
    assert more[0]["message"].endswith("05996")
    assert sorted(filtered(bench, startFromHead=False)) == sorted(lines * 2)


def test_filtering_by_streams(bench: Any, stream: str) -> None:
    assert len(filtered(bench, logStreamNames=[stream])) == 250
    assert filtered(bench, logStreamNamePrefix="other/") == []
    refused = bench.logs.filter_log_events
    code, _ = bench.refused(refused, logGroupName=GROUP, logStreamNames=["none"])
    assert code == "ResourceNotFoundException"
    request = {"logGroupName": GROUP, "logStreamNames": [stream], "logStreamNamePrefix": "a"}
    assert bench.refused(refused, **request)[0] == "InvalidParameterException"
    assert bench.refused(refused, logGroupName=GROUP, nextToken="x")[0] == (
        "InvalidParameterException"
    )


def test_streams_by_name_and_by_time(bench: Any) -> None:
    bench.behaviour = lambda job: SimulatedRun(log=[] if job.index == 2 else ["hello"])
    begun = int(bench.clock.now() * 1000)
    streams = []
    for _ in range(2):
        job = bench.submit(size=3)
        bench.clock.advance(10)
        streams += [bench.job(f"{job}:{i}")["container"]["logStreamName"] for i in range(3)]
    found = bench.logs.describe_log_streams(logGroupName=GROUP)["logStreams"]
    assert [s["logStreamName"] for s in found] == sorted(streams)
    shown = {s["logStreamName"]: s for s in found}
    assert shown[streams[0]]["creationTime"] == shown[streams[0]]["lastEventTimestamp"] == begun
    assert "lastEventTimestamp" not in shown[streams[2]]
    request = {"logGroupName": GROUP, "orderBy": "LastEventTime", "descending": True, "limit": 1}
    pages = bench.logs.get_paginator("describe_log_streams").paginate(**request)
    names = [s["logStreamName"] for page in pages for s in page["logStreams"]]
    assert set(names[:2]) == {streams[3], streams[4]}
    assert set(names[4:]) == {streams[2], streams[5]}


@pytest.mark.parametrize(
    "wrong",
    [
        {"nextToken": "garbage"},
        {"limit": 51},
        {"limit": 0},
        {"orderBy": "LastEventTime", "logStreamNamePrefix": "a"},
        {"logGroupIdentifier": GROUP},
    ],
)
def test_wrong_requests_for_streams_are_the_clients_fault(
    bench: Any, stream: str, wrong: dict[str, Any]
) -> None:
    code, _ = bench.refused(bench.logs.describe_log_streams, logGroupName=GROUP, **wrong)
    assert code in ("InvalidParameterException", "ClientException")


def test_groups(bench: Any, stream: str) -> None:
    found = bench.logs.describe_log_groups()["logGroups"]
    assert [g["logGroupName"] for g in found] == [GROUP]
    arn = found[0]["arn"]
    assert arn == f"arn:aws:logs:us-east-1:000000000000:log-group:{GROUP}:*"
    assert bench.logs.describe_log_groups(logGroupNamePrefix="/other")["logGroups"] == []
    by_arn = bench.logs.describe_log_streams(logGroupIdentifier=arn.removesuffix(":*"))
    assert len(by_arn["logStreams"]) == 1


def test_live_tail_is_refused_by_name(bench: Any) -> None:
    headers = {"X-Amz-Target": "Logs_20140328.StartLiveTail", "Authorization": "AWS4-HMAC-SHA256"}
    body = json.dumps({"logGroupIdentifiers": [GROUP]}).encode()
    request = urllib.request.Request(f"{bench.emulator.url}/", body, headers)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)
    message = json.load(caught.value)["message"]
    assert message == "The Batch emulator does not support the operation StartLiveTail."


def test_a_line_too_long_for_one_event_comes_in_pieces_without_a_gap(bench: Any) -> None:
    line = "".join(f"{i:07}\n"[:7] for i in range(100_000))
    bench.behaviour = lambda job: SimulatedRun(log=["first", line, "last"])
    job = bench.submit()
    bench.clock.advance(1)
    request = {
        "logGroupName": GROUP,
        "logStreamName": bench.job(job)["container"]["logStreamName"],
        "limit": 1,
    }
    pieces = []
    answer = bench.logs.get_log_events(**request, startFromHead=True)
    while answer["events"]:
        pieces += [event["message"] for event in answer["events"]]
        answer = bench.logs.get_log_events(**request, nextToken=answer["nextForwardToken"])
    assert (pieces[0], pieces[-1]) == ("first", "last")
    assert "".join(pieces[1:-1]) == line
    assert filtered(bench, limit=1) == pieces


def test_streams_and_their_times_outlive_the_process(tmp_path: Path, connect: Any) -> None:
    clock = VirtualClock()
    seen = []
    for _ in range(2):
        runner = SimulatedRunner(lambda job: SimulatedRun(seconds=5, log=["a", "b"]))
        with EmbeddedBatch(state=tmp_path, clock=clock, runner=runner) as emulator:
            batch, logs = connect("batch", emulator.url), connect("logs", emulator.url)
            if not seen:
                batch.register_job_definition(
                    jobDefinitionName="work",
                    type="container",
                    containerProperties={"image": "i", "vcpus": 1, "memory": 4},
                )
                batch.submit_job(jobName="j", jobQueue="local", jobDefinition="work")
                clock.advance(100)
            found = logs.filter_log_events(logGroupName=GROUP)["events"]
            streams = logs.describe_log_streams(logGroupName=GROUP)["logStreams"]
            seen.append((found, streams, logs.describe_log_groups()["logGroups"]))
        with (tmp_path / "logs" / "index.jsonl").open("a") as file:
            file.write('["half')
    assert seen[0] == seen[1]
    assert [event["message"] for event in seen[0][0]] == ["a", "b"]


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


def test_a_virtual_clock_can_not_run_processes() -> None:
    with pytest.raises(EmulatorError, match="needs a SimulatedRunner"):
        EmbeddedBatch(clock=VirtualClock(), runner=SubprocessRunner({}))


def test_an_emulator_that_is_not_started_has_no_address(tmp_path: Path) -> None:
    with pytest.raises(EmulatorError, match="context manager"):
        _ = EmbeddedBatch(state=tmp_path).url


@contextlib.contextmanager
def no_room_beyond(size: int) -> Iterator[None]:
    """No file of this process can grow beyond so many bytes, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_start_that_can_not_write_the_index_loses_no_stream(tmp_path: Path) -> None:
    logs = LogStore(tmp_path)
    names = [f"stream-{i:03}" for i in range(200)]
    for name in names:
        logs.create(GROUP, name, now=1).touch()
    logs.shut()
    with no_room_beyond(1_000), pytest.raises(OSError, match="too large"):
        LogStore(tmp_path)
    again = LogStore(tmp_path)
    assert again.streams(GROUP) == names
    again.shut()


def test_a_stream_that_could_not_be_noted_is_noted_once_there_is_room(tmp_path: Path) -> None:
    logs = LogStore(tmp_path)
    logs.create(GROUP, "first", now=1).touch()
    with no_room_beyond((tmp_path / "index.jsonl").stat().st_size + 10):
        logs.create(GROUP, "second", now=2).touch()
    logs.create(GROUP, "third", now=3).touch()
    logs.shut()
    again = LogStore(tmp_path)
    assert again.streams(GROUP) == ["first", "second", "third"]
    again.shut()
