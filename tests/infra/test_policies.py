"""Who may do what: every statement of every policy, and two linters over all templates."""

import fnmatch
import json
import re
import subprocess

import aws_cdk as cdk
import botocore.session
import policies
import pytest
from conftest import ROOT
from wordfreq_infra import nag
from wordfreq_infra.app import build
from wordfreq_infra.options import Options
from wordfreq_infra.permissions import BOOKS

#: Actions that AWS knows no resource for (or only one that nobody can name), each with its reason.
ANY_RESOURCE = {
    "batch:DescribeJobs": "AWS Batch: describe and list calls know no resource",
    "batch:ListJobs": "as above",
    "batch:DescribeJobQueues": "as above",
    "batch:DescribeJobDefinitions": "as above",
    "batch:DescribeComputeEnvironments": "as above",
    "batch:DescribeSchedulingPolicies": "as above",
    "ecr:GetAuthorizationToken": "a token is for the whole registry",
    "ecs:DescribeTaskDefinition": "ECS: knows no resource",
    "ecs:ListTasks": "of tasks it knows no resource; a condition names the cluster",
    "ssmmessages:CreateControlChannel": "Session Manager's channels have no ARN",
    "ssmmessages:CreateDataChannel": "as above",
    "ssmmessages:OpenControlChannel": "as above",
    "ssmmessages:OpenDataChannel": "as above",
    "logs:DescribeLogGroups": "the doctor and ECS Exec look for a log group",
    "kms:Decrypt": "in a key's own policy `*` is that key",
    "kms:GenerateDataKey*": "as above",
    "kms:ReEncrypt*": "as above",
    "kms:Encrypt": "as above",
}
KEY_OWNER = "kms:*"  # the account's own right to its key, without which nobody could change it


def statements(deployment):
    for kind, where in (
        ("AWS::IAM::Policy", "PolicyDocument"),
        ("AWS::IAM::ManagedPolicy", "PolicyDocument"),
        ("AWS::KMS::Key", "KeyPolicy"),
    ):
        for stack, logical, properties in deployment.resources(kind):
            for statement in properties[where]["Statement"]:
                yield f"{stack}/{logical}", statement


def listed(value):
    return value if isinstance(value, list) else [value]


def actions_of(deployment, role):
    """Action -> resources as text, of the roles and policies whose id begins so."""
    found = {}
    for place, statement in statements(deployment):
        if place.startswith(role):
            for action in listed(statement["Action"]):
                found.setdefault(action, "")
                found[action] += json.dumps(statement["Resource"])
    return found


def test_no_action_is_a_star(deployment):
    for place, statement in statements(deployment):
        for action in listed(statement["Action"]):
            if action != KEY_OWNER:
                assert action in ANY_RESOURCE or "*" not in action, (place, action)


def test_a_star_for_resources_only_where_aws_knows_no_other(deployment):
    for place, statement in statements(deployment):
        if "*" in listed(statement["Resource"]):
            left = set(listed(statement["Action"])) - set(ANY_RESOURCE) - {KEY_OWNER}
            assert not left, (place, left)


def test_inline_policies_of_roles_do_not_escape_this_sweep(deployment):
    for role in deployment.properties("AWS::IAM::Role"):
        assert "Policies" not in role
        managed = json.dumps(role.get("ManagedPolicyArns", []))
        assert managed == "[]" or "AmazonEC2ContainerServiceforEC2Role" in managed


