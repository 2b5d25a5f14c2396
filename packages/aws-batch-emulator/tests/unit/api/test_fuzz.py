"""Requests made up from the service model: each is answered, validly, and harms nothing.

A short one for every day; `FUZZ_REQUESTS=100000` makes it a long one, `FUZZ_SEED` another one.
"""

from __future__ import annotations

import copy
import http.client
import json
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from botocore.loaders import create_loader
from botocore.model import OperationModel, ServiceModel, Shape
from botocore.validate import ParamValidator

from aws_batch_emulator import EmbeddedBatch, SimulatedRun, SimulatedRunner, VirtualClock

REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "1500"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
LOGS = ("GetLogEvents", "FilterLogEvents", "DescribeLogStreams", "DescribeLogGroups")
BASES = json.loads(Path(__file__).with_name("refusals.json").read_text("utf-8"))["bases"]
FAIR = "arn:aws:batch:us-east-1:000000000000:scheduling-policy/fair"
ODD = [
    *("", " ", "a" * 300, "\u0000", "\ud83d", "<b>", "../..", "*", "-1", "Ref::x", "AWS_BATCH_X"),
    *("0.25", "1", "4", "2048", "64Mi", "1e9", "NaN", "arn:aws:batch:::x/y", "é\u202e", "%s{}"),
]
ODD_VALUES = [None, True, -1, 0, 2**31, 10**30, 1.5, "x", [], {}, [[]], {"": {}}]


