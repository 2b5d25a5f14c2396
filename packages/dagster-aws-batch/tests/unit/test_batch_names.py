"""Names, tags, ranges and splits."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_aws_batch._aws.names import (
    ExecutionId,
    balanced,
    clean_tags,
    content_key,
    encode_tag,
    format_ranges,
    parse_ranges,
    round_of,
    run_prefix,
    slug,
)
from dagster_aws_batch._errors import InvalidJobError
from dagster_aws_batch._job import BatchJobDefinition, Job


def stage(**fields):
    fields = {
        "prefix": "dagster",
        "run_id": "run",
        "step": "s",
        "job_name": "j",
        "content": "c",
        **fields,
    }
    return ExecutionId(**fields)


def decode_tag(text):
    return re.sub(
        rb"=([0-9A-F]{2})", lambda match: bytes([int(match[1], 16)]), text.encode()
    ).decode("utf-8", "surrogatepass")


@given(st.text(st.characters(blacklist_categories=["Cs"]), max_size=40))
def test_tags_are_reversible_and_of_allowed_characters(text):
    encoded = encode_tag(text, 10_000)
    assert decode_tag(encoded) == text
    assert all(char.isalnum() or char in " _.:/=+-@" or not char.isascii() for char in encoded)


def test_a_long_tag_is_cut_and_marked():
    encoded = encode_tag("ü|" * 200, 256)
    assert len(encoded) <= 256
    assert re.search(r"=\.\.[0-9a-f]{12}$", encoded)
    assert encode_tag("ü|" * 200 + "x", 256) != encoded


def test_tags_are_joined_and_the_reserved_prefix_avoided():
    assert clean_tags({"a": "1", "b": ""}, {"a": "2", "aws:x": "3"}) == {
        "a": "2",
        "user/aws:x": "3",
    }


@given(st.text(max_size=300))
def test_names_are_what_aws_allows(text):
    name = stage(job_name=text, prefix=text).job(12, 345)
    assert len(name) <= 128
    assert set(name) <= set(string.ascii_letters + string.digits + "-_")
    assert name[0].isalnum() or name[0] == "_"
    assert slug(text)


def test_names_carry_run_stage_and_round():
    one = stage()
    assert one.job(3, 0).startswith(run_prefix("dagster", "run"))
    assert one.job(3, 0).startswith(one.stem)
    assert round_of(one.job(3, 1)) == 3
    assert round_of("foreign") == -1
    others = [stage(run_id="r2"), stage(step="t"), stage(content="d"), stage(ordinal=1)]
    assert len({one.stem, *(other.stem for other in others)}) == 5
    assert one.token(0, 0) == stage().token(0, 0) != one.token(1, 0)


def test_the_content_is_what_the_tasks_do_not_what_they_may_use():
    def key(total=3, **fields):
        fields.setdefault("definition", BatchJobDefinition(image="a:1"))
        return content_key(Job(name="j", **fields), "", total)

    assert key() == key(memory_mib=99, vcpus=7, timeout_seconds=100)
    assert key() == key(definition=BatchJobDefinition(image="a:1", memory_mib=9000))
    different = [
        key(total=4),
        key(command=["x"]),
        key(environment={"A": "1"}),
        key(inputs=["a", "b", "c"]),
        key(definition=BatchJobDefinition(image="a:2")),
        key(options={"parameters": {"day": "1"}}),
        key(options={"parameters": {"day": "2"}}),
        key(container="main"),
        key(definition=BatchJobDefinition(image="a:1", container_properties={"user": "u"})),
        key(definition=BatchJobDefinition(image="a:1", options={"parameters": {"day": "1"}})),
    ]
    assert len({key(), *different}) == 11
    # Ids and sizes may differ between the attempts of one run.
    assert key() == key(options={"dependsOn": [{"jobId": "x"}], "tags": {"a": "b"}})
    gpus = {"resourceRequirements": [{"type": "GPU", "value": "1"}]}
    assert key() == key(definition=BatchJobDefinition(image="a:1", container_properties=gpus))


@given(st.sets(st.integers(0, 20_000)))
def test_ranges_come_back(tasks):
    ordered = tuple(sorted(tasks))
    assert parse_ranges(format_ranges(ordered)) == ordered


def test_ranges_as_text():
    assert format_ranges([3, 7, 8, 9, 12]) == "3,7-9,12"
    assert format_ranges(range(10_000)) == "0-9999"
    for wrong in ("x", "3-", "9-7", "1,,2", "-1"):
        with pytest.raises(InvalidJobError):
            parse_ranges(wrong)


@given(st.integers(0, 100_000), st.integers(2, 10_000))
def test_splits_are_balanced(size, limit):
    parts = balanced(range(size), limit)
    assert [task for part in parts for task in part] == list(range(size))
    lengths = {len(part) for part in parts}
    assert not lengths or max(lengths) - min(lengths) <= 1
    assert not lengths or max(lengths) <= limit


def test_never_an_array_of_one_beside_a_full_one():
    assert [len(part) for part in balanced(range(10_001), 10_000)] == [5001, 5000]
