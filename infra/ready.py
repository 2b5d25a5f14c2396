"""Whether `make bootstrap`, `deploy` and `destroy` can begin: Region, credentials, docker.

The CDK's own messages for these come late, after minutes, or name no remedy.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence

import boto3  # type: ignore[import-untyped]
import botocore.exceptions  # type: ignore[import-untyped]

LOGIN = "`aws configure`, `aws sso login`, or AWS_PROFILE"


def account() -> Iterator[str]:
    """What is wrong with Region and credentials; says on stdout whose they are."""
    try:
        session = boto3.session.Session()
        if not session.region_name:
            yield "no Region: set AWS_DEFAULT_REGION (such as eu-central-1), or one in the profile"
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


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="ready.py", description=__doc__)
    parser.add_argument("--engine", help="docker or podman, if an image is to be built")
    options = parser.parse_args(arguments)
    problems = [*account(), *(engine(options.engine) if options.engine is not None else ())]
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
