"""How figures are shown."""

import pytest

from wordfreq_batch.merge.document import RankedWord, Ranking
from wordfreq_dagster.defs.word_frequency.ranking import top_of
from wordfreq_dagster.files.figures import one_job, size


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0 bytes"),
        (1023, "1,023 bytes"),
        (1024, "1.0 KiB"),
        (2_952_230, "2.8 MiB"),
        (5 << 40, "5.0 TiB"),
        (3 << 60, "3,072.0 PiB"),
    ],
)
def test_a_size_can_be_read(number, shown):
    assert size(number) == shown


def test_the_figures_of_one_job_are_one_table_but_for_those_worth_a_plot():
    found = one_job({"batch/tasks": 1, "batch/seconds": 2.5, "batch/job": "id", "batch/rounds": 3})
    assert set(found) == {"batch/seconds", "batch/job", "batch/figures"}
    assert "| rounds | 3 |" in found["batch/figures"].value
    assert one_job({}) == {}


def test_the_log_ends_with_the_first_ten():
    words = tuple(RankedWord(f"w{n}", 2000 - n) for n in range(12))
    ranked = Ranking(words, files=1, total_words=9, distinct_words=9, source="s")
    lines = top_of(ranked).splitlines()
    assert len(lines) == 11
    assert lines[0] == "the first 10 of 12 ranked words:"
    assert lines[-1] == " 10  1,991  w9"
