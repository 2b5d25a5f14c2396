"""The fixture that other projects' tests use, in tests of a project of their own."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import aws_batch_emulator.pytest_plugin

TESTS = """
import boto3, pytest

from aws_batch_emulator import SimulatedRun, SimulatedRunner


def submit(**fields):
    batch = boto3.client("batch")
    size = [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "64"}]
    container = {"image": "shell", "command": ["exit 3"], "resourceRequirements": size}
    batch.register_job_definition(
        jobDefinitionName="d", type="container", containerProperties=container
    )
    job = batch.submit_job(jobName="j", jobQueue="local", jobDefinition="d", **fields)["jobId"]
    return lambda: batch.describe_jobs(jobs=[job])["jobs"][0]


def test_an_hour_passes_immediately(aws_batch):
    aws_batch.runner.behaviour = lambda job: SimulatedRun(seconds=3600)
    job = submit()
    aws_batch.clock.advance(3500)
    assert job()["status"] == "RUNNING"
    aws_batch.clock.advance(200)
    assert job()["status"] == "SUCCEEDED"
    assert aws_batch.calls["SubmitJob"] == 1


def test_a_host_is_lost(aws_batch):
    aws_batch.faults.job("spot_reclaim")
    job = submit()
    aws_batch.clock.advance(100)
    assert job()["statusReason"].startswith("Host EC2")


@pytest.mark.aws_batch(runner=SimulatedRunner(lambda job: SimulatedRun(seconds=3600)))
def test_a_runner_that_simulates_has_a_virtual_clock(aws_batch):
    job = submit()
    aws_batch.clock.advance(3600)
    assert job()["status"] == "SUCCEEDED"


@pytest.mark.aws_batch(region="eu-central-1")
def test_another_region(aws_batch):
    assert submit()()["jobArn"].startswith("arn:aws:batch:eu-central-1:")
    assert boto3.client("sts").meta.region_name == "eu-central-1"


@pytest.mark.aws_batch({"shell": ["sh", "-c"]})
def test_wrong_by_place(aws_batch):
    pass


@pytest.mark.aws_batch(images={"shell": ["sh", "-c"]}, runner=SimulatedRunner())
def test_wrong_together(aws_batch):
    pass


@pytest.mark.aws_batch(images={"shell": ["sh", "-c"]}, vcpus=1)
def test_a_process(aws_batch):
    import time

    job = submit()
    while job()["status"] not in ("SUCCEEDED", "FAILED"):
        time.sleep(0.05)
    assert job()["container"]["exitCode"] == 3
"""


def test_a_project_s_tests_use_the_fixture(tmp_path: Path) -> None:
    (tmp_path / "test_jobs.py").write_text(TESTS)
    # Where the package was installed before it had the entry point.
    known = {one.value for one in entry_points(group="pytest11")}
    plugin = aws_batch_emulator.pytest_plugin.__name__
    words = [] if plugin in known else ["-p", plugin]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--strict-markers", "-p", "no:cacheprovider", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "5 passed, 2 errors" in done.stdout, done.stdout + done.stderr
    assert done.stdout.count("UsageError") >= 2, done.stdout


def test_pytest_finds_it_by_its_entry_point() -> None:
    pyproject = (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text()
    entries = pyproject.split("[project.entry-points.pytest11]\n")[1].splitlines()
    name = aws_batch_emulator.pytest_plugin.__name__
    assert entries[0] == f'aws-batch-emulator = "{name}"'
