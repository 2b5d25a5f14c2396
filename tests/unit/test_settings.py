import re
import subprocess
from pathlib import Path

import pytest
from pydantic import ValidationError

from wordfreq_dagster.defs.platform.batch import batch_jobs
from wordfreq_dagster.doctor import batch_commands
from wordfreq_dagster.settings import (
    Settings,
    SettingsError,
    load_settings,
    parse_size,
)

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    import os

    for name in list(os.environ):
        if name.startswith("WORDFREQ_"):
            monkeypatch.delenv(name)


def test_defaults_are_folders_below_the_home_and_the_embedded_batch(monkeypatch, tmp_path):
    monkeypatch.setenv("WORDFREQ_HOME", str(tmp_path))
    settings = load_settings()
    assert settings.embedded
    assert settings.source == f"{tmp_path}/source"
    assert settings.ranking == f"{tmp_path}/ranking"
    assert settings.local_folder == tmp_path / "batch"


def test_a_relative_folder_becomes_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORDFREQ_SOURCE", "texts")
    assert load_settings().source == str(tmp_path / "texts")


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("WORDFREQ_PACK", "12 parsecs", "64MiB"),
        ("WORDFREQ_TIMEOUT_SECONDS", "59", "60"),
        ("WORDFREQ_SOURCE", "http://example.test/x", "s3://bucket/prefix"),
        ("WORDFREQ_SCHEDULING_PRIORITY", "10000", "9999"),
        ("WORDFREQ_LOCAL_VCPUS", "none", "integer"),
        ("WORDFREQ_BATCH_TAGS", "project", "pattern"),
        ("WORDFREQ_SOURCE", "s3://", "s3://bucket/prefix"),
        ("WORDFREQ_STOP_WORDS", "en,xx", "no stop words for xx"),
        ("WORDFREQ_STOP_WORDS", "English", "write e.g. en,de"),
        ("WORDFREQ_ENCODING", "klingon", "cp1252"),
        ("WORDFREQ_CSV_ENCODING", "klingon", "cp1252"),
        ("WORDFREQ_CSV_REFUSE_ABOVE", "99.9999%", "100 or 0.5%"),
        ("WORDFREQ_CSV_REFUSE_ABOVE", "many", "100 or 0.5%"),
        ("WORDFREQ_LOCAL_CONTAINER_ARGUMENTS", '"', "No closing quotation; write e.g. --memory"),
        ("WORDFREQ_NIGHTLY_CRON", "3:17", "write e.g. 17 3 * * *"),
        ("WORDFREQ_NIGHTLY_TIMEZONE", "Mars", "write e.g. Europe/Berlin"),
        ("WORDFREQ_PRICE_PER_VCPU_HOUR", "nan", "finite"),
        ("WORDFREQ_PRICE_PER_GB_HOUR", "inf", "finite"),
    ],
)
def test_a_bad_value_is_one_error_that_names_the_variable(monkeypatch, variable, value, says):
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert variable in str(caught.value)
    assert says in str(caught.value)
    assert value in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("WORDFREQ_STOP_WORDS", "en,de"),
        *(("WORDFREQ_ENCODING", name) for name in ("auto", "cp1252", "UTF-8")),
        *(("WORDFREQ_CSV_REFUSE_ABOVE", limit) for limit in ("0", "100", "0.5%")),
        ("WORDFREQ_LOCAL_CONTAINER_ARGUMENTS", "--memory '2 g'"),
        *(("WORDFREQ_NIGHTLY_CRON", cron) for cron in ("*/5 1-3 * * mon", "@daily")),
        *(("WORDFREQ_NIGHTLY_TIMEZONE", zone) for zone in ("UTC", "Europe/Berlin")),
    ],
)
def test_what_can_be_used_stays_as_it_is_written(monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    name = variable.removeprefix("WORDFREQ_").lower()
    assert getattr(load_settings(), name) == value


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("WORDFREQ_DESTINATON", "WORDFREQ_DESTINATION"),
        ("wordfreq_destinaton", "WORDFREQ_DESTINATION"),
        ("WORDFREQ_QUEUE", "WORDFREQ_BATCH_QUEUE"),
    ],
)
def test_a_name_that_is_no_setting_is_an_error_beside_the_others(monkeypatch, name, near):
    """Its value would have been left out, and the results would have gone elsewhere."""
    monkeypatch.setenv(name, "s3://bucket/output")
    monkeypatch.setenv("WORDFREQ_PACK", "12 parsecs")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert f"{name.upper()} is no setting; do you mean {near}?" in str(caught.value)
    assert "WORDFREQ_PACK" in str(caught.value)


