"""A deployment's life on ministack, with Dagster on ECS. Part of `make infra-pairs`.

Deploy, deploy again, change all that may be changed, destroy and keep the data, deploy again,
destroy with all data. AWS Batch, NAT gateways, budgets and flow logs are unknown to ministack:
changes of those are compared in the templates (test_changes.py).
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys

import pytest
from conftest import CDK, ROOT, Deployment, client
from emulate import assembly_for_ministack
from test_emulators import PROJECT

pytestmark = pytest.mark.skipif(
    not os.environ.get("WORDFREQ_INFRA_PAIRS"), reason="takes minutes: `make infra-pairs`"
)
ECR = "000000000000.dkr.ecr.us-east-1.amazonaws.com/"
FIRST = {
    "name": "life", "dagster": True, "image": ECR + "w:1", "dagster_image": ECR + "d:1",
    "email": "a@b.org",
}  # fmt: skip
CHANGED = {
    "compute": "fargate", "architecture": "arm64", "fair_share": True,
    "max_vcpus": 8, "image": ECR + "w:2", "dagster_image": ECR + "d:2", "csv_time_index": True,
    "csv_columns": "ProductId,ProductName,ProductDescription,More", "tags": "team=data",
    "permissions_boundary": "arn:aws:iam::aws:policy/AdministratorAccess", "budget": 0,
    "email": "c@d.org", "log_days": 7,
}  # fmt: skip


@pytest.mark.timeout(1800)
def test_deploy_change_destroy_deploy_and_destroy_with_all_data(cloud, tmp_path):
    def run(*command):
        done = subprocess.run(
            [str(word) for word in command], cwd=tmp_path, env=cloud,
            capture_output=True, text=True, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"

    def deploy(step, **options):
        made = Deployment(tmp_path / f"synth-{step}", **options)
        assert made.findings == []
        folder = assembly_for_ministack(made.folder, tmp_path / f"app-{step}")
        app = ("--app", folder, "--ci", "--no-color")
        if step == "first":
            run(CDK, "bootstrap", *app, "aws://000000000000/us-east-1")
        words = " ".join(f"{name}={value}" for name, value in options.items())
        run(sys.executable, ROOT / "infra" / "ready.py", "--options", words)
        run(CDK, "deploy", "--all", *app, "--require-approval=never")
        return app

    def buckets():
        found = client(cloud, "s3").list_buckets()["Buckets"]
        return {one["Name"] for one in found if one["Name"].startswith("life-")}

    def data():
        return buckets() | set(client(cloud, "dynamodb").list_tables()["TableNames"])

    def destroy(app, *words):
        run(sys.executable, ROOT / "infra" / "teardown.py", "--name=life", *words)
        run(CDK, "destroy", "--all", "--force", *app)
        stacks = client(cloud, "cloudformation").list_stacks()["StackSummaries"]
        left = [one["StackName"] for one in stacks if one["StackStatus"] != "DELETE_COMPLETE"]
        assert [name for name in left if name.startswith("life-")] == []

    deploy("first", **FIRST)
    (texts,) = [name for name in data() if "source" in name]
    client(cloud, "s3").put_object(Bucket=texts, Key="texts/a.txt", Body=b"kept")
    first = data()
    deploy("again", **FIRST)
    app = deploy("changed", **FIRST | CHANGED)
    assert data() == first
    groups = client(cloud, "logs").describe_log_groups(logGroupNamePrefix="/life/")["logGroups"]
    kept = {one["logGroupName"]: one["retentionInDays"] for one in groups}
    assert kept["/life/batch"] == kept["/life/dagster"] == 7
    destroy(app)
    assert data() == first
    body = client(cloud, "s3").get_object(Bucket=texts, Key="texts/a.txt")["Body"].read()
    assert body == b"kept"
    app = deploy("second", **FIRST | {"keep_data": False})
    # Texts, results, uploads, logs of steps; ministack gives the table the name of the kept one.
    assert len(buckets() - first) == 4
    destroy(app, "--delete-all-data")
    assert buckets() == first & buckets()
    assert len(buckets()) == 5


@contextlib.contextmanager
def embedded_batch(cloud):
    """AWS Batch's address, with the queue and the definitions that the deployment would make."""
    command = [PROJECT, ROOT / "tests" / "infra" / "pipelines.py", "serve"]
    environment = {**cloud, "PYTHONPATH": f"{ROOT}:{ROOT}/batch_image"}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


def fresh_clone(folder):
    """What is in git and what has changed since; of what `make` installs only the CDK (700 MB)."""

    def git(*words):
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
        return [name for name in done.stdout.split("\0") if name]

    git("clone", "--quiet", "--local", str(ROOT), str(folder))
    for name in git("ls-files", "-z", "--modified", "--others", "--deleted", "--exclude-standard"):
        (folder / name).unlink(missing_ok=True)
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    for name in (".venv-infra", "infra/node_modules"):
        (folder / name).symlink_to(ROOT / name)
    for name in ("infra/requirements.txt", "infra/package.json"):
        os.utime(folder / name, (0, 0))  # older than what was installed of them
    return folder


@pytest.mark.timeout(1800)
def test_the_commands_from_zero_to_the_first_ranking(cloud, tmp_path):
    """As docs/aws.md has them, in one shell. Not built and pushed: the image; AWS Batch's part of
    the deployment is the embedded one."""
    page = (ROOT / "docs" / "aws.md").read_text().partition("## From zero to the first ranking")[2]
    typed = re.search(r"```bash\n(.*?)```", page, re.DOTALL)[1]
    commands = [line for line in typed.splitlines() if line.strip()]
    first = next(n for n, line in enumerate(commands, 1) if "ranking.json" in line)
    assert first <= 10
    made = Deployment(tmp_path / "synth", email="me@example.org", image=ECR + "w:1")
    folder = assembly_for_ministack(made.folder, tmp_path / "app")
    here = fresh_clone(tmp_path / "here")
    books = tmp_path / "home" / "books"
    books.mkdir(parents=True)
    (books / "a.txt").write_text("whale whale whale, and the sea, the sea")
    (here / "products.csv").write_text("ProductId,ProductName,ProductDescription\n1,one,x\n")
    region = re.search(r"AWS_DEFAULT_REGION=(\S+)", typed)[1]
    cloud = {name: cloud[name] for name in cloud if name != "AWS_REGION"}
    with embedded_batch(cloud | {"AWS_DEFAULT_REGION": region}) as batch:
        environment = cloud | {
            "HOME": str(tmp_path / "home"),
            "AWS_ENDPOINT_URL_BATCH": batch,
            "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": batch,
            "MAKEFLAGS": "e",  # these win over the Makefile's
            "ENGINE": "true",
            "CDK": f"cd infra && {CDK} --app {folder} --ci --no-color",
            "CDK_ARGS": "--require-approval=never",
        }
        done = subprocess.run(
            ["bash", "-exc", typed],
            cwd=here,
            env=environment,
            capture_output=True,
            text=True,
            timeout=1500,
        )
    print(done.stdout[-6000:], done.stderr[-6000:])
    assert done.returncode == 0
    assert '"whale"' in done.stdout
    tables = client(cloud, "dynamodb", region)
    (table,) = [one for one in tables.list_tables()["TableNames"] if one.startswith("wordfreq")]
    assert tables.scan(TableName=table)["Count"] == 1
