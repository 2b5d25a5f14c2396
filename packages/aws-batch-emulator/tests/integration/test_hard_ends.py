"""The emulator killed at any moment and its disk full: what was answered is never lost.

`HARD_ENDS=100` makes both long.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from aws_batch_emulator import EmbeddedBatch, SubprocessRunner, ensure_running, stop_running

TIMES = int(os.environ.get("HARD_ENDS", "4"))
IMAGES = {"shell": ["sh", "-c"]}
ENDED = ("SUCCEEDED", "FAILED")


def client(url: str) -> Any:
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20)
    session = boto3.Session("local", "local", region_name="us-east-1")
    return session.client("batch", endpoint_url=url, config=config)


def define(batch: Any) -> None:
    container = {"image": "shell", "command": ["echo hi; sleep 0.2"], "vcpus": 1, "memory": 4}
    batch.register_job_definition(
        jobDefinitionName="work", type="container", containerProperties=container
    )


def submit(batch: Any, number: int) -> str | None:
    """Submit a job; None if that was not answered well."""
    request = {"jobName": f"job-{number}", "jobQueue": "local", "jobDefinition": "work"}
    if number % 10 == 0:
        request |= {"arrayProperties": {"size": 2}}
    try:
        return str(batch.submit_job(**request)["jobId"])
    except (BotoCoreError, ClientError):
        return None


def states(batch: Any, ids: list[str]) -> dict[str, str]:
    pages = (batch.describe_jobs(jobs=ids[i : i + 100])["jobs"] for i in range(0, len(ids), 100))
    return {job["jobId"]: job["status"] for page in pages for job in page}


def wait(batch: Any, ids: list[str]) -> dict[str, str]:
    deadline = time.monotonic() + 200
    while True:
        found = states(batch, ids)
        if set(found.values()) <= set(ENDED) or time.monotonic() > deadline:
            return found
        time.sleep(0.2)


def test_killed_at_any_moment_it_starts_again_with_all_that_it_answered(tmp_path: Path) -> None:
    chance = random.Random(5)
    answered: list[str] = []
    ended: dict[str, str] = {}
    jobs = 3 * TIMES if TIMES >= 100 else 60
    number = 0
    for _ in range(TIMES):
        endpoint = ensure_running(tmp_path, images=IMAGES, vcpus=4)
        batch = client(endpoint.url)
        if not number:
            define(batch)
        found = states(batch, answered)
        assert set(found) == set(answered), "jobs that were answered are gone"
        assert {j: s for j, s in found.items() if j in ended} == ended, "an ended job changed"
        ended |= {job: status for job, status in found.items() if status in ENDED}
        until = time.monotonic() + chance.random()
        while time.monotonic() < until and number < jobs:
            job = submit(batch, number)
            number += 1
            if job is not None:
                answered.append(job)
        os.kill(endpoint.pid, signal.SIGKILL)
    try:
        endpoint = ensure_running(tmp_path, images=IMAGES, vcpus=8)
        last = wait(client(endpoint.url), answered)
        print(f"{TIMES} kills, {len(answered)} jobs answered")
        assert set(last) == set(answered)
        assert set(last.values()) <= set(ENDED)
    finally:
        stop_running(tmp_path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_refuses_jobs_and_loses_none(small_disk: Path) -> None:
    state, filler = small_disk / "state", small_disk / "filler"
    answered: list[str] = []
    refused = 0
    runner = SubprocessRunner(IMAGES)
    with EmbeddedBatch(state=state, runner=runner, vcpus=16) as emulator:
        batch = client(emulator.url)
        define(batch)
        for number in range(20 * min(TIMES, 10)):
            if number % 20 == 10:
                with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="space"):
                    while True:
                        file.write(b"x" * 4_096)
            elif number % 20 == 0:
                filler.unlink(missing_ok=True)
            job = submit(batch, number)
            if job is None:
                refused += 1
            else:
                answered.append(job)
        assert refused, "the disk was never full"
        filler.unlink()
        found = wait(batch, answered)
        print(f"{min(TIMES, 10)} times full, {len(answered)} answered, {refused} refused")
        assert len(found) == len(answered)
        assert set(found.values()) == {"SUCCEEDED"}
    with EmbeddedBatch(state=state, runner=SubprocessRunner(IMAGES)) as emulator:
        assert states(client(emulator.url), answered) == found
        assert len(emulator.engine.jobs) == len(answered), "a refused job is there"
