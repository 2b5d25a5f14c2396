"""A project of `defs.yaml` files only, loaded as `dg` loads it, on the emulator."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import dagster as dg
import pytest

from aws_batch_emulator import EmbeddedBatch, SubprocessRunner
from dagster_aws_batch import (
    BatchJobComponent,
    BatchJobsComponent,
    InvalidJobError,
    dead_runs_sensor,
)

KEYS = [f"part-{number}" for number in range(20)]
WORK = (
    'key=$(echo "$BATCH_PARTITIONS" | sed -n $((AWS_BATCH_JOB_ARRAY_INDEX + 1))p); '
    "echo $key >> {folder}/done; test $key != {bad}"
)

# As `create-dagster project` writes it into every new project.
SKELETON = """\
from pathlib import Path

import dagster as dg


@dg.definitions
def defs():
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent / "defs")
"""


def project(tmp_path, url, *, bad="none", **attributes):
    (tmp_path / "pyproject.toml").write_text(
        textwrap.dedent("""\
            [tool.dg]
            directory_type = "project"
            [tool.dg.project]
            root_module = "shop"
            """)
    )
    batch = {"queue": "local", "region_name": "us-east-1", "endpoint_url": url, "poll_seconds": 0.1}
    batch["scratch"] = str(tmp_path / "scratch")
    report = {
        "asset": {"key": "report"},
        "image": "shell",
        "command": [WORK.format(folder=tmp_path, bad=bad)],
        "partitions": KEYS,
        **attributes,
    }
    for name, kind, attributes in (
        ("batch", "BatchJobsComponent", batch),
        ("report", "BatchJobComponent", report),
    ):
        folder = tmp_path / "shop" / "defs" / name
        folder.mkdir(parents=True)
        component = {"type": f"dagster_aws_batch.{kind}", "attributes": attributes}
        # What is JSON is YAML.
        (folder / "defs.yaml").write_text(json.dumps(component))
    for folder in (tmp_path / "shop", tmp_path / "shop" / "defs"):
        (folder / "__init__.py").touch()
    (tmp_path / "shop" / "definitions.py").write_text(SKELETON)
    return dg.load_from_defs_folder(path_within_project=tmp_path / "shop" / "defs")


@pytest.fixture
def aws():
    with EmbeddedBatch(runner=SubprocessRunner({"shell": ["sh", "-c"]})) as emulator:
        yield emulator


@pytest.fixture(autouse=True)
def _importable(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
        del sys.modules[name]


def materialize(defs, instance, keys=KEYS):
    """All partitions in one run, as a backfill of them does."""
    job = defs.resolve_implicit_global_asset_job_def()
    tags = {
        "dagster/asset_partition_range_start": keys[0],
        "dagster/asset_partition_range_end": keys[-1],
    }
    return job.execute_in_process(instance=instance, tags=tags, raise_on_error=False)


def test_an_array_of_twenty_partitions_without_python(tmp_path, aws):
    defs = project(tmp_path, aws.url)
    with dg.DagsterInstance.ephemeral() as instance:
        assert materialize(defs, instance).success
        made = instance.get_materialized_partitions(dg.AssetKey("report"))
    assert made == set(KEYS)
    assert sorted((tmp_path / "done").read_text().split()) == sorted(KEYS)
    assert aws.calls["SubmitJob"] == 1
    assert {sensor.name for sensor in defs.sensors or []} == {
        *("batch_reaper_failure", "batch_reaper_canceled", "dead_runs")
    }


@pytest.mark.parametrize(
    ("key", "variable"),
    [("a" * 150, "BATCH_PARTITIONS"), ("a" * 300, "BATCH_INPUTS"), ("文" * 150, "BATCH_INPUTS")],
    ids=["few", "many", "few characters, but six times as many for AWS Batch"],
)
def test_keys_too_long_for_a_variable_are_the_tasks_inputs(tmp_path, aws, key, variable):
    keys = [f"{key}{number}" for number in range(20)]
    defs = project(tmp_path, aws.url, partitions=keys, command=[f'test -n "${variable}"'])
    with dg.DagsterInstance.ephemeral() as instance:
        assert materialize(defs, instance, keys).success
        assert instance.get_materialized_partitions(dg.AssetKey("report")) == set(keys)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"timeout_seconds": 0}, "timeout_seconds is 0; AWS Batch wants 60 or more"),
        ({"image": None}, "give it an image or a definition"),
        ({"definition": "report:3"}, "give it an image or a definition"),
        (
            {"image": None, "definition": "report:3", "platform": "FARGATE", "job_role_arn": "r"},
            "platform is for an image; .*; job_role_arn is for an image",
        ),
        (
            {"image": None, "definition": "d", "execution_role_arn": "r"},
            "execution_role_arn is for",
        ),
        ({"tasks": 3}, "tasks is 3; use 1 or more, and none where there are partitions"),
        ({"partitions": None, "tasks": 0}, "tasks is 0; use 1 or more"),
        ({"partitions": None, "tasks": -1}, "tasks is -1; use 1 or more"),
        ({"partitions": []}, "partitions is empty"),
        ({"environment": {"BATCH_PARTITIONS": "mine"}}, "environment has BATCH_PARTITIONS"),
        ({"platform": "EKS", "job_role_arn": "r"}, "job_role_arn is not for EKS"),
    ],
)
def test_what_a_run_would_ignore_or_fail_for_is_an_error_when_it_is_loaded(wrong, said):
    good = {"asset": {"key": "report"}, "image": "shell", "partitions": ["a"], **wrong}
    component = BatchJobComponent.resolve_from_yaml(json.dumps(good))
    with pytest.raises(InvalidJobError, match=said):
        component.build_defs(None)


def test_two_resources_are_side_by_side():
    first = BatchJobsComponent(queue="one").build_defs(None)
    second = BatchJobsComponent(queue="two", resource_key="other-batch").build_defs(None)
    both = dg.Definitions.merge(first, second, dg.Definitions(sensors=[dead_runs_sensor()]))
    dg.Definitions.validate_loadable(both)
    assert {sensor.name for sensor in both.sensors or []} == {
        *("batch_reaper_failure", "batch_reaper_canceled", "dead_runs"),
        *("batch_reaper_other_batch_failure", "batch_reaper_other_batch_canceled"),
    }
    without = BatchJobsComponent(queue="one", reaper=False).build_defs(None)
    assert not without.sensors


def test_a_partition_that_fails_is_named_and_leaves_the_others_materialized(tmp_path, aws, capfd):
    defs = project(tmp_path, aws.url, bad="part-7")
    with dg.DagsterInstance.ephemeral() as instance:
        assert not materialize(defs, instance).success
        made = instance.get_materialized_partitions(dg.AssetKey("report"))
    assert made == set(KEYS) - {"part-7"}
    assert "failed partitions: part-7 (task 7)" in capfd.readouterr().err


DG = Path(sys.executable).parent / "dg"
needs_dg = pytest.mark.skipif(not DG.exists(), reason="the dg command is not installed")


def dg_command(folder, *words):
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(
        [str(DG), *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@needs_dg
def test_dg_lists_the_components(tmp_path):
    listed = dg_command(tmp_path, "list", "components", "--json")
    assert "dagster_aws_batch.BatchJobComponent" in listed.stdout, listed.stderr
    assert "dagster_aws_batch.BatchJobsComponent" in listed.stdout


@needs_dg
def test_dg_scaffolds_and_checks_a_component(tmp_path, aws):
    """In a project that has no definitions but these: what is wrong is named with its field."""
    project(tmp_path, aws.url)
    kind = "dagster_aws_batch.BatchJobComponent"
    made = dg_command(tmp_path, "scaffold", "defs", kind, "nightly")
    assert made.returncode == 0, made.stdout + made.stderr
    written = tmp_path / "shop" / "defs" / "nightly" / "defs.yaml"
    assert f"type: {kind}" in written.read_text()

    good = {"asset": {"key": "nightly"}, "image": "shell", "command": ["exit 0"]}
    written.write_text(json.dumps({"type": kind, "attributes": good}))
    listed = dg_command(tmp_path, "list", "defs", "--json")
    assert '"nightly"' in listed.stdout, listed.stderr

    written.write_text(json.dumps({"type": kind, "attributes": {**good, "memory": 4096}}))
    # Dagster 1.13 checks one file of each component type (dagster_dg_core.check keeps them by
    # type), so this one has to be the only one of its type.
    (tmp_path / "shop" / "defs" / "report" / "defs.yaml").unlink()
    checked = dg_command(tmp_path, "check", "yaml")
    assert checked.returncode != 0
    assert "'memory' was unexpected" in checked.stdout + checked.stderr
