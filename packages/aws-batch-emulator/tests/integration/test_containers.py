"""Jobs as containers, where podman can run them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aws_batch_emulator import (
    ContainerRunner,
    EmbeddedBatch,
)

pytestmark = [
    pytest.mark.containers,
    pytest.mark.skipif(shutil.which("podman") is None, reason="podman is not installed"),
]
IMAGE = "localhost/batch-emulator-test:1"
SETTINGS = """\
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=30000:30000"]
netns = "host"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A tiny image of the machine's own shell, made without any download."""
    place = tmp_path_factory.mktemp("image")
    with pytest.MonkeyPatch.context() as patch:
        (place / "containers.conf").write_text(SETTINGS)
        patch.setenv("CONTAINERS_CONF", str(place / "containers.conf"))
        root = place / "root"
        for program in ("sh", "env", "sleep", "tail", "head", "cat"):
            _copy(shutil.which(program), root)
        made = subprocess.run(
            f'tar -C {root} -c . | podman import -c \'ENTRYPOINT ["/bin/sh","-c"]\' - {IMAGE}',
            shell=True,
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode != 0:
            pytest.skip(f"podman can't make an image here: {made.stderr[-200:]}")
        tried = subprocess.run(
            ["podman", "run", "--rm", "--pull=never", IMAGE, "true"],
            capture_output=True,
            text=True,
            check=False,
        )
        if tried.returncode != 0:
            pytest.skip(f"podman can't run containers here: {tried.stderr[-200:]}")
        yield IMAGE
        subprocess.run(["podman", "rmi", "-f", IMAGE], capture_output=True, check=False)


def _copy(program: str | None, root: Path) -> None:
    assert program is not None
    target = root / "bin" / Path(program).name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(program).resolve(), target)
    needed = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    for word in needed.split():
        if word.startswith("/"):
            place = root / word.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(word, place)


@pytest.fixture(scope="module")
def containers(image: str) -> Iterator[EmbeddedBatch]:
    with EmbeddedBatch(runner=ContainerRunner(command="podman", pull="never"), vcpus=4) as emulator:
        yield emulator


def test_a_container_runs_with_its_environment_and_exit_code(
    containers: EmbeddedBatch, image: str, tools: Any
) -> None:
    workshop = tools.workshop(containers.url)
    workshop.define("box", image)
    job = workshop.submit(
        "box", "echo $AWS_BATCH_JOB_ARRAY_INDEX; exit 4", arrayProperties={"size": 2}
    )
    workshop.wait(job)
    child = workshop.job(f"{job}:1")
    assert (child["status"], child["container"]["exitCode"]) == ("FAILED", 4)
    assert workshop.lines(child) == ["1"]


def test_a_missing_image_can_not_be_pulled(containers: EmbeddedBatch, tools: Any) -> None:
    workshop = tools.workshop(containers.url)
    workshop.define("missing", "localhost/not-there:1")
    shown = workshop.wait(workshop.submit("missing", "true"))
    assert shown["container"]["reason"].startswith("CannotPullContainerError")
    assert shown["statusReason"] == "Task failed to start"


def test_too_much_memory_is_reported_as_out_of_memory(
    containers: EmbeddedBatch, image: str, tools: Any
) -> None:
    workshop = tools.workshop(containers.url)
    workshop.define("small", image, memory=16)
    job = workshop.submit("small", "tail /dev/zero")
    shown = workshop.wait(job)
    assert shown["status"] == "FAILED"
    assert shown["container"]["reason"].startswith("OutOfMemoryError")


def test_a_killed_container_is_not_taken_for_out_of_memory(
    containers: EmbeddedBatch, image: str, tools: Any
) -> None:
    workshop = tools.workshop(containers.url)
    workshop.define("box", image)
    job = workshop.submit("box", "sleep 300")
    workshop.wait(job, "RUNNING")
    task = workshop.job(job)["container"]["taskArn"].rpartition("/")[2]

    def kill() -> bool:  # it is RUNNING a moment before the process is
        command = ["podman", "kill", "--signal=KILL", f"batch-{task}"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    tools.eventually(kill)
    shown = workshop.wait(job)
    assert (shown["status"], shown["container"]["exitCode"]) == ("FAILED", 137)
    assert "reason" not in shown["container"]


def test_a_container_is_stopped(containers: EmbeddedBatch, image: str, tools: Any) -> None:
    workshop = tools.workshop(containers.url)
    workshop.define("box", image)
    job = workshop.submit("box", "trap 'echo bye; exit 9' TERM; sleep 300 & wait")
    workshop.wait(job, "RUNNING")
    workshop.batch.terminate_job(jobId=job, reason="stop it")
    shown = workshop.wait(job)
    assert shown["statusReason"] == "stop it"
    left = subprocess.run(
        ["podman", "ps", "-a", "--format", "{{.Names}}"], capture_output=True, text=True, check=True
    )
    task = shown["container"]["taskArn"].rpartition("/")[2]
    assert task not in left.stdout


@pytest.mark.parametrize("watcher", ["start --attach", "conmon"])
def test_an_attempt_whose_supervisor_is_killed_was_lost_with_its_host(
    containers: EmbeddedBatch, image: str, tools: Any, watcher: str
) -> None:
    workshop = tools.workshop(containers.url)
    workshop.define("box", image)
    rule = {"onStatusReason": "Host EC2*", "action": "RETRY"}
    job = workshop.submit(
        "box",
        "echo attempt $AWS_BATCH_JOB_ATTEMPT; [ $AWS_BATCH_JOB_ATTEMPT = 2 ] || sleep 300",
        retryStrategy={
            "attempts": 2,
            "evaluateOnExit": [rule, {"onReason": "*", "action": "EXIT"}],
        },
    )
    workshop.wait(job, "RUNNING")
    tools.eventually(lambda: "attempt 1" in workshop.lines(workshop.job(job)))
    task = workshop.job(job)["container"]["taskArn"].rpartition("/")[2]
    os.kill(_process(watcher, f"batch-{task}"), signal.SIGKILL)
    shown = workshop.wait(job, seconds=120)
    assert (shown["status"], len(shown["attempts"])) == ("SUCCEEDED", 2)
    first = shown["attempts"][0]
    assert first["statusReason"].startswith("Host EC2 (instance i-")
    assert "exitCode" not in first["container"]
    left = subprocess.run(
        ["podman", "ps", "-a", "--format", "{{.Names}}"], capture_output=True, text=True, check=True
    )
    assert task not in left.stdout


def _process(program: str, word: str) -> int:
    """Return the process whose command line has both."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_text(errors="replace").replace("\0", " ")
        except OSError:
            continue
        if program in line and word in line:
            return int(path.parent.name)
    raise AssertionError(f"no {program} of {word}")
