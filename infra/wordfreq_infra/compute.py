"""Stack `compute`: compute environments and the queue. It changes rarely."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_batch as batch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct

from wordfreq_infra.network import NetworkStack
from wordfreq_infra.options import Options

SPOT_DISCOUNT = 100  # percent of the on-demand price at most; lower only loses capacity


class ComputeStack(cdk.Stack):
    """Spot first, on-demand behind it in the same queue. Attributes: queue, environments."""

    def __init__(
        self, scope: Construct, id: str, *, options: Options, network: NetworkStack
    ) -> None:
        super().__init__(scope, id, description="wordfreq: AWS Batch queue and compute")
        self._options, self._network = options, network
        make = self._fargate if options.compute == "fargate" else self._ec2
        # AWS Batch can't turn one kind of these into another. With ids (and a name of the queue) of
        # its own for each kind, CloudFormation makes the new ones and then removes the old.
        kind = f"{options.compute.title()}{options.architecture.title().replace('_', '')}"
        self.environments = [make(f"Spot{kind}", spot=True), make(f"OnDemand{kind}", spot=False)]
        # Known beforehand, so that other stacks need no reference that would pin this one.
        self.queue_name = queue_name(options)
        self.queue_arn = self.format_arn(
            service="batch", resource="job-queue", resource_name=self.queue_name
        )
        self.queue = batch.JobQueue(
            self,
            f"Queue{kind}{'Fair' if options.fair_share else ''}",
            scheduling_policy=self._fair_share() if options.fair_share else None,
            job_queue_name=self.queue_name,
            priority=1,
            compute_environments=[
                batch.OrderedComputeEnvironment(compute_environment=one, order=number)
                for number, one in enumerate(self.environments, start=1)
            ],
            job_state_time_limit_actions=[
                _give_up(reason)
                for reason in (
                    batch.JobStateTimeLimitActionsReason.COMPUTE_ENVIRONMENT_MAX_RESOURCE,
                    batch.JobStateTimeLimitActionsReason.JOB_RESOURCE_REQUIREMENT,
                )
            ],
        )

        cdk.CfnOutput(self, "QueueArn", value=self.queue.job_queue_arn)
        for name, one in zip(("Spot", "OnDemand"), self.environments, strict=True):
            cdk.CfnOutput(self, f"{name}EnvironmentArn", value=one.compute_environment_arn)

    def _fargate(self, id: str, *, spot: bool) -> batch.IComputeEnvironment:
        made = batch.FargateComputeEnvironment(
            self,
            id,
            vpc=self._network.vpc,
            vpc_subnets=self._network.subnets,
            security_groups=[self._network.security_group],
            maxv_cpus=self._options.max_vcpus,
            spot=spot,
            replace_compute_environment=False,
        )
        resource = made.node.default_child
        assert isinstance(resource, batch.CfnComputeEnvironment)
        # For hosts only: with it AWS Batch refuses every change of a Fargate environment.
        resource.add_property_deletion_override("UpdatePolicy")
        return made

    def _ec2(self, id: str, *, spot: bool) -> batch.IComputeEnvironment:
        spot_strategy = batch.AllocationStrategy.SPOT_PRICE_CAPACITY_OPTIMIZED
        template = self._template()
        made = batch.ManagedEc2EcsComputeEnvironment(
            self,
            id,
            vpc=self._network.vpc,
            vpc_subnets=self._network.subnets,
            security_groups=[self._network.security_group],
            minv_cpus=0,
            maxv_cpus=self._options.max_vcpus,
            spot=spot,
            spot_bid_percentage=SPOT_DISCOUNT if spot else None,
            # Never BEST_FIT: such an environment can't be updated in place.
            allocation_strategy=spot_strategy
            if spot
            else batch.AllocationStrategy.BEST_FIT_PROGRESSIVE,
            use_optimal_instance_classes=False,
            instance_classes=[ec2.InstanceClass.M7I],  # replaced below
            images=[batch.EcsMachineImage(image_type=batch.EcsMachineImageType.ECS_AL2023)],
            instance_role=self._instance_role(),
            launch_template=template,
            replace_compute_environment=False,
            terminate_on_update=False,
            update_timeout=cdk.Duration.minutes(60),
        )
        resource = made.node.default_child
        assert isinstance(resource, batch.CfnComputeEnvironment)
        # As AWS Batch spells them: CDK's list ends with the families that it knew. The default is
        # what AWS has of this architecture in the Region.
        families = self._options.instance_families or f"default_{self._options.architecture}"
        resource.add_property_override("ComputeResources.InstanceTypes", families.split(","))
        # Without these the first version of the template and its system image stay for ever.
        resource.add_property_override(
            "ComputeResources.LaunchTemplate.Version", template.latest_version_number
        )
        resource.add_property_override("ComputeResources.UpdateToLatestImageVersion", True)
        return made

    def _fair_share(self) -> batch.FairshareSchedulingPolicy:
        """Shares of equal weight for all identifiers; who used less comes first, for an hour."""
        return batch.FairshareSchedulingPolicy(
            self,
            "FairShare",
            share_decay=cdk.Duration.hours(1),
            shares=[batch.Share(share_identifier="*", weight_factor=1)],
        )

    def _template(self) -> ec2.LaunchTemplate:
        found = self.node.try_find_child("Template")
        if isinstance(found, ec2.LaunchTemplate):
            return found
        return ec2.LaunchTemplate(
            self,
            "Template",
            launch_template_name=f"{self._options.name}-batch",
            require_imdsv2=True,
            http_put_response_hop_limit=1,  # containers can't reach the instance's role
            associate_public_ip_address=None,
            block_devices=[
                ec2.BlockDevice(
                    device_name="/dev/xvda",
                    volume=ec2.BlockDeviceVolume.ebs(
                        50, encrypted=True, volume_type=ec2.EbsDeviceVolumeType.GP3
                    ),
                )
            ],
        )

    def _instance_role(self) -> iam.Role:
        found = self.node.try_find_child("InstanceRole")
        if isinstance(found, iam.Role):
            return found
        return iam.Role(
            self,
            "InstanceRole",
            description="The hosts of AWS Batch: join the ECS cluster and pull images",
            assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"),
            managed_policies=[
                iam.ManagedPolicy.from_aws_managed_policy_name(
                    "service-role/AmazonEC2ContainerServiceforEC2Role"
                )
            ],
        )


def queue_name(options: Options) -> str:
    """The queue's name: the deployment's, and what of it can't be changed in place."""
    words = [
        options.name,
        *(["fargate"] if options.compute == "fargate" else []),
        *(["arm64"] if options.architecture == "arm64" else []),
        *(["fair"] if options.fair_share else []),
    ]
    return "-".join(words)


def _give_up(reason: batch.JobStateTimeLimitActionsReason) -> batch.JobStateTimeLimitAction:
    """End a job that can never start, so that it doesn't block the queue for the others."""
    return batch.JobStateTimeLimitAction(
        reason=reason,
        max_time=cdk.Duration.minutes(20),
        state=batch.JobStateTimeLimitActionsState.RUNNABLE,
        action=batch.JobStateTimeLimitActionsAction.CANCEL,
    )
