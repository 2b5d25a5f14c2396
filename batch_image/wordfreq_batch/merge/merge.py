"""The last stage: add up the counts of all files and rank the words.

Called by `wordfreq merge`, once per container; `merge_plan` takes exactly a plan's files and says
which are missing, `merge_source` whatever lies below a prefix. Memory is bounded by
`MergeOptions.memory`, whatever the vocabulary (`tables.tally`, `merge.totals`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timezone
from typing import Final

from wordfreq_batch.errors import NotFoundError, UsageError, WordfreqError
from wordfreq_batch.merge.document import (
    Earlier,
    FolderRanking,
    Ranking,
    RankingOptions,
    SetAside,
)
from wordfreq_batch.merge.folders import rank_folders
from wordfreq_batch.merge.group_sums import (
    Counts,
    FilesRead,
    add_all,
    add_groups,
    counts_of,
    tidy,
    version_of,
)
from wordfreq_batch.merge.ranking import ranked, stop_words
from wordfreq_batch.merge.report import html, markdown
from wordfreq_batch.merge.totals import Totals, totals_of, usable
from wordfreq_batch.plans.plan import Item, Location, Plan, PlanHead
from wordfreq_batch.plans.plan_store import load_plan
from wordfreq_batch.plans.planning import check_outside, inside
from wordfreq_batch.storage.opening import open_store
from wordfreq_batch.storage.store import Store
from wordfreq_batch.tables.tally import Tally
from wordfreq_batch.temporary import temporary_folder

RANKING: Final = "ranking.json"
REPORT: Final = "report.html"
REPORT_MARKDOWN: Final = "report.md"
TOTALS: Final = "totals.parquet"

_NAMED: Final = 1000  # missing files whose names a ranking keeps


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeOptions:
    """How to merge.

    `output` is the URI of the folder or prefix that gets `ranking.json`, `totals.parquet` and the
    report; with `folder_depth` above 0 the folders of a plan's files are ranked by themselves;
    `memory` (bytes) is what the process may take: never less than 256 MiB, whatever is given.
    So many `threads` read, add up and sort; less memory than they need is for fewer of them.
    With `allow_missing` files of a plan that could not be counted are named, and the others ranked.
    `progress` gets a line every few seconds of long work.
    """

    ranking: RankingOptions = field(default_factory=RankingOptions)
    output: str | None = None
    folder_depth: int = 0
    memory: int = 512 << 20
    threads: int = 1
    allow_missing: bool = False
    progress: Callable[[str], None] = lambda _: None


def merge_plan(plan_uri: str, options: MergeOptions) -> Ranking:
    """Rank the words of exactly the files of the plan at this URI.

    Partials that are not there are made first.

    Raises:
        InputError: files have no valid counts, or the plan is for another version of the counter.
        DataError: plan, counts or partials are damaged.
        UsageError: see `check_options`.
    """
    plan = load_plan(plan_uri)
    check_options(plan.head, options)
    store = open_store(plan.head.destination.uri)
    counts = counts_of(plan, store, options.progress, allow_missing=options.allow_missing)
    files = FilesRead(options.progress, len(counts.plan.items))
    memory = usable(options.memory)
    with Tally(memory=memory * 3 // 4, threads=options.threads) as tally:
        add_groups(tally, store, counts.plan, files, memory=memory // 4)
        with totals_of(tally) as totals:
            return rank_plan(totals, options, plan, counts, store)


def check_options(head: PlanHead, options: MergeOptions) -> None:
    """Report before the work what can't be meant.

    Raises:
        UsageError: an unknown language, or an output where the plan's files or counts lie.
    """
    stop_words(options.ranking.stop_words)
    if options.output is not None:
        # The source of a single file may be that file alone, and not all of its folder.
        source = head.source if head.total_items > 1 else None
        output = Location.parse(options.output, folder=True)
        check_outside("the output", output, source=source, destination=head.destination)


def merge_source(source_uri: str, options: MergeOptions) -> Ranking:
    """Rank the words of all counts objects below a prefix, except what lies below `.wordfreq/`.

    Raises:
        DataError: an object there doesn't hold counts; the message has its URI and the line.
        UsageError: the output would lie among the counts.
    """
    store = open_store(source_uri)
    counts = Location.parse(source_uri, folder=True)
    if options.output is not None and inside(Location.parse(options.output, folder=True), counts):
        raise UsageError(
            f"the output {options.output} lies inside the source {source_uri}, where the next "
            "merge would read it as counts; put it elsewhere"
        )
    stop_words(options.ranking.stop_words)
    files = FilesRead(options.progress)
    with Tally(memory=usable(options.memory), threads=options.threads) as tally:
        add_all(tally, store, files)
        with totals_of(tally) as totals:
            return rank(totals, options, files=files.files, source=store.uri)


def rank_plan(
    totals: Totals, options: MergeOptions, plan: Plan, counts: Counts, store: Store
) -> Ranking:
    """The ranking of a plan, whose counts are in `store`; then what nobody needs is removed."""
    items = counts.plan.items
    ranking = rank(
        totals,
        options,
        files=len(items),
        source=store.uri,
        plan_id=plan.id,
        counter_version=version_of(plan.head),
        folders=_folders(items, store, options),
        set_aside=counts.set_aside,
        missing=(*counts.missing, *(each.name for each in plan.unusable)),
    )
    tidy(store, counts.plan, options.progress)
    return ranking


def rank(
    totals: Totals,
    options: MergeOptions,
    *,
    files: int,
    source: str,
    plan_id: str = "",
    counter_version: str = "",
    folders: tuple[FolderRanking, ...] = (),
    set_aside: tuple[SetAside, ...] = (),
    missing: Sequence[str] = (),
) -> Ranking:
    """Select the ranking from the totals; store both where `options.output` says."""
    ranking = Ranking(
        words=ranked(totals, options.ranking),
        files=files,
        total_words=totals.words,
        distinct_words=totals.distinct,
        source=source,
        plan_id=plan_id,
        counter_version=counter_version,
        options=options.ranking,
        folders=folders,
        set_aside=set_aside,
        missing=len(missing),
        missing_names=tuple(missing[:_NAMED]),
    )
    if options.output is not None:
        store = open_store(options.output)
        ranking = ranking._replace(previous=_previous(store, ranking, options.progress))
        _store_results(store, totals, ranking, options)
    return ranking


def _folders(
    items: Sequence[Item], store: Store, options: MergeOptions
) -> tuple[FolderRanking, ...]:
    """The rankings of the folders of these files, if asked for."""
    if not options.folder_depth:
        return ()
    return rank_folders(
        items,
        store,
        depth=options.folder_depth,
        options=options.ranking,
        files=FilesRead(options.progress, len(items)),
        memory=usable(options.memory),
        threads=options.threads,
    )


def _previous(store: Store, ranking: Ranking, progress: Callable[[str], None]) -> Earlier | None:
    """What the ranking is compared with: the one stored there, or what that was compared with.

    The latter where nothing has changed since, so that neither a second try of a merge nor a
    nightly run loses the last change. Rankings by other options aren't compared.
    """
    try:
        made = store.head(RANKING).last_modified
        stored = Ranking.loads(store.get(RANKING), uri=store.url(RANKING))
    except NotFoundError:
        return None
    except WordfreqError as error:
        progress(f"merge: no comparison with the ranking before: {error}")
        return None
    if (stored.options, stored.source) != (ranking.options, ranking.source):
        return None
    same = (stored.words, stored.files, stored.total_words)
    if same == (ranking.words, ranking.files, ranking.total_words):
        return stored.previous
    made = made.astimezone(timezone.utc)
    return Earlier(f"{made:%Y-%m-%dT%H:%M:%SZ}", stored.files, stored.total_words, stored.words)


def _store_results(store: Store, totals: Totals, ranking: Ranking, options: MergeOptions) -> None:
    """Write totals and report, then the ranking: who finds a ranking finds the others."""
    with temporary_folder() as folder:
        path = folder / TOTALS
        totals.write_parquet(path, memory=options.memory, threads=options.threads)
        store.upload(TOTALS, path)
    store.put(REPORT, html(ranking).encode())
    store.put(REPORT_MARKDOWN, markdown(ranking).encode())
    store.put(RANKING, ranking.dumps().encode())
