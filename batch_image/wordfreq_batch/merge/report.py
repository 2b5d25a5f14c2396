"""The ranking for people: as pages in Markdown and HTML, and the parts that such a page is made of.

For `merge.merge`, which stores the pages beside `ranking.json`, and for the orchestrator, which
shows the parts by themselves. Pure; the HTML needs nothing else than itself and fits a phone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from wordfreq_batch.merge.document import Change, RankedWord, Ranking

_GONE: Final = 20  # words that are named
_FIRST: Final = 10
_BAR_WIDTH: Final = 40
_BARS: Final = 30
_SPECIAL: Final = str.maketrans({each: f"\\{each}" for each in "\\|*_`<>[]#~"})

_STYLE: Final = """
:root{color-scheme:light dark;font:16px/1.45 system-ui,sans-serif}
body{margin:0 auto;max-width:56rem;padding:1rem}
h1{font-size:1.5rem;margin:.2rem 0}h2{font-size:1.15rem;margin:1.6rem 0 .4rem}
p{margin:.3rem 0;overflow-wrap:anywhere}.quiet{opacity:.7;font-size:.9rem}
table{border-collapse:collapse;width:100%}
td,th{padding:.15rem .4rem;text-align:right;white-space:nowrap}
th{font-size:.8rem;opacity:.7;font-weight:600}
.word{text-align:left;white-space:normal;overflow-wrap:anywhere;min-width:12ch}
.bar{width:45%;min-width:3rem;padding-left:0}
.bar i{display:block;height:.8rem;border-radius:.2rem;background:#4f7cd6}
.up{color:#1a8a4a}.down{color:#c0392b}
.folders{display:grid;gap:0 1.5rem;grid-template-columns:repeat(auto-fill,minmax(15rem,1fr))}
@media(max-width:30rem){body{padding:.6rem}td,th{padding:.15rem .25rem}.share{display:none}
.bar{width:30%}}
""".strip()


def movement(change: Change | None) -> str:
    """What became of a word since the previous ranking: `▲3`, `▼2`, `new`, `gone` or nothing."""
    if change is None:
        return ""
    if change.previous_rank is None:
        return "new"
    places = change.places
    if places is None:
        return "gone"
    return f"▲{places}" if places > 0 else f"▼{-places}"


def markdown(ranking: Ranking) -> str:
    """The report as Markdown."""
    moved = {change.word: change for change in ranking.changes}
    lines = ["# Most used words", "", _summary(ranking), "", f"Counts: `{ranking.source}`", ""]
    if ranking.previous is not None:
        lines += [_history(ranking), ""]
    lines += ["| rank | word | count | share | change |", "|---:|---|---:|---:|---|"]
    lines += [
        f"| {rank} | {markdown_text(entry.word)} | {entry.count:,} | {_share(entry, ranking)} "
        f"| {movement(moved.get(entry.word))} |"
        for rank, entry in enumerate(ranking.words, start=1)
    ]
    if ranking.folders:
        lines += ["", "## By folder", "", folders_table(ranking)]
    return "\n".join([*lines, "", options_text(ranking), ""])


def folders_table(ranking: Ranking) -> str:
    """The first words of each folder, as a Markdown table."""
    rows = [
        f"| {markdown_text(each.folder or '(top)')} | {each.files:,} | {each.total_words:,} "
        f"| {', '.join(markdown_text(entry.word) for entry in each.words[:_FIRST])} |"
        for each in ranking.folders
    ]
    return "\n".join(["| folder | files | words | most used |", "|---|---:|---:|---|", *rows])


def changes_table(ranking: Ranking) -> str:
    """What rose, fell, came and went since the previous ranking, as a Markdown table."""
    assert ranking.previous is not None
    rows = [
        f"| {movement(each)} | {markdown_text(each.word)} | {each.rank or ''} "
        f"| {each.previous_rank or ''} | {each.count or ''} | {each.previous_count or ''} |"
        for each in ranking.changes
    ]
    if not rows:
        return f"none since {ranking.previous.made}"
    head = ["| change | word | rank | before | count | before |", "|---|---|---:|---:|---:|---:|"]
    return "\n".join([f"Since {ranking.previous.made}\n", *head, *rows])


def bar_chart(ranking: Ranking) -> str:
    """A Markdown block with one bar per word, as long as its count, at most 30 of them."""
    shown = ranking.words[:_BARS]
    if not shown:
        return "no word is used often enough"
    width = max(len(entry.word) for entry in shown)
    lines = [
        f"{entry.word:<{width}}  "
        f"{'█' * max(1, round(_BAR_WIDTH * entry.count / shown[0].count))} {entry.count:,}"
        for entry in shown
    ]
    return "\n".join(["```", *lines, "```"])


def first_words(ranking: Ranking) -> str:
    """The first ten words with their counts as lines, for the end of a log."""
    shown = ranking.words[:_FIRST]
    width = max((len(f"{entry.count:,}") for entry in shown), default=0)
    lines = [f"the first {len(shown)} of {len(ranking.words):,} ranked words:"]
    lines += [
        f"{place:>3}  {entry.count:>{width},}  {entry.word}"
        for place, entry in enumerate(shown, start=1)
    ]
    return "\n".join(lines)


def options_text(ranking: Ranking) -> str:
    """Which words the ranking could hold, for a reader who wonders where a word is."""
    options = ranking.options
    without = f", without stop words of {', '.join(options.stop_words)}"
    return (
        f"The first {options.top:,} words of {options.min_length} characters or more that occur "
        f"{options.min_count:,} times or more{without if options.stop_words else ''}."
    )


def html(ranking: Ranking) -> str:
    """The report as one HTML page without scripts, for screens of any width."""
    moved = {change.word: change for change in ranking.changes}
    history = f"<p>{escape(_history(ranking))}</p>" if ranking.previous else ""
    folders = "".join(
        f"<section><h2><bdi>{escape(each.folder or '(top)')}</bdi></h2>"
        f'<p class="quiet">{each.files:,} files, {each.total_words:,} words</p>'
        f"{_chart(each.words[:_FIRST])}</section>"
        for each in ranking.folders
    )
    rows = "".join(
        f'<tr><td>{rank}</td><td class="word"><bdi>{escape(entry.word)}</bdi></td>'
        f"<td>{entry.count:,}</td>{_bar(entry, ranking.words)}"
        f'<td class="share">{_share(entry, ranking)}</td>{_moved(moved.get(entry.word))}</tr>'
        for rank, entry in enumerate(ranking.words, start=1)
    )
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>Most used words</title><style>{_STYLE}</style></head><body>
<h1>Most used words</h1>
<p>{escape(_summary(ranking))}</p><p class="quiet">Counts: {escape(ranking.source)}</p>
{history}
<table><thead><tr><th></th><th class="word">word</th><th>count</th><th></th>
<th class="share">share</th><th>change</th></tr></thead><tbody>{rows}</tbody></table>
<div class="folders">{folders}</div>
<p class="quiet">{escape(options_text(ranking))}</p></body></html>
"""


def _summary(ranking: Ranking) -> str:
    lacking = f" {ranking.missing:,} files of the source are missing."
    return (
        f"{ranking.total_words:,} words in {ranking.files:,} files, {ranking.distinct_words:,} of "
        f"them different.{lacking if ranking.missing else ''}"
    )


def _history(ranking: Ranking) -> str:
    assert ranking.previous is not None
    since = ranking.previous
    kinds = [movement(change)[:1] for change in ranking.changes]
    text = (
        f"Since {since.made}: words {ranking.total_words - since.total_words:+,}, "
        f"files {ranking.files - since.files:+,}. In the ranking: {kinds.count('▲')} rose, "
        f"{kinds.count('▼')} fell, {kinds.count('n')} new, {kinds.count('g')} gone"
    )
    gone = [change.word for change in ranking.changes if change.rank is None]
    if not gone:
        return text + "."
    named = ", ".join(gone[:_GONE]) + (", …" if gone[_GONE:] else "")
    return f"{text}: {named}."


def _share(entry: RankedWord, ranking: Ranking) -> str:
    return f"{100 * entry.count / max(ranking.total_words, 1):.2f} %"


def _bar(entry: RankedWord, words: Sequence[RankedWord]) -> str:
    percent = 100 * entry.count / words[0].count
    return f'<td class="bar"><i style="width:{percent:.1f}%"></i></td>'


def _chart(words: Sequence[RankedWord]) -> str:
    rows: Iterable[str] = (
        f'<tr><td class="word"><bdi>{escape(entry.word)}</bdi></td><td>{entry.count:,}</td>'
        f"{_bar(entry, words)}</tr>"
        for entry in words
    )
    return f"<table><tbody>{''.join(rows)}</tbody></table>"


def _moved(change: Change | None) -> str:
    text = movement(change)
    kind = {"▲": "up", "▼": "down"}.get(text[:1], "")
    return f'<td class="{kind}">{text}</td>' if kind else f"<td>{text}</td>"


def markdown_text(text: str) -> str:
    """A text that Markdown shows as it is, also in a table."""
    return text.translate(_SPECIAL)
