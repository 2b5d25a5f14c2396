"""The policies of a deployment, and the names that settings need, for infrastructure of one's own.

`make infra-policies` writes `infra/policies/*.json` from the CDK app, and a test compares them: so
they say what the deployed roles may. Names in them are `${results}` and the like, which Terraform's
`templatefile` and `envsubst` replace; each must have a value.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from wordfreq_infra.app import build
from wordfreq_infra.options import Options

FOLDER = Path(__file__).parent / "policies"
#: File -> what begins so in a stack's template, and whose policy it is.
POLICIES = {
    "plan": ("jobs", "PlanRole"),
    "migrate": ("jobs", "MigrateRole"),
    "merge": ("jobs", "MergeRole"),
    "ingest": ("jobs", "IngestRole"),
    "execution": ("jobs", "ExecutionRole"),
    "operator": ("access", "Operator"),
}
#: What begins so in a template -> the name that stands for it, and its ARN. A name is a variable.
NAMES = {
    "Source": ("${source}", "arn:aws:s3:::${source}"),
    "Results": ("${results}", "arn:aws:s3:::${results}"),
    "Uploads": ("${uploads}", "arn:aws:s3:::${uploads}"),
    "Rows": ("${table}", "arn:aws:dynamodb:${region}:${account}:table/${table}"),
    "CsvEvents": ("${csv_events}", "arn:aws:sqs:${region}:${account}:${csv_events}"),
    "Events": ("${events}", "arn:aws:sqs:${region}:${account}:${events}"),
    "Alerts": ("arn:aws:sns:${region}:${account}:${alerts}",) * 2,
    "Key": ("${alerts_key}", "arn:aws:kms:${region}:${account}:key/${alerts_key}"),
    "Logs": ("/${name}/batch", "arn:aws:logs:${region}:${account}:log-group:/${name}/batch:*"),
}
PSEUDO = {"AWS::Partition": "aws", "AWS::Region": "${region}", "AWS::AccountId": "${account}",
          "AWS::URLSuffix": "amazonaws.com"}  # fmt: skip
NAME = "own-name"
REPOSITORY = "111122223333.dkr.ecr.us-east-1.amazonaws.com/own-repository:1"


def documents() -> Mapping[str, Any]:
    """File name without `.json` -> what it holds."""
    context = json.loads((Path(__file__).parent / "cdk.json").read_text())["context"]
    with tempfile.TemporaryDirectory() as folder:
        app = cdk.App(context=context, outdir=folder)
        build(app, Options(name=NAME, image=REPOSITORY))
        templates = {one.stack_name: one.template for one in app.synth().stacks}
    exports = {
        output["Export"]["Name"]: output["Value"]
        for template in templates.values()
        for output in template.get("Outputs", {}).values()
        if "Export" in output
    }

    def plain(node: Any) -> Any:
        return _named(_text(node, exports))

    found: dict[str, Any] = {}
    for file, (stack, begins) in POLICIES.items():
        statements = [
            statement
            for logical, one in templates[f"{NAME}-{stack}"]["Resources"].items()
            if logical.startswith(begins) and "PolicyDocument" in one.get("Properties", {})
            for statement in one["Properties"]["PolicyDocument"]["Statement"]
        ]
        found[file] = {"Version": "2012-10-17", "Statement": plain(statements)}
    access = templates[f"{NAME}-access"]["Outputs"]
    # Of the form of infra/outputs.json, so that WORDFREQ_OUTPUTS takes it.
    outputs = {
        name: plain(one["Value"]) for name, one in access.items() if name.startswith("Wordfreq")
    }
    found["outputs"] = {"own": dict(sorted(outputs.items()))}
    return found


def _text(node: Any, exports: Mapping[str, Any]) -> Any:
    """A template's value as text, with a name for each reference."""
    if isinstance(node, list):
        return [_text(one, exports) for one in node]
    if not isinstance(node, dict):
        return node
    if "Fn::Join" in node:
        separator, values = node["Fn::Join"]
        return separator.join(_text(one, exports) for one in values)
    if "Fn::ImportValue" in node:
        return _text(exports[node["Fn::ImportValue"]], exports)
    if "Ref" in node:
        return PSEUDO.get(node["Ref"]) or _names(node["Ref"])[0]
    if "Fn::GetAtt" in node:
        logical, attribute = node["Fn::GetAtt"]
        # QueueName and the like are names, Arn and TableArn addresses.
        return _names(logical)[1 if attribute.endswith("Arn") else 0]
    return {key: _text(value, exports) for key, value in node.items()}


def _names(logical: str) -> tuple[str, str]:
    bare = re.sub(r"[0-9A-F]{8}$", "", logical)
    if bare not in NAMES:
        raise SystemExit(f"policies.py: what stands for {logical}? Give it a name in NAMES")
    return NAMES[bare]


def _named(node: Any) -> Any:
    """The deployment's name and its image's repository as variables too."""
    text = json.dumps(node).replace(NAME, "${name}")
    text = text.replace("us-east-1:111122223333:repository/own-repository",
                        "${region}:${account}:repository/${repository}")  # fmt: skip
    return json.loads(text)


def main() -> int:
    """Write the files."""
    FOLDER.mkdir(exist_ok=True)
    for file, document in documents().items():
        (FOLDER / f"{file}.json").write_text(json.dumps(document, indent=2) + "\n")
    sys.stdout.write(f"{FOLDER} is written\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
