"""redun, snakemake, Metaflow and Airflow, each by its own AWS Batch client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

REDUN_INI = """\
[backend]
db_uri = sqlite:///{folder}/redun.db
[executors.batch]
type = aws_batch
image = run
queue = local
s3_scratch = s3://{bucket}/redun
role = none
job_monitor_interval = 0.2
job_stale_time = 3
min_array_size = 3
code_package = false
vcpus = 1
memory = 1
"""
REDUN = """\
from redun import task, script
redun_namespace = "flow"

@task(executor="batch")
def double(n: int):
    if n == 13:
        raise ValueError("thirteen")
    return n * 2

@task()
def add(values):
    return sum(values)

@task()
def main(n: int = 4, bad: bool = False):
    return double(13) if bad else add([double(i) for i in range(n)])

@task()
def shell():
    return script("echo from a script", executor="batch")
"""
SNAKEFILE = """\
rule all:
    input: "total.txt"
rule part:
    output: "part-{n}.txt"
    shell: "echo {wildcards.n} > {output}"
rule total:
    input: expand("part-{n}.txt", n=[1, 2])
    output: "total.txt"
    shell: "cat {input} > {output}"
"""
METAFLOW = """\
import sys, time
from metaflow.plugins.aws.batch.batch_client import BatchClient
client = BatchClient()
print(list(client.active_job_queues()))
def job(command):
    made = client.job().job_name("flow").job_queue("local").image("shell").command([command])
    made = made.iam_role("role").execution_role(None).cpu(1).memory(64).shared_memory(None)
    made = made.max_swap(None).swappiness(None).inferentia(0).efa(0).gpu(0)
    made = made.timeout_in_secs(300).environment_variable("WHO", "me").attempts(1)
    made = made.job_def(
        image="shell", iam_role="role", job_queue="local", execution_role=None, shared_memory=None,
        max_swap=None, swappiness=None, inferentia=0, efa=0, memory=64, host_volumes=None,
        efs_volumes=None, use_tmpfs=False, tmpfs_tempdir=True, tmpfs_size=None, tmpfs_path=None,
        num_parallel=0, ephemeral_storage=None, log_driver=None, log_options=None, privileged=False)
    return made.execute()
for command, wanted in (("echo $WHO", True), ("exit 3", False)):
    running = job(command)
    while not running.is_done:
        time.sleep(0.2)
    print(running.status, running.status_code)
    assert running.is_successful is wanted
running = job("sleep 300")
while not running.is_running:
    time.sleep(0.2)
running.kill()
while not running.is_done:
    time.sleep(0.2)
assert not running.is_successful
print("all right", len(list(client.unfinished_jobs())))
"""
AIRFLOW = """\
import json, sys
from airflow.exceptions import AirflowException
from airflow.providers.amazon.aws.hooks.batch_client import BatchClientHook
from airflow.providers.amazon.aws.hooks.batch_waiters import BatchWaitersHook
from airflow.providers.amazon.aws.operators.batch import BatchOperator
from airflow.providers.amazon.aws.sensors.batch import BatchComputeEnvironmentSensor
from airflow.providers.amazon.aws.sensors.batch import BatchJobQueueSensor, BatchSensor

def run(command, **more):
    operator = BatchOperator(
        task_id="t", job_name="job", job_queue="local", job_definition="shell", aws_conn_id=None,
        region_name="us-east-1", max_retries=200, status_retries=5,
        container_overrides={"command": [command]}, **more)
    operator.hook.delay = operator.hook.add_jitter = lambda *a, **k: 0.2
    BatchClientHook.delay = staticmethod(lambda *a, **k: __import__("time").sleep(0.2))
    operator.execute({"ti": type("T", (), {"xcom_push": lambda *a, **k: None})()})
    return operator

print("plain", run("echo plain").job_id)
print("array", run("echo $AWS_BATCH_JOB_ARRAY_INDEX", array_properties={"size": 2}).job_id)
try:
    run("exit 5")
    sys.exit("the failed job was taken for a good one")
