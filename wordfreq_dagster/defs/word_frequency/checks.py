"""Asset checks: the ways in which a green run could still be wrong, each a check that can fail."""

from collections.abc import Collection, Iterator

import dagster as dg

from dagster_aws_batch.events.partition_sets import unusable_partition_key
from wordfreq_batch.plans.formats import ItemReceipt
from wordfreq_batch.plans.plan import Plan
from wordfreq_batch.plans.receipts import finished_items
from wordfreq_dagster.defs.word_frequency.count_checks import COUNT_CHECKS, check_counts
from wordfreq_dagster.defs.word_frequency.plan import plan
from wordfreq_dagster.defs.word_frequency.ranking import ranking
from wordfreq_dagster.files.places import WordPlaces, listed_reasons, receipts_of
from wordfreq_dagster.files.plans import latest_metadata, plan_of_run


@dg.asset_check(asset=plan, description="Every file can be counted and carried as a partition.")
def every_file_usable(
    context: dg.AssetCheckExecutionContext, locations: WordPlaces
) -> dg.AssetCheckResult:
    """Name the files that the destination can't hold or that Dagster's tools can't address."""
    made = _latest_plan(context, plan, locations) or locations.compare()
    refused = {found.name: found.reason for found in made.refused}
    without_partition = {
        item.name: reason for item in made.items if (reason := unusable_partition_key(item.name))
    }
    named = refused | without_partition
    return dg.AssetCheckResult(
        passed=not named,
        severity=dg.AssetCheckSeverity.ERROR if refused else dg.AssetCheckSeverity.WARN,
        description=f"{len(refused):,} files are not counted, "
        f"{len(without_partition):,} have no partition"
        if named
        else None,
        metadata={"files": listed_reasons(named)},
    )


@dg.multi_asset_check(name="counts_complete", specs=COUNT_CHECKS)
def counts_complete(
    context: dg.AssetCheckExecutionContext, locations: WordPlaces
) -> Iterator[dg.AssetCheckResult]:
    """Compare the source with the counts that are there, and these with what Dagster shows.

    By the plan of this run and its receipts; a check on its own lists the source now.
    """
    done: Collection[str] = ()
    if (planned := plan_of_run(context, locations)) is None:
        planned = locations.compare()
    else:
        done = _counted(planned)
    yield from check_counts(context.instance, planned, locations, done=done, failed={})


@dg.asset_check(
    asset=ranking, description="The ranking's total is the sum of the words of all its files."
)
def sum_of_counts(
    context: dg.AssetCheckExecutionContext, locations: WordPlaces
) -> dg.AssetCheckResult:
    """Add up what each file's own count says, and compare with what the merge added up."""
    ranked = locations.read_ranking()
    merged = _latest_plan(context, ranking, locations)
    # A plan that nobody has written has no receipts.
    merged = merged or locations.compare()._replace(tasks=())
    known = {item.name: item.counted.words for item in merged.items if item.counted}
    new = {name: item.words for name, item in _counted(merged).items()}
    words = sum((new | known).values())
    return dg.AssetCheckResult(
        passed=words == ranked.total_words,
        metadata={"words of the files": words, "words of the ranking": ranked.total_words},
    )


def _counted(planned: Plan) -> dict[str, ItemReceipt]:
    """What the plan's tasks have counted since it was made."""
    return finished_items(receipts_of(planned, "migrate", range(len(planned.tasks))).values())


def _latest_plan(
    context: dg.AssetCheckExecutionContext, asset: dg.AssetsDefinition, locations: WordPlaces
) -> Plan | None:
    """The plan that the asset's latest materialization names; None if there is none any more.

    So these checks need no listing of their own, which for a large source takes minutes.
    """
    uri = latest_metadata(context.instance, asset.key).get("plan")
    return locations.read_plan(str(uri)) if uri else None
