"""The condition on `ranking`, tick by tick, with Dagster's own evaluator."""

import dagster as dg
import pytest

from wordfreq_dagster.defs.word_frequency.conditions import RANKING_DUE
from wordfreq_dagster.files.tags import RANKS_TAG

files = dg.DynamicPartitionsDefinition(name="scenario_files")


@dg.asset(
    partitions_def=files, output_required=False, backfill_policy=dg.BackfillPolicy.single_run()
)
def counts(context: dg.AssetExecutionContext):
    """Stands for `word_counts`; the tag `broken` names a file that fails."""
    broken = context.run.tags.get("broken")
    keys = (
        context.partition_keys
        if context.has_partition_key_range or context.has_partition_key
        else ["a", "b"]
    )
    for key in keys:
        if key != broken:
            yield dg.AssetMaterialization(context.asset_key, partition=key)
    if broken:
        raise dg.Failure("a broken file", allow_retries=False)
    if not (context.has_partition_key_range or context.has_partition_key):
        yield dg.MaterializeResult()


@dg.asset(deps=[counts], automation_condition=RANKING_DUE)
def ranking() -> None:
    """Stands for `ranking`."""


DEFS = dg.Definitions(
    assets=[counts, ranking], jobs=[dg.define_asset_job("all", dg.AssetSelection.all())]
)


class Scenario:
    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.cursor = None
        instance.add_dynamic_partitions("scenario_files", ["a", "b", "c"])

    def tick(self) -> bool:
        """One evaluation; whether a ranking was requested."""
        result = dg.evaluate_automation_conditions(DEFS, self.instance, cursor=self.cursor)
        self.cursor = result.cursor
        return result.total_requested > 0

    def count(self, key: str, **tags: str) -> None:
        dg.materialize(
            [counts], instance=self.instance, partition_key=key, tags=tags, raise_on_error=False
        )

    def rank(self) -> None:
        assert dg.materialize([ranking], instance=self.instance, selection=[ranking]).success

    def whole_run(self, **tags: str) -> bool:
        job = DEFS.resolve_job_def("all")
        tags = {RANKS_TAG: "true", **tags}
        return job.execute_in_process(
            instance=self.instance, tags=tags, raise_on_error=False
        ).success


@pytest.fixture
def scenario():
    with dg.DagsterInstance.ephemeral() as instance:
        made = Scenario(instance)
        assert made.whole_run()
        made.tick()  # the first tick after an installation may see all as new
        assert not made.tick()
        yield made


def test_nothing_new_requests_nothing(scenario):
    assert [scenario.tick() for _ in range(3)] == [False, False, False]


def test_a_file_counted_again_leads_to_one_ranking(scenario):
    scenario.count("a")
    assert [scenario.tick(), scenario.tick(), scenario.tick()] == [True, False, False]


def test_an_update_on_the_tick_after_a_request_is_not_lost(scenario):
    scenario.count("a")
    assert scenario.tick()
    scenario.count("b")
    assert [scenario.tick(), scenario.tick(), scenario.tick()] == [True, False, False]


def test_an_update_while_the_ranking_is_made_is_not_lost(scenario):
    scenario.count("a")
    assert scenario.tick()
    scenario.rank()
    scenario.count("b")
    assert [scenario.tick(), scenario.tick()] == [True, False]


def test_an_update_counted_before_the_ranking_ended_is_not_lost(scenario):
    scenario.count("a")
    assert scenario.tick()
    assert not scenario.tick()
    scenario.count("b")  # after the ranking's plan was made
    scenario.rank()
    assert [scenario.tick(), scenario.tick()] == [True, False]


def test_a_whole_run_ranks_itself(scenario):
    assert scenario.whole_run()
    assert [scenario.tick(), scenario.tick()] == [False, False]
    scenario.count("a")
    assert [scenario.tick(), scenario.tick()] == [True, False]


def test_a_whole_run_that_ticks_see_half_done(scenario):
    scenario.count("a", **{RANKS_TAG: "true"})  # its counts are there, its ranking isn't yet
    scenario.tick()
    assert scenario.whole_run()
    scenario.tick()
    assert not scenario.tick()


def test_one_broken_file_does_not_block_the_ranking(scenario):
    scenario.count("c", broken="c")
    scenario.count("a")
    assert [scenario.tick(), scenario.tick()] == [True, False]


def test_a_whole_run_that_failed_at_a_file_ranks_what_it_has_counted(scenario):
    assert not scenario.whole_run(broken="a")
    assert [scenario.tick(), scenario.tick()] == [True, False]


def test_many_files_at_once_lead_to_one_ranking(scenario):
    keys = [f"n{n}" for n in range(101)]
    scenario.instance.add_dynamic_partitions("scenario_files", keys)
    tags = {
        "dagster/asset_partition_range_start": keys[0],
        "dagster/asset_partition_range_end": keys[-1],
    }
    assert dg.materialize([counts], instance=scenario.instance, tags=tags).success
    assert [scenario.tick(), scenario.tick()] == [True, False]


def test_a_removed_partition_requests_nothing_by_itself(scenario):
    scenario.instance.delete_dynamic_partition("scenario_files", "c")
    assert not scenario.tick()
