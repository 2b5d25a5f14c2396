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
    ],
)
def test_a_bad_value_is_one_error_that_names_the_variable(monkeypatch, variable, value, says):
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert variable in str(caught.value)
    assert says in str(caught.value)
    assert value in str(caught.value)


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
