"""The command line of the Batch client: `doctor`, `list`, `kill` and `prune`; for people and CI."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import boto3

from dagster_aws_batch._aws.connect import Connection, Endpoint, connect
from dagster_aws_batch._aws.job_definitions import prune
from dagster_aws_batch._errors import BatchError
from dagster_aws_batch._results import JobInfo
from dagster_aws_batch._run.find import end_jobs, jobs_of_run, live_jobs
from dagster_aws_batch._scratch import open_scratch
from dagster_aws_batch.doctor import Clients, Wanted, examine
from dagster_aws_batch.findings import Level


def build_parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    parser = argparse.ArgumentParser(prog=f"python -m {__package__}", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--queue", required=True, action="append", help="job queue; may be repeated"
    )
    common.add_argument("--region", help="AWS Region (default: as boto3 finds it)")
    common.add_argument("--profile", help="profile of the AWS configuration")
    common.add_argument("--endpoint-url", help="address of AWS Batch (an emulator, a VPC endpoint)")
    named = argparse.ArgumentParser(add_help=False, parents=[common])
    named.add_argument("--name-prefix", default="dagster", help="how the jobs' names begin")

    doctor = commands.add_parser(
        "doctor", parents=[common], help="look whether a job would run, and say what to repair"
    )
    doctor.add_argument("--definition", help="name or ARN of the job definition")
    doctor.add_argument("--vcpus", type=float, help="vCPUs that a task asks for")
    doctor.add_argument("--memory-mib", type=int, help="memory that a task asks for, MiB")
    doctor.add_argument("--share-identifier", help="for a queue with a scheduling policy")
    doctor.add_argument("--scratch", help="s3://bucket/prefix or a folder")
    doctor.set_defaults(run=run_doctor)

    listing = commands.add_parser(
        "list", parents=[named], help="show the jobs of a run, or all live ones"
    )
    listing.add_argument(
        "--run-id", type=_run_id, help="Dagster run (of a chain of retries: the first)"
    )
    listing.set_defaults(run=run_list)

    kill = commands.add_parser("kill", parents=[named], help="end all jobs of a run")
    kill.add_argument(
        "--run-id", type=_run_id, required=True, help="Dagster run (of a chain: the first)"
    )
    kill.set_defaults(run=run_kill)

    cut = commands.add_parser(
        "prune", parents=[common], help="deregister this client's definitions that no live job uses"
    )
    cut.add_argument("--name-prefix", default="", help="how the definitions' names begin")
    cut.add_argument("--apply", action="store_true", help="do it; otherwise only show")
    cut.set_defaults(run=run_prune)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. 0: good; 1: something is wrong; 2: bad usage."""
    options = build_parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except BatchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _connection(options: argparse.Namespace) -> Connection:
    return connect(
        Endpoint(region=options.region, profile=options.profile, batch_url=options.endpoint_url)
    )


def run_doctor(options: argparse.Namespace) -> int:
    """Print every finding; 1 if there is an error among them, or the queue could not be seen."""
    connection = _connection(options)
    batch = connection.api.client
    iam = ec2 = None
    if connection.console.aws:
        session = boto3.Session(profile_name=options.profile, region_name=connection.console.region)
        iam, ec2 = session.client("iam"), session.client("ec2")
    scratch = open_scratch(options.scratch, connection.s3) if options.scratch else None
    bad = False
    for queue in options.queue:
        wanted = Wanted(
            queue=queue,
            definition=options.definition,
            vcpus=options.vcpus,
            memory_mib=options.memory_mib,
            share_identifier=options.share_identifier,
        )
        clients = Clients(batch=batch, logs=connection.logs.client, iam=iam, ec2=ec2)
        for finding in examine(clients, wanted, scratch):
            unseen = finding.level is Level.SKIPPED and finding.about.startswith("queue ")
            bad = bad or finding.level is Level.ERROR or unseen
            _say(str(finding))
    return 1 if bad else 0


def run_list(options: argparse.Namespace) -> int:
    """One line per job."""
    for job in _jobs(options):
        children = ", ".join(f"{number:,} {state}" for state, number in job.children.items())
        _say(
            f"{job.created_at:%Y-%m-%d %H:%M:%S}Z  {job.status:<9}  {job.job_id}  {job.name}  run "
            f"{job.run_id or '?'}  {children}"
        )
    return 0


def run_kill(options: argparse.Namespace) -> int:
    """End the live jobs of a run; 1 if it has no jobs, or one could not be ended."""
    api = _connection(options).api
    jobs = _jobs(options)
    if not jobs:
        raise BatchError(
            f"no job of run {options.run_id} is known in {', '.join(options.queue)}; give the "
            "run's whole id, --name-prefix if it isn't dagster, and each queue it may have used"
        )
    live = [job for job in jobs if job.live]
    errors = end_jobs(api, live, f"ended by hand for Dagster run {options.run_id}")
    for job in live:
        _say(f"{errors.get(job.job_id, 'ended')}  {job.job_id}  {job.name}")
    _say(f"{len(live) - len(errors)} of {len(live)} live job(s) ended")
    return 1 if errors else 0


def run_prune(options: argparse.Namespace) -> int:
    """Show or deregister."""
    api = _connection(options).api
    done = prune(api, options.queue, name_prefix=options.name_prefix, apply=options.apply)
    for arn in done.in_use:
        _say(f"in use      {arn}")
    for arn in done.removed:
        _say(f"{'removed   ' if options.apply else 'would go  '}  {arn}")
    return 0


def _run_id(text: str) -> str:
    # An empty one comes of a variable that isn't set.
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty; give the id of a Dagster run")
    return text


def _jobs(options: argparse.Namespace) -> list[JobInfo]:
    api = _connection(options).api
    if options.run_id is not None:
        return jobs_of_run(
            api, options.queue, prefix=options.name_prefix, origin_run_id=options.run_id
        )
    return live_jobs(api, options.queue, prefix=options.name_prefix)


def _say(text: str) -> None:
    print(text)


if __name__ == "__main__":
    sys.exit(main())
