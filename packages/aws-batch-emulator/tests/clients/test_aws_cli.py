"""The `aws` command: every operation of Batch, and what it does for lists by itself."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import create_loader
from botocore.model import ServiceModel

DATA = json.loads((Path(__file__).parents[1] / "unit" / "api" / "refusals.json").read_text("utf-8"))
MODEL = ServiceModel(create_loader().load_service_model("batch", "service-2"), "batch")

ONE_BY_ONE = """\
import contextlib, io, json, sys
from awscli.clidriver import create_clidriver
driver, done = create_clidriver(), []
for argv in json.load(open(sys.argv[1])):
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        try:
            code = driver.main(argv)
        except SystemExit as end:
            code = end.code
    done.append([argv[1], code, out.getvalue(), errors.getvalue()])
json.dump(done, open(sys.argv[2], "w"))
"""
"""Many commands in one process: each of its own would cost a second."""


def dashed(name: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", r"-\1", name).lower()


def inputs() -> dict[str, dict[str, Any]]:
    """Return an input for each operation: an accepted one, or only the required members."""
    found: dict[str, dict[str, Any]] = {}
    for base, (_, request) in DATA["bases"].items():
        found.setdefault(base.split(",")[0], copy.deepcopy(request))
    found["RegisterJobDefinition"]["jobDefinitionName"] = "work"
    policy = "arn:aws:batch:us-east-1:000000000000:scheduling-policy/p"
    found["UpdateSchedulingPolicy"] = {"arn": policy, "fairsharePolicy": {"computeReservation": 1}}
    found["SubmitJob"]["jobDefinition"] = "work"
    for name in MODEL.operation_names:
        shape = MODEL.operation_model(name).input_shape
        found.setdefault(name, {k: value(shape.members[k]) for k in shape.required_members})
    return found


def value(shape: Any) -> Any:
    kind = shape.type_name
    if kind == "structure":
        return {name: value(shape.members[name]) for name in shape.required_members}
    if kind == "list":
        return [value(shape.member)]
    if kind in ("integer", "long"):
        return 1
    return {} if kind == "map" else (shape.enum or ["local"])[0]


@pytest.fixture
def aws(desk: Any, tmp_path: Path) -> Any:
    if not (desk.bins / "aws").exists():
        pytest.skip("aws is not installed in .venv-clients: run `make clients`")

    def run(commands: list[list[str]]) -> list[list[Any]]:
        (tmp_path / "in.json").write_text(json.dumps(commands))
        desk.script(ONE_BY_ONE, str(tmp_path / "in.json"), str(tmp_path / "out.json"))
        return list(json.loads((tmp_path / "out.json").read_text()))

    return run


def test_every_operation_is_answered_or_refused_by_name(aws: Any, desk: Any) -> None:
    made = inputs()
    names = sorted(made, key=lambda n: (not n.startswith(("Create", "Register")), n))
    commands = [["batch", dashed(n), "--cli-input-json", json.dumps(made[n])] for n in names]
    commands += [["batch", dashed(n), "--generate-cli-skeleton"] for n in names]
    known, refused, newer = [], [], []
    for name, (_, code, out, error) in zip(names, aws(commands), strict=False):
        if code == 0:
            json.loads(out or "{}")
            known.append(name)
        elif "Invalid choice" in error:
            newer.append(name)  # than this version of the command
        else:
            assert "The Batch emulator does not support" in error, (name, error)
            refused.append(name)
    print(f"answered: {known}\nrefused by name: {refused}\nunknown to this aws: {newer}")
    assert set(MODEL.operation_names) == {*known, *refused, *newer}
    assert len(known) >= 25


def test_lists_come_whole_and_in_parts(aws: Any, desk: Any) -> None:
    desk.define("work", "shell", command=["true"])
    for number in range(7):
        desk.batch.submit_job(jobName=f"j-{number}", jobQueue="local", jobDefinition="work")
    listing = ["batch", "list-jobs", "--job-queue", "local"]
    listing += ["--filters", "name=JOB_NAME,values=j-*"]
    whole, first = aws([[*listing, "--page-size", "2"], [*listing, "--max-items", "5"]])
    assert len(json.loads(whole[2])["jobSummaryList"]) == 7
    part = json.loads(first[2])
    rest = aws([[*listing, "--starting-token", part["NextToken"]]])[0]
    rows = part["jobSummaryList"] + json.loads(rest[2])["jobSummaryList"]
    assert sorted(row["jobName"] for row in rows) == [f"j-{number}" for number in range(7)]
    queue = "arn:aws:batch:us-east-1:000000000000:job-queue/local"
    tagged = aws(
        [
            ["batch", "tag-resource", "--resource-arn", queue, "--tags", "a=b,c=d"],
            ["batch", "untag-resource", "--resource-arn", queue, "--tag-keys", "a"],
            ["batch", "list-tags-for-resource", "--resource-arn", queue],
            ["logs", "describe-log-groups"],
        ]
    )
    assert [code for _, code, _, _ in tagged] == [0] * 4
    assert json.loads(tagged[2][2])["tags"] == {"c": "d"}
