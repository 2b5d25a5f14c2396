"""What a deployment consists of: the promises of docs/aws.md, read from the templates."""

import json
import re
from pathlib import Path

from conftest import ROOT
from wordfreq_infra.jobs import STAGES
from wordfreq_infra.options import LOGIN, Options


def test_every_bucket_is_private_encrypted_versioned_and_wants_tls(deployment):
    buckets = deployment.resources("AWS::S3::Bucket")
    policies = json.dumps(deployment.properties("AWS::S3::BucketPolicy"))
    assert len(buckets) == (5 if deployment.options.keep_data else 4)
    for _, logical, bucket in buckets:
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
        assert bucket["VersioningConfiguration"]["Status"] == "Enabled"
        assert "BucketEncryption" in bucket
        assert bucket["LifecycleConfiguration"]["Rules"]
        assert logical in policies
    assert policies.count("aws:SecureTransport") == len(buckets)


def test_data_survives_the_deployment_unless_told_otherwise(full, other):
    def policies(deployment):
        found = deployment.templates["storage"]["Resources"].values()
        kinds = ("AWS::S3::Bucket", "AWS::DynamoDB::Table")
        return {one["DeletionPolicy"] for one in found if one["Type"] in kinds}

    assert (policies(full), policies(other)) == ({"RetainExceptOnCreate"}, {"Delete"})


def test_spot_comes_first_and_on_demand_takes_the_rest(full, other):
    for deployment, kinds in ((full, ["SPOT", "EC2"]), (other, ["FARGATE_SPOT", "FARGATE"])):
        resources = deployment.templates["compute"]["Resources"]
        (queue,) = deployment.properties("AWS::Batch::JobQueue")
        ordered = sorted(queue["ComputeEnvironmentOrder"], key=lambda one: one["Order"])
        environments = [one["ComputeEnvironment"]["Fn::GetAtt"][0] for one in ordered]
        found = [resources[one]["Properties"]["ComputeResources"] for one in environments]
        assert [one["Type"] for one in found] == kinds
        assert all(one["MaxvCpus"] == 64 for one in found)
    spot, demand = (one["ComputeResources"] for one in sorted(
        full.properties("AWS::Batch::ComputeEnvironment"),
        key=lambda one: one["ComputeResources"]["Type"], reverse=True))  # fmt: skip
    assert spot["AllocationStrategy"] == "SPOT_PRICE_CAPACITY_OPTIMIZED"
    assert demand["AllocationStrategy"] == "BEST_FIT_PROGRESSIVE"
    assert spot["InstanceTypes"] == ["default_x86_64"]  # AWS's choice of what the Region has
    for one in (spot, demand):
        assert one["MinvCpus"] == 0
        assert "Fn::GetAtt" in one["LaunchTemplate"]["Version"]
        assert one["UpdateToLatestImageVersion"] is True


def test_hosts_fargate_and_images_are_of_one_architecture(full, other, graviton):
    """Of another one a container ends with `exec format error`, or never gets a host."""
    for deployment, hosts, image, tasks in (
        (full, "default_x86_64", "linux/amd64", "X86_64"),
        (other, None, None, "ARM64"),  # Fargate, with given images
        (graviton, "default_arm64", "linux/arm64", "ARM64"),
    ):
        environments = deployment.properties("AWS::Batch::ComputeEnvironment")
        found = [one["ComputeResources"].get("InstanceTypes") for one in environments]
        assert found == [hosts and [hosts]] * 2
        manifests = map(json.loads, map(Path.read_text, deployment.folder.glob("*.assets.json")))
        built = [one for found in manifests for one in found.get("dockerImages", {}).values()]
        assert [one["source"].get("platform") for one in built] == ([image] * 2 if image else [])
        platforms = [
            one["RuntimePlatform"]["CpuArchitecture"]
            for one in deployment.properties("AWS::ECS::TaskDefinition")
        ]
        if deployment.options.compute == "fargate":
            platforms += [
                one["ContainerProperties"]["RuntimePlatform"]["CpuArchitecture"]
                for one in deployment.properties("AWS::Batch::JobDefinition")
            ]
        assert set(platforms) == {tasks}


def test_the_image_of_dagster_is_made_of_what_is_copied_into_it_and_nothing_else(graviton):
    """Of infra/outputs.json, say, each deploy makes another: all services would start anew."""
    (context,) = [p.parents[2] for p in graviton.folder.glob("asset.*/infra/dagster/Dockerfile")]
    lines = (context / "infra/dagster/Dockerfile").read_text().splitlines()
    copies = [line.split()[1:-1] for line in lines if re.match("COPY (?!--)", line)]
    copied = {pattern for words in copies for pattern in words}
    assert [pattern for pattern in copied if not list(context.glob(pattern))] == []
    files = [path.relative_to(context) for path in context.rglob("*") if path.is_file()]
    begins = (".dockerignore", "infra/dagster/", *copied)
    assert [str(path) for path in files if not str(path).startswith(begins)] == []
    needless = re.compile(r"compose\.env|\.\w+_cache|packages/[^/]+/(docs|tests)/")
    assert [str(path) for path in files if needless.search(str(path))] == []


