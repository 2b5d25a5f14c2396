"""The emulator as a program: `aws-batch-emulator --help`, or `python -m aws_batch_emulator`."""

from __future__ import annotations

import argparse
import ipaddress
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from aws_batch_emulator._core.errors import EmulatorError
from aws_batch_emulator._core.runner import Runner, SimulatedRunner
from aws_batch_emulator._emulator import BOUNDS, EmbeddedBatch
from aws_batch_emulator._http.server import LOOPBACK
from aws_batch_emulator._process import serve
from aws_batch_emulator._runners.containers import ContainerRunner
from aws_batch_emulator._runners.processes import SubprocessRunner, checked_images

DESCRIPTION = """\
An AWS Batch for development and tests, with its CloudWatch logs, on one loopback port.
Jobs run as processes of this machine, as containers, or not at all (simulated).
"""
EXAMPLES = """\
examples:
  # two images, state kept in a folder
  aws-batch-emulator --port 8642 --state .local/batch \\
      --image wordfreq:local="python -m wordfreq_batch" --image shell="sh -c"
  export AWS_ENDPOINT_URL_BATCH=http://127.0.0.1:8642
  export AWS_ENDPOINT_URL_CLOUDWATCH_LOGS=http://127.0.0.1:8642
  export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local AWS_REGION=us-east-1
  aws batch submit-job --job-name hello --job-queue local --job-definition hello

  # health, faults
  curl http://127.0.0.1:8642/_emulator/health
  echo '[{"fault": "throttle", "operation": "SubmitJob", "rate": 0.5}]' > faults.json
  aws-batch-emulator --faults faults.json

It stops cleanly on Ctrl-C and SIGTERM. Jobs running then are lost, as with a lost host.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the program and return its exit code: 0 stopped, 1 could not start, 2 wrong usage."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    try:
        images = _images(options.image, options.images)
    except ValueError as error:
        parser.error(f"--image or --images: {error}")
    if images and options.runner != "subprocess":
        parser.error("--image and --images are for --runner subprocess only")
    if options.container_argument and options.runner != "container":
        parser.error("--container-argument is for --runner container only")
    try:
        state: Path | None = options.state.resolve() if options.state else None
        emulator = EmbeddedBatch(
            state=state,
            runner=_runner(options.runner, images, options.container_argument),
            vcpus=options.vcpus,
            memory_mib=options.memory,
            region=options.region,
            account_id=options.account_id,
            port=options.port,
            bind=options.bind,
            allow_hosts=options.allow_host,
            events=options.events,
        )
        idle, faults = options.idle_exit, options.faults
        serve(emulator, folder=state, idle_exit_seconds=idle, faults_file=faults)
    except (EmulatorError, OSError) as error:
        print(f"Batch emulator: error: {error}", file=sys.stderr)
        return 1
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The command and its options."""
    parser = argparse.ArgumentParser(
        prog="aws-batch-emulator",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    port, cpu, memory, idle = map(_number, BOUNDS)
    add("--port", type=port, default=0, help="port (default: the folder's last one, or a free one)")
    add(
        "--bind",
        type=_address,
        default=LOOPBACK,
        metavar="ADDRESS",
        help="address to listen on, 0.0.0.0 for all: who reaches it can run commands here "
        "(default: the loopback)",
    )
    add(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="one more name by which clients call it, e.g. host.docker.internal; may be repeated",
    )
    add("--state", type=Path, help="folder for jobs, logs and events (default: nothing is kept)")
    _add_runners(parser)
    add("--vcpus", type=cpu, help="vCPUs in all (default: this machine's)")
    add("--memory", type=memory, metavar="MIB", help="memory in all (default: this machine's)")
    add("--region", default="us-east-1", help="Region in ARNs (default: us-east-1)")
    add("--account-id", default="000000000000", help="account in ARNs (default: twelve zeros)")
    add("--faults", type=Path, metavar="FILE", help="JSON list of faults, read again on change")
    add(
        "--events",
        action="store_true",
        help="keep state changes for /_emulator/events, and with --state in <state>/events.jsonl",
    )
    add(
        "--idle-exit",
        type=idle,
        metavar="SECONDS",
        help="leave after so long without requests and unfinished jobs (default: never)",
    )
    return parser


def _add_runners(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--image",
        action="append",
        default=[],
        metavar="NAME=COMMAND",
        help="what running an image means, e.g. shell='sh -c'; may be repeated",
    )
    add("--images", default="{}", metavar="JSON", help="the same as a JSON object of lists")
    add(
        "--runner",
        choices=("subprocess", "container", "simulated"),
        default="subprocess",
        help="how jobs run (default: subprocess; container needs podman or docker)",
    )
    add(
        "--container-argument",
        action="append",
        default=[],
        metavar="WORD",
        help="one more word for `podman create` or `docker create`, e.g. =--read-only",
    )


def _number(setting: str) -> Callable[[str], float]:
    low, high = BOUNDS[setting]

    def number(text: str) -> float:
        if not low <= (value := type(low)(text)) <= high:
            raise argparse.ArgumentTypeError(f"must be from {low} to {high}, not {text}")
        return value

    return number


def _address(text: str) -> str:
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no IPv4 address") from None


def _images(pairs: list[str], document: str) -> dict[str, list[str]]:
    images = checked_images(json.loads(document))
    for pair in pairs:
        name, _, command = pair.partition("=")
        images[name] = shlex.split(command)
        if not name or not images[name]:
            raise ValueError(f"{pair}: write it as NAME=COMMAND")
    return images


def _runner(kind: str, images: dict[str, list[str]], arguments: list[str]) -> Runner:
    if kind == "container":
        return ContainerRunner(arguments=arguments)
    if kind == "simulated":
        return SimulatedRunner()
    return SubprocessRunner(images)


if __name__ == "__main__":
    sys.exit(main())
