"""The emulator as a process: shared by a folder's users, killed, restarted, idle, a program."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from aws_batch_emulator import (
    EmulatorError,
    ensure_running,
    stop_running,
)

PROGRAM = [sys.executable, "-m", "aws_batch_emulator"]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "batch emulator"
    yield place
    stop_running(place)


def test_everyone_who_names_the_folder_shares_one_process(
    folder: Path, tools: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "first")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: ensure_running(folder, images=tools.images), range(4)))
    assert len({endpoint.pid for endpoint in found}) == 1
    code = (
        "import sys, pathlib; from aws_batch_emulator import ensure_running; "
        "print(ensure_running(pathlib.Path(sys.argv[1]), images={'more': ['/bin/true']}).pid)"
    )
    other = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
    )
    assert int(other.stdout) == found[0].pid
    # Jobs see the AWS variables of the last caller, not those of the first.
    monkeypatch.setenv("AWS_PROFILE", "second")
    assert ensure_running(folder, images={}) == found[0]
    monkeypatch.delenv("AWS_PROFILE")  # boto3 here would look for it
    # The images of both are known.
    workshop = tools.workshop(found[0].url)
    for image in ("more", "shell"):
        workshop.define(image, image)
        assert workshop.wait(workshop.submit(image, "true"))["status"] == "SUCCEEDED"
    shown = workshop.wait(workshop.submit("shell", "echo $AWS_PROFILE"))
    assert workshop.lines(shown) == ["second"]
    assert (folder / "endpoint.json").stat().st_mode & 0o077 == 0


def test_stopped_means_that_its_jobs_have_ended_and_its_folder_is_quiet(
    folder: Path, tools: Any, tmp_path: Path
) -> None:
    workshop = tools.workshop(ensure_running(folder, images=tools.images).url)
    workshop.define("tidy", "shell")
    ended = tmp_path / "ended"
    tidying = f"trap 'sleep 1; echo > {ended}; exit 1' TERM; echo trapped; while :; do :; done"
    job = workshop.submit("tidy", tidying)
    running = workshop.wait(job, "RUNNING")
    tools.eventually(lambda: "trapped" in workshop.lines(running))
    assert stop_running(folder)
    assert ended.exists()
    shutil.rmtree(folder)  # an error where a file comes or goes meanwhile
    assert not stop_running(folder)


def test_it_outlives_its_parent_and_a_second_one_is_refused(folder: Path, tools: Any) -> None:
    code = (
        "import sys, pathlib, os; from aws_batch_emulator import ensure_running; "
        "print(ensure_running(pathlib.Path(sys.argv[1]), images={}).pid, flush=True); "
        "os.kill(os.getpid(), 9)"
    )
    parent = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False
    )
    assert parent.returncode == -signal.SIGKILL
    pid = int(parent.stdout)
    assert tools.lives(pid)
    assert ensure_running(folder, images={}).pid == pid
    second = subprocess.run(
        [*PROGRAM, "--state", str(folder)], capture_output=True, text=True, check=False
    )
    assert second.returncode == 1
    assert "Another emulator uses" in second.stderr


def test_killed_and_started_again_it_keeps_everything_and_leaves_no_process(
    folder: Path, tools: Any, tmp_path: Path
) -> None:
    first = ensure_running(folder, images=tools.images, vcpus=2)
    workshop = tools.workshop(first.url)
    workshop.define("shell", "shell")
    command = (
        f"echo $$ > {tmp_path}/$AWS_BATCH_JOB_ARRAY_INDEX.$AWS_BATCH_JOB_ATTEMPT; "
        "echo begun; [ $AWS_BATCH_JOB_ATTEMPT = 2 ] || sleep 300"
    )
    job = workshop.submit(
        "shell", command, arrayProperties={"size": 3}, retryStrategy={"attempts": 2}
    )
    begun = tools.eventually(lambda: len(pids := sorted(tmp_path.glob("*.1"))) == 2 and pids)
    tools.eventually(lambda: all(p.read_text().strip() for p in begun))
    pids = [int(path.read_text()) for path in begun]
    tools.eventually(lambda: len(workshop.batch.list_jobs(arrayJobId=job)["jobSummaryList"]) == 2)
    os.kill(first.pid, signal.SIGKILL)
    tools.eventually(lambda: not tools.lives(first.pid))
    assert all(tools.lives(pid) for pid in pids)

    second = ensure_running(folder, images={}, vcpus=2)  # the images are remembered
    assert second.pid != first.pid
    assert second.url == first.url
    tools.eventually(lambda: not any(tools.lives(pid) for pid in pids))
    # The third child still sleeps in its first attempt; end it.
    tools.eventually(lambda: (tmp_path / "2.1").exists())
    workshop = tools.workshop(second.url)
    workshop.batch.terminate_job(jobId=f"{job}:2", reason="long enough")
    shown = workshop.wait(job)
    summary = shown["arrayProperties"]["statusSummary"]
    assert (summary["SUCCEEDED"], summary["FAILED"]) == (2, 1)
    child = workshop.job(f"{job}:0")
    assert child["attempts"][0]["statusReason"].startswith("Host EC2 (instance i-")
    stream = child["attempts"][0]["container"]["logStreamName"]
    events = workshop.logs.get_log_events(logGroupName="/aws/batch/job", logStreamName=stream)
    assert [e["message"] for e in events["events"]] == ["begun"]


def test_it_leaves_when_idle_but_not_while_a_job_runs(folder: Path, tools: Any) -> None:
    endpoint = ensure_running(folder, images=tools.images, idle_exit_seconds=1)
    workshop = tools.workshop(endpoint.url)
    workshop.define("shell", "shell")
    done = folder / "done"
    workshop.submit("shell", f"sleep 3; touch '{done}'")
    while not done.exists():
        assert tools.lives(endpoint.pid)
        time.sleep(0.05)
    tools.eventually(lambda: not tools.lives(endpoint.pid))
    assert "idle for 1 s" in (folder / "emulator.log").read_text()
    assert not (folder / "endpoint.json").exists()


def test_it_leaves_when_its_folder_is_deleted_and_spares_its_successor(
    folder: Path, tools: Any
) -> None:
    first = ensure_running(folder, images=tools.images)
    shutil.rmtree(folder)
    second = ensure_running(folder, images=tools.images)
    assert second.pid != first.pid
    tools.eventually(lambda: not tools.lives(first.pid))
    assert ensure_running(folder, images=tools.images).pid == second.pid


def test_one_that_can_not_start_says_why(folder: Path) -> None:
    folder.mkdir()
    (folder / "state.sqlite").write_text("this is no database, and long enough to be noticed" * 9)
    with pytest.raises(EmulatorError, match="did not start") as caught:
        ensure_running(folder, images={})
    assert "file is not a database" in str(caught.value)


def listening(folder: Path, answer: bytes) -> socket.socket:
    """Another program at the address of an emulator that is gone."""
    server = socket.create_server(("127.0.0.1", 0))
    document = {"url": f"http://127.0.0.1:{server.getsockname()[1]}", "pid": 1, "id": "x"}
    folder.mkdir(exist_ok=True)
    (folder / "endpoint.json").write_text(json.dumps({**document, "token": "t"}))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                with connection:
                    connection.recv(65_536)
                    connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return server


@pytest.mark.parametrize(
    "answer",
    [
        b"220 mail.example ESMTP\r\n",
        b"HTTP/1.0 404 Not Found\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n[]",
    ],
    ids=["other protocol", "not found", "other document"],
)
def test_another_program_at_its_old_port_is_not_taken_for_it(
    folder: Path, tools: Any, answer: bytes
) -> None:
    with contextlib.closing(listening(folder, answer)):
        assert not stop_running(folder)
        endpoint = ensure_running(folder, images={})
        assert tools.lives(endpoint.pid)


@pytest.mark.parametrize("written", ["[]", "{}", "5", '{"url": 7, "token": "t"}', "half"])
def test_an_endpoint_document_that_is_none_is_a_stale_one(folder: Path, written: str) -> None:
    folder.mkdir()
    (folder / "endpoint.json").write_text(written)
    assert not stop_running(folder)


def test_what_it_refuses_is_an_error_with_its_words(folder: Path) -> None:
    wrong: Any = {"a": [1]}
    with pytest.raises(EmulatorError, match=r"did not start(.|\n)*JSON object of lists of words"):
        ensure_running(folder, images=wrong)
    with pytest.raises(EmulatorError, match=r"did not start(.|\n)*--vcpus: must be from 0.25 to"):
        ensure_running(folder, images={}, vcpus=0)
    ensure_running(folder, images={})
    with pytest.raises(EmulatorError, match=r"settings failed: .*JSON object of lists of words"):
        ensure_running(folder, images=wrong)


@pytest.mark.skipif(
    not (shutil.which("podman") or shutil.which("docker")), reason="needs podman or docker"
)
def test_each_runner_takes_its_own_of_what_is_given(folder: Path, tools: Any) -> None:
    given: Any = {"images": tools.images, "container_arguments": ["--read-only"]}
    for runner in ("container", "subprocess"):
        endpoint = ensure_running(folder, runner=runner, **given)
        assert ensure_running(folder, runner=runner, **given) == endpoint
        assert stop_running(folder)


def test_the_program_serves_until_a_signal(tmp_path: Path, tools: Any) -> None:
    faults = tmp_path / "faults.json"
    process = subprocess.Popen(
        [*PROGRAM, "--image", "greet=/bin/echo hello", "--faults", str(faults), "--vcpus", "2"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        url = next(word for word in line.split() if word.startswith("http://127.0.0.1:"))
        workshop = tools.workshop(url)
        workshop.define("greet", "greet")
        shown = workshop.wait(workshop.submit("greet", "world"))
        assert workshop.lines(shown) == ["hello world"]
        faults.write_text(json.dumps([{"fault": "throttle", "operation": "ListJobs"}]))

        def throttled() -> bool:
            try:
                workshop.batch.list_jobs(jobQueue="local")
            except workshop.batch.exceptions.ClientError as error:
                return bool(error.response["Error"]["Code"] == "TooManyRequestsException")
            return False

        tools.eventually(throttled)
        faults.write_text("[{")
        while "is not used" not in (line := process.stdout.readline()):
            assert line, "it ended"
        running = workshop.submit("greet", "again")
        assert workshop.wait(running)["status"] == "SUCCEEDED"
    finally:
        process.terminate()
        rest, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert rest.rstrip().endswith("stopping")


def test_help_and_wrong_usage() -> None:
    shown = subprocess.run([*PROGRAM, "--help"], capture_output=True, text=True, check=True)
    for word in ("--state", "--image", "--faults", "AWS_ENDPOINT_URL_BATCH", "examples:"):
        assert word in shown.stdout
    wrong = subprocess.run(
        [*PROGRAM, "--image", "nonsense"], capture_output=True, text=True, check=False
    )
    assert wrong.returncode == 2
    assert "NAME=COMMAND" in wrong.stderr


def test_events_are_written_to_a_file(tmp_path: Path, tools: Any) -> None:
    from aws_batch_emulator import (
        EmbeddedBatch,
        SubprocessRunner,
    )

    runner = SubprocessRunner(tools.images)
    with EmbeddedBatch(state=tmp_path, runner=runner, events=True) as emulator:
        workshop = tools.workshop(emulator.url)
        workshop.define("true", "true")
        workshop.wait(workshop.submit("true"))
    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    statuses = [json.loads(line)["detail"]["status"] for line in lines]
    assert statuses == ["RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED"]
