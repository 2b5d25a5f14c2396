"""The private names of Dagster that `dagster_events` uses do what they are used for."""

import dagster as dg
import pytest
import sqlalchemy

from wordfreq_dagster.files import dagster_events

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
    assert dagster_events.DagsterEvent is not None


def test_many_events_are_written_at_once_and_all_are_there(instance):
    def body(context):
        dagster_events.log_materializations(context, [event(f"k{n}", f"v{n}") for n in range(40)])

    assert run(instance, body).success
    found = dagster_events.materialized_versions(instance, dg.AssetKey("files"))
    assert found == {f"k{n}": f"v{n}" for n in range(40)}


def test_the_latest_version_counts_in_one_query(instance):
    run(instance, lambda context: context.log_event(event("k1", "old")))
    run(instance, lambda context: context.log_event(event("k1", "new")))
    statements = []
    listener = lambda *arguments: statements.append(arguments[2])  # noqa: E731
    sqlalchemy.event.listen(sqlalchemy.engine.Engine, "before_cursor_execute", listener)
    try:
        found = dagster_events.materialized_versions(instance, dg.AssetKey("files"))
    finally:
        sqlalchemy.event.remove(sqlalchemy.engine.Engine, "before_cursor_execute", listener)
    assert found == {"k1": "new"}
    assert len([text for text in statements if "asset_event_tags" in text]) <= 2


def test_a_failed_partition_is_red_until_it_is_materialized(instance):
    def fails(context):
        dagster_events.log_failed(context, {"k2": "no text"}, versions={}, whole=True)
        raise dg.Failure("k2 failed")

    def failed():
        return dagster_events.failed_partitions(instance, dg.AssetKey("files"), PARTITIONS)

    assert not run(instance, fails).success
    assert failed() == {"k2"}
    assert run(instance, lambda context: context.log_event(event("k3", "v"))).success
    assert failed() == {"k2"}
    assert run(instance, lambda context: context.log_event(event("k2", "v"))).success
    assert failed() == frozenset()


def test_a_result_without_events_lets_the_next_asset_run(instance):
    @dg.asset(
        partitions_def=PARTITIONS,
        output_required=False,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def files(context: dg.AssetExecutionContext):
        context.log_event(event("k2", "own"))
        yield dagster_events.done_without_events()

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
