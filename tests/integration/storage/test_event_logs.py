"""The pooled event logs keep what Dagster's own keep, in few transactions and connections."""

import os
import re
import signal
from datetime import datetime, timedelta, timezone
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy
import yaml

from dagster_aws_batch.events import partitions as dagster_events
from dagster_aws_batch.events.retention import purge, retention
from tests.integration.storage.killed_while_writing import reported
from tests.postgres import postgres_server

ROOT = Path(__file__).resolve().parents[3]
FILES = dg.DynamicPartitionsDefinition(name="stored")
KEY = dg.AssetKey("files")
MANY = 1200  # three writes of at most 500


@pytest.fixture(scope="module")
def postgres():
    with postgres_server(password="any") as port:
        yield port


def configuration(name, *, own):
    """What a configuration of ours says of its storage; `own` changes the one line it names."""
    text = (ROOT / "infra" / "dagster" / name).read_text()
    if own:
        named = re.search(r"^#   (class: \w+)$", text, re.MULTILINE)[1]
        text, changed = re.subn(r"^( +)class: Pooled\w+$", rf"\1{named}", text, flags=re.MULTILINE)
        assert changed == 1
    config = yaml.safe_load(text)
    return {part: config[part] for part in ("storage", "event_log_storage") if part in config}


@pytest.fixture(params=["local.yaml", "deployment.yaml"])
def home(request, tmp_path, monkeypatch):
    """DAGSTER_HOME of an instance with a fresh database; `home(own=True)` writes its yaml anew."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    port = None
    if request.param == "deployment.yaml":
        port = request.getfixturevalue("postgres")
        for name, value in {
            "HOST": "127.0.0.1",
            "USERNAME": "dagster",
            "PASSWORD": "any",
            "DB": "dagster",
        }.items():
            monkeypatch.setenv(f"DAGSTER_PG_{name}", value)

    def write(*, own=False):
        config = configuration(request.param, own=own)
        if port is not None:
            config["storage"]["custom"]["config"]["postgres_db"]["port"] = port
        config["telemetry"] = {"enabled": False}
        (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(config))
        return dg.DagsterInstance.from_config(str(tmp_path))

    with write() as instance:
        instance.wipe()
    return write


@pytest.mark.parametrize("home", ["local.yaml"], indirect=True)
def test_a_forked_process_writes_beside_the_one_that_it_was_forked_from(home):
    with home() as instance:
        instance.add_dynamic_partitions("stored", ["before"])
        if not (child := os.fork()):
            try:
                instance.add_dynamic_partitions("stored", ["child"])
            finally:
                os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        instance.add_dynamic_partitions("stored", ["after"])
        assert set(instance.get_dynamic_partitions("stored")) == {"before", "child", "after"}


def keys(count=MANY):
    return [f"k{number}" for number in range(count)]


def event(key, version="v"):
    return dg.AssetMaterialization(
        KEY, partition=key, tags={"dagster/data_version": version}, metadata={"words": 3}
    )


def run(instance, body, *, tags=None):
    @dg.asset(
        partitions_def=FILES,
        output_required=False,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def files(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        body(context)
        return dagster_events.done_without_events()

    return dg.materialize([files], instance=instance, raise_on_error=False, tags=tags)


@dg.job
def something():
    pass


def everything(instance):
    """What an instance shows of the asset."""
    records = instance.fetch_materializations(KEY, limit=10_000).records
    latest = instance.get_latest_materialization_event(KEY)
    return {
        "versions": dict(dagster_events.materialized_versions(instance, KEY)),
        "events": sorted(record.partition_key for record in records),
        "ordered": sorted(record.storage_id for record in records)
        == [record.storage_id for record in reversed(records)],
        "latest": latest.asset_materialization.partition,
        "materialized": instance.get_materialized_partitions(KEY),
        "failed": dagster_events.failed_partitions(instance, KEY, FILES),
    }


def report(context):
    dagster_events.log_materializations(context, [event(key) for key in keys(60)])
    dagster_events.log_failed(context, {"k99": "no text"}, versions={}, whole=True)
    raise dg.Failure("k99 failed")


def test_the_same_is_kept_as_by_dagsters_own_class_and_either_can_follow_the_other(home):
    seen = []
    for own in (True, False):
        with home(own=own) as instance:
            instance.wipe()
            instance.add_dynamic_partitions("stored", keys(100))
            assert not run(instance, report).success
            seen.append(everything(instance))
            assert ("dagster_aws_batch" in type(instance.event_log_storage).__module__) is not own
        with home(own=not own) as instance:
            assert everything(instance) == seen[-1]
    assert seen[0] == seen[1]
    assert seen[0]["versions"] == dict.fromkeys(keys(60), "v")
    assert seen[0]["failed"] == {"k99"}
    assert seen[0]["ordered"]


class Counted:
    """Connections opened and transactions committed while it is entered."""

    def __enter__(self):
        self.opened = self.commits = 0
        sqlalchemy.event.listen(sqlalchemy.pool.Pool, "connect", self._open)
        sqlalchemy.event.listen(sqlalchemy.engine.Engine, "commit", self._commit)
        return self

    def _open(self, *_):
        self.opened += 1

    def _commit(self, *_):
        self.commits += 1

    def __exit__(self, *_):
        sqlalchemy.event.remove(sqlalchemy.pool.Pool, "connect", self._open)
        sqlalchemy.event.remove(sqlalchemy.engine.Engine, "commit", self._commit)


def test_many_events_are_few_transactions_through_one_connection(home):
    counted = Counted()

    def body(context):
        context.log.info("the connection is open from here on")
        with counted:
            dagster_events.log_materializations(context, [event(key) for key in keys()])

    with home() as instance:
        assert run(instance, body).success
        assert everything(instance)["events"] == sorted(keys())
    assert counted.opened <= 1  # the first event of a process asks which tables there are
    assert counted.commits <= MANY // 500 + 1


@pytest.mark.parametrize("home", ["deployment.yaml"], indirect=True)
def test_runs_events_and_schedules_share_one_connection_of_a_process(home):
    with Counted() as counted, home() as instance:
        instance.add_dynamic_partitions("stored", keys(3))
        assert run(instance, lambda context: log_ten(context, instance)).success
        assert instance.all_instigator_state() == []
    # Dagster's own opens over a hundred; another thread or a nested call may need a second.
    assert counted.opened <= 2


def log_ten(context, instance):
    for number in range(10):
        context.log.info(f"{number}")
        assert instance.get_run_by_id(context.run.run_id)


def test_the_planned_events_of_a_run_over_many_partitions_are_few_transactions(home, monkeypatch):
    monkeypatch.delenv("DAGSTER_EVENT_BATCH_SIZE", raising=False)  # nothing was written yet
    with home() as instance:
        instance.add_dynamic_partitions("stored", keys())
        chosen = {
            "dagster/asset_partition_range_start": "k0",
            "dagster/asset_partition_range_end": f"k{MANY - 1}",
        }
        with Counted() as counted:
            assert run(instance, lambda context: None, tags=chosen).success
        planned = instance.event_log_storage.get_event_records(
            dg.EventRecordsFilter(dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED, asset_key=KEY)
        )
    assert sorted(record.partition_key for record in planned) == sorted(keys())
    assert counted.commits < MANY // 10


def test_purging_takes_what_ended_runs_said_and_leaves_every_status(home):
    chosen = {
        "dagster/asset_partition_range_start": "k0",
        "dagster/asset_partition_range_end": "k99",
    }
    with home() as instance:
        instance.add_dynamic_partitions("stored", keys(100))
        for _ in range(2):  # the second plans the same partitions: the first's plan says no more
            ended = run(instance, report, tags=chosen).dagster_run
            assert not instance.get_run_by_id(ended.run_id).is_success
        live = instance.create_run_for_job(something, status=dg.DagsterRunStatus.STARTED)
        instance.report_engine_event("alive", live)
        before, seen = instance.all_logs(ended.run_id), everything(instance)
        now = datetime.now(timezone.utc)
        assert purge(instance, before=now - timedelta(days=1)) == 0
        removed = purge(instance, before=now + timedelta(days=1))
        assert removed >= 100 + len(before) - len(instance.all_logs(ended.run_id))
        assert everything(instance) == seen
        assert [one.message for one in instance.all_logs(live.run_id)] == ["alive"]
        left = {one.dagster_event_type for one in instance.all_logs(ended.run_id)}
        kind = dg.DagsterEventType
        assert {kind.RUN_START, kind.RUN_FAILURE, kind.STEP_FAILURE} <= left
        assert not left & {kind.ENGINE_EVENT, kind.STEP_START, None}
        assert purge(instance, before=now + timedelta(days=1)) == 0


def test_the_nightly_purge_is_a_run_like_any_other(home):
    schedule = retention(30, timezone="UTC", status=dg.DefaultScheduleStatus.RUNNING)
    with home() as instance:
        assert schedule.job.execute_in_process(instance=instance).success


@pytest.mark.parametrize("days", [0, -1, float("nan"), "30", True, 1.5])
def test_events_are_kept_for_a_day_at_least(days):
    """0 would remove what every run has said that ended until now."""
    with pytest.raises(ValueError, match="days"):
        retention(days, timezone="UTC", status=dg.DefaultScheduleStatus.RUNNING)


@pytest.mark.slow
def test_killed_at_ten_moments_of_writing_each_partition_is_materialized_once(home, monkeypatch):
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "20")
    files = 60  # three batches
    with home() as instance:
        code, statements = reported(files)
        assert (code, statements > 10) == (0, True)
        for moment in range(1, 11):
            instance.wipe()
            killed, _ = reported(files, end=moment * statements // 11 or 1)
            assert killed == -signal.SIGKILL
            assert reported(files)[0] == 0
            seen = everything(instance)
            assert seen["events"] == sorted(keys(files)), f"killed at statement {moment}"
            assert seen["versions"] == dict.fromkeys(keys(files), "v")
