"""The ranking: the most used words of all files."""

from datetime import timedelta
from typing import Any

import dagster as dg
from pydantic import Field

from dagster_aws_batch import BatchJobs, origin_run_id
from dagster_aws_batch.automation.turns import take_turn
from wordfreq_batch.errors import DataError, NotFoundError
from wordfreq_batch.merge import report
from wordfreq_batch.merge.document import Ranking
from wordfreq_batch.merge.merge_parts import part_receipts, parts_of
from wordfreq_batch.plans.plan import Plan
from wordfreq_batch.plans.receipts import read_receipts
from wordfreq_dagster.defs.word_frequency.conditions import RANKING_DUE
from wordfreq_dagster.defs.word_frequency.source_files import GROUP
from wordfreq_dagster.defs.word_frequency.word_counts import word_counts
from wordfreq_dagster.files.partitions import source_files_partitions
from wordfreq_dagster.files.places import WordPlaces, describe_uri, listed_reasons
from wordfreq_dagster.files.plans import forget_ends, made_from, plan_of_run
from wordfreq_dagster.files.stages import Stages
from wordfreq_dagster.files.tags import COUNTER, LISTING, OWNERS, RANKS_TAG, SETTINGS, SOURCE_TAG

#: The nightly run ranks every day, so a ranking of two days ago means that something is broken.
_FRESHNESS = dg.FreshnessPolicy.time_window(
    fail_window=timedelta(hours=49), warn_window=timedelta(hours=26)
)


class RankingOptions(dg.Config):
    """Which words this run ranks, where that isn't what the settings say.

    Set in the launchpad, by `--config` or by a run's config.
    """

    min_length: int | None = Field(
        default=None, ge=1, description="shortest word, in characters; unset: WORDFREQ_MIN_LENGTH"
    )
    min_count: int | None = Field(
        default=None, ge=1, description="rarest word, in occurrences; unset: WORDFREQ_MIN_COUNT"
    )
    top: int | None = Field(default=None, ge=1, description="how many words; unset: WORDFREQ_TOP")
    stop_words: list[str] | None = Field(
        default=None,
        description="languages whose stop words are left out, e.g. ['en', 'de']; "
        "unset: those of WORDFREQ_STOP_WORDS",
    )

    def arguments(self, settings: WordPlaces) -> list[str]:
        """The options as arguments of `wordfreq merge`.

        Args:
            settings: their options hold where these name none.
        """
        arguments = []
        for name in ("min_length", "min_count", "top", "stop_words"):
            own = getattr(self, name)
            value = getattr(settings, name) if own is None else own
            text = ",".join(value) if isinstance(value, list) else str(value)
            if text:
                arguments += [f"--{name.replace('_', '-')}", text]
        depth = settings.folder_depth
        return arguments + (["--folder-depth", str(depth)] if depth else [])