def names_in_use():
    """Whatever begins with the prefix anywhere in the project, but for the guards of C headers."""
    listed = subprocess.run(
        ["git", "grep", "-hoIE", r"WORDFREQ_[A-Z0-9_]+", "--", ":!*.h", ":!*.c",
         ":!tests/unit/test_settings.py"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {name for name in listed.stdout.split() if not name.endswith(("_", "_H"))}


def test_names_of_others_are_no_errors(monkeypatch):
    """Of the container and its build, infra/, tests; and of Kubernetes for a service `wordfreq`."""
    kubernetes = ["SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_80_TCP_ADDR",
                  "DAGSTER_WEBSERVER_SERVICE_HOST", "DAGSTER_WEBSERVER_PORT_80_TCP"]  # fmt: skip
    settings = {f"WORDFREQ_{name.upper()}" for name in Settings.model_fields}
    others = names_in_use() - settings
    assert {"WORDFREQ_THREADS", "WORDFREQ_INFRA_PYTHON", "WORDFREQ_TEST_STEPS"} <= others
    for name in [*others, *(f"WORDFREQ_{name}" for name in kubernetes)]:
        monkeypatch.setenv(name, "any")
    load_settings()


@pytest.mark.parametrize(
    ("places", "says"),
    [
        ({"RANKING": "/data/texts/ranking"}, "WORDFREQ_RANKING must lie outside WORDFREQ_SOURCE"),
        ({"RANKING": "file:///data/texts/"}, "WORDFREQ_RANKING must lie outside WORDFREQ_SOURCE"),
        ({"RANKING": "/out"}, "WORDFREQ_RANKING must lie outside WORDFREQ_DESTINATION"),
        ({"DESTINATION": "/data/texts/o"}, "WORDFREQ_DESTINATION must lie outside WORDFREQ_SOURCE"),
        ({"SOURCE": "s3://b", "RANKING": "s3://b/r"}, "WORDFREQ_RANKING must lie outside"),
    ],
)
def test_results_within_what_is_read_are_refused(monkeypatch, places, says):
    monkeypatch.setenv("WORDFREQ_SOURCE", "/data/texts")
    monkeypatch.setenv("WORDFREQ_DESTINATION", "/out")
    monkeypatch.setenv("WORDFREQ_RANKING", "/data/texts-ranked")  # no folder of the source
    load_settings()
    for name, place in places.items():
        monkeypatch.setenv(f"WORDFREQ_{name}", place)
    with pytest.raises(SettingsError, match=re.escape(says)):
        load_settings()


def test_a_queue_without_definitions_names_what_is_missing(monkeypatch):
    monkeypatch.setenv("WORDFREQ_BATCH_QUEUE", "words")
    monkeypatch.setenv("WORDFREQ_MERGE_DEFINITION", "words-merge")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "WORDFREQ_PLAN_DEFINITION" in str(caught.value)
    assert "WORDFREQ_MIGRATE_DEFINITION" in str(caught.value)
    assert "WORDFREQ_MERGE_DEFINITION" not in str(caught.value)


def test_jobs_carry_the_tags_of_the_deployment():
    """By which its policies know what they may end; a required tag is on jobs too."""
    assert batch_jobs(Settings(batch_tags="team=data,project=wf")).tags == {
        "team": "data",
        "project": "wf",
    }
    assert batch_jobs(Settings()).tags == {}


def test_the_doctor_of_the_batch_client_is_asked_about_the_scratch_place_in_use():
    """Without it, it warned of each stage that none is set."""
    bucket = {name: f"s3://b/{name}" for name in ("source", "destination", "plans", "ranking")}
    names = {f"{stage}_definition": stage for stage in ("plan", "migrate", "merge")}
    settings = Settings(batch_queue="q", **bucket, **names)
    commands = batch_commands(settings)
    assert [one[one.index("--scratch") + 1] for one in commands] == ["s3://b/plans/scratch"] * 3
    assert batch_jobs(settings).scratch == "s3://b/plans/scratch"


def test_a_queue_with_folders_says_that_containers_cannot_see_them():
    with pytest.raises(ValidationError, match="WORDFREQ_DESTINATION"):
        Settings(
            batch_queue="q",
            plan_definition="a",
            migrate_definition="b",
            merge_definition="c",
            source="s3://bucket/texts",
        )


@pytest.mark.parametrize(
    ("text", "size"),
    [
        *(("4096", 4096), ("64MiB", 64 << 20), (" 1 gib ", 1 << 30), ("7B", 7)),
        *(("1.5GiB", 3 << 29), ("64mib", 64 << 20), ("500kB", 500_000), ("2M", 2_000_000)),
    ],
)
def test_sizes(text, size):
    assert parse_size(text) == size
