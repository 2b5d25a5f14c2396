"""From one deployment to the next: every pair of option values, synthesised and compared.
`make infra-pairs` adds every two options changed at once, of which a few are compared here.

Emulators don't refuse what CloudFormation refuses, so the templates are compared: exports in use
that vanish or change, replacements under a fixed name, data that would be left behind.
"""

import collections
import dataclasses
import functools
import hashlib
import itertools
import json
import operator
import os

import aws_cdk as cdk
import pytest
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER
from conftest import ROOT
from wordfreq_infra.app import build
from wordfreq_infra.changes import CHANGES, needs_idle_queue, refusals, table
from wordfreq_infra.options import Options, OptionsError, deployed

ECR = "111122223333.dkr.ecr.us-east-1.amazonaws.com/"
KEY = "arn:aws:kms:us-east-1:111122223333:key/11111111-1111-1111-1111-111111111111"
UI = {"ui_certificate": "arn:aws:acm:us-east-1:111122223333:certificate/1111-2222"}
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
    "csv_removed": ("mirror",),
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
    "dagster_read_only": (True,),
    "ui_certificate": tuple(UI.values()),
}
#: Options that belong to another: given with it, or no part of the deployed stacks.
TOGETHER = {
    "vpc": {"subnets": "subnet-11111111,subnet-22222222"},
    "ui_certificate": {"ui_login": "wordfreq/login", "ui_cidr": "203.0.113.0/24"},
}
ELSEWHERE = {"name", "subnets", "source_kms_key", "ui_login", "ui_cidr"}
DATA = ("AWS::S3::Bucket", "AWS::DynamoDB::Table", "AWS::RDS::DBInstance")


STATES = [{}, *({option: value} for option, values in VALUES.items() for value in values)]
#: How many deployments with two options besides the base are compared; `make infra-pairs`: all.
SAMPLE = int(os.environ.get("WORDFREQ_INFRA_PAIRS") or 4)


def chosen(state):
    more = [TOGETHER.get(option, {}) for option in state]
    return Options(**functools.reduce(operator.or_, more, BASE | state))


def name_of(state):
    return ", ".join(f"{option}={value}" for option, value in state.items()) or "base"


def two_at_once():
    """Every two options with every two of their values, in an order that mixes them."""
    made = [a | b for a, b in itertools.combinations(STATES[1:], 2) if not a.keys() & b.keys()]
    return sorted(made, key=lambda one: hashlib.sha256(name_of(one).encode()).digest())


def templates(state):
    return _templates(tuple(state.items()))


@functools.lru_cache(maxsize=2 * len(STATES))
def _templates(state):
    app = cdk.App(context=json.loads((ROOT / "infra" / "cdk.json").read_text())["context"])
    build(app, chosen(dict(state)))
    return {one.stack_name: one.template for one in app.synth().stacks}


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


def effects(old, new):
    """What a change does: (removed, replaced, renamed, exports in use that vanish), as texts."""
    removed, replacing, renamed, vanishing = [], [], [], []
    used = set().union(*(imports(template) for template in old.values()))
    for stack, before in old.items():
        after = new.get(stack, {"Resources": {}})
        later = exports(after)
        vanishing += [one for one in exports(before) if one in used and one not in later]
        for logical, was in before["Resources"].items():
            kind, one = was["Type"], after["Resources"].get(logical)
            if kind.startswith("AWS::CDK"):
                continue
            if one is None:
                removed.append(kind)
            elif replaced(kind, was, one):
                names = [own_name(kind, found.get("Properties", {})) for found in (was, one)]
                (renamed if names[0] != names[1] else replacing).append(kind)
    return removed, replacing, renamed, vanishing


def pairs_table():
    """Each value of each option, from the base and back, as Markdown."""
    lines = ["| from | to | removed | replaced | renamed | exports gone | deploy |"]
    lines += ["|---|---|---|---|---|---:|---|"]
    for state in STATES[1:]:
        for old, new in (({}, state), (state, {})):
            *kinds, vanishing = effects(templates(old), templates(new))
            refused = refusals(chosen(old), chosen(new))
            idle = needs_idle_queue(chosen(old), chosen(new))
            verdict = "**refused**" if refused else "only while no job runs" if idle else "allowed"
            cells = [counted(found) for found in kinds]
            names = [f"`{name_of(one)}`".replace(ECR, "…/") for one in (old, new)]
            lines.append(f"| {' | '.join([*names, *cells, str(len(vanishing) or '–'), verdict])} |")
    return "\n".join(lines) + "\n"


def counted(kinds):
    short = collections.Counter(kind.removeprefix("AWS::").replace("::", " ") for kind in kinds)
    return ", ".join(f"{n} × {kind}" if n > 1 else kind for kind, n in sorted(short.items())) or "–"


