"""Where things lie: source, counts, plans, receipts and ranking, in S3 or in local folders.

Used by assets, checks and sensors. Objects are read and written through `wordfreq_batch.storage`,
the same code as in the container, so that both sides agree on keys, ETags and errors.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import quote

import dagster as dg

from dagster_aws_batch import signs_of_life
from wordfreq_batch.errors import NotFoundError
from wordfreq_batch.merge.document import Ranking
from wordfreq_batch.plans.formats import UNUSABLE, Receipt
from wordfreq_batch.plans.plan import Location, Plan
from wordfreq_batch.plans.plan_store import load_plan, write_plan
from wordfreq_batch.plans.planning import build_plan
from wordfreq_batch.plans.receipts import read_receipts
from wordfreq_batch.storage.opening import open_store
from wordfreq_batch.text.options import TextOptions
from wordfreq_batch.text.words import counter_version

#: The plans that this process read or wrote last, and final receipts by plan and stage. Once
#: written they stay as they are, and the steps and checks of a run share one process.
_plans: dict[str, Plan] = {}
_receipts: dict[str, dict[int, Receipt]] = {}
_KEPT = 2
_V = TypeVar("_V")


def keep(kept: dict[str, _V], key: str, value: _V) -> _V:
    """Put the value into `kept`, which holds only the latest few; returns the value."""
    kept.pop(key, None)
    kept[key] = value
    while len(kept) > _KEPT:
        del kept[next(iter(kept))]
    return value


def final_receipts(planned: Plan, stage: str) -> dict[int, Receipt]:
    """The receipts that this process has read and keeps; whoever reads a final one adds it."""
    key = f"{planned.id}/{stage}"
    return keep(_receipts, key, _receipts.get(key, {}))


def receipts_of(planned: Plan, stage: str, tasks: Collection[int]) -> dict[int, Receipt]:
    """The receipts that these tasks have left; each process reads a final one once."""
    kept = final_receipts(planned, stage)
    found = read_receipts(planned.head, stage, [task for task in tasks if task not in kept])
    kept |= {task: receipt for task, receipt in found.items() if receipt.final}
    return found | {task: kept[task] for task in tasks if task in kept}


class Places(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Where files come from and results go, each `s3://bucket/prefix`, `file:///…` or a folder.

    Attributes:
        source: the files.
        destination: one result object per file, named like it.
        plans: plans and, below each plan's id, its receipts.
        pack: bytes of input that share one container.
        report: which files are reported to Dagster: `all`, `changed`, or in a `summary` only those
            that failed (docs/credits.md).
        retry_unusable: what is known to be bad data is tried again in each run.
    """

    source: str
    destination: str
    plans: str
    pack: int
    report: str
    retry_unusable: bool

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[Any]:
        """Show that the run is alive, also one that lists for long and submits no job."""
        run_id = context.run.run_id if context.run else None
        with signs_of_life(context.instance, run_id), super().yield_for_execution(context) as made:
            yield made

    def plan_uri(self, run_id: str, *, kind: str = "all") -> str:
        """The plan of one run: deterministic, so that a retry of the run finds it again."""
        return f"{self.plans.rstrip('/')}/{run_id}-{kind}.json"

    def read_plan(self, uri: str) -> Plan | None:
        """The plan at `uri`, or None if there is none yet; each process reads it once."""
        uri = Location.parse(uri).uri  # one name of it, whoever asks
        if uri not in _plans:
            try:
                return keep(_plans, uri, load_plan(uri))
            except NotFoundError:
                return None
        return _plans[uri]

    def save_plan(self, plan: Plan) -> None:
        """Write `plan` to the place it names."""
        write_plan(plan)
        keep(_plans, plan.head.plan.uri, plan)

    def compare(
        self, *, plan: str = "", only: Collection[str] | None = None, again: bool = False
    ) -> Plan:
        """Compare source and results now, without a container; writes no plan.

        Args:
            plan: where the plan would be written.
            only: tasks for exactly these files; of those whose results are valid a task only
                confirms that.
            again: files with valid results are to be done again, too.

        Returns:
            The plan.
        """
        return build_plan(
            source=self.source,
            destination=self.destination,
            plan=plan or self.plan_uri("unwritten"),
            pack=self.pack,
            pending=only is None,
            only=only,
            again=again,
            retry_unusable=self.retry_unusable,
            **self.made_for(),
        )

    def made_for(self) -> dict[str, Any]:
        """What a pipeline's plans go by now, as arguments of `build_plan`."""
        raise NotImplementedError

    def existing_results(self, names: Collection[str]) -> list[str]:
        """Those of the names whose results are there, in their order."""
        if not names:
            return []
        there = {info.key for info in open_store(self.destination).list()}
        return [name for name in names if name in there]

    def remove_results(self, names: Collection[str]) -> None:
        """Delete all that is kept of these files; what isn't there is no error."""
        self.remove_outdated([place + name for name in names for place in ("", UNUSABLE)])

    def remove_outdated(self, names: Collection[str]) -> None:
        """Delete the results of these files, which are of other bytes than those in the source."""
        if names:
            open_store(self.destination).delete(names)


class WordPlaces(Places):
    """The places of the word count.

    Attributes:
        encoding: of texts that aren't UTF-8: a name, `auto`, or empty: they are bad data.
        fold: spellings that look alike are counted as one word.
        ranking: `ranking.json` and `totals.parquet`.
        merge_part_words: a plan with more words is merged in parts of about so many.
        min_length: shortest word ranked, in characters, where the run config names none.
        min_count: rarest word ranked, in occurrences, likewise.
        top: how many words are ranked, likewise.
        stop_words: languages whose stop words are left out, likewise.
        folder_depth: levels of folders that are ranked by themselves.
    """

    encoding: str
    fold: bool
    ranking: str
    merge_part_words: int
    min_length: int
    min_count: int
    top: int
    stop_words: list[str]
    folder_depth: int

    def made_for(self) -> dict[str, Any]:
        """The version of the counter."""
        options = TextOptions.make(encoding=self.encoding, fold=self.fold)
        return {"counter_version": counter_version(options)}

    def read_ranking(self) -> Ranking:
        """The ranking written last."""
        store = open_store(self.ranking)
        return Ranking.loads(store.get("ranking.json"), uri=store.url("ranking.json"))


_NAMES_SHOWN = 50


def listed_names(names: Iterable[str]) -> dg.MetadataValue:
    """Names as a Markdown list, the first of them where they are many."""
    return listed_reasons(dict.fromkeys(names, ""))


def listed_reasons(reasons: dict[str, str]) -> dg.MetadataValue:
    """Names with a reason each, as a Markdown list."""
    lines = [f"- `{name}` {reason}".rstrip() for name, reason in list(reasons.items())]
    more = len(lines) - _NAMES_SHOWN
    if more > 0:
        lines = [*lines[:_NAMES_SHOWN], f"- and {more:,} more"]
    return dg.MetadataValue.md("\n".join(lines) or "none")


def describe_uri(uri: str) -> dg.MetadataValue:
    """A link to an S3 object or prefix in the AWS console, or the path of a local file."""
    if not uri.startswith("s3://"):
        return dg.MetadataValue.path(uri.removeprefix("file://"))
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    kind = "buckets" if not key or key.endswith("/") else "object"
    return dg.MetadataValue.url(
        f"https://console.aws.amazon.com/s3/{kind}/{bucket}?prefix={quote(key, safe='/')}"
    )