def test_every_container_can_pull_its_image_from_the_account_and_region_it_names(other):
    """By the execution role of each definition; `other` has all its images in ECR."""
    images = [
        (stack, found["ContainerProperties"]["Image"], found["ContainerProperties"])
        for stack, _, found in other.resources("AWS::Batch::JobDefinition")
    ] + [
        (stack, found["ContainerDefinitions"][0]["Image"], found)
        for stack, _, found in other.resources("AWS::ECS::TaskDefinition")
    ]
    assert len(images) == 8
    for stack, image, owner in images:
        text = json.dumps(image)
        role = owner["ExecutionRoleArn"]["Fn::GetAtt"][0]
        rights = actions_of(other, f"{stack}/{role.rstrip('0123456789ABCDEF')}")
        for action in ("BatchGetImage", "GetDownloadUrlForLayer", "BatchCheckLayerAvailability"):
            where = rights[f"ecr:{action}"]
            account, region, name = (
                ("999999999999", "ap-south-1", "tools/wordfreq")
                if stack == "jobs"
                else ("111122223333", "us-east-1", "wordfreq-dagster")
            )
            assert f":ecr:{region}:{account}:repository/{name}" in where.replace('", "', "")
            assert f"{account}.dkr.ecr.{region}." in text
        assert '"*"' in rights["ecr:GetAuthorizationToken"]
        if stack == "jobs":
            assert text.endswith(f'/tools/wordfreq@sha256:{"a" * 64}"]]}}')


def test_whoever_tells_the_topic_may_use_its_key(full):
    """A topic with a key of the account refuses a publisher who has no right to the key."""
    for place in ("access/Operator", "dagster/RunTaskTaskRole", "dagster/CodeTaskTaskRole"):
        rights = actions_of(full, place)
        assert "Alerts" in rights["sns:Publish"], place
        for action in ("kms:Decrypt", "kms:GenerateDataKey*"):
            assert "Key" in rights[action], place


def test_eventbridge_may_use_the_key_of_the_topic_without_a_condition(full):
    """One on the account is never met there: the alerts of failed jobs would be lost."""
    (key,) = full.properties("AWS::KMS::Key")
    given = sorted(
        (service.partition(".")[0], tuple(statement["Action"]), "Condition" in statement)
        for statement in key["KeyPolicy"]["Statement"]
        for service in listed(statement["Principal"].get("Service", []))
    )
    use = ("kms:Decrypt", "kms:GenerateDataKey*")
    assert given == [("budgets", use, True), ("cloudwatch", use, True), ("events", use, False)]


#: Calls of the client that a deployment needn't allow, each with its reason.
NOT_NEEDED = {
    "batch:RegisterJobDefinition": "the definitions are the deployment's",
    "batch:DeregisterJobDefinition": "as above",
    "batch:TerminateJobs": "IAM's list doesn't know it; refused, jobs are ended one by one",
}


def test_what_the_orchestrator_and_its_doctor_call_is_allowed(full):
    """Each call of AWS Batch and of logs that the client makes."""
    client = ROOT / "packages" / "dagster-aws-batch" / "src" / "dagster_aws_batch"
    text = "".join(path.read_text() for path in client.rglob("*.py"))
    called = {
        f"{service}:{operation}"
        for service in ("batch", "logs")
        for operation in botocore.session.get_session().get_service_model(service).operation_names
        if f'"{operation}"' in text or f".{service}.{botocore.xform_name(operation)}(" in text
    }
    assert len(called) > 8
    assert called - set(NOT_NEEDED) <= set(actions_of(full, "access/Operator"))


def test_stages_read_what_was_replaced_meanwhile_as_it_was_planned(full):
    for role, bucket in (("Migrate", "Source"), ("Ingest", "Uploads"), ("Merge", "Results")):
        rights = actions_of(full, f"jobs/{role}Role")
        for action in ("s3:GetObjectVersion", "s3:ListBucketVersions"):
            assert bucket in rights[action], (role, action)


def test_roles_can_be_passed_to_ecs_only(deployment):
    passed = [s for _, s in statements(deployment) if "iam:PassRole" in listed(s["Action"])]
    assert len(passed) == 1
    assert passed[0]["Condition"]["StringEquals"]["iam:PassedToService"] == (
        "ecs-tasks.amazonaws.com"
    )
    assert len(passed[0]["Resource"]) == 2


