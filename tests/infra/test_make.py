"""The make targets and the commands of the docs: what they call, what they say if they can't."""

import os
import re
import subprocess
import sys
from pathlib import Path

import botocore.session
import costs
import pytest
from wordfreq_infra import network

ROOT = Path(__file__).resolve().parents[2]
DOCS = [ROOT / "docs" / "aws.md", ROOT / "docs" / "runbook.md"]
REPOSITORY = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/wordfreq"
#: Options of the aws command itself, and commands that are no operation of an API.
GLOBAL = {"query", "output", "region", "profile"}
OWN = {
    ("s3", "sync"): set(), ("s3", "cp"): set(), ("logs", "tail"): {"since"},
    ("ecr", "get-login-password"): set(),
}  # fmt: skip


def make(*words, **variables):
    clean = {n: v for n, v in os.environ.items() if not n.startswith(("AWS_", "MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", "--no-print-directory", *words],
        cwd=ROOT, env=clean | variables, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


@pytest.fixture
def programs(tmp_path):
    """Programs `docker` and `aws` that only write down how they are called."""
    for name, prints in (("docker", ""), ("aws", "the-password")):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            "#!/bin/sh\n"
            f'echo "{name} $*" >>{tmp_path}/calls\n'
            f'case "$*" in *--password-stdin*) cat >>{tmp_path}/stdin;; esac\n'
            f"echo {prints}\n"
        )
        path.chmod(0o755)
    return {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "HOME": str(tmp_path)}


def test_push_logs_in_by_stdin_and_pushes_the_revision(programs, tmp_path):
    done = make("push", f"REPOSITORY={REPOSITORY}", "TAG=7", "ENGINE=docker", **programs)
    assert done.returncode == 0, done.stderr
    registry = REPOSITORY.partition("/")[0]
    assert (tmp_path / "calls").read_text().splitlines() == [
        "aws ecr get-login-password --region eu-central-1",
        f"docker login --username AWS --password-stdin {registry}",
        f"docker tag wordfreq:local {REPOSITORY}:7",
        f"docker push {REPOSITORY}:7",
    ]
    assert (tmp_path / "stdin").read_text() == "the-password\n"
    assert f'OPTIONS="image={REPOSITORY}:7"' in done.stdout


@pytest.mark.parametrize("given", ["", "wordfreq", "docker.io/me/wordfreq"])
def test_push_to_no_repository_of_ecr_says_what_to_give(programs, given):
    done = make("push", f"REPOSITORY={given}", "ENGINE=docker", **programs)
    assert done.returncode != 0
    assert "REPOSITORY=<account>.dkr.ecr.<region>.amazonaws.com/<name>" in done.stderr


def test_an_engine_that_does_not_answer_is_named(tmp_path):
    broken = tmp_path / "docker"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    done = make("image", f"ENGINE={broken}")
    assert done.returncode != 0
    assert "doesn't answer: start it, or name another by ENGINE=podman" in done.stderr


def test_deploy_hands_every_option_on_and_asks_for_an_engine_only_to_build():
    options = "network=nat email=me@example.org csv_columns=Sku,Price:number csv_key=Sku"
    said = make("--dry-run", "deploy", f"OPTIONS={options}").stdout
    for option in options.split():
        assert f"-c '{option}'" in said
    assert "deploy --all --outputs-file outputs.json" in said
    assert "infra/ready.py --engine" in said
    assert "--engine" in make("--dry-run", "deploy", "OPTIONS=image=asset").stdout
    given = "image=a dagster=true dagster_image=b"
    assert "--engine" not in make("--dry-run", "deploy", f"OPTIONS={given}").stdout


def test_diff_compares_with_every_option_by_the_environment_of_the_cdk():
    """Without them it would show each chosen option as taken back."""
    said = make("--dry-run", "diff", "OPTIONS=network=nat email=me@example.org").stdout
    command = said.splitlines()[-1]
    assert "WORDFREQ_INFRA_PYTHON=" in command
    assert command.endswith("cdk diff --all -c 'network=nat' -c 'email=me@example.org'")


def test_no_page_calls_the_cdk_past_make():
    assert [page.name for page in ROOT.glob("docs/*.md") if ".bin/cdk" in page.read_text()] == []


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({}, "no Region: set AWS_DEFAULT_REGION"),
        ({"AWS_DEFAULT_REGION": "eu-central-1"}, "no AWS credentials"),
        (
            {"AWS_DEFAULT_REGION": "eu-central-1", "AWS_REGION": "us-east-1"},
            "AWS_REGION and AWS_DEFAULT_REGION name two Regions",
        ),
        ({"AWS_PROFILE": "nobody"}, "AWS_PROFILE names a profile that isn't there"),
        (
            {"AWS_DEFAULT_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "a",
             "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
             "AWS_MAX_ATTEMPTS": "1"},
            "AWS can't be asked",
        ),
    ],
)  # fmt: skip
def test_what_is_missing_is_said_before_anything_is_done(tmp_path, variables, says):
    clean = {n: v for n, v in os.environ.items() if not n.startswith("AWS_")}
    done = subprocess.run(
        [sys.executable, ROOT / "infra" / "ready.py", "--engine", "no-such-engine"],
        env=clean | {"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"} | variables,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert says in done.stderr
    assert "neither docker nor podman is installed" in done.stderr
    assert "Traceback" not in done.stderr


def aws_commands():
    for path in DOCS:
        text = path.read_text().replace("\\\n", " ")
        for found in re.findall(r"(?<![\w-])aws [a-z0-9]+ [a-z-]+[^\n`]*", text):
            yield path.name, found.partition(" #")[0]


def test_the_aws_commands_of_the_docs_exist_with_their_options():
    session = botocore.session.get_session()
    seen = 0
    for place, command in aws_commands():
        _, service, operation, *_ = command.split()
        given = set(re.findall(r" --([a-z-]+)", command)) - GLOBAL
        known = OWN.get((service, operation))
        if known is None:
            model = session.get_service_model(service)
            names = {botocore.xform_name(name, "-"): name for name in model.operation_names}
            assert operation in names, (place, command)
            members = model.operation_model(names[operation]).input_shape.members
            known = {botocore.xform_name(name, "-") for name in members}
            known |= {f"no-{name}" for name in known}
        assert given <= known, (place, command)
        seen += 1
    assert seen >= 10


def test_the_cost_tables_of_the_docs_are_the_computed_ones():
    printed = subprocess.run(
        [sys.executable, ROOT / "infra" / "costs.py"], capture_output=True, text=True, check=True
    ).stdout
    for table in printed.rstrip("\n").split("\n\n"):
        assert table + "\n" in DOCS[0].read_text()


def test_the_costs_count_what_the_templates_have(full, other):
    hosts = {*network.JOB_ENDPOINTS, *network.HOST_ENDPOINTS}
    assert len(hosts) == costs.ENDPOINTS
    assert len({*network.DAGSTER_ENDPOINTS} - hosts) == costs.DAGSTER_ENDPOINTS
    endpoints = other.properties("AWS::EC2::VPCEndpoint")  # with Fargate; two of them cost nothing
    dagster = costs.DAGSTER_ENDPOINTS + 1
    assert len(endpoints) == costs.FARGATE_ENDPOINTS + dagster + len(network.GATEWAYS)
    for stack, alarms in (("observability", costs.ALARMS), ("dagster", costs.DAGSTER_ALARMS)):
        assert len(full.properties("AWS::CloudWatch::Alarm", stack)) == alarms
    assert len(full.properties("AWS::ECS::Service")) == costs.SERVICES


def test_the_costs_of_the_docs_follow_from_their_prices():
    """Recomputed from what the page says, so that a slip in the program can't hide in it."""
    section = DOCS[0].read_text().partition("## What it costs")[2].partition("\n## ")[0]
    rows = [
        [cell.strip(" *") for cell in line.strip("|").split("|")]
        for line in section.splitlines() if line.startswith("|")
    ]  # fmt: skip
    prices = {
        row[0]: float(row[1].split()[0]) / (1e6 if "million" in row[1] else 1)
        for row in rows if len(row) == 4 and row[1][:1].isdigit()
    }  # fmt: skip
    assert all(row[2] and row[3] for row in rows if len(row) == 4), "a price without its source"
    costs = {
        row[0]: [float(cell) for cell in row[1:5]]
        for row in rows
        if row[1][:1].isdigit() and len(row) == 6
    }
    names = list(costs)
    parts = [costs[name] for name in names[: names.index("sum, Dagster elsewhere")]]
    for column, total in enumerate(costs["sum, Dagster elsewhere"]):
        assert abs(sum(part[column] for part in parts) - total) < 0.03  # of rounding
    hosts, month = [prices[f"{one}.large on demand, hour"] * 4 for one in ("m7i", "m7g")], 730
    assert [round(one, 2) for one in hosts] == costs[names[0]][2:]
    assert round(month * prices["NAT gateway, hour"]) == costs["`network=nat` adds"][0]
    endpoint = month * 2 * prices["interface endpoint, hour and zone"]
    assert round(6 * endpoint) == costs["`network=isolated` adds"][0]
    address = prices["public IPv4 address, hour"]
    login = month * (prices["load balancer, hour"] + 2 * address) + prices["secret, month"]
    assert round(login) == costs["a login for the UI adds (`ui_certificate`)"][0]
    for column, on in ((0, ""), (1, " on arm64")):
        hour = prices[f"Fargate vCPU{on}, hour"] / 2 + prices[f"Fargate GiB{on}, hour"]
        database = prices["RDS db.t4g.micro, hour"] * month + 20 * prices["RDS gp3, GB month"]
        watched = 60 * prices["custom metric, month"] + 5 * prices["alarm, month"]
        adds = 3 * month * hour + database + watched + prices["secret, month"]
        assert round(adds) == costs["`dagster=true` adds"][column]
        whole = costs["sum, Dagster elsewhere"][column] + adds + 3 * month * address
        assert abs(whole - costs["sum with `dagster=true`, `network=public`"][column]) < 0.02