except AirflowException as error:
    print("failed as it should")
hook = BatchClientHook(aws_conn_id=None, region_name="us-east-1")
job = hook.client.submit_job(
    jobName="j", jobQueue="local", jobDefinition="shell",
    containerOverrides={"command": ["echo waited for"]})["jobId"]
waiters = BatchWaitersHook(aws_conn_id=None, region_name="us-east-1")
for name in ("JobExists", "JobRunning", "JobComplete"):
    waiter = waiters.get_waiter(name)
    waiter.config.delay = 0.2
    waiter.config.max_attempts = 300
    try:
        waiter.wait(jobs=[job])
    except Exception as error:
        # It had run before it was looked at: JobRunning knows no other way to end.
        assert name == "JobRunning", error
print([log["awslogs_stream_name"] for log in hook.get_job_all_awslogs_info(job)])
common = dict(aws_conn_id=None, region_name="us-east-1")
assert BatchSensor(task_id="a", job_id=job, **common).poke({})
assert BatchJobQueueSensor(task_id="b", job_queue="local", **common).poke({})
assert BatchComputeEnvironmentSensor(task_id="c", compute_environment="local", **common).poke({})
print("all right")
"""


def _needs(desk: Any, program: str) -> None:
    if not (desk.bins / program).exists():
        pytest.skip(f"{program} is not installed in .venv-clients: run `make clients`")


def test_redun(desk: Any, bucket: str, tmp_path: Path) -> None:
    _needs(desk, "redun")
    config = tmp_path / ".redun"
    config.mkdir()
    (config / "redun.ini").write_text(REDUN_INI.format(folder=config, bucket=bucket))
    (tmp_path / "flow.py").write_text(REDUN)
    assert "12" in desk.run("redun", "run", "flow.py", "main")
    assert "from a script" in desk.run("redun", "run", "flow.py", "shell")
    said = desk.run("redun", "run", "flow.py", "main", "--bad", "true", fails=True)
    assert "thirteen" in said
    jobs = desk.batch.list_jobs(jobQueue="local", jobStatus="SUCCEEDED")["jobSummaryList"]
    assert any(job.get("arrayProperties", {}).get("size", 0) >= 3 for job in jobs)


def test_snakemake(desk: Any, bucket: str, tmp_path: Path) -> None:
    _needs(desk, "snakemake")
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    desk.run(
        "snakemake",
        *("--executor", "aws-batch", "--jobs", "2", "--default-storage-provider", "s3"),
        *("--default-storage-prefix", f"s3://{bucket}", "--container-image", "run"),
        *("--storage-s3-endpoint-url", desk.environment["AWS_ENDPOINT_URL"]),
        *("--storage-s3-access-key", "local", "--storage-s3-secret-key", "local"),
        *("--aws-batch-region", "us-east-1", "--aws-batch-job-role", "arn:aws:iam::1:role/r"),
        *("--aws-batch-job-queue", "arn:aws:batch:us-east-1:000000000000:job-queue/local"),
        *("--default-resources", "mem_mb=64", "disk_mb=1", "--seconds-between-status-checks", "1"),
    )
    body = desk.s3.get_object(Bucket=bucket, Key="total.txt")["Body"].read()
    assert body.split() == [b"1", b"2"]


def test_metaflow(desk: Any) -> None:
    _needs(desk, "metaflow")
    said = desk.script(METAFLOW)
    assert "all right 0" in said
    assert "['local']" in said


def test_airflow(desk: Any, tmp_path: Path) -> None:
    _needs(desk, "airflow")
    desk.define("shell", "shell")
    more = {"AIRFLOW_HOME": str(tmp_path / "airflow"), "AIRFLOW__CORE__UNIT_TEST_MODE": "True"}
    assert "all right" in desk.script(AIRFLOW, more=more)
    found = desk.batch.list_jobs(jobQueue="local", jobStatus="FAILED")["jobSummaryList"]
    assert [job["container"]["exitCode"] for job in found] == [5]
