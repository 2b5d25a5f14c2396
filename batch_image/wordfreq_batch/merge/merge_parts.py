"""A merge in parts, for very large plans: many containers add up, the last one puts together.

Called by `wordfreq merge --parts N`, with `--part` for one of the N parts and without for the last
step. A word's hash decides which part it is in. Each part reads all of the plan's counts, keeps its
own words, and stores them sorted by count below `.wordfreq/merge/<plan id>/` in the destination,
then a receipt. The last step merges the N objects, checks their sums against the receipts and ranks
as `merge_plan` does; then the parts are removed. Everything can be killed and repeated anywhere.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from wordfreq_batch.errors import DataError, InputError
from wordfreq_batch.merge.document import Ranking
from wordfreq_batch.merge.group_sums import FilesRead, add_groups, counts_of, version_of
from wordfreq_batch.merge.merge import MergeOptions, check_options, rank_plan
from wordfreq_batch.merge.totals import totals_of, usable
from wordfreq_batch.plans.formats import MERGES, ItemReceipt, Receipt
from wordfreq_batch.plans.plan import Plan, PlanHead
from wordfreq_batch.plans.plan_store import load_plan
from wordfreq_batch.plans.receipts import finished_files, read_receipts
from wordfreq_batch.storage.opening import open_store
from wordfreq_batch.tables.by_count import read
from wordfreq_batch.tables.lines import Share
from wordfreq_batch.tables.runs import (
    LineStream,
    Merged,
    SortedFile,
    append,
    blocks_of,
)
from wordfreq_batch.tables.tally import Tally
from wordfreq_batch.temporary import temporary_folder
from wordfreq_batch.text.unpack import decompressed

MOST_PARTS: Final = 64
"""All of them are read together in the end."""


def parts_of(plan: Plan, *, words_per_part: int) -> int:
    """In how many parts the words of a plan's files are merged, as far as known; 1: not in parts.

    Receipts of its tasks are only read where the plan is large enough for several parts: a word
    takes two bytes of a file at least.

    Args:
        plan: the plan.
        words_per_part: of each file the different ones, added up.
    """
    words = sum(item.counted.distinct for item in plan.items if item.counted is not None)
    pending = {item.name: item.size for item in plan.items if item.counted is None}
    if words + sum(pending.values()) // 2 > words_per_part:
        new = finished_files(plan, "migrate")
        words += sum(item.distinct for name, item in new.items() if name in pending)
    return max(1, min(-(-words // words_per_part), MOST_PARTS))


def stage_of(parts: int) -> str:
    """The stage of the parts' receipts; merges in other numbers of parts are other stages."""
    return f"merge-of-{parts}"


def part_receipts(head: PlanHead, parts: int, tasks: Collection[int]) -> dict[int, Receipt]:
    """The receipts of those of these parts that are done and still there."""
    store = open_store(head.destination.uri)
    found = read_receipts(head, stage_of(parts), tasks)
    stored = {info.key for info in store.list(_folder(head))} if found else set()
    return {
        part: receipt
        for part, receipt in found.items()
        if receipt.counter_version == version_of(head) and _key(head, part, parts) in stored
    }


def merge_part(plan_uri: str, share: Share, options: MergeOptions) -> ItemReceipt:
    """Add up the words of one part and store them; returns what belongs into the receipt.

    Raises:
        InputError: files have no valid counts, or the plan is for another version of the counter.
        DataError: plan, counts or partials are damaged.
    """
    plan = load_plan(plan_uri)
    store = open_store(plan.head.destination.uri)
    key = _key(plan.head, share.part, share.parts)
    plan = counts_of(plan, store, options.progress).plan
    memory = usable(options.memory)
    files = FilesRead(options.progress, len(plan.items))
    with (
        Tally(memory=memory * 3 // 4, share=share, threads=options.threads) as tally,
        temporary_folder() as folder,
    ):
        add_groups(tally, store, plan, files, memory=memory // 4)
        # A run, as its compression lets many be read at once in little memory.
        run = SortedFile(folder / "part.zst")
        run.write(blocks_of(tally.by_count()))
        store.upload(key, run.path)
        return ItemReceipt(
            name=key,
            etag="",
            size=run.path.stat().st_size,
            words=tally.total,
            distinct=tally.distinct,
        )


def merge_parts(plan_uri: str, parts: int, options: MergeOptions) -> Ranking:
    """Rank the words of the plan's files from the parts that were stored.

    Raises:
        InputError: parts are missing, which the message names, or files have no valid counts.
        DataError: a part is damaged.
        UsageError: see `check_options`.
    """
    plan = load_plan(plan_uri)
    head = plan.head
    check_options(head, options)
    store = open_store(head.destination.uri)
    receipts = part_receipts(head, parts, range(parts))
    if missing := sorted(set(range(parts)) - receipts.keys()):
        named = ", ".join(map(str, missing))
        raise InputError(
            f"{plan_uri}: {len(missing)} of {parts} parts of the merge are missing in "
            f"{store.url(_folder(head))}: {named}; run `wordfreq merge --parts {parts} --part "
            "--index N` for each, then this again"
        )
    counts = counts_of(plan, store, options.progress)
    with temporary_folder() as folder:
        texts = []
        for part in range(parts):
            key, path = _key(head, part, parts), folder / f"part-{part}"
            with store.open(key) as reader:
                append(path, reader)
            name = store.url(key)
            if path.stat().st_size:  # else none of the words was in it
                lines = decompressed(read(path), name=name, suffix=".zst")
                texts.append(LineStream(lines, name=name))
        with totals_of(Merged(texts, by_count=True)) as totals:
            reported = [item for receipt in receipts.values() for item in receipt.items]
            expected = (
                sum(item.words for item in reported),
                sum(item.distinct for item in reported),
            )
            if (totals.words, totals.distinct) != expected:
                raise DataError(
                    f"the parts in {store.url(_folder(head))} hold {totals.words:,} words, "
                    f"{totals.distinct:,} of them different, where their receipts say "
                    f"{expected[0]:,} and {expected[1]:,}; remove them and merge again"
                )
            return rank_plan(totals, options, plan, counts, store)


def remove_parts(head: PlanHead, parts: int) -> None:
    """Delete the parts, which nobody needs once there is a ranking.

    Their receipts stay: without its part, a receipt is taken for none.
    """
    open_store(head.destination.uri).delete([_key(head, part, parts) for part in range(parts)])


def _folder(head: PlanHead) -> str:
    return f"{MERGES}{head.id}/"


def _key(head: PlanHead, part: int, parts: int) -> str:
    return f"{_folder(head)}{part:05d}-of-{parts}.zst"
