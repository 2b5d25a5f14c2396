"""Rankings of single folders, from the counts that are there: nothing is counted for them.

Each folder is a merge of its own files' counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from wordfreq_batch.merge.document import FolderRanking, RankingOptions
from wordfreq_batch.merge.group_sums import FilesRead, add_items
from wordfreq_batch.merge.ranking import ranked
from wordfreq_batch.merge.totals import totals_of
from wordfreq_batch.plans.plan import Item
from wordfreq_batch.storage.store import Store
from wordfreq_batch.tables.tally import Tally

#: Folders that are ranked, those with the most bytes; and words of each.
MOST_FOLDERS: Final = 100
MOST_WORDS: Final = 20


def by_folder(items: Sequence[Item], depth: int) -> dict[str, list[Item]]:
    """The items by the first `depth` names of their path, the largest folders first.

    Args:
        items: the files.
        depth: how many names of the path; a file with fewer belongs to the folder that it is in.

    Returns:
        Folders, each ending with `/`; `''` for the files that are in none.
    """
    found: dict[str, list[Item]] = {}
    for item in items:
        names = item.name.split("/")[:-1][:depth]
        found.setdefault("".join(f"{name}/" for name in names), []).append(item)
    return dict(
        sorted(found.items(), key=lambda pair: (-sum(item.size for item in pair[1]), pair[0]))
    )


def rank_folders(
    items: Sequence[Item],
    store: Store,
    *,
    depth: int,
    options: RankingOptions,
    files: FilesRead,
    memory: int,
    threads: int,
) -> tuple[FolderRanking, ...]:
    """Rank the words of each folder.

    Args:
        items: the files, each with its valid counts (`group_sums.counted_items`).
        store: where the counts are.
        depth: how many names of a path make a folder.
        options: which words are ranked.
        files: counts the files for the progress.
        memory: bytes of words held at a time.
        threads: threads that read and add up.

    Returns:
        The largest folders, in the order of their bytes.
    """
    found = []
    few = options._replace(top=min(options.top, MOST_WORDS))
    for folder, members in list(by_folder(items, depth).items())[:MOST_FOLDERS]:
        with Tally(memory=memory, threads=threads) as tally:
            add_items(tally, store, members, files)
            with totals_of(tally) as totals:
                words = ranked(totals, few)
                found.append(
                    FolderRanking(folder, len(members), totals.words, totals.distinct, words)
                )
    return tuple(found)
