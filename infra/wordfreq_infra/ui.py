"""The load balancer before Dagster's UI, which asks for a login by OIDC; used by `dagster`."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_iam as iam
from constructs import Construct

from wordfreq_infra.network import NetworkStack
from wordfreq_infra.options import Options
from wordfreq_infra.storage import bucket

WEB_PORT, WEB_HEALTH = 3000, "/server_info"


class LoadBalancer(Construct):
    """HTTPS for those who logged in at the identity provider; nothing else listens.

    Attributes:
        group: a security group for the webserver, which lets the load balancer in.
        targets: where the webserver's tasks register.
        listener: what has to be there before they do.
    """

    def __init__(self, scope: cdk.Stack, *, options: Options, network: NetworkStack) -> None:
        # Given private subnets have no way in from the internet: it is for those inside then.
        public = options.network == "public" or not options.vpc
        # Under another id if it becomes the other kind: one target group is never of two.
        super().__init__(scope, "Ui" if public else "InternalUi")
        outside = ec2.SecurityGroup(
            self,
            "Outside",
            vpc=network.vpc,
            description="UI of Dagster: HTTPS from ui_cidr",
            allow_all_outbound=False,
        )
        for one in options.ui_cidr.split(","):
            outside.add_ingress_rule(ec2.Peer.ipv4(one), ec2.Port.tcp(443), "ui_cidr")
        self.group = ec2.SecurityGroup(
            self,
            "Inside",
            vpc=network.vpc,
            description="UI of Dagster: the load balancer, nobody else",
            allow_all_outbound=False,
        )
        self.group.connections.allow_from(outside, ec2.Port.tcp(WEB_PORT), "the load balancer")
        balancer = elb.ApplicationLoadBalancer(
            self,
            "LoadBalancer",
            vpc=network.vpc,
            internet_facing=public,
            vpc_subnets=network.subnets
            if options.vpc
            else ec2.SubnetSelection(subnet_group_name="public"),
            security_group=outside,
            drop_invalid_header_fields=True,
            deletion_protection=False,  # it would stop `destroy`, and holds nothing
        )
        if options.keep_data:
            self._log(balancer, options)
        self.targets = elb.ApplicationTargetGroup(
            self,
            "Webserver",
            vpc=network.vpc,
            port=WEB_PORT,
            protocol=elb.ApplicationProtocol.HTTP,
            target_type=elb.TargetType.IP,
            deregistration_delay=cdk.Duration.seconds(30),
            health_check=elb.HealthCheck(path=WEB_HEALTH),
        )
        self.listener = balancer.add_listener(
            "Https",
            port=443,
            protocol=elb.ApplicationProtocol.HTTPS,
            certificates=[elb.ListenerCertificate.from_arn(options.ui_certificate)],
            ssl_policy=elb.SslPolicy.TLS13_12_RES_PQ,
            open=False,  # to the world, beside ui_cidr
            default_action=self._login(options.ui_login),
        )
        cdk.CfnOutput(scope, "UiLoadBalancer", value=balancer.load_balancer_dns_name)

    def _login(self, secret: str) -> elb.ListenerAction:
        """Log in, then on to the webserver; CloudFormation reads the secret, no template does."""

        def field(name: str) -> cdk.SecretValue:
            return cdk.SecretValue.secrets_manager(secret, json_field=name)

        return elb.ListenerAction.authenticate_oidc(
            issuer=field("issuer").unsafe_unwrap(),
            authorization_endpoint=field("authorization_endpoint").unsafe_unwrap(),
            token_endpoint=field("token_endpoint").unsafe_unwrap(),
            user_info_endpoint=field("userinfo_endpoint").unsafe_unwrap(),
            client_id=field("client_id").unsafe_unwrap(),
            client_secret=field("client_secret"),
            on_unauthenticated_request=elb.UnauthenticatedAction.AUTHENTICATE,
            session_timeout=cdk.Duration.hours(12),
            next=elb.ListenerAction.forward([self.targets]),
        )

    def _log(self, balancer: elb.ApplicationLoadBalancer, options: Options) -> None:
        """Access logs. By hand: the CDK's own way wants to know the Region beforehand."""
        logs = bucket(self, "AccessLogs", options=options, keep_days=90)
        logs.add_to_resource_policy(
            iam.PolicyStatement(
                actions=["s3:PutObject"],
                principals=[iam.ServicePrincipal("logdelivery.elasticloadbalancing.amazonaws.com")],
                resources=[logs.arn_for_objects(f"AWSLogs/{cdk.Aws.ACCOUNT_ID}/*")],
            )
        )
        assert logs.policy is not None
        balancer.node.add_dependency(logs.policy)
        balancer.set_attribute("access_logs.s3.enabled", "true")
        balancer.set_attribute("access_logs.s3.bucket", logs.bucket_name)
