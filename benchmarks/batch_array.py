"""An array of trivial children on the embedded AWS Batch, through the real client.

    python benchmarks/batch_array.py [--tasks 10000] [--vcpus 2] [--program /bin/true]

Starts an embedded AWS Batch as a process of its own, runs one array whose children are real
processes, and prints seconds, calls, and the peak memory of emulator and client.
Nothing outside a temporary folder is touched.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import tempfile
import time
import urllib.request
from pathlib import Path

import boto3

from aws_batch_emulator import (
    ensure_running,
    stop_running,
)
from dagster_aws_batch._aws.connect import (
    Connection,
    client_config,
)
from dagster_aws_batch._aws.names import (
    ExecutionId,
    content_key,
)
from dagster_aws_batch._job import BatchJobDefinition, Job
from dagster_aws_batch._run.run import (
    ExecutionResult,
    Request,
    execute,
)
from dagster_aws_batch._run.state import Options


def peak_mib(pid: int) -> float:
    """The most memory that a process ever held, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"process {pid} has no VmHWM")


def run(url: str, tasks: int) -> ExecutionResult:
    """One array job, with the polling of the project's own local runs."""
    session = boto3.Session("local", "local", region_name="us-east-1")
    batch = session.client("batch", endpoint_url=url, config=client_config())
    logs = session.client("logs", endpoint_url=url, config=client_config())
    definition = BatchJobDefinition(image="trivial", name="trivial", vcpus=1, memory_mib=16)
    job = Job(name="trivial", definition=definition, command=[])
    return execute(
        Connection.over(batch, logs=logs),
        Request(
            id=ExecutionId(
                prefix="benchmark",
                run_id="run-1",
                step="step",
                job_name=job.name,
                content=content_key(job, "", tasks),
            ),
            job=job,
            queue="local",
            tasks=tasks,
            tags={},
            options=Options(poll_seconds=0.2, poll_max_seconds=2.0),
        ),
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--vcpus", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--program", default="/bin/true", help="what each child runs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        endpoint = ensure_running(
            folder, images={"trivial": shlex.split(options.program)}, vcpus=options.vcpus
        )
        try:
            empty = peak_mib(endpoint.pid)
            began = time.monotonic()
            result = run(endpoint.url, options.tasks)
            seconds = time.monotonic() - began
            with urllib.request.urlopen(f"{endpoint.url}/_emulator/calls", timeout=30) as answer:
                calls = json.load(answer)
            emulator = peak_mib(endpoint.pid)
            state = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
        finally:
            stop_running(folder)
    done = sum(task.ok for task in result.tasks)
    print(f"tasks              {options.tasks:,} ({done:,} succeeded), {options.vcpus} at a time")
    print(f"seconds            {seconds:.1f} ({options.tasks / seconds:.0f} children a second)")
    print(f"emulator, peak     {emulator:.0f} MiB ({empty:.0f} before the job)")
    print(f"client, peak       {peak_mib(os.getpid()):.0f} MiB")
    print(f"state on disk      {state / 2**20:.1f} MiB")
    print("calls              " + ", ".join(f"{n} {name}" for name, n in sorted(calls.items())))


if __name__ == "__main__":
    main()
