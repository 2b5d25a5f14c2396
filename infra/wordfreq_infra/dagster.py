"""Stack `dagster` (optional): Dagster itself on ECS Fargate, with Postgres.

Webserver, daemon and code server are one service each; each run is an ECS task of its own. Dagster
has no login: people come in through a Session Manager tunnel, which IAM guards, or through a load
balancer that asks for one (`ui`; docs/aws.md).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_rds as rds
from aws_cdk import aws_servicediscovery as servicediscovery
from aws_cdk import aws_sns as sns
from constructs import Construct

from wordfreq_infra.environment import variable_name
from wordfreq_infra.images import cpu_architecture, image
from wordfreq_infra.network import NetworkStack
from wordfreq_infra.observability import alarm
from wordfreq_infra.options import Options
from wordfreq_infra.storage import bucket, log_group
from wordfreq_infra.ui import WEB_HEALTH, WEB_PORT, LoadBalancer

BUILD = {"directory": ".", "file": "infra/dagster/Dockerfile"}
CODE_PORT, DATABASE_PORT = 4000, 5432
#: Service -> (CPU units, MiB, command).
SERVICES: Mapping[str, tuple[int, int, Sequence[str]]] = {
    "code": (
        512,
        1024,
        ("dagster", "code-server", "start", "-h", "0.0.0.0", "-p", str(CODE_PORT),  # noqa: S104
         "-m", "wordfreq_dagster.definitions", "--location-name", "wordfreq"),
    ),
    "webserver": (
        512,
        1024,
        ("dagster-webserver", "-h", "0.0.0.0", "-p", str(WEB_PORT),  # noqa: S104
         "-w", "/opt/dagster/instances/workspace.yaml"),
    ),
    "daemon": (512, 1024, ("dagster-daemon", "run", "-w", "/opt/dagster/instances/workspace.yaml")),
}  # fmt: skip

#: Service -> what tells that it works, as in docker-compose.yaml.
HEALTH: Mapping[str, Sequence[str]] = {
    "code": (
        "python", "-c",
        f"import socket; socket.create_connection(('127.0.0.1', {CODE_PORT}), 5).close()",
    ),
    "webserver": (
        "python", "-c",
        "import urllib.request as r;"
        f" r.urlopen('http://127.0.0.1:{WEB_PORT}{WEB_HEALTH}', timeout=5)",
    ),
    "daemon": ("dagster-daemon", "liveness-check"),
}  # fmt: skip


class DagsterStack(cdk.Stack):
    """Database, services, the task of a run, and their roles."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        options: Options,
        network: NetworkStack,
        values: Mapping[str, str],
        statements: list[iam.PolicyStatement],
        topic: sns.ITopic,
        key: kms.IKey | None,
    ) -> None:
        super().__init__(scope, id, description="wordfreq: Dagster on Fargate")
        self._options, self._network, self._statements = options, network, statements
        self._topic, self._key = topic, key
        self._group = ec2.SecurityGroup(
            self, "Services", vpc=network.vpc, description="Dagster: each other, nobody else"
        )
        # Not the UI's port: the tunnel ends in the webserver's own container.
        self._group.add_ingress_rule(self._group, ec2.Port.tcp(CODE_PORT), "from each other")
        self._database = self._make_database()
        self._logs = log_group(self, "Logs", "dagster", options)
        self._compute_logs = bucket(
            self, "ComputeLogs", options=options, key=key, keep_days=90, noncurrent_days=7
        )
        self._cluster = ecs.Cluster(
            self,
            "Cluster",
            cluster_name=f"{options.name}-dagster",
            vpc=network.vpc,
            container_insights_v2=ecs.ContainerInsights.ENABLED,
            default_cloud_map_namespace=ecs.CloudMapNamespaceOptions(
                name=f"{options.name}.internal", type=servicediscovery.NamespaceType.DNS_PRIVATE
            ),
        )
        self._image = image(self, options.dagster_image, options=options, build=BUILD)
        self._environment = {variable_name(name): value for name, value in values.items()}
        run = self._task("run", cpu=512, memory=1024, command=("dagster", "--version"))
        self._environment |= self._instance_environment(run)
        tasks = {
            name: self._task(name, cpu=c, memory=m, command=[*a, *self._further(name)])
            for name, (c, m, a) in SERVICES.items()
        }
        self._permit(run, tasks)
        ui = (
            LoadBalancer(self, options=options, network=network) if options.ui_certificate else None
        )
        for name, task in tasks.items():
            self._service(name, task, ui if name == "webserver" else None)
        self._alarms()
        self._tunnel()
        cdk.CfnOutput(self, "DagsterCluster", value=self._cluster.cluster_name)
        cdk.CfnOutput(self, "DagsterWebserverService", value=f"{options.name}-webserver")

    def _further(self, service: str) -> list[str]:
        read_only = service == "webserver" and self._options.dagster_read_only
        return ["--read-only"] if read_only else []

    def _tunnel(self) -> None:
        """The right to the UI, without a shell beside the database's password.

        So no `ecs:ExecuteCommand`, and of Session Manager's documents only that of port forwarding.
        """
        task = self.format_arn(
            service="ecs", resource="task", resource_name=f"{self._cluster.cluster_name}/*"
        )
        document = self.format_arn(
            service="ssm",
            account="",
            resource="document",
            resource_name="AWS-StartPortForwardingSession",
        )
        find = iam.PolicyStatement(
            sid="FindTask",
            actions=["ecs:ListTasks"],
            resources=["*"],
            conditions={"ArnEquals": {"ecs:cluster": self._cluster.cluster_arn}},
        )
        start = iam.PolicyStatement(
            sid="Tunnel",
            actions=["ssm:StartSession"],
            resources=[task, document],
            # Else a session without a document, a shell, would be allowed too.
            conditions={"BoolIfExists": {"ssm:SessionDocumentAccessCheck": "true"}},
        )
        policy = iam.ManagedPolicy(
            self,
            "Tunnel",
            managed_policy_name=f"{self._options.name}-tunnel",
            description="Reach the UI of Dagster by a tunnel, without a shell",
            statements=[find, _allow("LookAtTask", ["ecs:DescribeTasks"], [task]), start],
        )
        cdk.CfnOutput(self, "TunnelPolicyArn", value=policy.managed_policy_arn)

    def _make_database(self) -> rds.DatabaseInstance:
        group = ec2.SecurityGroup(
            self,
            "DatabaseGroup",
            vpc=self._network.vpc,
            description="Postgres: Dagster only",
            allow_all_outbound=False,
        )
        group.add_ingress_rule(self._group, ec2.Port.tcp(DATABASE_PORT), "Dagster")
        engine = rds.DatabaseInstanceEngine.postgres(
            version=rds.PostgresEngineVersion.of("17", "17")  # AWS chooses and raises the minor one
        )
        made = rds.DatabaseInstance(
            self,
            "Database",
            engine=engine,
            instance_type=ec2.InstanceType("t4g.micro"),
            vpc=self._network.vpc,
            vpc_subnets=self._network.data_subnets,
            security_groups=[group],
            database_name="dagster",
            credentials=rds.Credentials.from_generated_secret("dagster", encryption_key=self._key),
            allocated_storage=20,
            max_allocated_storage=100,
            storage_type=rds.StorageType.GP3,
            storage_encrypted=True,
            storage_encryption_key=self._key,
            backup_retention=cdk.Duration.days(7),
            publicly_accessible=False,
            auto_minor_version_upgrade=True,
            copy_tags_to_snapshot=True,
            # Protected, it would stop `destroy`; what a deletion leaves instead is a snapshot.
            deletion_protection=False,
            removal_policy=cdk.RemovalPolicy.SNAPSHOT
            if self._options.keep_data
            else cdk.RemovalPolicy.DESTROY,
            parameters={"rds.force_ssl": "1"},
        )
        resource = made.node.default_child
        assert isinstance(resource, rds.CfnDBInstance)
        # cfn-lint takes a version without its minor part for an old one.
        resource.add_metadata("cfn-lint", {"config": {"ignore_checks": ["W3691"]}})
        return made

    def _instance_environment(self, run: ecs.FargateTaskDefinition) -> dict[str, str]:
        """What infra/dagster/deployment.yaml reads."""
        subnets = self._network.vpc.select_subnets(
            subnets=self._network.subnets.subnets,
            subnet_group_name=self._network.subnets.subnet_group_name,
        ).subnet_ids
        return {
            "DAGSTER_RUN_TASK_DEFINITION": run.family,
            "DAGSTER_ECS_CLUSTER": self._cluster.cluster_name,
            "DAGSTER_RUN_SUBNETS": cdk.Fn.join(", ", subnets),
            "DAGSTER_RUN_SECURITY_GROUP": self._group.security_group_id,
            "DAGSTER_RUN_PUBLIC_IP": "ENABLED" if self._network.public_ip else "DISABLED",
        }

    def _task(
        self, name: str, *, cpu: int, memory: int, command: Sequence[str]
    ) -> ecs.FargateTaskDefinition:
        task = ecs.FargateTaskDefinition(
            self,
            f"{name.title()}Task",
            family=f"{self._options.name}-dagster-{name}",
            cpu=cpu,
            memory_limit_mib=memory,
            runtime_platform=ecs.RuntimePlatform(
                cpu_architecture=cpu_architecture(self._options),
                operating_system_family=ecs.OperatingSystemFamily.LINUX,
            ),
        )
        secret = self._database.secret
        assert secret is not None
        task.add_container(
            name,
            image=self._image,
            command=list(command),
            logging=ecs.LogDriver.aws_logs(log_group=self._logs, stream_prefix=name),
            environment={
                **self._environment,
                "DAGSTER_PG_HOST": self._database.db_instance_endpoint_address,
                "DAGSTER_PG_DB": "dagster",
                "DAGSTER_COMPUTE_LOG_BUCKET": self._compute_logs.bucket_name,
                "DAGSTER_CODE_HOST": f"code.{self._options.name}.internal",
                "AWS_REGION": self.region,
                "AWS_DEFAULT_REGION": self.region,  # the one that boto3 reads
            },
            secrets={
                "DAGSTER_PG_USERNAME": ecs.Secret.from_secrets_manager(secret, "username"),
                "DAGSTER_PG_PASSWORD": ecs.Secret.from_secrets_manager(secret, "password"),
            },
            health_check=_health(name),
            stop_timeout=cdk.Duration.seconds(120),  # a run that is ended ends its jobs first
            linux_parameters=ecs.LinuxParameters(
                self, f"{name.title()}Linux", init_process_enabled=True
            ),
            port_mappings=[ecs.PortMapping(container_port=port)]
            if (port := {"code": CODE_PORT, "webserver": WEB_PORT}.get(name))
            else None,
        )
        return task

    def _permit(
        self, run: ecs.FargateTaskDefinition, tasks: Mapping[str, ecs.FargateTaskDefinition]
    ) -> None:
        for role in (run.task_role, tasks["code"].task_role):
            for statement in self._statements:
                role.add_to_principal_policy(statement)
            self._topic.grant_publish(role)
        logs_of_steps = self._compute_logs.arn_for_objects("compute-logs/*")
        for task in (run, *tasks.values()):
            task.task_role.add_to_principal_policy(
                _allow("ComputeLogs", ["s3:GetObject", "s3:PutObject"], [logs_of_steps])
            )
            if self._key:
                self._key.grant_encrypt_decrypt(task.task_role)
            task.task_role.add_to_principal_policy(
                _allow("ComputeLogsList", ["s3:ListBucket"], [self._compute_logs.bucket_arn])
            )
        arn = self.format_arn(
            service="ecs", resource="task-definition", resource_name=f"{run.family}:*"
        )
        running = self.format_arn(
            service="ecs", resource="task", resource_name=f"{self._cluster.cluster_name}/*"
        )
        execution = run.obtain_execution_role()
        for name in ("daemon", "webserver"):
            for statement in (
                _allow("LookAtRuns", ["ecs:DescribeTasks", "ecs:StopTask"], [running]),
                _allow("DescribeRunTask", ["ecs:DescribeTaskDefinition"], ["*"]),
            ):
                tasks[name].task_role.add_to_principal_policy(statement)
        for statement in (
            _allow("StartRuns", ["ecs:RunTask"], [arn]),
            _allow("TagRuns", ["ecs:TagResource"], [running]),
            iam.PolicyStatement(
                sid="PassRunRoles",
                actions=["iam:PassRole"],
                resources=[run.task_role.role_arn, execution.role_arn],
                conditions={"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
            ),
            _allow(
                "ReadRunLogs", ["logs:GetLogEvents"], [f"{self._logs.log_group_arn}:log-stream:*"]
            ),
        ):
            tasks["daemon"].task_role.add_to_principal_policy(statement)

    def _alarms(self) -> None:
        """A database that fills up, and services that don't run: nobody else would say so."""
        add = functools.partial(alarm, self, options=self._options, topic=self._topic)
        minutes, database = cdk.Duration.minutes(5), self._database
        add(
            "DatabaseStorage",
            database.metric_free_storage_space(period=minutes, statistic="Minimum"), 2 * 1024**3,
            "the database has less than 2 GiB left: it doesn't grow beyond 100 GB; lower "
            "WORDFREQ_EVENT_DAYS",
            below=True, periods=2,
        )  # fmt: skip
        add(
            "DatabaseBusy", database.metric_cpu_utilization(period=minutes), 90,
            "the database's processor is busy for half an hour: take a larger instance",
            periods=6,
        )  # fmt: skip
        for name in SERVICES:
            running = cloudwatch.Metric(
                namespace="ECS/ContainerInsights",
                metric_name="RunningTaskCount",
                dimensions_map={
                    "ClusterName": self._cluster.cluster_name,
                    "ServiceName": f"{self._options.name}-{name}",
                },
                statistic="Minimum",
                period=minutes,
            )
            about = f"Dagster's {name} doesn't run: docs/runbook.md, 8 and 9"
            # A service that was never there sends no data: that is a breach too.
            add(
                f"{name.title()}Down", running, 1, about,
                below=True, periods=3, silence=True,
            )  # fmt: skip

    def _service(self, name: str, task: ecs.FargateTaskDefinition, ui: LoadBalancer | None) -> None:
        alone = name == "daemon"  # two daemons would start everything twice
        service = ecs.FargateService(
            self,
            f"{name.title()}Service",
            service_name=f"{self._options.name}-{name}",
            cluster=self._cluster,
            task_definition=task,
            desired_count=1,
            min_healthy_percent=0 if alone else 100,
            max_healthy_percent=100 if alone else 200,
            assign_public_ip=self._network.public_ip,
            vpc_subnets=self._network.subnets,
            security_groups=[self._group, *([ui.group] if ui else [])],
            health_check_grace_period=cdk.Duration.seconds(180) if ui else None,
            # The tunnel of Session Manager.
            enable_execute_command=name == "webserver",
            # The budget counts by tag: without this a service's tasks carry none.
            propagate_tags=ecs.PropagatedTagSource.SERVICE,
            enable_ecs_managed_tags=True,
            circuit_breaker=ecs.DeploymentCircuitBreaker(rollback=True),
            cloud_map_options=ecs.CloudMapOptions(name=name, dns_ttl=cdk.Duration.seconds(10))
            if not alone
            else None,
        )
        if ui:
            # Not by the CDK's own way: that would let it into the group of all services.
            resource = service.node.default_child
            assert isinstance(resource, ecs.CfnService)
            resource.load_balancers = [
                ecs.CfnService.LoadBalancerProperty(
                    container_name=name,
                    container_port=WEB_PORT,
                    target_group_arn=ui.targets.target_group_arn,
                )
            ]
            service.node.add_dependency(ui.listener)


def _health(name: str) -> ecs.HealthCheck | None:
    """Whether a service answers; without it one that hangs counts as running. Runs have none."""
    probe = HEALTH.get(name)
    if probe is None:
        return None
    return ecs.HealthCheck(
        command=["CMD", *probe],
        interval=cdk.Duration.seconds(60),
        timeout=cdk.Duration.seconds(30),
        retries=3,
        start_period=cdk.Duration.seconds(180),
    )


def _allow(sid: str, actions: list[str], resources: list[str]) -> iam.PolicyStatement:
    return iam.PolicyStatement(sid=sid, actions=actions, resources=resources)
