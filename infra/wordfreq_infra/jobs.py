"""Stack `jobs`: image, log group, a role and a job definition for each stage; new each release."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_batch as batch
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from wordfreq_infra.images import cpu_architecture, image
from wordfreq_infra.network import NetworkStack
from wordfreq_infra.options import Options
from wordfreq_infra.permissions import grants
from wordfreq_infra.storage import StorageStack, log_group

BUILD = {"directory": "batch_image"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What the containers of a stage get. Fargate knows these sizes too."""

    name: str
    vcpus: int
    memory_mib: int
    hours: int


STAGES = (
    Stage(name="plan", vcpus=1, memory_mib=2048, hours=1),
    Stage(name="migrate", vcpus=1, memory_mib=2048, hours=4),
    Stage(name="merge", vcpus=2, memory_mib=4096, hours=4),
    Stage(name="ingest", vcpus=1, memory_mib=2048, hours=4),
)

#: In this order; the last ends what none of the others knows. The client sends the same rules.
RETRIES = (
    ("on_status_reason", "Host EC2*"),
    ("on_status_reason", "Your Spot Task was interrupted*"),
    ("on_reason", "DockerTimeoutError*"),
    ("on_reason", "CannotInspectContainerError*"),
)
ATTEMPTS = 3


class JobsStack(cdk.Stack):
    """Attributes: names and definitions (by stage), roles (by stage), execution_role, log_group."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        options: Options,
        network: NetworkStack,
        storage: StorageStack,
    ) -> None:
        super().__init__(scope, id, description="wordfreq: job definitions and their roles")
        self._options, self._network = options, network
        self.log_group = log_group(self, "Logs", "batch", options)
        trusted = iam.ServicePrincipal(
            "ecs-tasks.amazonaws.com",
            conditions={"StringEquals": {"aws:SourceAccount": self.account}},
        )
        self.execution_role = iam.Role(
            self,
            "ExecutionRole",
            description="ECS on behalf of the jobs: pull the image, write the log",
            assumed_by=trusted,
        )
        self.log_group.grant_write(self.execution_role)
        self._image = image(self, options.image, options=options, build=BUILD)
        self.roles: dict[str, iam.Role] = {}
        self.names = {stage.name: f"{options.name}-{stage.name}" for stage in STAGES}
        self.definitions: dict[str, batch.EcsJobDefinition] = {}
        statements = grants(storage, mirror=options.csv_removed == "mirror")
        for stage in STAGES:
            role = iam.Role(
                self,
                f"{stage.name.title()}Role",
                description=f"The containers of the stage {stage.name}",
                assumed_by=trusted,
            )
            for statement in statements[stage.name]:
                role.add_to_policy(statement)
            if storage.key:
                storage.key.grant_encrypt_decrypt(role)
            if options.source_kms_key and stage.name == "migrate":
                kms.Key.from_key_arn(self, "SourceKey", options.source_kms_key).grant_decrypt(role)
            self.roles[stage.name] = role
            self.definitions[stage.name] = self._definition(stage, role)
            cdk.CfnOutput(self, f"{stage.name.title()}RoleArn", value=role.role_arn)
        cdk.CfnOutput(self, "ExecutionRoleArn", value=self.execution_role.role_arn)

    def _definition(self, stage: Stage, role: iam.Role) -> batch.EcsJobDefinition:
        kind = batch.EcsEc2ContainerDefinition
        extra: dict[str, Any] = {}
        if self._options.compute == "fargate":
            kind = batch.EcsFargateContainerDefinition  # type: ignore[assignment]
            extra = {
                "assign_public_ip": self._network.public_ip,
                "fargate_cpu_architecture": cpu_architecture(self._options),
                "fargate_operating_system_family": ecs.OperatingSystemFamily.LINUX,
            }
        container = kind(
            self,
            f"{stage.name.title()}Container",
            image=self._image,
            cpu=stage.vcpus,
            memory=cdk.Size.mebibytes(stage.memory_mib),
            command=[stage.name, "--help"],  # each job brings its own
            job_role=role,
            execution_role=self.execution_role,
            readonly_root_filesystem=True,
            # The one place that may be written to; the image declares it, so it is world-writable.
            volumes=[batch.EcsVolume.host(name="tmp", container_path="/tmp")],  # noqa: S108
            linux_parameters=batch.LinuxParameters(
                self, f"{stage.name.title()}Linux", init_process_enabled=True
            ),
            logging=ecs.LogDriver.aws_logs(log_group=self.log_group, stream_prefix=stage.name),
            # boto3 reads the second, other SDKs the first; on EC2 hosts ECS sets neither.
            environment={
                "AWS_REGION": self.region,
                "AWS_DEFAULT_REGION": self.region,
                "AWS_RETRY_MODE": "standard",
            },
            **extra,
        )
        made = batch.EcsJobDefinition(
            self,
            stage.name.title(),
            job_definition_name=self.names[stage.name],
            container=container,
            timeout=cdk.Duration.hours(stage.hours),
            retry_attempts=ATTEMPTS,
            propagate_tags=True,
            # Jobs that are under way name their revision, which must live until they end.
            skip_deregister_on_update=True,
        )
        resource = made.node.default_child
        assert isinstance(resource, batch.CfnJobDefinition)
        rules = [
            batch.CfnJobDefinition.EvaluateOnExitProperty(action="RETRY", **{key: pattern})
            for key, pattern in RETRIES
        ]
        rules.append(batch.CfnJobDefinition.EvaluateOnExitProperty(action="EXIT", on_reason="*"))
        resource.retry_strategy = batch.CfnJobDefinition.RetryStrategyProperty(
            attempts=ATTEMPTS, evaluate_on_exit=rules
        )
        return made
