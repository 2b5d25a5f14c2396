"""Synthesised deployments, once a session. Without aws-cdk-lib (the project's own environment)
nothing here is collected: `make infra-test` runs these tests in theirs."""

import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path

import pytest

os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "1")
ROOT = Path(__file__).resolve().parents[2]
CDK = ROOT / "infra" / "node_modules" / ".bin" / "cdk"
HERE = importlib.util.find_spec("aws_cdk") is not None and shutil.which("node") is not None
collect_ignore_glob = [] if HERE else ["test_*.py"]


class Deployment:
    """What `cdk synth` makes of some options. `templates` by the stacks' short names."""

    def __init__(self, folder, **given):
        import aws_cdk as cdk
        from wordfreq_infra.app import build
        from wordfreq_infra.nag import findings
        from wordfreq_infra.options import Options

        context = json.loads((ROOT / "infra" / "cdk.json").read_text())["context"]
        self.options = Options(**given)
        app = cdk.App(context=context, outdir=str(folder))
        self.stacks = build(app, self.options)
        self.findings = findings(app, self.stacks, self.options)
        self.folder = Path(app.synth().directory)
        self.templates = {
            name: json.loads((self.folder / f"{stack.stack_name}.template.json").read_text())
            for name, stack in self.stacks.items()
        }

    def resources(self, kind, *stacks):
        """(stack, logical id, properties) of every resource of a type."""
        return [
            (name, logical, found.get("Properties", {}))
            for name, template in self.templates.items()
            if not stacks or name in stacks
            for logical, found in template["Resources"].items()
            if found["Type"] == kind
        ]

    def properties(self, kind, *stacks):
        return [properties for _, _, properties in self.resources(kind, *stacks)]


@pytest.fixture(scope="session")
def full(tmp_path_factory):
    """The defaults, with Dagster and mail."""
    return Deployment(tmp_path_factory.mktemp("full"), dagster=True, email="ops@example.org")


@pytest.fixture(scope="session")
def other(tmp_path_factory):
    """Every other choice: Fargate, no way out, given image, given source, nothing kept."""
    return Deployment(
        tmp_path_factory.mktemp("other"),
        name="wf-test",
        network="isolated",
        compute="fargate",
        dagster=True,
        architecture="arm64",
        image="999999999999.dkr.ecr.ap-south-1.amazonaws.com/tools/wordfreq:1.2@sha256:" + "a" * 64,
        dagster_image="111122223333.dkr.ecr.us-east-1.amazonaws.com/wordfreq-dagster:1.2",
        source="s3://books-of-others/english",
        csv_columns="Sku:S, Price: number, Tags:SS",
        csv_key="Sku",
        csv_sort_key="Price",
        csv_removed="mirror",
        fair_share=True,
        dagster_read_only=True,
        tags="team=data",
        keep_data=False,
        log_days=90,
        budget=0,
    )


@pytest.fixture(scope="session")
def graviton(tmp_path_factory):
    """Hosts and Dagster's services on arm64, with images that are built, and a login for the UI."""
    return Deployment(
        tmp_path_factory.mktemp("graviton"),
        dagster=True,
        architecture="arm64",
        network="nat",
        ui_certificate="arn:aws:acm:us-east-1:111122223333:certificate/1111-2222",
        ui_login="wordfreq/login",
        ui_cidr="203.0.113.0/24,198.51.100.7/32",
    )


@pytest.fixture(scope="session", params=["full", "other"])
def deployment(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def bin_folder():
    return Path(sys.executable).parent


def unavailable(reason):
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def cloud(tmp_path_factory):
    """ministack, and the environment by which boto3 and cdk find it."""
    from demo.local_aws import LocalAwsError, executable, local_aws

    if not executable().exists():
        unavailable(f"{executable()} isn't there: run `make emulators`")
    if not CDK.exists():
        unavailable(f"{CDK} isn't there: run `make infra-setup`")
    home = tmp_path_factory.mktemp("home")
    try:
        with local_aws(tmp_path_factory.mktemp("ministack"), authorize=True) as server:
            keep = {n: v for n, v in os.environ.items() if not n.startswith(("AWS_", "WORDFREQ_"))}
            # A home of its own: cdk keeps account ids by access key there.
            yield {
                **keep,
                **server.environment,
                "AWS_DEFAULT_REGION": "us-east-1",
                "HOME": str(home),
                "CDK_DISABLE_CLI_TELEMETRY": "true",
                "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "1",
            }
    except LocalAwsError as error:
        pytest.fail(str(error))


def client(cloud, service, region="us-east-1"):
    """A client of that ministack."""
    import boto3

    return boto3.session.Session().client(
        service,
        endpoint_url=cloud["AWS_ENDPOINT_URL"],
        region_name=region,
        aws_access_key_id=cloud["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=cloud["AWS_SECRET_ACCESS_KEY"],
    )
