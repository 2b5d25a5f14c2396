"""Which task a container does."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_aws_batch._aws.names import format_ranges
from wordfreq_batch.errors import UsageError
from wordfreq_batch.plans.tasknumber import (
    nth,
    parse_ranges,
    task_number,
)


@given(st.sets(st.integers(0, 300), min_size=1))
def test_the_container_reads_what_the_client_writes(tasks: set[int]) -> None:
    ranges = parse_ranges(format_ranges(sorted(tasks)))
    assert [nth(ranges, position) for position in range(len(tasks))] == sorted(tasks)


@pytest.mark.parametrize("text", ["", "a", "1-", "-1", "3,,4,x", "9-7", "1.5", "1 2", "٣"])
def test_a_wrong_list_is_refused_and_says_what_is_wrong(text: str) -> None:
    with pytest.raises(UsageError, match="BATCH_TASKS"):
        parse_ranges(text)


def test_blanks_and_line_ends_are_fine() -> None:
    assert parse_ranges("3, 7-9 ,12\n") == [range(3, 4), range(7, 10), range(12, 13)]


@pytest.mark.parametrize(
    ("index", "environment", "task"),
    [
        (5, {"AWS_BATCH_JOB_ARRAY_INDEX": "1", "BATCH_TASKS": "9"}, 5),
        (None, {"AWS_BATCH_JOB_ARRAY_INDEX": "4"}, 4),
        (None, {"AWS_BATCH_JOB_ARRAY_INDEX": "2", "BATCH_TASKS": "3,7-9,12"}, 8),
        (None, {"BATCH_TASKS": "3,7-9,12"}, 3),  # a plain job
        (0, {}, 0),
    ],
)
def test_option_before_list_before_index(
    index: int | None, environment: dict[str, str], task: int
) -> None:
    assert task_number(index, environment) == task


def test_a_long_list_is_read_from_an_object(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("3,7-9,12\n")
    environment = {"BATCH_TASKS": f"@{tmp_path}/list", "AWS_BATCH_JOB_ARRAY_INDEX": "4"}
    assert task_number(None, environment) == 12


@pytest.mark.parametrize(
    ("index", "environment", "message"),
    [
        (None, {}, "--index"),
        (-1, {}, "--index is '-1'"),
        (None, {"AWS_BATCH_JOB_ARRAY_INDEX": "two"}, "'two'"),
        (None, {"AWS_BATCH_JOB_ARRAY_INDEX": "5", "BATCH_TASKS": "3,7-9"}, "names only 4 tasks"),
    ],
)
def test_without_a_number_it_says_what_to_set(
    index: int | None, environment: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        task_number(index, environment)