def encryption(resource):
    properties = resource.get("Properties", {})
    return [properties.get(name) for name in ("BucketEncryption", "SSESpecification", "KmsKeyId")]


def compare(old, new):
    """What is wrong with how a change is treated: None, or a text.

    Two options that are changed at once may be refused for one of them alone, though the other
    would make that possible: from `isolated` into another network new zones can come too.
    """
    found = hazards(templates(old), templates(new))
    refused = refusals(chosen(old), chosen(new))
    one_option = len(old.keys() | new.keys()) == 1
    if (found and not refused) or (one_option and refused and not found):
        return f"{name_of(old)} to {name_of(new)}: {found=} {refused=}"
    for text in refused:
        # Each says what to do, and of which option it speaks.
        if "make destroy" not in text or not any(one in text for one in old.keys() | new.keys()):
            return f"{name_of(old)} to {name_of(new)}: {text}"
    return None


@pytest.mark.timeout(1800)  # the first of them synthesises all
@pytest.mark.parametrize("old", STATES, ids=name_of)
def test_what_cloudformation_cannot_change_is_refused_and_nothing_else(old):
    """From each deployment to each other: one option changed, put back, or two exchanged."""
    wrong = [compare(old, new) for new in STATES if new != old]
    assert [one for one in wrong if one] == []


@pytest.mark.timeout(4 * 3600)
def test_so_it_is_with_two_options_at_once():
    wrong, compared = [], 0
    for state in two_at_once():
        if compared == SAMPLE:
            break
        try:
            chosen(state)
        except OptionsError:
            continue  # refused before anything is synthesised
        compared += 1
        wrong += [compare({}, state), compare(state, {})]
    assert compared
    assert [one for one in wrong if one] == []


def test_every_option_has_its_line_and_its_pairs():
    fields = {one.name for one in dataclasses.fields(Options)}
    listed = [option for change in CHANGES for option in change.options]
    assert sorted(listed) == sorted(fields)
    assert set(VALUES) | ELSEWHERE == fields


def test_the_pairs_of_the_docs_are_those_that_are_compared():
    page = ROOT / "docs" / "aws-changes.md"
    if os.environ.get("WORDFREQ_INFRA_WRITE"):
        head = page.read_text().partition("| from |")[0]
        page.write_text(head + pairs_table())
    assert page.read_text().endswith("\n\n" + pairs_table()), "make infra-pairs-page writes it"


def test_the_table_of_the_docs_is_the_one_that_is_applied():
    assert table() in (ROOT / "docs" / "aws.md").read_text()


@pytest.mark.parametrize("option", ["compute", "architecture", "fair_share"])
def test_a_queue_that_cannot_be_changed_gets_a_successor_of_another_name(option):
    """Which is made before the old one goes, so nothing may be under way in that."""
    old, new = templates({}), templates({option: VALUES[option][0]})
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
    assert needs_idle_queue(chosen({}), chosen({option: VALUES[option][0]}))


def test_what_meant_nothing_in_a_given_vpc_can_be_left_out():
    """It was taken beside `vpc` once, and isn't any more: the next deploy has to leave it out."""
    vpc = {"vpc": "vpc-11111111", **TOGETHER["vpc"]}
    assert refusals(deployed({**vpc, "cidr": "10.43.0.0/16", "zones": 3}), Options(**vpc)) == []
    assert refusals(Options(**vpc), Options(**vpc | {"subnets": "subnet-1,subnet-2"}))


def test_a_load_balancer_of_the_other_kind_gets_targets_of_its_own():
    """AWS refuses a target group for two, and the former goes after the new one is there."""
    kinds, targets = [], []
    for network in ("public", "nat"):
        state = {"vpc": "vpc-11111111", "network": network, **UI}
        for logical, one in templates(state)["wordfreq-dagster"]["Resources"].items():
            if one["Type"] == "AWS::ElasticLoadBalancingV2::LoadBalancer":
                kinds.append(one["Properties"]["Scheme"])
            elif one["Type"] == "AWS::ElasticLoadBalancingV2::TargetGroup":
                targets.append(logical)
    assert kinds == ["internet-facing", "internal"]
    assert len(set(targets)) == 2


def test_a_fargate_environment_has_no_update_policy_and_no_environment_has_a_name():
    for state in ({}, {"compute": "fargate"}):
        for one in templates(state)["wordfreq-compute"]["Resources"].values():
            if one["Type"] == "AWS::Batch::ComputeEnvironment":
                assert "ComputeEnvironmentName" not in one["Properties"]
                assert ("UpdatePolicy" in one["Properties"]) == (not state)


@pytest.mark.parametrize("keep", [True, False])
def test_a_deployment_can_be_destroyed_and_deployed_again(keep):
    """Nothing is protected; what is kept has no name of ours and goes with a failed creation."""
    stacks = templates({} if keep else {"keep_data": False})
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
