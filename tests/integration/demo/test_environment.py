"""What the demo leaves for a shell and for the UI: the same instance, source and settings."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from demo import csv_to_dynamodb
from demo.word_frequency import last_source, prepare

ROOT = Path(__file__).resolve().parents[3]


def test_a_shell_and_the_ui_continue_with_what_the_demo_had(tmp_path, monkeypatch):
    for name in ("DAGSTER_HOME", "WORDFREQ_SOURCE", "WORDFREQ_STOP_WORDS"):
        monkeypatch.delenv(name, raising=False)
    assert last_source(tmp_path) is None
    prepare(tmp_path, "my texts", files=1)
    assert last_source(tmp_path) == "my texts"
    shell = f". {tmp_path}/env && echo $DAGSTER_HOME $WORDFREQ_SOURCE $WORDFREQ_STOP_WORDS"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True)
    assert done.stdout == f"{tmp_path}/dagster my texts en\n"

    prepare(tmp_path, None, files=1)  # the texts of the demo again
    assert last_source(tmp_path) is None


@pytest.mark.parametrize(
    "options",
    [
        ("demo.word_frequency", "--ui", "0"),  # was: the pipeline ran
        ("demo.word_frequency", "--files", "0"),
        ("demo.csv_to_dynamodb", "--rows", "-1"),
    ],
)
def test_a_number_that_makes_no_sense_is_refused_before_anything_is_done(tmp_path, options):
    done = subprocess.run(
        [sys.executable, "-m", *options], env=os.environ | {"WORDFREQ_HOME": str(tmp_path)},
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2
    assert "1 or more is needed" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("runner", "folder"), [("subprocess", "batch"), ("container", "batch-containers")]
)
def test_the_csv_demo_ends_the_embedded_batch_that_its_runs_start(
    tmp_path, monkeypatch, runner, folder
):
    ended = []
    monkeypatch.setattr("aws_batch_emulator.stop_running", ended.append)
    monkeypatch.setattr(csv_to_dynamodb, "run_job", lambda *_, **__: 1)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    settings = {"HOME": str(tmp_path), "CSV_TABLE": "products", "LOCAL_RUNNER": runner}
    environment = {f"WORDFREQ_{name}": value for name, value in settings.items()}
    assert csv_to_dynamodb._run(environment | {"AWS_DEFAULT_REGION": "us-east-1"}, tmp_path) == 1
    assert ended == [tmp_path / folder]
