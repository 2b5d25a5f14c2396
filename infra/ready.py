"""Whether `make bootstrap`, `deploy` and `destroy` can begin: Region, credentials, docker, changes.

The CDK's own messages for these come late, after minutes, or name no remedy.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import boto3  # type: ignore[import-untyped]
import botocore.exceptions  # type: ignore[import-untyped]
from teardown import live_jobs, resources
from wordfreq_infra.changes import needs_idle_queue, refusals
from wordfreq_infra.options import ECR_IMAGE, Options, OptionsError, deployed, from_words
from wordfreq_infra.options import LOGIN as LOGIN_KEYS

#: Service -> the role AWS makes for it; a first cluster or the first Spot host needs it.
LINKED = {
    "ecs.amazonaws.com": "AWSServiceRoleForECS",
    "spot.amazonaws.com": "AWSServiceRoleForEC2Spot",
}
REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
LOGIN = "`aws configure`, `aws sso login`, or AWS_PROFILE"


def account() -> Iterator[str]:
    """What is wrong with Region and credentials; says on stdout whose they are."""
    try:
        session = boto3.session.Session()
        if not session.region_name:
            yield "no Region: set AWS_DEFAULT_REGION (such as eu-central-1), or one in the profile"
            return
        others = {os.environ[one] for one in REGIONS if os.environ.get(one)}
        if len(others) > 1:
            yield (
                "AWS_REGION and AWS_DEFAULT_REGION name two Regions: the CDK deploys to the first, "
                "this project looks in the second; give both the same, or unset AWS_REGION"
            )
            return
        caller = session.client("sts").get_caller_identity()
        place = f"account {caller['Account']}, Region {session.region_name}"
        sys.stdout.write(f"{place}, as {caller['Arn']}\n")
    except botocore.exceptions.ProfileNotFound as error:
        yield f"{error}: AWS_PROFILE names a profile that isn't there"
    except (
        botocore.exceptions.NoCredentialsError,
        botocore.exceptions.PartialCredentialsError,
    ):
        yield f"no AWS credentials: {LOGIN}"
    except botocore.exceptions.ClientError as error:
        yield f"AWS doesn't accept the credentials ({error}): {LOGIN}"
    except botocore.exceptions.BotoCoreError as error:
        yield f"AWS can't be asked ({error}); is there a way to the internet?"


def engine(program: str) -> Iterator[str]:
    """What is wrong with docker or podman, which builds the images."""
    remedy = 'or give images that exist: OPTIONS="image=… dagster_image=…"'
    if not program or not shutil.which(program):
        yield f"neither docker nor podman is installed to build the image; install one, {remedy}"
        return
    asked = subprocess.run([program, "info"], capture_output=True, text=True, check=False)
    if asked.returncode != 0:
        said = (asked.stderr.strip().splitlines() or ["no answer"])[-1]
        yield f"{program} is installed but doesn't work ({said}); start it, {remedy}"


def account_roles(_: Options) -> Iterator[str]:
    """The service-linked roles that nothing else makes; says so on stdout, as Spot goes without."""
    iam = boto3.client("iam")
    for service, role in LINKED.items():
        try:
            iam.get_role(RoleName=role)
        except iam.exceptions.NoSuchEntityException:
            sys.stdout.write(
                f"the role {role} isn't there: aws iam create-service-linked-role "
                f"--aws-service-name {service}\n"
            )
        except botocore.exceptions.ClientError as error:
            sys.stdout.write(f"whether the role {role} is there can't be seen ({error})\n")
    yield from ()


def families(options: Options) -> Iterator[str]:
    """The chosen instance families that the Region doesn't have."""
    if options.compute != "ec2" or not options.instance_families:
        return
    chosen = options.instance_families.split(",")
    pages = boto3.client("ec2").get_paginator("describe_instance_type_offerings").paginate()
    there = {
        one["InstanceType"].partition(".")[0]
        for page in pages
        for one in page["InstanceTypeOfferings"]
    }
    if missing := [one for one in chosen if one not in there]:
        yield (
            f"this Region has no instances of {', '.join(missing)}: leave them out of "
            "instance_families, or leave it empty for AWS Batch's own choice"
        )


