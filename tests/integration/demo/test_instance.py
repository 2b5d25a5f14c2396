"""The demo's Dagster instance goes on from one state of the project to the next."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from demo.runs import make_instance


def test_an_instance_that_names_the_event_logs_where_they_were_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    make_instance(tmp_path)
    config = tmp_path / "dagster.yaml"
    now = config.read_text(encoding="utf-8")
    config.write_text(
        now.replace("dagster_aws_batch.events.", "wordfreq_dagster.storage.") + "# mine\n",
        encoding="utf-8",
    )
    make_instance(tmp_path)
    with dg.DagsterInstance.get() as instance:
        assert type(instance.event_log_storage).__module__ == "dagster_aws_batch.events.sqlite"
    assert config.read_text(encoding="utf-8").endswith("# mine\n")
