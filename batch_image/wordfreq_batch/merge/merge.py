"""The last stage: add up the counts of all files and rank the words.

Called by `wordfreq merge`, once a container; `merge_plan` takes exactly a plan's files and says
which are missing, `merge_source` whatever lies below a prefix. Memory is bounded by
`MergeOptions.memory`, whatever the vocabulary (`tables.tally`, `merge.totals`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from wordfreq_batch.errors import UsageError
from wordfreq_batch.merge.group_sums import (
    FilesRead,
    add_all,
    add_groups,
    counted_items,
    tidy,
)
from wordfreq_batch.merge.ranking import (
    ranked,
    stop_words,
)
from wordfreq_batch.merge.totals import (
    Totals,
    totals_of,
    usable,
)
from wordfreq_batch.plans.formats import (
    Ranking,
    RankingOptions,
)
from wordfreq_batch.plans.plan_store import load_plan
from wordfreq_batch.storage.opening import open_store
from wordfreq_batch.storage.store import Store
from wordfreq_batch.tables.tally import Tally
from wordfreq_batch.text.words import COUNTER_VERSION

RANKING: Final = "ranking.json"
TOTALS: Final = "totals.parquet"

_COPIED: Final = 8 << 20  # bytes of the result uploaded at a time


def _silent(_: str) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeOptions:
    """How to merge.

    `output` is the URI of the folder or prefix that gets `ranking.json` and `totals.parquet`;
    `memory` (bytes) is what the process may take: never less than 256 MiB, whatever is given.
    So many `threads` read, add up and sort; less memory than they need is for fewer of them.
    `progress` gets a line every few seconds of long work.
    """

    ranking: RankingOptions = field(default_factory=RankingOptions)
    output: str | None = None
    memory: int = 512 << 20
    threads: int = 1
    progress: Callable[[str], None] = _silent


def merge_plan(plan_uri: str, options: MergeOptions) -> Ranking:
    """Rank the words of exactly the files of the plan at this URI.

    Partials that are not there are made first.

    Raises:
        InputError: files have no valid counts, or the plan is for another version of the counter.
        DataError: plan, counts or partials are damaged.
    """
    plan = load_plan(plan_uri)
    stop_words(options.ranking.stop_words)  # an unknown language is told before the work
    store = open_store(plan.head.destination.uri)
    items = counted_items(plan, store, options.progress)
    files = FilesRead(options.progress, len(items))
    memory = usable(options.memory)
    with Tally(memory=memory * 3 // 4, threads=options.threads) as tally:
        add_groups(tally, store, plan, items, files, memory=memory // 4)
        with totals_of(tally) as totals:
            ranking = rank(
                totals,
                options,
                files=files.files,
                source=store.uri,
                plan_id=plan.id,
                counter_version=COUNTER_VERSION,
            )
    tidy(store, plan, items, options.progress)
    return ranking


def merge_source(source_uri: str, options: MergeOptions) -> Ranking:
    """Rank the words of all counts objects below a prefix, except what lies below `.wordfreq/`.

    Raises:
        DataError: an object there doesn't hold counts; the message has its URI and the line.
        UsageError: the output would lie among the counts.
    """
    store = open_store(source_uri)
    if options.output is not None and open_store(options.output).uri.startswith(store.uri):
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


def rank(
    totals: Totals,
    options: MergeOptions,
    *,
    files: int,
    source: str,
    plan_id: str = "",
    counter_version: str = "",
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
    )
    if options.output is not None:
        _store_results(open_store(options.output), totals, ranking, options)
    return ranking


def _store_results(store: Store, totals: Totals, ranking: Ranking, options: MergeOptions) -> None:
    """Write the totals, then the ranking: who finds a ranking finds its totals."""
    with tempfile.TemporaryDirectory(prefix="wordfreq-") as folder:
        path = Path(folder) / TOTALS
        totals.write_parquet(path, memory=options.memory, threads=options.threads)
        with store.writer(TOTALS) as writer, path.open("rb") as file:
            while chunk := file.read(_COPIED):
                writer.write(chunk)
    store.put(RANKING, ranking.dumps().encode())