def region(options: Options) -> Iterator[str]:
    """What of the options is of another Region, or more than this one has."""
    here = boto3.session.Session().region_name
    for name in ("image", *(["dagster_image"] if options.dagster else [])):
        named = ECR_IMAGE.fullmatch(getattr(options, name))
        if options.network == "isolated" and named and named["region"] != here:
            yield f"{name} is of {named['region']}: isolated, push it to ECR in {here}"
    kind = {"Name": "zone-type", "Values": ["availability-zone"]}
    found = boto3.client("ec2").describe_availability_zones(Filters=[kind])["AvailabilityZones"]
    if len(found) < options.zones and not options.vpc:
        yield f"zones is {options.zones}, and {here} has {len(found)}: use no more"


def login(options: Options) -> Iterator[str]:
    """What is wrong with certificate and secret of the UI; the stack would fail after minutes."""
    if not options.ui_login:
        return
    region = boto3.session.Session().region_name
    if options.ui_certificate.split(":")[3] != region:
        yield f"ui_certificate isn't of {region}; a load balancer needs one of its own Region"
    secrets = boto3.client("secretsmanager")
    remedy = f"give it the keys {', '.join(LOGIN_KEYS)} (docs/aws.md, A login for the UI)"
    try:
        found = json.loads(secrets.get_secret_value(SecretId=options.ui_login)["SecretString"])
        if missing := [key for key in LOGIN_KEYS if not found.get(key)]:
            yield f"the secret {options.ui_login} (ui_login) lacks {', '.join(missing)}; {remedy}"
    except secrets.exceptions.ResourceNotFoundException:
        yield f"the secret {options.ui_login} (ui_login) isn't in {region}; make it, {remedy}"
    except (ValueError, KeyError, AttributeError):
        yield f"the secret {options.ui_login} (ui_login) is no JSON object; {remedy}"
    except botocore.exceptions.ClientError as error:
        sys.stdout.write(f"the secret {options.ui_login} can't be seen ({error})\n")


def changes(options: Options) -> Iterator[str]:
    """What of the options can't be changed from what is deployed; jobs that would be ended."""
    cloudformation = boto3.client("cloudformation")
    yield from leftovers(cloudformation, options)
    try:
        (stack,) = cloudformation.describe_stacks(StackName=f"{options.name}-access")["Stacks"]
    except botocore.exceptions.ClientError as error:
        if "does not exist" in str(error):
            return
        raise
    outputs = {one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs", ())}
    if "DeploymentOptions" not in outputs:
        return
    old = deployed(json.loads(outputs["DeploymentOptions"]))
    yield from refusals(old, options)
    if needs_idle_queue(old, options):
        found = resources(cloudformation, f"{options.name}-compute", "AWS::Batch::JobQueue")
        for _, queue in found:
            if jobs := live_jobs(boto3.client("batch"), queue):
                yield f"this change ends {len(jobs)} jobs of {queue}; wait until none is under way"


def leftovers(cloudformation: Any, options: Options) -> Iterator[str]:
    """A stack whose first creation was rolled back can only be deleted."""
    for name in ("network", "storage", "compute", "jobs", "observability", "access", "dagster"):
        try:
            (stack,) = cloudformation.describe_stacks(StackName=f"{options.name}-{name}")["Stacks"]
        except botocore.exceptions.ClientError:
            continue
        if stack["StackStatus"] in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"):
            yield (
                f"the stack {options.name}-{name} is left from a deploy that failed "
                f"({stack['StackStatus']}): aws cloudformation delete-stack "
                f"--stack-name {options.name}-{name}"
            )


CHECKS = (families, region, login, changes, account_roles)


def seen(check: Callable[[Options], Iterator[str]], options: Options) -> Iterator[str]:
    """What a check finds; what can't be seen says nothing, and nothing of what others see."""
    try:
        yield from check(options)
    except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
        sys.stdout.write(f"{check.__name__} can't be seen ({error}); going on\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="ready.py", description=__doc__)
    parser.add_argument("--engine", help="docker or podman, if an image is to be built")
    parser.add_argument("--options", help="what is to be deployed: NAME=VALUE …")
    given = parser.parse_args(arguments)
    problems = [*account(), *(engine(given.engine) if given.engine is not None else ())]
    if given.options is not None and not problems:
        try:
            options = from_words(given.options.split())
            problems = [text for check in CHECKS for text in seen(check, options)]
        except OptionsError as error:
            problems = [str(error)]
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
