"""Asset checks: the ways in which a green run could still be wrong, each a check that can fail."""

from collections.abc import Iterator

import dagster as dg

from wordfreq_dagster.assets.partitions import unusable_partition_key
from wordfreq_dagster.assets.plan import plan
from wordfreq_dagster.assets.ranking import ranking
from wordfreq_dagster.assets.word_counts import word_counts
from wordfreq_dagster.storage import Locations

_SHOWN = 20


@dg.asset_check(asset=plan, description="Every file can be counted and carried as a partition.")
def every_file_usable(locations: Locations) -> dg.AssetCheckResult:
    """Name the files that the destination can't hold or that Dagster's tools can't address."""
    now = locations.look()
    refused = {found.name: found.reason for found in now.refused}
    unusable = {
        item.name: reason for item in now.items if (reason := unusable_partition_key(item.name))
    }
    named = refused | unusable
    return dg.AssetCheckResult(
        passed=not named,
        severity=dg.AssetCheckSeverity.ERROR if refused else dg.AssetCheckSeverity.WARN,
        description=f"{len(refused):,} files are not counted, {len(unusable):,} have no partition"
        if named
        else None,
        metadata={"files": _listed([f"{name}: {reason}" for name, reason in named.items()])},
    )


@dg.multi_asset_check(
    name="counts_complete",
    specs=[
        dg.AssetCheckSpec(
            "every_planned_file_counted",
            asset=word_counts,
            description="Every file of the source has counts made from its present bytes.",
        ),
        dg.AssetCheckSpec(
            "no_stale_counts",
            asset=word_counts,
            description="No counts are left of files that are no longer in the source.",
        ),
    ],
)
def counts_complete(locations: Locations) -> Iterator[dg.AssetCheckResult]:
    """Compare the source's listing with the counts that are there."""
    now = locations.look()
    pending = sorted(now.pending)
    yield dg.AssetCheckResult(
        check_name="every_planned_file_counted",
        asset_key=word_counts.key,
        passed=not pending,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{len(pending):,} files are new or changed and not counted"
        if pending
        else None,
        metadata={"files": len(now.items), "not counted": len(pending), "first": _listed(pending)},
    )
    stale = sorted(now.stale)
    yield dg.AssetCheckResult(
        check_name="no_stale_counts",
        asset_key=word_counts.key,
        passed=not stale,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{len(stale):,} counts of files that are gone" if stale else None,
        metadata={"stale": len(stale), "first": _listed(stale)},
    )


@dg.asset_check(
    asset=ranking, description="The ranking's total is the sum of the words of all its files."
)
def sum_of_counts(locations: Locations) -> dg.AssetCheckResult:
    """Add up the words of the counted files and compare with what the merge added up."""
    ranked = locations.read_ranking()
    now = locations.look()
    words = sum(item.counted.words for item in now.items if item.counted)
    return dg.AssetCheckResult(
        passed=words == ranked.total_words,
        metadata={"words of the files": words, "words of the ranking": ranked.total_words},
    )


def _listed(names: list[str]) -> dg.MetadataValue:
    more = [f"- and {len(names) - _SHOWN:,} more"] if len(names) > _SHOWN else []
    return dg.MetadataValue.md(
        "\n".join([f"- `{name}`" for name in names[:_SHOWN]] + more) or "none"
    )