def test_only_this_account_can_make_containers_take_a_job_role(deployment):
    roles = deployment.properties("AWS::IAM::Role", "jobs")
    assert len(roles) == 5
    for role in roles:
        (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
        assert statement["Condition"] == {
            "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
        }


def test_each_stage_has_its_own_rights_and_no_more(full):
    plan = actions_of(full, "jobs/PlanRole")
    migrate = actions_of(full, "jobs/MigrateRole")
    merge = actions_of(full, "jobs/MergeRole")
    ingest = actions_of(full, "jobs/IngestRole")
    assert "/output/*" not in plan["s3:PutObject"]
    assert "Source" not in plan["s3:GetObject"]
    assert "s3:DeleteObject" not in migrate
    assert BOOKS in merge["s3:DeleteObject"]
    assert "Source" not in json.dumps(merge)
    assert all("dynamodb" not in action for role in (plan, migrate, merge) for action in role)
    assert {one for one in ingest if one.startswith("dynamodb")} == {
        "dynamodb:BatchWriteItem",
        "dynamodb:DescribeTable",
        "dynamodb:PutItem",
    }
    assert "Uploads" not in ingest["s3:PutObject"]
    assert "/output/*" not in json.dumps(ingest)
    for role in (plan, migrate, merge, ingest):
        assert {one.partition(":")[0] for one in role} <= {"s3", "dynamodb"}


def test_only_the_mirror_may_scan_the_table_and_delete_items(full, other):
    """And the setting that makes the stages do it comes with the right."""
    for deployment, may in ((full, set()), (other, {"dynamodb:Scan", "dynamodb:DeleteItem"})):
        rights = actions_of(deployment, "jobs/IngestRole")
        assert {"dynamodb:Scan", "dynamodb:DeleteItem"} & set(rights) == may
        assert ("WordfreqCsvRemoved" in deployment.templates["access"]["Outputs"]) == bool(may)


def test_no_stage_may_touch_the_plans_and_receipts_of_the_other_pipeline(deployment):
    """Names of all kinds of plans that there are, and of what lies below them."""
    run = "6989688a-b716-417d-b9b3-7532ef321b1c"
    texts = [f"{run}-{kind}" for kind in ("all", "files", "recount", "ranking")]
    csvs = [f"{run}-{kind}" for kind in ("csv", "csv-files", "csv-rehearsal")]
    for role, own, others in (
        ("Plan", texts, csvs), ("Migrate", texts, csvs), ("Merge", texts, csvs),
        ("Ingest", csvs, texts),
    ):  # fmt: skip
        for name in (*own, *others):
            for key in (f"plans/{name}.json", f"plans/{name}/0a1/migrate-00000.json"):
                for action in ("s3:GetObject", "s3:PutObject"):
                    may = allowed(deployment, f"jobs/{role}Role", action, key)
                    assert may == (name in own), (role, action, key)


def allowed(deployment, role, action, key):
    """Whether the role may do that with an object of the bucket of results."""
    effects = {
        statement["Effect"]
        for place, statement in statements(deployment)
        if place.startswith(role) and action in listed(statement["Action"])
        for resource in map(json.dumps, listed(statement["Resource"]))
        if "Results" in resource
        and fnmatch.fnmatchcase(key, resource.rpartition('"/')[2].partition('"')[0])
    }
    return effects == {"Allow"}


def test_only_jobs_of_this_deployment_can_be_ended_and_all_its_jobs_have_its_tags(deployment):
    name = deployment.options.name
    for place in ("access/Operator", "dagster/RunTaskTaskRole", "dagster/CodeTaskTaskRole"):
        found = {
            action: statement.get("Condition")
            for where, statement in statements(deployment)
            if where.startswith(place)
            for action in listed(statement["Action"])
        }
        of_it = {"StringEquals": {"aws:ResourceTag/project": name}}
        assert found["batch:TerminateJob"] == found["batch:CancelJob"] == of_it
        assert found["batch:TagResource"] == {"StringEquals": {"aws:RequestTag/project": name}}
    tags = deployment.templates["access"]["Outputs"]["WordfreqBatchTags"]["Value"].split(",")
    assert tags == [*filter(None, [deployment.options.tags]), f"project={name}"]


def test_the_tunnel_is_no_shell(full):
    rights = actions_of(full, "dagster/Tunnel")
    assert set(rights) == {"ecs:ListTasks", "ecs:DescribeTasks", "ssm:StartSession"}
    assert "document/AWS-StartPortForwardingSession" in rights["ssm:StartSession"]
    (start,) = [s for p, s in statements(full) if "ssm:StartSession" in listed(s["Action"])]
    assert start["Condition"] == {"BoolIfExists": {"ssm:SessionDocumentAccessCheck": "true"}}


def test_from_an_isolated_network_only_credentials_of_this_account_can_be_used(full, other):
    open_ones = set()
    for _, logical, endpoint in other.resources("AWS::EC2::VPCEndpoint"):
        if "PolicyDocument" not in endpoint:
            open_ones.add(logical)
            continue
        ours, *layers = endpoint["PolicyDocument"]["Statement"]
        assert ours["Condition"] == {
            "StringEquals": {"aws:PrincipalAccount": {"Ref": "AWS::AccountId"}}
        }
        assert all("starport-layer-bucket/*" in json.dumps(one["Resource"]) for one in layers)
    # Fargate needs no endpoints of ECS's agent.
    assert len(open_ones) == 1
    assert "Ssmmessages" in open_ones.pop()
    assert not any("PolicyDocument" in one for one in full.properties("AWS::EC2::VPCEndpoint"))


def test_a_submitter_may_name_a_definition_with_and_without_revision(full):
    resources = actions_of(full, "access/Operator")["batch:SubmitJob"]
    for stage in ("plan", "migrate", "merge", "ingest"):
        assert f':job-definition/wordfreq-{stage}"' in resources.replace("\\", "")
        assert f":job-definition/wordfreq-{stage}:*" in resources
    assert ":job-queue/wordfreq" in resources


def test_the_policies_for_infrastructure_of_ones_own_are_those_of_the_deployment():
    """`make infra-policies` writes them anew; every name in them is explained."""
    made = policies.documents()
    files = {path.stem: json.loads(path.read_text()) for path in policies.FOLDER.glob("*.json")}
    assert files == made
    page = (ROOT / "docs" / "own-infrastructure.md").read_text()
    for name in re.findall(r"\$\{\w+\}", json.dumps(made)):
        assert f"`{name}`" in page, name
    assert "own-name" not in json.dumps(made)


def test_cdk_nag_finds_nothing_that_is_not_accepted_with_a_reason(full, other, graviton):
    assert [one.findings for one in (full, other, graviton)] == [[], [], []]


def test_what_is_accepted_is_found_somewhere():
    """Else it would hide what comes, such as a right to every bucket."""
    ui = {"ui_certificate": "arn:aws:acm:us-east-1:111122223333:certificate/1", "ui_login": "l"}
    flags = json.loads((ROOT / "infra" / "cdk.json").read_text())["context"]
    accepted, found = set(), set()
    for given in (
        {"kms_key": "arn:aws:kms:us-east-1:111122223333:key/1", **ui, "ui_cidr": "0.0.0.0/0"},
        {"keep_data": False, **ui, "ui_cidr": "203.0.113.0/24"},
    ):
        app, options = cdk.App(context=flags), Options(dagster=True, **given)
        stacks = build(app, options)
        accepted |= {(stack, rule) for stack, of in nag.accepted(options).items() for rule in of}
        checks = nag.AwsSolutionsChecks(app)
        for name, stack in stacks.items():
            found |= {(name, one.rule_name) for one in checks.validate_scope(stack).violations}
    assert accepted - found == set()


@pytest.mark.parametrize("given", ["full", "other", "graviton"])
def test_cfn_lint_finds_no_error(given, request, bin_folder):
    folder, base = (request.getfixturevalue(one).folder for one in (given, "full"))
    templates = [
        path for path in sorted(folder.glob("*.template.json"))
        if given != "graviton" or path.read_text() != (base / path.name).read_text()
    ]  # fmt: skip
    done = subprocess.run(
        [bin_folder / "cfn-lint", "--regions", "us-east-1", "--format", "parseable",
         # An output that repeats another stack's value: it is the settings file that needs it.
         "--ignore-checks", "W6001",
         "--", *templates],
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.stdout, done.returncode) == ("", 0)
