"""The instance configurations load and hold a run; the deployment's on a real PostgreSQL."""

import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import dagster as dg
import pytest
import tomlkit
import yaml

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
def postgres(tmp_path):
    """A PostgreSQL server; it refuses to run as root, so it runs as the user `postgres` there."""
    found = [*Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    if not found:
        missing = "PostgreSQL is not installed (Debian: apt-get install postgresql)"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    programs = sorted(found)[-1].parent
    data = Path("/tmp") / f"wordfreq-postgres-{os.getpid()}"
    data.mkdir(mode=0o700)
    user = {}
    if os.getuid() == 0:
        shutil.chown(data, "postgres", "postgres")
        user = {"user": "postgres", "group": "postgres"}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    quiet = {"cwd": "/", "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    create = [programs / "initdb", "-D", data / "db", "-U", "dagster", "--auth=trust", "--no-sync"]
    subprocess.run(create, check=True, timeout=120, **quiet, **user)
    options = ["-p", str(port), "-k", str(data), "-c", "listen_addresses=127.0.0.1"]
    server = subprocess.Popen(
        [programs / "postgres", "-D", data / "db", *options, "-c", "fsync=off"], **quiet, **user
    )
    try:
        end = time.monotonic() + 60
        while True:
            ask = [programs / "createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "dagster"]
            if subprocess.run([*ask, "dagster"], timeout=30, **quiet).returncode == 0:
                break
            assert server.poll() is None and time.monotonic() < end, "PostgreSQL didn't come up"
            time.sleep(0.3)
        yield port
    finally:
        server.terminate()
        server.wait(timeout=60)
        shutil.rmtree(data)


def test_deployment(tmp_path, monkeypatch, postgres):
    for name, value in {
        "DAGSTER_PG_HOST": "127.0.0.1",
        "DAGSTER_PG_USERNAME": "dagster",
        "DAGSTER_PG_PASSWORD": "any",
        "DAGSTER_PG_DB": "dagster",
        "DAGSTER_COMPUTE_LOG_BUCKET": "logs",
    }.items():
        monkeypatch.setenv(name, value)
    home = tmp_path / "home"
    home.mkdir()
    text = (INFRA / "deployment.yaml").read_text()
    assert text.count("port: 5432") == 1
    # The logs' bucket isn't there; what a run prints stays local here.
    text = re.sub(r"compute_logs:\n(  .*\n)+", "", text.replace("port: 5432", f"port: {postgres}"))
    text = text.replace("sslmode: require", "sslmode: prefer")
    (home / "dagster.yaml").write_text(text)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert holds_a_run(instance)
        assert type(instance.run_storage).__name__ == "PostgresRunStorage"
        assert not instance.telemetry_enabled


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
    assert package == project["root_module"] == project["defs_module"]
    assert module["module_name"] == f"{package}.definitions"