class Maker:
    """Makes inputs; what answers name comes back in later requests."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.names: list[str] = ["local", "work", "pod", "task", "fair"]
        self.known: dict[str, list[str]] = {
            "jobqueue": ["local", "fair", "fargate", "eks"],
            "jobdefinition": ["work", "task", "fargate", "pod"],
            "computeenvironment": ["local"],
            "loggroupname": ["/aws/batch/job"],
        }

    def request(self, operation: OperationModel) -> Any:
        """Make the input of an operation: out of nothing, or of one that is accepted."""
        pick, shape = self.random, operation.input_shape
        bases = [r for base, (_, r) in BASES.items() if base.split(",")[0] == operation.name]
        if not bases or pick.random() < 0.3:
            return self.value(shape)
        made = copy.deepcopy(pick.choice(bases))
        for member in shape.members:
            if member in made and member.endswith("ame"):
                made[member] = f"{pick.choice(self.names)}{pick.randrange(20)}"
            elif self.known.get(member.lower()) and member in made and pick.random() < 0.5:
                made[member] = self.text(shape.members[member], member)
        for _ in range(pick.choice((0, 0, 1, 2))):
            member = pick.choice(list(shape.members))
            made[member] = self.value(shape.members[member], member, 1)
        return made

    def value(self, shape: Shape, member: str = "", depth: int = 0) -> Any:
        pick = self.random
        if pick.random() < 0.01:
            return pick.choice(ODD_VALUES)
        kind = shape.type_name
        if kind == "structure":
            members: dict[str, Shape] = shape.members  # type: ignore[attr-defined]
            share = 0.5 / (1 + depth / 2)
            required = shape.required_members  # type: ignore[attr-defined]
            made = {
                name: self.value(inner, name, depth + 1)
                for name, inner in members.items()
                if (name in required and pick.random() < 0.99) or pick.random() < share
            }
            if pick.random() < 0.005:
                made["unknown"] = 1
            return made
        if kind == "list":
            count = pick.choice((0, 1, 1, 1, 2, 3, 120 if depth < 2 else 4))
            return [self.value(shape.member, member, depth + 1) for _ in range(count)]  # type: ignore[attr-defined]
        if kind == "map":
            return {
                self.text(shape.key, ""): self.value(shape.value, "", depth + 1)  # type: ignore[attr-defined]
                for _ in range(pick.choice((0, 1, 2)))
            }
        if kind in ("integer", "long"):
            return pick.choice((0, 1, 2, 3, 10, 60, 100, 600, 9_999, 10_001, -1, 2**31 - 1))
        if kind in ("float", "double"):
            return pick.choice((0, 0.5, 1, -1, 1000.5))
        if kind == "boolean":
            return pick.random() < 0.5
        return self.text(shape, member)

    def text(self, shape: Shape, member: str) -> str:
        pick = self.random
        if (allowed := getattr(shape, "enum", None)) and pick.random() < 0.95:
            return str(pick.choice(allowed))
        found = self.known.get(member.lower().removesuffix("s"))
        if found and pick.random() < 0.8:
            return pick.choice(found)
        if member.lower().endswith("name") and pick.random() < 0.7:
            return f"{pick.choice(self.names)}{pick.randrange(20)}"
        return str(pick.choice(ODD))

    def learn(self, document: Any) -> None:
        """Keep the ids, names, ARNs and tokens of an answer."""
        if isinstance(document, list):
            for item in document[:5]:
                self.learn(item)
        elif isinstance(document, dict):
            for key, value in document.items():
                if not isinstance(value, str):
                    self.learn(value)
                    continue
                short = key.lower().removesuffix("arn").removesuffix("name").removesuffix("s")
                for name in (short, key.lower(), "resourcearn" if key.endswith("rn") else short):
                    found = self.known.setdefault(name, [])
                    found.append(value)
                    del found[:-30]
                if key == "jobId":
                    self.known["job"] = [*self.known.get("job", []), value, f"{value}:0"][-30:]


def _queue(name: str) -> dict[str, Any]:
    order = [{"order": 1, "computeEnvironment": name}]
    return {"jobQueueName": name, "computeEnvironmentOrder": order}


FIRST: list[tuple[str, dict[str, Any]]] = [
    ("CreateComputeEnvironment, Fargate", {"computeEnvironmentName": "fargate"}),
    ("CreateComputeEnvironment, EKS", {"computeEnvironmentName": "eks"}),
    ("CreateSchedulingPolicy", {"name": "fair"}),
    ("CreateJobQueue", _queue("fargate")),
    ("CreateJobQueue", _queue("eks")),
    ("CreateJobQueue", {"jobQueueName": "fair", "schedulingPolicyArn": FAIR}),
    ("RegisterJobDefinition", {"jobDefinitionName": "work"}),
    ("RegisterJobDefinition, Fargate", {"jobDefinitionName": "fargate"}),
    ("RegisterJobDefinition, several containers", {"jobDefinitionName": "task"}),
    ("RegisterJobDefinition, EKS", {"jobDefinitionName": "pod"}),
]
"""What the accepted requests name."""


def operations() -> list[tuple[str, OperationModel]]:
    loader = create_loader()
    found = []
    for service in ("batch", "logs"):
        model = ServiceModel(loader.load_service_model(service, "service-2"), service)
        names = LOGS if service == "logs" else model.operation_names
        found += [(service, model.operation_model(name)) for name in names]
    return found


def send(
    connection: http.client.HTTPConnection, service: str, operation: OperationModel, request: Any
) -> tuple[int, bytes]:
    body = json.dumps(request).encode()
    headers = {"Authorization": "AWS4-HMAC-SHA256 x"}
    method, path = operation.http["method"], operation.http["requestUri"]
    if service == "logs":
        headers["X-Amz-Target"] = f"Logs_20140328.{operation.name}"
        method, path = "POST", "/"
    elif "{" in path:
        arn = request.get("resourceArn") if isinstance(request, dict) else None
        path = path.replace("{resourceArn}", quote(str(arn), safe="", errors="replace"))
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def check(operation: OperationModel, status: int, body: bytes) -> Any:
    assert status < 500, body
    document = json.loads(body)
    if status != 200:
        assert document["__type"], document
        assert document["message"], document
        return None
    for job in document.get("jobs", []):
        job.setdefault("startedAt", 0)  # see conftest.py
    report = ParamValidator().validate(document, operation.output_shape)
    assert not report.has_errors(), report.generate_report()
    return document


def test_whatever_the_service_model_allows_is_answered(tmp_path: Path) -> None:
    maker = Maker(SEED)
    choices = operations()
    often = ("SubmitJob", "RegisterJobDefinition", "CreateComputeEnvironment", "CreateJobQueue")
    weights = [8 if operation.name in often else 1 for _, operation in choices]
    counts: Counter[int] = Counter()
    clock = VirtualClock()

    def behave(job: Any) -> SimulatedRun:
        return SimulatedRun(
            seconds=maker.random.randrange(400), log=["line"], exit_code=job.attempt % 2
        )

    with EmbeddedBatch(state=tmp_path, clock=clock, runner=SimulatedRunner(behave)) as emulator:
        connection = http.client.HTTPConnection("127.0.0.1", emulator.port, timeout=60)
        by_name = {operation.name: operation for _, operation in choices}
        for base, changes in FIRST:
            request = {**BASES[base][1], **changes}
            status, body = send(connection, "batch", by_name[base.split(",")[0]], request)
            assert status == 200, body
            maker.learn(json.loads(body))
        for number in range(REQUESTS):
            service, operation = maker.random.choices(choices, weights)[0]
            request = maker.request(operation)
            try:
                status, body = send(connection, service, operation, request)
                document = check(operation, status, body)
            except Exception as error:  # name the request: the test can be run again with its seed
                pytest.fail(f"{number} {operation.name} {json.dumps(request)[:3000]}: {error!r}")
            counts[status] += 1
            maker.learn(document)
            if number % 50 == 0:
                clock.advance(maker.random.randrange(100))
            if number % 500 == 0:
                for page in ("health", "jobs", "calls", "events"):
                    connection.request("GET", f"/_emulator/{page}")
                    answer = connection.getresponse()
                    assert (answer.status, bool(answer.read())) == (200, True)
        jobs = len(emulator.engine.jobs)
    print(f"{REQUESTS:,} requests: {dict(counts)}, {jobs:,} jobs")
    assert counts[200] > REQUESTS / 10
    assert jobs > REQUESTS / 1000, "it never came so far as to submit jobs"
    with EmbeddedBatch(state=tmp_path, clock=VirtualClock(clock.now())) as again:
        assert len(again.engine.jobs) == jobs
