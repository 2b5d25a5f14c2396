"""The ranking as a document and as a report."""

import pytest

from wordfreq_batch.errors import DataError
from wordfreq_batch.merge.document import (
    Change,
    Earlier,
    FolderRanking,
    RankedWord,
    Ranking,
    changes,
)
from wordfreq_batch.merge.report import bar_chart, first_words, html, markdown, movement

OLD = tuple(RankedWord(word, 10 - n) for n, word in enumerate("abcd"))
NEW = (RankedWord("b", 12), RankedWord("a", 11), RankedWord("x", 9), RankedWord("c", 8))
FOLDERS = (FolderRanking("", 1, 3, 2, ()), FolderRanking("docs/", 2, 30, 20, NEW))
RANKING = Ranking(NEW, 3, 99, 42, "s3://b/d/", folders=FOLDERS)
COMPARED = RANKING._replace(previous=Earlier("2026-11-27T03:17:00Z", 2, 80, OLD))


def test_changes_are_of_rank_only_and_name_what_is_new_and_gone():
    assert changes(NEW, OLD) == (
        Change("b", 1, 2, 12, 9),
        Change("a", 2, 1, 11, 10),
        Change("x", 3, None, 9, None),
        Change("c", 4, 3, 8, 8),
        Change("d", None, 4, None, 7),
    )
    assert [movement(each) for each in changes(NEW, OLD)] == ["▲1", "▼1", "new", "▼1", "gone"]
    assert changes(NEW, NEW) == ()


@pytest.mark.parametrize("ranking", [RANKING, COMPARED, Ranking((), 0, 0, 0, "s")])
def test_a_document_is_read_as_it_was_written(ranking):
    assert Ranking.loads(ranking.dumps(), uri="r") == ranking


def test_a_ranking_without_history_and_folders_is_written_as_ever():
    assert '"Previous"' not in RANKING.dumps()
    assert '"Folders"' not in Ranking(NEW, 3, 99, 42, "s").dumps()


def test_a_damaged_member_is_no_ranking():
    with pytest.raises(DataError, match="is no ranking"):
        Ranking.loads(COMPARED.dumps().replace('"Made"', '"Mode"'), uri="r")


def test_the_report_says_what_has_changed():
    text = markdown(COMPARED)
    said = (
        "Since 2026-11-27T03:17:00Z: words +19, files +1. In the ranking: 1 rose, 2 fell, 1 new, "
    )
    assert said + "1 gone: d." in text
    assert "| 3 | x | 9 | 9.09 % | new |" in text
    assert 'class="up">▲1<' in html(COMPARED)


def test_words_and_names_from_outside_stay_text():
    evil = (RankedWord("<script>|`", 3),)
    bad = Ranking(evil, 1, 3, 1, "s3://b/<b>", folders=(FolderRanking("<i>/", 1, 3, 1, evil),))
    page = html(bad)
    assert "<script" not in page and "<b>" not in page and "<i>/" not in page
    assert "| \\<script\\>\\|\\` |" in markdown(bad)


def test_an_empty_ranking_has_a_report():
    nothing = Ranking((), 0, 0, 0, "s")
    assert "0 words in 0 files" in markdown(nothing) and "0 words in 0 files" in html(nothing)


def test_the_log_ends_with_the_first_ten():
    words = tuple(RankedWord(f"w{n}", 2000 - n) for n in range(12))
    ranked = Ranking(words, files=1, total_words=9, distinct_words=9, source="s")
    lines = first_words(ranked).splitlines()
    assert len(lines) == 11
    assert lines[0] == "the first 10 of 12 ranked words:"
    assert lines[-1] == " 10  1,991  w9"


def test_bars_are_as_long_as_the_counts():
    words = (RankedWord("the", 40), RankedWord("a cat", 10))
    ranked = Ranking(words, files=1, total_words=50, distinct_words=2, source="s")
    assert bar_chart(ranked).splitlines() == [
        "```",
        f"the    {'█' * 40} 40",
        f"a cat  {'█' * 10} 10",
        "```",
    ]
    assert bar_chart(ranked._replace(words=())) == "no word is used often enough"
