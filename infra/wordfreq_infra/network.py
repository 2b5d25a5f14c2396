"""Stack `network`: the VPC, by mode, and the one security group of all that runs in it."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from wordfreq_infra.options import Options

#: What containers call without a way to the internet. ECS's own three are for EC2 hosts.
JOB_ENDPOINTS = ("ecr.api", "ecr.dkr", "logs")
HOST_ENDPOINTS = ("ecs", "ecs-agent", "ecs-telemetry")
#: Of these it isn't known whether AWS takes a policy; what goes there is ECS's and SSM's own.
WITHOUT_POLICY = ("ecs-agent", "ecs-telemetry", "ssmmessages")
DAGSTER_ENDPOINTS = ("sqs", "batch", "ecs", "sts", "secretsmanager", "ssmmessages", "sns")


GATEWAYS = {
    "S3": ec2.GatewayVpcEndpointAwsService.S3,
    "DynamoDb": ec2.GatewayVpcEndpointAwsService.DYNAMODB,
}


class NetworkStack(cdk.Stack):
    """The VPC.

    Attributes:
        vpc, subnets (where containers run), data_subnets (without any way out), public_ip (whether
        containers need an address of their own), security_group (no inbound rule).
    """

    def __init__(self, scope: Construct, id: str, *, options: Options) -> None:
        super().__init__(scope, id, description="wordfreq: network")
        self.public_ip = options.network == "public"
        if options.vpc:
            self._given(options)
        else:
            self._made(options)
        self.security_group = ec2.SecurityGroup(
            self, "Jobs", vpc=self.vpc, description="Containers: nothing may come in"
        )
        self.export_value(self.security_group.security_group_id)
        if options.vpc:
            return  # endpoints and flow logs are its owner's
        if options.network == "isolated":
            self._endpoints(options)
        self.vpc.add_flow_log(
            "FlowLog",
            destination=ec2.FlowLogDestination.to_cloud_watch_logs(
                logs.LogGroup(
                    self,
                    "FlowLogGroup",
                    log_group_name=f"/{options.name}/network",
                    retention=logs.RetentionDays.ONE_WEEK,
                    removal_policy=cdk.RemovalPolicy.DESTROY,
                )
            ),
            traffic_type=ec2.FlowLogTrafficType.REJECT,
        )

    def _given(self, options: Options) -> None:
        names = options.subnets.split(",")
        self.vpc: ec2.IVpc = ec2.Vpc.from_vpc_attributes(
            self,
            "GivenVpc",
            vpc_id=options.vpc,
            # CDK wants as many names as subnets and uses them for nothing here.
            availability_zones=[f"given-{number}" for number in range(len(names))],
        )
        subnets = [
            ec2.Subnet.from_subnet_attributes(
                self, f"Given{n}", subnet_id=name, availability_zone=f"given-{n}"
            )
            for n, name in enumerate(names)
        ]
        self.subnets = self.data_subnets = ec2.SubnetSelection(subnets=subnets)

    def _made(self, options: Options) -> None:
        kinds = [_subnets("data", ec2.SubnetType.PRIVATE_ISOLATED)]
        if options.network != "isolated":
            # Both in both modes, so that `public` can become `nat` and back.
            kinds.append(_subnets("public", ec2.SubnetType.PUBLIC))
            kinds.append(_subnets("jobs", ec2.SubnetType.PRIVATE_WITH_EGRESS))
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            vpc_name=options.name,
            ip_addresses=ec2.IpAddresses.cidr(options.cidr),
            # By number: without an account CDK would take two, however many are wanted.
            availability_zones=[
                cdk.Fn.select(number, cdk.Fn.get_azs()) for number in range(options.zones)
            ],
            nat_gateways=1 if options.network == "nat" else 0,
            subnet_configuration=kinds,
            restrict_default_security_group=False,  # a Lambda function would do that
            gateway_endpoints={
                name: ec2.GatewayVpcEndpointOptions(service=service)
                for name, service in GATEWAYS.items()
            },
        )
        for kind in kinds:
            for subnet in self.vpc.select_subnets(subnet_group_name=kind.name).subnets:
                # Whether in use or not: an export that another stack had can't vanish.
                self.export_value(subnet.subnet_id)
        where = {"public": "public", "nat": "jobs", "isolated": "data"}[options.network]
        self.subnets = ec2.SubnetSelection(subnet_group_name=where)
        self.data_subnets = ec2.SubnetSelection(subnet_group_name="data")

    def _endpoints(self, options: Options) -> None:
        names = [*JOB_ENDPOINTS]
        if options.compute == "ec2":
            names += HOST_ENDPOINTS
        if options.dagster:
            names += DAGSTER_ENDPOINTS
        group = ec2.SecurityGroup(
            self,
            "Endpoints",
            vpc=self.vpc,
            description="AWS services, from inside only",
            allow_all_outbound=False,
        )
        # The literal range: cdk-nag and emulators can't read the VPC's attribute.
        group.add_ingress_rule(ec2.Peer.ipv4(options.cidr), ec2.Port.tcp(443), "from this VPC")
        for name in dict.fromkeys(names):
            endpoint = self.vpc.add_interface_endpoint(
                "".join(part.title() for part in name.replace(".", "-").split("-")),
                service=ec2.InterfaceVpcEndpointAwsService(name),
                subnets=self.subnets,
                security_groups=[group],
                open=False,
            )
            if name not in WITHOUT_POLICY:
                endpoint.add_to_policy(self._ours())
        for name in GATEWAYS:
            gateway = self.vpc.node.find_child(name)
            assert isinstance(gateway, ec2.GatewayVpcEndpoint)
            gateway.add_to_policy(self._ours())
            if name == "S3":
                # Layers of images are read from a bucket of AWS, by addresses that ECR signs.
                layers = f"prod-{self.region}-starport-layer-bucket/*"
                gateway.add_to_policy(
                    iam.PolicyStatement(
                        actions=["s3:GetObject"],
                        principals=[iam.AnyPrincipal()],
                        resources=[
                            self.format_arn(service="s3", region="", account="", resource=layers)
                        ],
                    )
                )

    def _ours(self) -> iam.PolicyStatement:
        """What endpoints let through: calls with credentials of this account, no one else's."""
        return iam.PolicyStatement(
            actions=["*"],
            principals=[iam.AnyPrincipal()],
            resources=["*"],
            conditions={"StringEquals": {"aws:PrincipalAccount": self.account}},
        )


def _subnets(name: str, kind: ec2.SubnetType) -> ec2.SubnetConfiguration:
    return ec2.SubnetConfiguration(name=name, subnet_type=kind, cidr_mask=22)