def test_a_job_that_can_never_start_is_ended_after_20_minutes(deployment):
    (queue,) = deployment.properties("AWS::Batch::JobQueue")
    rules = queue["JobStateTimeLimitActions"]
    assert {one["MaxTimeSeconds"] for one in rules} == {1200}
    assert len(rules) == 2


def test_hosts_are_encrypted_and_hide_their_role_from_containers(full):
    (template,) = full.properties("AWS::EC2::LaunchTemplate")
    data = template["LaunchTemplateData"]
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    assert data["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    assert data["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] is True


def test_every_job_ends_in_time_and_its_retries_end_in_exit(deployment):
    definitions = deployment.properties("AWS::Batch::JobDefinition")
    assert len(definitions) == 4
    for one in definitions:
        assert 3600 <= one["Timeout"]["AttemptDurationSeconds"] <= 4 * 3600
        rules = one["RetryStrategy"]["EvaluateOnExit"]
        assert rules[-1] == {"Action": "EXIT", "OnReason": "*"}
        assert all(rule["Action"] == "RETRY" for rule in rules[:-1])
        assert one["PropagateTags"] is True


def test_containers_can_write_to_tmp_and_nowhere_else(deployment):
    for one in deployment.properties("AWS::Batch::JobDefinition"):
        container = one["ContainerProperties"]
        assert container["ReadonlyRootFilesystem"] is True
        assert not container.get("Privileged")
        assert [mount["ContainerPath"] for mount in container["MountPoints"]] == ["/tmp"]
        assert container["LinuxParameters"]["InitProcessEnabled"] is True


def test_every_container_knows_its_region_by_the_name_that_boto3_reads(deployment):
    jobs = deployment.properties("AWS::Batch::JobDefinition")
    tasks = deployment.properties("AWS::ECS::TaskDefinition")
    containers = [one["ContainerProperties"] for one in jobs]
    containers += [one["ContainerDefinitions"][0] for one in tasks]
    assert len(containers) == 8
    for container in containers:
        set_there = {one["Name"]: one["Value"] for one in container["Environment"]}
        assert set_there["AWS_DEFAULT_REGION"] == set_there["AWS_REGION"] == {"Ref": "AWS::Region"}


def test_every_log_ends_some_day(deployment):
    groups = {
        group["LogGroupName"].rpartition("/")[2]: group["RetentionInDays"]
        for group in deployment.properties("AWS::Logs::LogGroup")
    }
    days = deployment.options.log_days
    assert groups == {"batch": days, "batch-events": days, "dagster": days, "network": 7}


def test_the_ui_listens_only_to_those_who_logged_in(graviton, other):
    (listener,) = graviton.properties("AWS::ElasticLoadBalancingV2::Listener")
    assert (listener["Port"], listener["Protocol"]) == (443, "HTTPS")
    assert listener["SslPolicy"].startswith("ELBSecurityPolicy-TLS13-1-2-Res")
    login, forward = sorted(listener["DefaultActions"], key=lambda one: one["Order"])
    assert (login["Type"], forward["Type"]) == ("authenticate-oidc", "forward")
    given = login["AuthenticateOidcConfig"]
    assert given.pop("OnUnauthenticatedRequest") == "authenticate"
    assert given.pop("SessionTimeout") == str(12 * 3600)
    assert set(given.values()) == {
        f"{{{{resolve:secretsmanager:wordfreq/login:SecretString:{key}::}}}}" for key in LOGIN
    }
    assert not graviton.properties("AWS::ElasticLoadBalancingV2::ListenerRule")
    (balancer,) = graviton.properties("AWS::ElasticLoadBalancingV2::LoadBalancer")
    attributes = {one["Key"]: one["Value"] for one in balancer["LoadBalancerAttributes"]}
    assert attributes["routing.http.drop_invalid_header_fields.enabled"] == "true"
    assert attributes["deletion_protection.enabled"] == "false"
    assert attributes["access_logs.s3.enabled"] == "true"
    assert balancer["Scheme"] == "internet-facing"
    assert "publicSubnet" in json.dumps(balancer["Subnets"])
    assert len(balancer["Subnets"]) == 2
    assert "UiLoadBalancer" in graviton.templates["dagster"]["Outputs"]


