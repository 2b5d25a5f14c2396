"""State folders that can't be written to: from the start on, and from one moment on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from aws_batch_emulator import EmbeddedBatch, EmulatorError, SubprocessRunner, ensure_running

CLEAR = "can't be read or written"


def mount(*arguments: str) -> None:
    """Mount, or skip where this user or machine can't."""
    if os.getuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs the right to mount a file system")
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"can't mount here: {done.stderr.strip()}")


@pytest.fixture(params=["empty", "used"])
def read_only(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A real read-only mount, without or with the state of an earlier emulator."""
    folder = tmp_path / "state"
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder))
    try:
        if request.param == "used":
            with EmbeddedBatch(state=folder):
                pass
            (folder / "serve.lock").touch()
            (folder / "start.lock").touch()
        mount("-o", "remount,ro", str(folder))
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_read_only_folder_is_a_clear_error_at_the_start(read_only: Path) -> None:
    program = [sys.executable, "-m", "aws_batch_emulator", "--state", str(read_only)]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith(f"Batch emulator: error: The state folder {read_only} {CLEAR}")
    assert "name another one" in done.stderr
    for start in (
        lambda: EmbeddedBatch(state=read_only).start(),
        lambda: EmbeddedBatch(state=read_only / "new").start(),
        lambda: ensure_running(read_only, images={}),
    ):
        with pytest.raises(EmulatorError, match=CLEAR):
            start()


@pytest.fixture
def failing_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that can be made read-only while files are open: by its own abort."""
    folder, disk = tmp_path / "disk", tmp_path / "disk.img"
    folder.mkdir()
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("needs mkfs.ext4")
    with disk.open("wb") as file:
        file.truncate(32 * 2**20)
    subprocess.run(["mkfs.ext4", "-q", str(disk)], check=True)
    mount("-o", "loop", str(disk), str(folder))
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_folder_that_becomes_read_only_refuses_what_it_can_not_keep_and_no_job_is_stuck(
    failing_disk: Path, tmp_path: Path, tools: Any
) -> None:
    go, state = tmp_path / "go", failing_disk / "state"
    runner = SubprocessRunner(tools.images)
    with EmbeddedBatch(state=state, runner=runner, vcpus=1) as emulator:
        workshop = tools.workshop(emulator.url)
        workshop.define("shell", "shell")
        running = workshop.submit("shell", f"while [ ! -e {go} ]; do sleep 0.1; done")
        waiting = workshop.submit("shell", "true")
        workshop.wait(running, "RUNNING")
        os.sync()  # what an abort keeps
        mount("-o", "remount,abort", str(failing_disk))
        refused(workshop.submit, "shell", "true")
        assert workshop.job(running)["status"] == "RUNNING"
        go.touch()
        jobs = emulator.engine.jobs
        tools.eventually(lambda: all(job.final for job in jobs.values()))
        assert jobs[running].status.value == "SUCCEEDED"
        attempt = jobs[waiting].attempts[0]  # there was no place for its log
        assert attempt.status_reason == "Task failed to start"
        assert "Read-only file system" in str(attempt.reason)
        refused(workshop.job, running)  # never said before it is written down
        assert len(jobs) == 2
    subprocess.run(["umount", str(failing_disk)], check=True)
    mount("-o", "loop", str(tmp_path / "disk.img"), str(failing_disk))
    with EmbeddedBatch(state=state, runner=SubprocessRunner(tools.images)) as emulator:
        workshop = tools.workshop(emulator.url)
        assert workshop.wait(running)["statusReason"].startswith("Host EC2 (instance i-")
        assert workshop.wait(waiting)["status"] == "SUCCEEDED"


def refused(call: Callable[..., Any], *arguments: str) -> None:
    with pytest.raises(ClientError, match="can't read or write its state") as caught:
        call(*arguments)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500


def test_the_program_leaves_a_folder_that_became_read_only(failing_disk: Path) -> None:
    state = failing_disk / "state"
    program = [sys.executable, "-m", "aws_batch_emulator", "--state", str(state)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert b"listening" in process.stdout.readline()
            mount("-o", "remount,abort", str(failing_disk))
            process.terminate()
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, b"Traceback" in errors) == (0, False), errors
