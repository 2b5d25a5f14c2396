"""What the checks of `word_counts` say of the source, its counts, and what Dagster shows of them.

For `checks`, which runs them after a whole run and on their own, and for `word_counts`, which
reports them where that can't be: where files have failed or partitions were chosen, Dagster skips
checks, and then an earlier verdict would stay.
"""

from collections.abc import Collection, Iterator, Mapping

import dagster as dg

from wordfreq_batch.plans.plan import Plan
from wordfreq_dagster.files.partitions import source_files_partitions
from wordfreq_dagster.files.places import WordPlaces, listed_names, listed_reasons
from wordfreq_dagster.files.plans import unread
from wordfreq_dagster.files.report import reported_check, verdict

_ASSET = dg.AssetKey("word_counts")

COUNT_CHECKS = [
    dg.AssetCheckSpec(name, asset=_ASSET, description=text)
    for name, text in (
        ("every_planned_file_counted", "Every file of the source has counts of its present bytes."),
        ("no_stale_counts", "No counts are left of files or bytes that are gone from the source."),
        ("every_count_reported", "Dagster shows every file as it is: counted, or bad data."),
    )
]


def check_counts(
    instance: dg.DagsterInstance,
    planned: Plan,
    locations: WordPlaces,
    *,
    done: Collection[str] = (),
    failed: Mapping[str, str],
) -> Iterator[dg.AssetCheckResult]:
    """Compare the source with the counts that are there, and these with what Dagster shows.

    Args:
        instance: the Dagster instance.
        planned: what lay in the source, and was counted, when it was made.
        locations: where the counts are.
        done: names of the files that were counted since then.
        failed: reasons of the failures that this run has reported, by name.
    """
    reasons = dict.fromkeys((name for name in planned.pending if name not in done), "")
    reasons |= {each.name: each.reason for each in planned.unusable}
    reasons |= {name: why for name, why in failed.items() if name in reasons}
    files = len(planned.items) + len(planned.unusable)
    yield verdict(
        reasons,
        "files are not counted",
        name="every_planned_file_counted",
        asset=_ASSET,
        warn=False,
        metadata={"files": files, "not counted": len(reasons), "first": listed_reasons(reasons)},
    )
    known = unread(planned, planned.stale)
    stale = locations.existing_results([name for name in planned.stale if name not in known])
    yield verdict(
        stale,
        "counts of files that are gone",
        name="no_stale_counts",
        asset=_ASSET,
        metadata={"stale": len(stale), "first": listed_names(stale)},
    )
    yield reported_check(
        instance,
        _ASSET,
        source_files_partitions,
        planned,
        name="every_count_reported",
        done=done,
        failed=failed,
        job="word_frequency",
        report=locations.report,
    )
