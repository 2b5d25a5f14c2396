"""The instance configurations hold runs; the deployment's with real PostgreSQL, by TLS, and S3."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import tomlkit
import yaml
from botocore.validate import ParamValidator
from dagster_docker import DockerRunLauncher
from dagster_postgres import PostgresRunStorage
from docker.models.containers import _create_container_args

from aws_batch_emulator import stop_running
from tests.postgres import postgres_server
from wordfreq_dagster.definitions import build_definitions
from wordfreq_dagster.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
INFRA = ROOT / "infra" / "dagster"


@dg.asset
def something():
    return dg.MaterializeResult(metadata={"files": 1})


def load(name, home):
    home.mkdir()
    shutil.copyfile(INFRA / name, home / "dagster.yaml")
    return dg.DagsterInstance.from_config(str(home))


def holds_a_run(instance):
    assert dg.materialize([something], instance=instance).success
    event = instance.get_latest_materialization_event(dg.AssetKey("something"))
    return event.asset_materialization.metadata["files"].value == 1


def test_local(tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    with load("local.yaml", tmp_path / "home") as instance:
        assert holds_a_run(instance)
        assert not instance.telemetry_enabled


@pytest.fixture
def postgres():
    with postgres_server(password="any") as port:
        yield port


def test_a_backup_of_compose_brings_everything_back(tmp_path, monkeypatch, postgres):
    """With the very programs and options of docs/aws.md, of this machine's PostgreSQL."""
    page = (ROOT / "docs" / "aws.md").read_text()
    save, restore = (
        shlex.split(re.search(rf"exec -T postgres ({name} [^<>\n]*) [<>] dagster", page)[1])
        for name in ("pg_dump", "pg_restore")
    )
    (programs,) = {path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/pg_dump")}
    here = {"PGHOST": "127.0.0.1", "PGPORT": str(postgres), "PGPASSWORD": "any"}
    for name, value in {
        **here, "DAGSTER_HOME": str(tmp_path), "DAGSTER_PG_HOST": "127.0.0.1",
        "DAGSTER_PG_USERNAME": "dagster", "DAGSTER_PG_PASSWORD": "any", "DAGSTER_PG_DB": "dagster",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    text = (INFRA / "compose.yaml").read_text().replace("port: 5432", f"port: {postgres}")
    (tmp_path / "dagster.yaml").write_text(text.replace("/opt/dagster/data", str(tmp_path)))
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert holds_a_run(instance)
        runs = {run.run_id for run in instance.get_runs()}
    done = subprocess.run([programs / save[0], *save[1:]], capture_output=True, check=True)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        instance.wipe()
    subprocess.run([programs / restore[0], *restore[1:]], input=done.stdout, check=True)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert {run.run_id for run in instance.get_runs()} == runs
        assert instance.get_latest_materialization_event(dg.AssetKey("something"))
        assert holds_a_run(instance)


FAMILY = "wordfreq-dagster-run"


@pytest.fixture
def deployment(tmp_path, monkeypatch, postgres, ministack):
    """DAGSTER_HOME as the entry point of a container writes it on ECS; the bucket of the logs."""
    container = {"name": "run", "image": "wordfreq-dagster:1", "memory": 512}
    ministack.client("ecs").register_task_definition(
        family=FAMILY, containerDefinitions=[container]
    )
    instances, home = tmp_path / "instances", tmp_path / "home"
    instances.mkdir()
    home.mkdir()
    text = (INFRA / "deployment.yaml").read_text()
    assert text.count("port: 5432") == 1
    text = text.replace("port: 5432", f"port: {postgres}")
    (instances / "deployment.yaml").write_text(text)
    entrypoint = (INFRA / "entrypoint.sh").read_text()
    assert "/opt/dagster/instances/" in entrypoint
    bucket = ministack.bucket()
    variables = {
        "DAGSTER_HOME": str(home),
        "DAGSTER_INSTANCE": "deployment",
        "DAGSTER_PG_HOST": "127.0.0.1",
        "DAGSTER_PG_USERNAME": "dagster",
        "DAGSTER_PG_PASSWORD": "any",
        "DAGSTER_PG_DB": "dagster",
        "DAGSTER_COMPUTE_LOG_BUCKET": bucket,
        "DAGSTER_RUN_TASK_DEFINITION": FAMILY,
        "DAGSTER_ECS_CLUSTER": "wordfreq-dagster",
        "DAGSTER_RUN_SUBNETS": "subnet-1, subnet-2",
        "DAGSTER_RUN_SECURITY_GROUP": "sg-1",
        "DAGSTER_RUN_PUBLIC_IP": "ENABLED",
        **ministack.environment,
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    script = entrypoint.replace("/opt/dagster/instances/", f"{instances}/")
    subprocess.run(["sh", "-c", script, "entrypoint.sh", "true"], check=True, timeout=60)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance, bucket


def test_the_pipeline_runs_on_the_deployments_instance(deployment, tmp_path, ministack):
    instance, bucket = deployment
    settings = Settings(home=str(tmp_path / "project"))
    (tmp_path / "project" / "source").mkdir(parents=True)
    (tmp_path / "project" / "source" / "a.txt").write_text("word " * 5)
    try:
        job = build_definitions(settings).resolve_job_def("word_frequency")
        ran = job.execute_in_process(instance=instance)
    finally:
        stop_running(settings.local_folder)
    assert isinstance(instance.run_storage, PostgresRunStorage)
    assert instance.get_run_by_id(ran.run_id).status is dg.DagsterRunStatus.SUCCESS
    event = instance.get_latest_materialization_event(dg.AssetKey("word_counts"))
    assert event.asset_materialization.metadata["files counted"].value == 1
    logs = ministack.client("s3").list_objects_v2(Bucket=bucket)["Contents"]
    assert any(f"compute-logs/storage/{ran.run_id}/" in one["Key"] for one in logs)
    assert not instance.telemetry_enabled


def test_a_run_becomes_a_task_of_the_definition_and_the_network_of_the_deployment(deployment):
    instance, _ = deployment
    launcher = instance.run_launcher
    assert type(launcher).__name__ == "EcsRunLauncher"
    assert f"/{FAMILY}:" in launcher.task_definition  # found, and it has the container `run`
    # The words that ECS's RunTask knows, as the launcher sends them.
    request = {"taskDefinition": launcher.task_definition, **launcher.run_task_kwargs}
    shape = launcher.ecs.meta.service_model.operation_model("RunTask").input_shape
    assert not ParamValidator().validate(request, shape).has_errors()
    network = request["networkConfiguration"]["awsvpcConfiguration"]
    assert (network["subnets"], network["assignPublicIp"]) == (["subnet-1", "subnet-2"], "ENABLED")


def test_the_code_location_loads_from_what_the_image_holds(tmp_path):
    """In it the package lies in `site-packages`, without the project around it."""
    shutil.copytree(ROOT / "wordfreq_dagster", tmp_path / "wordfreq_dagster")
    # What the image's build copies there besides, less its virtual environment.
    built = (INFRA / "Dockerfile").read_text()
    for name in re.findall(r"cp (\S+) /opt/dagster/venv/lib/python\*/site-packages/", built):
        shutil.copy(ROOT / name, tmp_path)
    code = (
        "import wordfreq_dagster.definitions as d; from wordfreq_dagster.settings import Settings;"
        "print(d.__file__, d.build_definitions(Settings()).resolve_job_def('word_frequency').name)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == [
        str(tmp_path / "wordfreq_dagster" / "definitions.py"),
        "word_frequency",
    ]


def compose(*files):
    """The services of these files together, as `docker compose -f … -f …` merges what they give."""
    services = {}
    for file in files:
        for name, given in yaml.safe_load((ROOT / file).read_text())["services"].items():
            service = services.setdefault(name, {})
            for key, value in given.items():
                kept = service.get(key)
                if isinstance(kept, dict):
                    value = kept | value
                elif isinstance(kept, list):
                    value = kept + value
                service[key] = value
    return services


@pytest.mark.parametrize("queue", ["", "wordfreq"])
def test_with_the_second_compose_file_a_run_is_a_container_of_its_own(queue, tmp_path, monkeypatch):
    services = compose("docker-compose.yaml", "docker-compose.isolated.yaml")
    assert services.keys() == compose("docker-compose.yaml").keys()
    daemon = services["daemon"]
    assert any("docker.sock" in one for one in daemon["volumes"])
    assert not any("docker.sock" in one for one in services["code"]["volumes"])
    given = {"COMPOSE_PROJECT_NAME": "other"}  # which compose sets, by `name:` or -p
    values = {
        name: re.sub(r"\$\{(\w+):-([^}]*)}", lambda one: given.get(one[1], one[2]), str(value))
        for name, value in daemon["environment"].items()
    }
    values |= {"DAGSTER_HOME": str(tmp_path), "DAGSTER_PG_PASSWORD": "any", "WORDFREQ_HOME": "/x"}
    values |= {"WORDFREQ_BATCH_QUEUE": queue, "AWS_DEFAULT_REGION": "eu-central-1"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    script = (INFRA / "entrypoint.sh").read_text().replace("/opt/dagster/instances/", f"{INFRA}/")
    done = subprocess.run(["sh", "-c", script, "entrypoint.sh", "true"], capture_output=True)
    if (
        not queue
    ):  # the embedded AWS Batch of the code server can't be reached from another container
        assert (done.returncode != 0, b"need AWS Batch" in done.stderr) == (True, True)
        return
    assert done.returncode == 0, done.stderr
    config = yaml.safe_load((tmp_path / "dagster.yaml").read_text())["run_launcher"]
    launcher = DockerRunLauncher(**config["config"])
    # As docker's client takes them: it refuses options that it doesn't know.
    asked = _create_container_args(
        {"image": launcher.image, "command": "x", "version": "1.41", **launcher.container_kwargs}
    )
    assert asked["host_config"]["Memory"] == 2 << 30
    assert asked["host_config"]["ReadonlyRootfs"]
    assert asked["host_config"]["Binds"] == ["other_data:/opt/dagster/data"]
    assert config["config"]["network"] == "other_default"
    assert {"DAGSTER_INSTANCE", "DAGSTER_PG_HOST", "DAGSTER_PG_PASSWORD", "WORDFREQ_HOME",
            "WORDFREQ_BATCH_QUEUE", "AWS_DEFAULT_REGION"} <= set(launcher.env_vars)  # fmt: skip


@pytest.mark.parametrize("name", ["local.yaml", "deployment.yaml"])
def test_both_run_one_pipeline_a_source_and_tell_nobody(name):
    config = yaml.safe_load((INFRA / name).read_text())
    assert config["telemetry"] == {"enabled": False}
    limits = config["concurrency"]["runs"]["tag_concurrency_limits"]
    assert {
        "key": "wordfreq/source",
        "value": {"applyLimitPerUniqueValue": True},
        "limit": 1,
    } in limits
    assert config["run_monitoring"]["enabled"]
    assert "sensor" in config["retention"]


def test_workspace_and_pyproject_name_the_same_location():
    (entry,) = yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"]
    module = entry["python_module"]
    project = tomlkit.parse((ROOT / "pyproject.toml").read_text())["tool"]["dg"]["project"]
    assert module["location_name"] == project["code_location_name"]
    package = module["module_name"].partition(".")[0]
    assert package == project["root_module"]
    assert project["defs_module"] == f"{package}.defs"
    assert module["module_name"] == f"{package}.definitions"
