"""From one deployment to the next: every pair of option values, synthesised and compared.

Emulators don't refuse what CloudFormation refuses, so the templates are compared: exports in use
that vanish or change, replacements under a fixed name, data that would be left behind.
"""

import dataclasses
import functools
import itertools
import json

import aws_cdk as cdk
import pytest
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER
from conftest import ROOT
from wordfreq_infra.app import build
from wordfreq_infra.changes import CHANGES, needs_idle_queue, refusals, table
from wordfreq_infra.options import Options

ECR = "111122223333.dkr.ecr.us-east-1.amazonaws.com/"
KEY = "arn:aws:kms:us-east-1:111122223333:key/11111111-1111-1111-1111-111111111111"
#: Each option and values to go over to, from the base and back, and among each other.
BASE = {"dagster": True, "image": ECR + "w:1", "dagster_image": ECR + "d:1", "email": "a@b.org"}
VALUES = {
    "network": ("nat", "isolated"),
    "compute": ("fargate",),
    "architecture": ("arm64",),
    "fair_share": (True,),
    "instance_families": ("m7i,c7i",),
    "max_vcpus": (8,),
    "image": (ECR + "w:2",),
    "dagster_image": (ECR + "d:2",),
    "source": ("s3://books-of-others/english",),
    "csv_columns": ("ProductId,ProductName,More", "ProductId:number,More"),
    "csv_key": ("ProductName",),
    "csv_sort_key": ("ProductName",),
    "csv_time_index": (True,),
    "vpc": ("vpc-11111111",),
    "cidr": ("10.43.0.0/16",),
    "zones": (3,),
    "kms_key": (KEY,),
    "permissions_boundary": ("arn:aws:iam::111122223333:policy/b",),
    "tags": ("team=data",),
    "keep_data": (False,),
    "budget": (0,),
    "email": ("c@d.org",),
    "log_days": (7,),
    "dagster": (False,),
}
#: Options that belong to another: given with it, or no part of the deployed stacks.
TOGETHER = {"vpc": {"subnets": "subnet-11111111,subnet-22222222"}}
ELSEWHERE = {"name", "subnets", "source_kms_key"}
DATA = ("AWS::S3::Bucket", "AWS::DynamoDB::Table", "AWS::RDS::DBInstance")


def pairs():
    for option, values in VALUES.items():
        for old, new in itertools.permutations((None, *values), 2):
            yield pytest.param(option, old, new, id=f"{option}: {old} to {new}")


def chosen(option, value):
    return BASE | ({} if value is None else {option: value} | TOGETHER.get(option, {}))


@functools.cache
def templates(option, value):
    app = cdk.App(context=json.loads((ROOT / "infra" / "cdk.json").read_text())["context"])
    build(app, Options(**chosen(option, value)))
    return {one.stack_name: one.template for one in app.synth().stacks}


def of(option, value):
    return templates(None, None) if value is None else templates(option, value)


@functools.cache
def create_only(kind):
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
    return tuple(
        path.removeprefix("/properties/").split("/")
        for path in schema.get("createOnlyProperties", ())
    )


def value_at(found, path):
    for step in path:
        found = found.get(step) if isinstance(found, dict) else None
    return found


def own_name(kind, properties):
    """The fixed name of a resource, if a second one couldn't have it too."""
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
    for path in (*schema.get("createOnlyProperties", ()), *schema["primaryIdentifier"]):
        name = path.removeprefix("/properties/")
        # The database's name is one within its instance.
        if name.endswith("Name") and name != "DBName" and isinstance(properties.get(name), str):
            return properties[name]
    return None


def replaced(kind, old, new):
    if kind.startswith("AWS::CDK") or old == new:
        return False
    before, after = old.get("Properties", {}), new.get("Properties", {})
    if any(value_at(before, path) != value_at(after, path) for path in create_only(kind)):
        return True
    if kind == "AWS::DynamoDB::Table":
        types = [
            {one["AttributeName"]: one["AttributeType"] for one in found["AttributeDefinitions"]}
            for found in (before, after)
        ]
        keys = [one["AttributeName"] for one in before["KeySchema"]]
        return before["KeySchema"] != after["KeySchema"] or any(
            types[0][key] != types[1].get(key) for key in keys
        )
    return False


def imports(template):
    text = json.dumps(template)
    return {part.partition('"')[0] for part in text.split('"Fn::ImportValue": "')[1:]}


def exports(template):
    return {
        one["Export"]["Name"]: one["Value"]
        for one in template.get("Outputs", {}).values()
        if "Export" in one
    }


