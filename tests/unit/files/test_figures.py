"""How figures are shown."""

import pytest

from wordfreq_batch.progress import size
from wordfreq_dagster.files.figures import one_job


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
