"""Which sensors and schedules there are, and which are on, by the settings."""

from __future__ import annotations

import dagster as dg
import pytest

from wordfreq_dagster.code_links import with_code_references
from wordfreq_dagster.definitions import build_definitions, defs
from wordfreq_dagster.settings import (
    Settings,
    SettingsError,
    load_settings,
)

RUNNING, STOPPED = dg.DefaultSensorStatus.RUNNING, dg.DefaultSensorStatus.STOPPED


def states(tmp_path, **settings):
    definitions = build_definitions(Settings(home=str(tmp_path), **settings))
    found = {sensor.name: sensor.default_status for sensor in definitions.sensors}
    (nightly,) = [s for s in definitions.schedules if s.name == "nightly_reconcile"]
    return found | {nightly.name: nightly.default_status}


def test_runs_start_by_themselves_unless_told_otherwise(tmp_path):
    found = states(tmp_path)
    for name in ("new_files", "ranking_due", "batch_reaper_failure", "batch_reaper_canceled"):
        assert found[name] == RUNNING
    assert found["nightly_reconcile"] == dg.DefaultScheduleStatus.RUNNING
    assert "new_objects_sqs" not in found
    assert "failure_alerts" not in found


def test_stopped_but_for_one(tmp_path):
    found = states(tmp_path, automation="stopped", new_files="running")
    assert found["new_files"] == RUNNING
    assert found["ranking_due"] == STOPPED
    assert found["nightly_reconcile"] == dg.DefaultScheduleStatus.STOPPED
    assert found["batch_reaper_failure"] == RUNNING  # jobs of dead runs cost money


def test_a_queue_and_a_topic_bring_their_sensors(tmp_path):
    found = states(
        tmp_path,
        source="s3://bucket/docs",
        events_queue_url="https://sqs.eu-west-1.amazonaws.com/1/q",
        events="stopped",
        failure_sns_topic="arn:aws:sns:eu-west-1:1:t",
    )
    assert found["new_objects_sqs"] == STOPPED
    assert found["failure_alerts"] == RUNNING


def test_events_of_s3_need_a_source_in_s3(monkeypatch):
    monkeypatch.setenv("WORDFREQ_EVENTS_QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/1/q")
    with pytest.raises(SettingsError, match="give s3:// for the other"):
        load_settings()
    monkeypatch.setenv("WORDFREQ_NIGHTLY", "sometimes")
    with pytest.raises(SettingsError, match="WORDFREQ_NIGHTLY"):
        load_settings()


def test_the_ranking_knows_when_it_is_due_and_how_old_it_may_become(tmp_path):
    definitions = build_definitions(Settings(home=str(tmp_path)))
    specs = {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}
    ranking = specs["ranking"]
    assert ranking.automation_condition.get_label() == "ranking_due"
    assert ranking.freshness_policy.warn_window.to_timedelta().total_seconds() == 26 * 3600
    assert ranking.owners
    assert all(spec.description for spec in specs.values())


def test_runs_of_the_job_carry_their_source(tmp_path):
    definitions = build_definitions(Settings(home=str(tmp_path), source="s3://bucket/docs"))
    job = definitions.resolve_job_def("word_frequency")
    assert job.run_tags["wordfreq/source"] == "s3://bucket/docs"


def test_asset_pages_link_to_the_code_of_a_repository(tmp_path):
    url = "https://github.com/owner/repository/tree/main"
    definitions = build_definitions(Settings(home=str(tmp_path), code_url=url))
    specs = {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}
    (reference,) = specs["ranking"].metadata["dagster/code_references"].code_references
    assert reference.url.startswith(
        "https://github.com/owner/repository/tree/main/wordfreq_dagster/defs/word_frequency/ranking.py"
    )
    with pytest.raises(ValueError, match="WORDFREQ_CODE_URL"):
        with_code_references(dg.Definitions(), "github.com/x")


def test_the_definitions_are_built_once_for_the_settings_of_a_process(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("WORDFREQ_HOME", str(tmp_path))
    first = defs()
    assert defs() is first
    monkeypatch.setenv("WORDFREQ_TOP", "7")
    assert defs() is not first