def hazards(old, new):
    """What CloudFormation would refuse, or do to data, on the way from the old to the new."""
    found = [f"the stack {name} would be left" for name in old if name not in new]
    used = set().union(*(imports(template) for template in old.values()))
    for stack, before in old.items():
        after = new.get(stack, {"Resources": {}})
        gone = set()
        names = {
            (one["Type"], own_name(one["Type"], one.get("Properties", {}))): logical
            for logical, one in before["Resources"].items()
            if not one["Type"].startswith("AWS::CDK")
        }
        for logical, one in after["Resources"].items():
            if one["Type"].startswith("AWS::CDK"):
                continue
            was = before["Resources"].get(logical)
            name = own_name(one["Type"], one.get("Properties", {}))
            same = names.get((one["Type"], name), logical)
            if name and same != logical:
                found.append(f"{stack}/{logical} wants the name {name} that {same} still has")
            if was and replaced(one["Type"], was, one):
                gone.add(logical)
                if name and name == own_name(one["Type"], was.get("Properties", {})):
                    found.append(f"{stack}/{logical} would be replaced under its name {name}")
                if one["Type"] in DATA:
                    found.append(f"{stack}/{logical} would be replaced, its data left behind")
            if was and one["Type"] == "AWS::Batch::ComputeEnvironment" and was != one:
                kinds = {v["Properties"]["ComputeResources"]["Type"] for v in (was, one)}
                if len(kinds) > 1:
                    found.append(f"{stack}/{logical} can't turn from one of {kinds} to the other")
                if any("FARGATE" in kind for kind in kinds) and "UpdatePolicy" in one["Properties"]:
                    found.append(f"{stack}/{logical}: Fargate knows no UpdatePolicy")
            if was and one["Type"] in DATA and encryption(was) != encryption(one):
                found.append(f"{stack}/{logical} would keep data under the former key")
        for logical, one in before["Resources"].items():
            kept = one.get("DeletionPolicy", "Delete") != "Delete"
            if one["Type"] in DATA and logical not in after["Resources"] and not kept:
                found.append(f"{stack}/{logical} would be deleted")
        if stack in new:
            later = exports(after)
            for export, value in exports(before).items():
                if export in used and export not in later:
                    found.append(f"{stack}: the export {export} is in use and would vanish")
                elif export in used and any(f'"{name}"' in json.dumps(value) for name in gone):
                    found.append(f"{stack}: the export {export} is in use and would change")
    return found


def encryption(resource):
    properties = resource.get("Properties", {})
    return [properties.get(name) for name in ("BucketEncryption", "SSESpecification", "KmsKeyId")]


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("option", "old", "new"), pairs())
def test_what_cloudformation_cannot_change_is_refused_and_nothing_else(option, old, new):
    found = hazards(of(option, old), of(option, new))
    refused = refusals(Options(**chosen(option, old)), Options(**chosen(option, new)))
    assert bool(found) == bool(refused), (found, refused)
    for text in refused:
        assert option in text
        assert "make destroy" in text


def test_every_option_has_its_line_and_its_pairs():
    fields = {one.name for one in dataclasses.fields(Options)}
    listed = [option for change in CHANGES for option in change.options]
    assert sorted(listed) == sorted(fields)
    assert set(VALUES) | ELSEWHERE == fields


def test_the_table_of_the_docs_is_the_one_that_is_applied():
    assert table() in (ROOT / "docs" / "aws.md").read_text()


@pytest.mark.parametrize("option", ["compute", "architecture", "fair_share"])
def test_a_queue_that_cannot_be_changed_gets_a_successor_of_another_name(option):
    """Which is made before the old one goes, so nothing may be under way in that."""
    old, new = of(option, None), of(option, VALUES[option][0])
    queues = [
        {
            logical: one["Properties"]["JobQueueName"]
            for logical, one in stacks["wordfreq-compute"]["Resources"].items()
            if one["Type"] == "AWS::Batch::JobQueue"
        }
        for stacks in (old, new)
    ]
    assert not set(queues[0]) & set(queues[1])
    assert not set(queues[0].values()) & set(queues[1].values())
    assert needs_idle_queue(
        Options(**chosen(option, None)), Options(**chosen(option, VALUES[option][0]))
    )


def test_a_fargate_environment_has_no_update_policy_and_no_environment_has_a_name():
    for option, value in ((None, None), ("compute", "fargate")):
        for one in of(option, value)["wordfreq-compute"]["Resources"].values():
            if one["Type"] == "AWS::Batch::ComputeEnvironment":
                assert "ComputeEnvironmentName" not in one["Properties"]
                assert ("UpdatePolicy" in one["Properties"]) == (value is None)


@pytest.mark.parametrize("keep", [True, False])
def test_a_deployment_can_be_destroyed_and_deployed_again(keep):
    """Nothing is protected; what is kept has no name of ours and goes with a failed creation."""
    stacks = of("keep_data", None if keep else False)
    seen = 0
    for template in stacks.values():
        for logical, one in template["Resources"].items():
            properties = one.get("Properties", {})
            assert properties.get("DeletionProtection") in (None, False), logical
            if one["Type"] in DATA:
                seen += 1
                wanted = "Delete" if not keep else (
                    "Snapshot" if one["Type"].endswith("DBInstance") else "RetainExceptOnCreate"
                )  # fmt: skip
                assert one["DeletionPolicy"] == wanted, logical
                assert own_name(one["Type"], properties) is None, logical
            elif one["Type"] in ("AWS::SecretsManager::Secret",):
                assert "Name" not in properties  # a deleted one keeps its name for days
    assert seen == (7 if keep else 6)  # without data kept there is no bucket of access logs
