"""Which of the counted words are shown, and how: the ranking and its table.

For `merge.merge` and the command line. The order is always the same: count, highest first, then
the word by code point.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
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

    As they come out of our own word rules, and with both apostrophes (U+0027 and U+2019).

    Raises:
        UsageError: there is no list for one of them.
    """
    if not languages:
        return frozenset()
    import stopwordsiso

    from wordfreq_batch.text.words import tokens

    known = stopwordsiso.langs()
    if unknown := sorted(set(languages) - set(known)):
        raise UsageError(
            f"no stop words for {', '.join(unknown)}; there are lists for {' '.join(sorted(known))}"
        )
    listed: Iterable[str] = stopwordsiso.stopwords(list(languages))
    written = {form for word in listed for form in (word, word.replace("'", "\u2019"))}
    found = (list(tokens(form)) for form in written)
    return frozenset(words[0] for words in found if len(words) == 1)


def table(words: Iterable[RankedWord]) -> str:
    """Draw the words and counts as a box with the headings `word` and `count`, a line end last.

    Columns are those of a terminal: a Chinese character takes two, a combining mark none.
    """
    from wcwidth import wcswidth

    def width(text: str) -> int:
        return max(wcswidth(text), 0)

    rows = [(_shown(row.word, width), str(row.count)) for row in words]
    left = max(map(width, ("word", *(word for word, _ in rows))))
    right = max(map(len, ("count", *(count for _, count in rows))))

    def line(word: str, count: str) -> str:
        space = right - len(count)
        centred = " " * (space // 2) + count + " " * (space - space // 2)
        return f"│ {word}{' ' * (left - width(word))} │ {centred} │\n"

    def rule(start: str, middle: str, end: str) -> str:
        return f"{start}{'─' * (left + 2)}{middle}{'─' * (right + 2)}{end}\n"

    body = "".join(line(word, count) for word, count in rows)
    return (
        rule("┌", "┬", "┐")
        + line("word", "count")
        + rule("├", "┼", "┤")
        + body
        + rule("└", "┴", "┘")
    )


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