@dg.asset(
    deps=[word_counts],
    automation_condition=RANKING_DUE,
    freshness_policy=_FRESHNESS,
    group_name=GROUP,
    owners=OWNERS,
    kinds={"aws", "s3", "parquet"},
    tags={"domain": "text"},
)
def ranking(
    context: dg.AssetExecutionContext,
    config: RankingOptions,
    batch: BatchJobs,
    locations: WordPlaces,
    stages: Stages,
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """The most used words of all files, with their counts, in a fixed order.

    One container adds up the counts of exactly the files in the source. It writes `ranking.json`, a
    report as HTML and Markdown, and all totals as Parquet. Of very many words several containers
    add up a part each before.
    Words of equal count are in alphabetical order (by code point), so the same counts always give
    the same ranking.
    """
    take_turn(context, locations.source, tag=SOURCE_TAG)
    found = plan_of_run(context, locations)
    whole, planned = found is not None, found or _plan_of_counted(context, locations)
    if whole:
        # Of a run that was started as assets, not as the job, Dagster doesn't take the job's tags.
        context.instance.add_run_tags(context.run.run_id, {RANKS_TAG: "true"})
    elif (kept := _kept(context, planned, locations)) is not None:
        return kept
    merged = _merge(context, config, planned, batch=batch, locations=locations, stages=stages)
    if whole:
        forget_ends(context, planned, source_files_partitions)
    ranked = locations.read_ranking()
    context.log.info(report.first_words(ranked))
    return dg.MaterializeResult(metadata={**_metadata(ranked, planned, locations), **merged})


def _merge(
    context: dg.AssetExecutionContext,
    config: RankingOptions,
    planned: Plan,
    *,
    batch: BatchJobs,
    locations: WordPlaces,
    stages: Stages,
) -> dict[str, Any]:
    """Let one container rank, of very many words after others have added them up; metadata."""
    merge = ["merge", "--plan", planned.head.plan.uri]
    parts = parts_of(planned, words_per_part=locations.merge_part_words)
    how: dict[str, dg.MetadataValue | str] = {"merged": "whole, by one container"}
    if parts > 1:
        summed = batch.run(
            context=context,
            job=stages.job("merge", [*merge, "--parts", str(parts), "--part"], name="merge-part"),
            tasks=parts,
            receipts=lambda tasks: part_receipts(planned.head, parts, tasks),
        )
        summed.raise_for_failure()
        how["merged"] = f"in {parts} parts, {summed.seconds:,.0f} s, then combined"
        if jobs := summed.metadata().get("batch/jobs"):
            how["parts"] = jobs
    merge += ["--output", locations.ranking, *config.arguments(locations)]
    merge += ["--parts", str(parts)] if parts > 1 else []
    outcome = batch.run(
        context=context,
        job=stages.job("merge", merge),
        tasks=1,
        receipts=lambda tasks: read_receipts(planned.head, "merge", tasks),
    )
    outcome.raise_for_failure()
    return {**how, **outcome.metadata(plots=False)}


def _metadata(ranked: Ranking, planned: Plan, locations: WordPlaces) -> dict[str, Any]:
    """What the ranking's materialization says of it."""
    reasons = {each.name: each.reason for each in planned.unusable}
    place = locations.ranking.rstrip("/")
    return {
        "ranking": ranking_table(ranked),
        "chart": dg.MetadataValue.md(report.bar_chart(ranked)),
        "dagster/row_count": len(ranked.words),
        "files": ranked.files,
        "complete": not ranked.missing,
        "missing files": listed_reasons(
            {name: reasons.get(name, "") for name in ranked.missing_names}
        ),
        "words": ranked.total_words,
        "distinct words": ranked.distinct_words,
        "options": report.options_text(ranked),
        **_history(ranked),
        "report": describe_uri(f"{place}/report.html"),
        "most used word": ranked.words[0].word if ranked.words else "none",
        "totals": describe_uri(f"{place}/totals.parquet"),
        "plan": planned.head.plan.uri,
        LISTING: planned.head.listing,
        **_made_by(locations, planned.head.counter_version),
    }


def _made_by(locations: WordPlaces, counter: str) -> dict[str, str]:
    """The metadata of what a ranking depends on besides files and the config of its run."""
    return {
        SETTINGS: " ".join(RankingOptions().arguments(locations)),
        COUNTER: counter,
        "dagster/uri": f"{locations.ranking.rstrip('/')}/ranking.json",
    }


def _kept(
    context: dg.AssetExecutionContext, planned: Plan, locations: WordPlaces
) -> dg.MaterializeResult | None:  # type: ignore[type-arg]
    """The latest ranking once more, where automation asks for one that would be of the same.

    A file that is counted again from the same bytes changes no count; and the ranking may have been
    made with options of its run's config, which somebody wanted.
    """
    if context.run.tags.get("dagster/from_automation_condition") != "true":
        return None
    event = context.instance.get_latest_materialization_event(ranking.key)
    made = event.asset_materialization.metadata if event and event.asset_materialization else {}
    same = {LISTING: planned.head.listing, **_made_by(locations, planned.head.counter_version)}
    if not planned.head.listing or any(
        made.get(key) != dg.MetadataValue.text(text) for key, text in same.items()
    ):
        return None
    try:
        ranked = locations.read_ranking()
    except (NotFoundError, DataError):
        return None
    unusable = {each.name for each in planned.unusable}
    if ranked.missing != len(unusable) or not unusable.issuperset(ranked.missing_names):
        return None
    context.log.info("the ranking is of these counts and settings already; it is kept")
    return dg.MaterializeResult(metadata=dict(made))


def _history(ranked: Ranking) -> dict[str, dg.MetadataValue | int]:
    """What has changed, where there was a ranking before, and folders, where they are ranked."""
    shown: dict[str, dg.MetadataValue | int] = {}
    if ranked.previous is not None:
        shown["changes"] = dg.MetadataValue.md(report.changes_table(ranked))
        new = sum(each.previous_rank is None for each in ranked.changes)
        shown["words new in the ranking"] = new
    if ranked.folders:
        shown["folders"] = dg.MetadataValue.md(report.folders_table(ranked))
    return shown


def ranked_listing(instance: dg.DagsterInstance, places: WordPlaces) -> str:
    """The files that the latest ranking was made from, see `made_from`.

    Options that its run's config named are no reason to rank again: somebody wanted them.
    """
    counter = str(places.made_for()["counter_version"])
    return made_from(instance, ranking.key, _made_by(places, counter))


def _plan_of_counted(context: dg.AssetExecutionContext, locations: WordPlaces) -> Plan:
    """A plan of what is counted now, for a ranking that is asked for on its own."""
    uri = locations.plan_uri(origin_run_id(context.instance, context.run), kind="ranking")
    if found := locations.read_plan(uri):
        return found
    now = locations.compare(plan=uri)
    if now.pending:
        context.log.warning(
            f"{len(now.pending):,} files of the source are new or changed and not counted yet; "
            "they are not in this ranking. The job word_frequency counts them."
        )
    counted = now.only_counted()
    locations.save_plan(counted)
    return counted


def ranking_table(ranked: Ranking) -> dg.TableMetadataValue:
    """The ranking as a table: rank, word, count, share in percent, change since the last one."""
    moved = {each.word: report.movement(each) for each in ranked.changes}
    total = max(ranked.total_words, 1)
    return dg.MetadataValue.table(
        records=[
            dg.TableRecord(
                {
                    "rank": place,
                    "word": entry.word,
                    "count": entry.count,
                    "percent": round(100 * entry.count / total, 3),
                    "change": moved.get(entry.word, ""),
                }
            )
            for place, entry in enumerate(ranked.words, start=1)
        ],
        schema=dg.TableSchema(
            columns=[
                dg.TableColumn("rank", "int"),
                dg.TableColumn("word", "string"),
                dg.TableColumn("count", "int"),
                dg.TableColumn("percent", "float", description="share of all words"),
                dg.TableColumn("change", "string", description="places since the last ranking"),
            ]
        ),
    )
