"""Single words of a merge's totals, however rare: their counts and ranks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from wordfreq_batch.errors import NotFoundError
from wordfreq_batch.merge.document import Ranking
from wordfreq_batch.merge.merge import RANKING, TOTALS
from wordfreq_batch.merge.totals import find
from wordfreq_batch.storage.opening import open_store
from wordfreq_batch.tables.runs import append
from wordfreq_batch.temporary import temporary_folder
from wordfreq_batch.text.folding import folded
from wordfreq_batch.text.words import tokens


class FoundWord(NamedTuple):
    """A word, how often it occurs, and its rank among all words, from 1; 0, None: it doesn't."""

    word: str
    count: int = 0  # type: ignore[assignment]  # a tuple has a method of that name
    rank: int | None = None


def look_up_words(source: str, asked: Iterable[str]) -> tuple[Ranking, list[FoundWord]]:
    """Look words up in the folder or prefix that a merge has written.

    Args:
        source: the URI that was the merge's output.
        asked: words in any spelling; a text of several words is several questions.

    Returns:
        The ranking, for its totals, and each word as it is counted there.

    Raises:
        NotFoundError: there is no ranking, or no totals.
        DataError: they are damaged.
    """
    store = open_store(source)
    try:
        ranking = Ranking.loads(store.get(RANKING), uri=store.url(RANKING))
    except NotFoundError:
        raise NotFoundError(
            f"{store.uri} holds no {RANKING}; name the folder given to `wordfreq merge --output` "
            "or `wordfreq count --output`"
        ) from None
    texts = map(folded, asked) if ranking.folded else asked
    words = list(dict.fromkeys(word for text in texts for word in tokens(text)))
    with temporary_folder() as folder:
        path = folder / TOTALS
        with store.open(TOTALS) as reader:
            append(path, reader)
        found = find(path, words)
    return ranking, [FoundWord(word, *found.get(word, ())) for word in words]
