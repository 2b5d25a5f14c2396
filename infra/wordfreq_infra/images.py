"""The one way to an image of a container: built while deploying, of ECR, or of another registry.

Jobs and Dagster's services use it alike. An image of ECR is pulled from the account and Region that
its URI names, with the right to just that repository; another account must allow it in the
repository's policy.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_ecs as ecs
from constructs import Construct

from wordfreq_infra.options import ECR_IMAGE, Options

ROOT = Path(__file__).resolve().parents[2]


def image(
    scope: Construct, uri: str, *, options: Options, build: Mapping[str, Any]
) -> ecs.ContainerImage:
    """The image that an option names.

    Args:
        scope: where the image to be built, or the reference to its repository, is added.
        uri: `asset`, or the URI of an image, with tag, digest or both (then the digest decides).
        options: whose architecture a built image gets.
        build: how `asset` is built: `directory` below the project's root, and what else
            `DockerImageAsset` takes.
    """
    if uri == "asset":
        # Built by `cdk deploy`; `cdk synth` only hashes the folder.
        arm = options.architecture == "arm64"
        platform = ecr_assets.Platform.LINUX_ARM64 if arm else ecr_assets.Platform.LINUX_AMD64
        more = {**build, "directory": str(ROOT / build["directory"]), "platform": platform}
        return ecs.ContainerImage.from_docker_image_asset(
            ecr_assets.DockerImageAsset(scope, "Image", **more)
        )
    if named := ECR_IMAGE.fullmatch(uri):
        repository = ecr.Repository.from_repository_attributes(
            scope,
            "Repository",
            repository_name=named["repository"],
            repository_arn=cdk.Stack.of(scope).format_arn(
                service="ecr",
                account=named["account"],
                region=named["region"],
                resource="repository",
                resource_name=named["repository"],
            ),
        )
        version = named["digest"] or named["tag"] or "latest"
        return ecs.ContainerImage.from_ecr_repository(repository, version)
    return ecs.ContainerImage.from_registry(uri)


def cpu_architecture(options: Options) -> ecs.CpuArchitecture:
    """What Fargate is to run the image on."""
    arm = options.architecture == "arm64"
    return ecs.CpuArchitecture.ARM64 if arm else ecs.CpuArchitecture.X86_64
