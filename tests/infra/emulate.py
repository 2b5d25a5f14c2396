"""Templates as emulators can take them: less what each one doesn't know, else unchanged."""

import copy
import json
import shutil

#: What ministack's CloudFormation refuses, as AWS would refuse a misspelt type.
UNKNOWN_TO_MINISTACK = (
    "AWS::Batch::",
    "AWS::Budgets::",
    "AWS::EC2::FlowLog",
    "AWS::EC2::SecurityGroupIngress",
    "AWS::EC2::SecurityGroupEgress",
)


def for_ministack(template):
    """The template without the resource types that ministack doesn't know."""
    made = copy.deepcopy(template)
    made["Resources"] = {
        logical: found
        for logical, found in made["Resources"].items()
        if not found["Type"].startswith(UNKNOWN_TO_MINISTACK)
    }
    for found in made["Resources"].values():
        if "DependsOn" in found:
            found["DependsOn"] = [o for o in listed(found["DependsOn"]) if o in made["Resources"]]
        policy = found.get("Properties", {}).get("PolicyDocument", {})
        if "Statement" in policy:
            policy["Statement"] = [one for one in policy["Statement"] if not about_tls(one)]
    return made


def about_tls(statement):
    """Whether it denies what doesn't come by TLS; requests to ministack never do."""
    condition = json.dumps(statement.get("Condition", {}))
    return statement["Effect"] == "Deny" and "aws:SecureTransport" in condition


def listed(value):
    return value if isinstance(value, list) else [value]


#: The roles that cdk takes on may use its bucket by TLS only, and ministack has none.
ROLES = ("assumeRoleArn", "cloudFormationExecutionRoleArn", "lookupRole")


def without_roles(node):
    if isinstance(node, list):
        return [without_roles(one) for one in node]
    if not isinstance(node, dict):
        return node
    return {key: without_roles(value) for key, value in node.items() if key not in ROLES}


def assembly_for_ministack(source, target):
    """A copy of what `cdk synth` wrote, which `cdk --app <folder>` deploys."""
    shutil.copytree(source, target)
    for path in (target / "manifest.json", *target.glob("*.assets.json")):
        path.write_text(json.dumps(without_roles(json.loads(path.read_text()))))
    for path in target.glob("*.template.json"):
        path.write_text(json.dumps(for_ministack(json.loads(path.read_text()))))
    return target


def for_moto(template, *, role):
    """moto wants compute environments in the spelling and with the role of its validation."""
    made = replaced(template)
    made.pop("Parameters", None)
    made.pop("Rules", None)
    for found in made["Resources"].values():
        if found["Type"] == "AWS::Batch::ComputeEnvironment":
            found["Properties"]["Type"] = found["Properties"]["Type"].upper()
            found["Properties"]["ServiceRole"] = role
            compute = found["Properties"]["ComputeResources"]
            if compute.get("InstanceTypes") == ["default_x86_64"]:
                compute["InstanceTypes"] = ["m6i"]  # newer than moto's list
    return made


def replaced(node):
    """`GetAtt …Arn` of Batch's own resources as `Ref`, which is the same on AWS."""
    if isinstance(node, list):
        return [replaced(one) for one in node]
    if not isinstance(node, dict):
        return node
    if (pair := node.get("Fn::GetAtt")) and pair[1] in ("ComputeEnvironmentArn", "JobQueueArn"):
        return {"Ref": pair[0]}
    return {key: replaced(value) for key, value in node.items()}
