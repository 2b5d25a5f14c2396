"""The private names of Dagster that `events.partitions` uses do what they are used for."""

from concurrent.futures import ThreadPoolExecutor

import dagster as dg
import pytest
import sqlalchemy

from dagster_aws_batch.events import partitions

PARTITIONS = dg.DynamicPartitionsDefinition(name="pinned")


@pytest.fixture
def instance():
    with dg.instance_for_test() as made:
        made.add_dynamic_partitions("pinned", [f"k{n}" for n in range(40)])
        yield made


def run(instance, body, *, names=PARTITIONS):
    @dg.asset(partitions_def=names, output_required=False)
    def files(context: dg.AssetExecutionContext):
        body(context)

    job = dg.define_asset_job("job", [files])
    definitions = dg.Definitions(assets=[files], jobs=[job], executor=dg.in_process_executor)
    return definitions.resolve_job_def("job").execute_in_process(
        instance=instance, raise_on_error=False
    )


def event(key, version):
    return dg.AssetMaterialization(
        "files", partition=key, tags={"dagster/data_version": version}, metadata={"words": 3}
    )


def test_the_names_are_there():
    """Each has a fallback that nobody would notice: so this is where another Dagster is noticed."""
    assert partitions.DagsterEvent is not None


def test_many_events_are_written_at_once_and_all_are_there(instance):
    def body(context):
        partitions.log_materializations(context, [event(f"k{n}", f"v{n}") for n in range(40)])

    assert run(instance, body).success
    found = partitions.materialized_versions(instance, dg.AssetKey("files"))
    assert found == {f"k{n}": f"v{n}" for n in range(40)}


def test_the_latest_version_counts_in_one_query(instance):
    run(instance, lambda context: context.log_event(event("k1", "old")))
    run(instance, lambda context: context.log_event(event("k1", "new")))
    statements = []
    listener = lambda *arguments: statements.append(arguments[2])  # noqa: E731
    sqlalchemy.event.listen(sqlalchemy.engine.Engine, "before_cursor_execute", listener)
    try:
        found = partitions.materialized_versions(instance, dg.AssetKey("files"))
    finally:
        sqlalchemy.event.remove(sqlalchemy.engine.Engine, "before_cursor_execute", listener)
    assert found == {"k1": "new"}
    assert len([text for text in statements if "asset_event_tags" in text]) <= 2


def test_a_failed_partition_is_red_until_it_is_materialized(instance):
    def fails(context):
        partitions.log_failed(context, {"k2": "no text"}, versions={}, whole=True)
        raise dg.Failure("k2 failed")

    def failed():
        return partitions.failed_partitions(instance, dg.AssetKey("files"), PARTITIONS)

    assert not run(instance, fails).success
    assert failed() == {"k2"}
    assert run(instance, lambda context: context.log_event(event("k3", "v"))).success
    assert failed() == {"k2"}
    assert run(instance, lambda context: context.log_event(event("k2", "v"))).success
    assert failed() == frozenset()


def test_many_failed_partitions_are_red_with_their_reasons_by_two_writes(instance, monkeypatch):
    storage, written = instance.event_log_storage, []
    store = storage.store_event_batch
    monkeypatch.setattr(
        storage, "store_event_batch", lambda events: written.append(len(events)) or store(events)
    )
    reasons = {f"k{n}": f"reason {n}" for n in range(40)}
    versions = dict.fromkeys(reasons, "v")

    def fails(context):
        partitions.log_failed(context, reasons, versions=versions, whole=True)
        raise dg.Failure("all failed")

    assert not run(instance, fails).success
    assert written == [40, 40]
    key = dg.AssetKey("files")
    assert partitions.failed_versions(instance, key, PARTITIONS) == versions
    seen = instance.fetch_observations(key, limit=100).records
    assert reasons == {
        each.partition_key: each.asset_observation.metadata["failed"].value for each in seen
    }


def test_a_result_without_events_lets_the_next_asset_run(instance):
    @dg.asset(
        partitions_def=PARTITIONS,
        output_required=False,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def files(context: dg.AssetExecutionContext):
        context.log_event(event("k2", "own"))
        yield partitions.done_without_events()

    @dg.asset(deps=[files])
    def total() -> None: ...

    done = dg.materialize(
        [files, total],
        instance=instance,
        tags={
            "dagster/asset_partition_range_start": "k1",
            "dagster/asset_partition_range_end": "k3",
        },
    )
    assert done.success
    assert len(done.asset_materializations_for_node("total")) == 1
    found = instance.fetch_materializations(dg.AssetKey("files"), limit=10).records
    assert [record.partition_key for record in found] == ["k2"]


def test_runs_that_add_the_same_partitions_at_once_do_not_hurt_each_other():
    keys = [f"file {n}" for n in range(300)]
    with dg.instance_for_test() as instance:
        with ThreadPoolExecutor(4) as pool:
            adding = [
                pool.submit(partitions.add_partitions, instance, "files", keys) for _ in range(4)
            ]
            for done in adding:
                done.result()
        assert sorted(instance.get_dynamic_partitions("files")) == sorted(keys)
