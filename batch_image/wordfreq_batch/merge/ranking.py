"""Which of the counted words are shown, and how: the ranking and its table.

The order is always the same: count, highest first, then the word by code point.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

from wordfreq_batch.errors import UsageError
from wordfreq_batch.merge.document import RankedWord, Ranking, RankingOptions
from wordfreq_batch.tables.lines import WordCount

_WIDEST: Final = 64  # columns of a word in the table; longer ones are cut
# Controls of text direction would turn the table's own lines around on a terminal.
_DIRECTION: Final = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def ranked(by_count: Iterable[WordCount], options: RankingOptions) -> tuple[RankedWord, ...]:
    """Select the words to show from all words in ranking order (`Tally.by_count`).

    A word's length is its number of code points.

    Raises:
        UsageError: there is no list of stop words for one of the languages.
    """
    ignored = stop_words(options.stop_words)
    chosen: list[RankedWord] = []
    for word, count in by_count:
        if len(chosen) >= options.top or count < options.min_count:
            break
        if len(word) >= options.min_length and word not in ignored:
            chosen.append(RankedWord(word, count))
    return tuple(chosen)


def stop_words(languages: Collection[str]) -> frozenset[str]:
    """Return the stop words of these languages (ISO 639-1 codes) from the `stopwords-iso` lists.

    As they come out of our own word rules, with both apostrophes (U+0027 and U+2019), and folded.

    Raises:
        UsageError: there is no list for one of them.
    """
    if not languages:
        return frozenset()
    import stopwordsiso

    from wordfreq_batch.text.folding import folded
    from wordfreq_batch.text.words import tokens

    known = stopwordsiso.langs()
    if unknown := sorted(set(languages) - set(known)):
        raise UsageError(
            f"no stop words for {', '.join(unknown)}; there are lists for {' '.join(sorted(known))}"
        )
    listed: Iterable[str] = stopwordsiso.stopwords(list(languages))
    written = {
        form for word in listed for form in (word, word.replace("'", "\u2019"), folded(word))
    }
    found = (list(tokens(form)) for form in written)
    return frozenset(words[0] for words in found if len(words) == 1)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Draw a box of rows, each a word and figures, without a line end at its end.

    Columns are those of a terminal: a Chinese character takes two, a combining mark none.
    """
    from wcwidth import wcswidth

    def width(text: str) -> int:
        return max(wcswidth(text), 0)

    lines = [list(heads), *([_shown(word, width), *figures] for word, *figures in rows)]
    widths = [max(map(width, column)) for column in zip(*lines, strict=True)]

    def line(cells: Sequence[str]) -> str:
        word, *figures = cells
        centred = (f"{each:^{wide}}" for each, wide in zip(figures, widths[1:], strict=True))
        padded = [word + " " * (widths[0] - width(word)), *centred]
        return f"│ {' │ '.join(padded)} │"

    def rule(start: str, middle: str, end: str) -> str:
        return start + middle.join("─" * (each + 2) for each in widths) + end

    head, *body = map(line, lines)
    return "\n".join((rule("┌", "┬", "┐"), head, rule("├", "┼", "┤"), *body, rule("└", "┴", "┘")))


def word_table(words: Iterable[RankedWord]) -> str:
    """The words and counts as `table` draws them."""
    return table(("word", "count"), ((word, str(count)) for word, count in words))


def notes(ranking: Ranking) -> list[str]:
    """What isn't in the ranking, a line each."""
    found = []
    if ranking.set_aside:
        kinds = ", ".join(
            f"{each.files:,} {each.kind} ({each.size:,} bytes)" for each in ranking.set_aside
        )
        number = sum(each.files for each in ranking.set_aside)
        found.append(f"{number:,} files have no words in the ranking: {kinds}")
    if ranking.missing:
        named = ", ".join(map(repr, ranking.missing_names[:10]))
        more = ", …" if ranking.missing > 10 else ""
        found.append(f"incomplete: {ranking.missing:,} files are missing: {named}{more}")
    return found


def _shown(word: str, width: Callable[[str], int]) -> str:
    """Make a word fit for a terminal."""
    word = _DIRECTION.sub("", word)
    if width(word[: _WIDEST * 4]) <= _WIDEST and len(word) <= _WIDEST * 4:
        return word
    cut = word[: _WIDEST - 1]
    while width(cut) > _WIDEST - 1:
        cut = cut[:-1]
    return cut + "…"
