"""AWS's own Batch client: the awsb* commands of AWS ParallelCluster."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

CONFIG = """\
[main]
cluster_name = mine
region = us-east-1
[cluster mine]
region = us-east-1
s3_bucket = {bucket}
artifact_directory = artifacts
batch_cli_requirements = aws-parallelcluster-awsbatch-cli>=1.0.0
compute_environment = arn:aws:batch:us-east-1:000000000000:compute-environment/local
job_queue = arn:aws:batch:us-east-1:000000000000:job-queue/local
job_definition = arn:aws:batch:us-east-1:000000000000:job-definition/cluster:1
head_node_ip = 127.0.0.1
proxy = NONE
"""


@pytest.fixture
def cluster(desk: Any, bucket: str, tmp_path: Path) -> Any:
    if not (desk.bins / "awsbsub").exists():
        pytest.skip("awsbsub is not installed in .venv-clients: run `make clients`")
    folder = tmp_path / "home" / ".parallelcluster"
    folder.mkdir()
    (folder / "awsbatch-cli.cfg").write_text(CONFIG.format(bucket=bucket))
    desk.define("cluster", "run")
    return desk


def submitted(said: str) -> str:
    return next(word for word in said.split() if len(word.strip(".")) == 36).strip(".")


def wait(desk: Any, job: str) -> str:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        status = str(desk.batch.describe_jobs(jobs=[job])["jobs"][0]["status"])
        if status in ("SUCCEEDED", "FAILED"):
            return status
        time.sleep(0.2)
    raise AssertionError(f"{job} is {status} for two minutes")


def test_submit_look_and_read(cluster: Any) -> None:
    job = submitted(cluster.run("awsbsub", "-jn", "hello", given="echo hello there\n"))
    assert wait(cluster, job) == "SUCCEEDED"
    assert job in cluster.run("awsbstat", "-s", "ALL")
    assert job not in cluster.run("awsbstat", "-e"), "it shows what has not ended"
    assert "SUCCEEDED" in cluster.run("awsbstat", "-d", job)
    assert "hello there" in cluster.run("awsbout", job)
    assert "local" in cluster.run("awsbqueues")
    cluster.run("awsbhosts")


def test_arrays_dependencies_and_kill(cluster: Any) -> None:
    array = submitted(cluster.run("awsbsub", "-jn", "array", "-a", "2", given="sleep 300\n"))
    later = submitted(
        cluster.run("awsbsub", "-jn", "later", "-d", f"jobId={array}", given="true\n")
    )
    assert array in cluster.run("awsbstat", "-s", "ALL", "-e")
    cluster.run("awsbkill", array)
    assert wait(cluster, array) == "FAILED"
    assert wait(cluster, later) == "FAILED"