def test_only_the_load_balancer_reaches_the_webserver(graviton, full):
    groups = {
        logical.rstrip("0123456789ABCDEF"): (logical, one)
        for _, logical, one in graviton.resources("AWS::EC2::SecurityGroup", "dagster")
    }
    (outside, rules), (inside, _) = groups["UiOutside"], groups["UiInside"]
    allowed = {(one["CidrIp"], one["ToPort"]) for one in rules["SecurityGroupIngress"]}
    assert allowed == {("203.0.113.0/24", 443), ("198.51.100.7/32", 443)}
    into = [
        (one["GroupId"]["Fn::GetAtt"][0], one["SourceSecurityGroupId"]["Fn::GetAtt"][0])
        for one in graviton.properties("AWS::EC2::SecurityGroupIngress", "dagster")
        if one["FromPort"] <= 3000 <= one["ToPort"]
    ]
    assert into == [(inside, outside)]
    for one in graviton.properties("AWS::ECS::Service"):
        webserver = one["ServiceName"] == "wordfreq-webserver"
        assert (inside in json.dumps(one["NetworkConfiguration"])) == webserver
        targets = [(t["ContainerName"], t["ContainerPort"]) for t in one.get("LoadBalancers", ())]
        assert targets == ([("webserver", 3000)] if webserver else [])
    for one in full.properties("AWS::EC2::SecurityGroupIngress", "dagster"):
        # Without it only the tunnel, which ends in the container itself.
        assert not one["FromPort"] <= 3000 <= one["ToPort"]


def test_nothing_listens_to_the_world(deployment):
    assert "AWS::ElasticLoadBalancing" not in json.dumps(deployment.templates)
    for group in deployment.properties("AWS::EC2::SecurityGroup"):
        for rule in group.get("SecurityGroupIngress", ()):
            assert rule.get("CidrIp", "").startswith("10.42.")
    for rule in deployment.properties("AWS::EC2::SecurityGroupIngress"):
        assert "CidrIp" not in rule
    (database,) = deployment.properties("AWS::RDS::DBInstance")
    assert database["PubliclyAccessible"] is False
    assert database["StorageEncrypted"] is True


def test_there_are_no_functions_that_nobody_wrote(deployment):
    kinds = {one["Type"] for t in deployment.templates.values() for one in t["Resources"].values()}
    assert not [kind for kind in kinds if kind.startswith(("AWS::Lambda", "Custom::"))]


def test_an_isolated_network_has_what_the_containers_call_and_no_way_out(full, other):
    assert not other.properties("AWS::EC2::InternetGateway")
    assert not other.properties("AWS::EC2::NatGateway")
    services = json.dumps([one["ServiceName"] for one in other.properties("AWS::EC2::VPCEndpoint")])
    for service in ("ecr.api", "ecr.dkr", "logs", "s3", "dynamodb", "batch", "sqs", "ssmmessages"):
        assert f".{service}" in services, service
    assert not full.properties("AWS::EC2::NatGateway")


def test_failures_and_blocked_queues_are_reported(deployment):
    rules = {
        one["EventPattern"]["detail-type"][0]
        for one in deployment.properties("AWS::Events::Rule", "observability")
        if "Alerts" in json.dumps(one["Targets"])
    }
    assert rules == {"Batch Job State Change", "Batch Job Queue Blocked"}
    watched = {
        (one["MetricName"], json.dumps(one["Dimensions"][0]["Value"]))
        for one in deployment.properties("AWS::CloudWatch::Alarm")
    }
    metrics = [name for name, _ in watched]
    # Unread events and dead letters, of texts and of CSVs.
    for name in ("ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible"):
        assert metrics.count(name) == 2


def test_a_full_database_and_a_service_that_does_not_run_are_reported(deployment):
    alarms = {
        (one["MetricName"], json.dumps(one["Dimensions"])): one
        for one in deployment.properties("AWS::CloudWatch::Alarm", "dagster")
    }
    kinds = sorted(name for name, _ in alarms)
    assert kinds == ["CPUUtilization", "FreeStorageSpace", *["RunningTaskCount"] * 3]
    for (kind, dimensions), one in alarms.items():
        assert "Alerts" in json.dumps(one["AlarmActions"])
        if kind == "RunningTaskCount":  # Container Insights sends it, under the services' names
            names = [found["ServiceName"] for found in deployment.properties("AWS::ECS::Service")]
            assert sum(f'"{name}"' in dimensions for name in names) == 1
            assert (one["Threshold"], one["TreatMissingData"]) == (1, "breaching")
    (cluster,) = deployment.properties("AWS::ECS::Cluster")
    assert cluster["ClusterSettings"] == [{"Name": "containerInsights", "Value": "enabled"}]


