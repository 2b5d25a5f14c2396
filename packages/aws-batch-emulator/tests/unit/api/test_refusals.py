"""Each refusal that AWS documents: sent, refused, its sentence looked up, and shown in the docs.

`refusals.json` holds the rules: their source and words, the request of `bases` that is changed
(which alone is accepted) and how (values by dotted path; null removes; {"of": …, "times": n} is
something repeated), and a part of the message.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.loaders import create_loader
from botocore.model import ServiceModel

from aws_batch_emulator import EmbeddedBatch, VirtualClock

MODEL = ServiceModel(create_loader().load_service_model("batch", "service-2"), "batch")
PAGE = Path(__file__).parents[3] / "docs" / "refusals.md"
DATA = json.loads(Path(__file__).with_name("refusals.json").read_text("utf-8"))
BASES: dict[str, tuple[str, dict[str, Any]]] = DATA["bases"]
RULES: list[dict[str, Any]] = DATA["rules"]
GUIDE = "user guide: "


@pytest.fixture(scope="module")
def batch() -> Iterator[Any]:
    with EmbeddedBatch(clock=VirtualClock()) as emulator:
        client = boto3.client(
            "batch",
            endpoint_url=emulator.url,
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
            config=Config(retries={"total_max_attempts": 1}, parameter_validation=False),
        )
        _set_up(client)
        yield client


def _set_up(client: Any) -> None:
    """Make what the requests name."""
    for kind, name in (("Fargate", "fargate"), ("EKS", "eks")):
        _send(client, f"CreateComputeEnvironment, {kind}", {"computeEnvironmentName": name})
    _send(client, "CreateComputeEnvironment", {"computeEnvironmentName": "off"})
    arn = client.create_scheduling_policy(name="fair")["arn"]
    for name, changes in (
        ("fargate", {"computeEnvironmentOrder.0.computeEnvironment": "fargate"}),
        ("fair", {"schedulingPolicyArn": arn}),
        ("off", {"computeEnvironmentOrder.0.computeEnvironment": "off"}),
        ("closed", {"state": "DISABLED"}),
    ):
        _send(client, "CreateJobQueue", {"jobQueueName": name, **changes})
    client.update_compute_environment(computeEnvironment="off", state="DISABLED")
    for kind, name in (("", "work"), (", Fargate", "fargate"), (", several containers", "task")):
        _send(client, f"RegisterJobDefinition{kind}", {"jobDefinitionName": name})


def _value(given: Any) -> Any:
    if isinstance(given, dict):
        if set(given) == {"of", "times"}:
            return _value(given["of"]) * given["times"]
        return {key: _value(value) for key, value in given.items()}
    return [_value(value) for value in given] if isinstance(given, list) else given


def _send(client: Any, base: str, changes: dict[str, Any]) -> Any:
    call, request = BASES[base]
    request = copy.deepcopy(request)
    for path, value in changes.items():
        *parents, last = path.split(".")
        place: Any = request
        for key in parents:
            place = place[int(key)] if isinstance(place, list) else place.setdefault(key, {})
        if value is None:
            place.pop(last, None)
        else:
            place[int(last) if isinstance(place, list) else last] = _value(value)
    return getattr(client, call)(**request)


@pytest.mark.parametrize("base", BASES)
def test_the_request_alone_is_accepted(batch: Any, base: str) -> None:
    # A new name each time; the bases of `test_what_aws_refuses` stay free.
    names = ("jobDefinitionName", "computeEnvironmentName", "jobQueueName", "name")
    changes = {name: "alone" for name in names if name in BASES[base][1]}
    _send(batch, base, {k: f"alone-{list(BASES).index(base)}" for k in changes})


def _ids(rules: list[dict[str, Any]]) -> list[str]:
    return [f"{i}-{rule['source'].replace(' ', '-')}" for i, rule in enumerate(rules)]


@pytest.mark.parametrize("rule", RULES, ids=_ids(RULES))
def test_what_aws_refuses_is_refused(batch: Any, rule: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as caught:
        _send(batch, rule["base"], rule["change"])
    error = caught.value.response["Error"]
    assert error["Code"] == "ClientException"
    assert rule["text"] in error["Message"]


def _plain(text: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", text).replace("\u2019", "'").split())


def _documentation(source: str) -> str:
    name, _, member = source.partition(".")
    if not member:
        return str(MODEL.operation_model(name).documentation)
    return str(MODEL.shape_for(name).members[member].documentation)


def _without_blanks(text: str) -> str:
    return re.sub(r"\s", "", _plain(text))


@pytest.mark.parametrize("rule", RULES, ids=_ids(RULES))
def test_the_api_reference_says_so(rule: dict[str, Any]) -> None:
    if not rule["source"].startswith(GUIDE):
        assert _without_blanks(rule["words"]) in _without_blanks(_documentation(rule["source"]))


def page() -> str:
    """Return the page of the docs that lists the rules."""
    head = f"""# What AWS Batch refuses, and so does the emulator

{len(RULES)} refusals that AWS documents. A test sends each to the emulator and looks the words up
in the API reference (as it stands in botocore's service model; the user guide is not part of that).
The error code is `ClientException` throughout; the message is the emulator's own unless
[the guide](guide.md) lists it as AWS's.

| where AWS says so | its words | request | the emulator's answer |
|---|---|---|---|
"""
    rows = (
        f"| {r['source']} | {_cell(r['words'])} | {r['base']} | {_cell(r['text'])} |" for r in RULES
    )
    return head + "\n".join(rows) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*")


def test_the_page_lists_them() -> None:
    assert PAGE.read_text("utf-8") == page(), f"write it anew: python {Path(__file__).name}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
