"""Run one command in Dagster's image, as a task in the deployment's cluster, and wait for its end.

`make migrate` calls it, for `dagster instance migrate`. The task has what a run has: the database,
its rights, its network. Prints what the command printed; returns its exit code.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Any

import boto3  # type: ignore[import-untyped]
import botocore.exceptions  # type: ignore[import-untyped]

RUN = "run"  # the container of a run
WAIT_SECONDS = 3600.0
POLL_SECONDS = 5.0


class TaskError(RuntimeError):
    """The command could not be run, or its task ended without it; the message says why."""


def run(ecs: Any, name: str, command: Sequence[str]) -> str:
    """Start the command; returns the ARN of its task."""
    cluster = f"{name}-dagster"
    # The network of the code server: what runs have too.
    found = ecs.describe_services(cluster=cluster, services=[f"{name}-code"])["services"]
    if not found:
        raise TaskError(
            f"the cluster {cluster} has no service {name}-code: deploy with dagster=true first"
        )
    answer = ecs.run_task(
        cluster=cluster,
        taskDefinition=f"{name}-dagster-run",
        launchType="FARGATE",
        networkConfiguration=found[0]["networkConfiguration"],
        propagateTags="TASK_DEFINITION",
        overrides={"containerOverrides": [{"name": RUN, "command": list(command)}]},
    )
    if failures := answer.get("failures"):
        raise TaskError(f"ECS doesn't start it: {failures[0].get('reason')}")
    return str(answer["tasks"][0]["taskArn"])


def wait(ecs: Any, cluster: str, task: str) -> int:
    """The exit code of the command, once its task has ended."""
    end = time.monotonic() + WAIT_SECONDS
    shown: dict[str, Any] = {}
    while shown.get("lastStatus") != "STOPPED":
        if time.monotonic() > end:
            raise TaskError(f"the task {task} hasn't ended after {WAIT_SECONDS:.0f} s")
        time.sleep(POLL_SECONDS)
        # None at first: ECS shows a new task a moment later.
        shown = next(iter(ecs.describe_tasks(cluster=cluster, tasks=[task])["tasks"]), {})
    codes = [one.get("exitCode") for one in shown["containers"] if one["name"] == RUN]
    if not codes or codes[0] is None:
        raise TaskError(f"the task {task} ended before the command: {shown.get('stoppedReason')}")
    return int(codes[0])


def printed(logs: Any, name: str, task: str) -> str:
    """What the command printed, as far as it is there."""
    stream = f"{RUN}/{RUN}/{task.rpartition('/')[2]}"
    try:
        events = logs.get_log_events(
            logGroupName=f"/{name}/dagster", logStreamName=stream, startFromHead=True
        )["events"]
    except botocore.exceptions.ClientError as error:
        return f"its log {stream} can't be read: {error}\n"
    return "".join(f"{one['message']}\n" for one in events)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code of what was run."""
    parser = argparse.ArgumentParser(prog="task.py", description=__doc__)
    parser.add_argument("--name", default="wordfreq", help="the deployment (default: wordfreq)")
    parser.add_argument("command", nargs="+", help="behind --, such as dagster instance migrate")
    options = parser.parse_args(arguments)
    ecs = boto3.client("ecs")
    try:
        task = run(ecs, options.name, options.command)
        sys.stdout.write(f"{task}\n")
        code = wait(ecs, f"{options.name}-dagster", task)
    except TaskError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
        sys.stderr.write(f"the command can't be run: {error}\n")
        return 1
    sys.stdout.write(printed(boto3.client("logs"), options.name, task))
    return code


if __name__ == "__main__":
    raise SystemExit(main())