def test_uploads_and_texts_are_told_to_the_queue_of_their_own_sensor(full, other):
    def rules(deployment):
        return {
            logical.rstrip("0123456789ABCDEF"): (
                json.dumps(rule["EventPattern"]["detail"]["bucket"]),
                json.dumps(rule["Targets"]),
            )
            for _, logical, rule in deployment.resources("AWS::Events::Rule", "storage")
        }

    assert set(rules(full)) == {"SourceChanged", "UploadsChanged"}
    assert set(rules(other)) == {"UploadsChanged"}  # whose the source is, sends its events
    bucket, target = rules(full)["UploadsChanged"]
    assert "Uploads" in bucket
    assert "CsvEvents" in target
    for deployment in (full, other):
        queues = deployment.properties("AWS::SQS::Queue")
        assert len(queues) == 4
        assert sum("RedrivePolicy" in one for one in queues) == 2
        assert all(one["SqsManagedSseEnabled"] for one in queues)


def test_a_budget_warns_before_it_is_spent(full, other):
    (budget,) = full.properties("AWS::Budgets::Budget")
    assert budget["Budget"]["BudgetLimit"]["Amount"] == 50
    kinds = [
        one["Notification"]["NotificationType"] for one in budget["NotificationsWithSubscribers"]
    ]
    assert kinds == ["FORECASTED", "ACTUAL"]
    assert other.properties("AWS::Budgets::Budget") == []


def test_a_read_only_ui_only_shows(full, other):
    for deployment, ending in ((full, "workspace.yaml"), (other, "--read-only")):
        (command,) = [
            one["ContainerDefinitions"][0]["Command"]
            for one in deployment.properties("AWS::ECS::TaskDefinition")
            if one["ContainerDefinitions"][0]["Name"] == "webserver"
        ]
        assert command[-1].endswith(ending)


def test_there_is_one_daemon_never_two(full):
    services = {one["ServiceName"]: one for one in full.properties("AWS::ECS::Service")}
    assert set(services) == {"wordfreq-code", "wordfreq-webserver", "wordfreq-daemon"}
    assert services["wordfreq-daemon"]["DeploymentConfiguration"]["MaximumPercent"] == 100


def test_a_service_that_hangs_does_not_count_as_running(deployment):
    for task in deployment.properties("AWS::ECS::TaskDefinition"):
        (container,) = task["ContainerDefinitions"]
        assert ("HealthCheck" in container) == (container["Name"] != "run")


def test_a_run_has_time_to_end_its_jobs_the_most_that_fargate_gives(deployment):
    for task in deployment.properties("AWS::ECS::TaskDefinition"):
        assert task["ContainerDefinitions"][0]["StopTimeout"] == 120


def test_the_outputs_name_what_others_build_on(full, other):
    for deployment in (full, other):
        for stack, kind, outputs in (
            ("compute", "AWS::Batch::JobQueue", {"QueueArn"}),
            (
                "compute",
                "AWS::Batch::ComputeEnvironment",
                {"SpotEnvironmentArn", "OnDemandEnvironmentArn"},
            ),
            (
                "jobs",
                "AWS::IAM::Role",
                {f"{who}RoleArn" for who in ("Plan", "Migrate", "Merge", "Ingest", "Execution")},
            ),
        ):
            exported = deployment.templates[stack]["Outputs"]
            named = {exported[each]["Value"]["Fn::GetAtt"][0] for each in outputs}
            made = {logical for _, logical, _ in deployment.resources(kind, stack)}
            assert named <= made and len(named) == len(outputs)


def test_whatever_costs_carries_the_tag_of_the_budget(deployment):
    for service in deployment.properties("AWS::ECS::Service"):
        assert service["PropagateTags"] == "SERVICE"
    for kind in ("AWS::ECS::TaskDefinition", "AWS::RDS::DBInstance", "AWS::S3::Bucket"):
        for found in deployment.properties(kind):
            tags = {one["Key"]: one["Value"] for one in found["Tags"]}
            assert tags["project"] == deployment.options.name
    for found in deployment.properties("AWS::Batch::JobDefinition"):
        assert found["Tags"]["project"] == deployment.options.name
    script = (ROOT / "infra" / "dagster" / "entrypoint.sh").read_text()
    assert "propagateTags: TASK_DEFINITION" in script  # of the tasks of runs


def test_aws_may_raise_the_minor_version_of_the_database(full):
    (database,) = full.properties("AWS::RDS::DBInstance")
    assert database["AutoMinorVersionUpgrade"] is True
    assert "." not in database["EngineVersion"]


def test_the_database_password_is_in_no_template(deployment):
    for task in deployment.properties("AWS::ECS::TaskDefinition"):
        (container,) = task["ContainerDefinitions"]
        plain = {one["Name"] for one in container["Environment"]}
        assert "DAGSTER_PG_PASSWORD" not in plain
        assert {one["Name"] for one in container["Secrets"]} == {
            "DAGSTER_PG_USERNAME",
            "DAGSTER_PG_PASSWORD",
        }


def test_every_stage_fits_into_the_least_that_can_be_chosen():
    assert max(stage.vcpus for stage in STAGES) == Options(max_vcpus=2).max_vcpus
