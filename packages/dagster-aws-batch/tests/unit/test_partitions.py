import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_aws_batch.events.partition_sets import (
    partition_changes,
    unusable_partition_key,
)

keys = st.lists(st.text(min_size=1, max_size=5), unique=True)


@given(current=keys, wanted=keys)
def test_after_the_changes_the_partitions_equal_the_listing(current, wanted):
    changes = partition_changes(current=current, wanted=wanted)
    after = [key for key in current if key not in changes.removed] + list(changes.added)
    assert sorted(after) == sorted(wanted)
    assert not set(changes.added) & set(current)


def test_added_keys_keep_the_listing_order_so_that_they_are_one_range():
    changes = partition_changes(current=["b"], wanted=["a", "b", "d", "c"])
    assert changes.added == ("a", "d", "c")


@pytest.mark.parametrize(
    "key", ["a b.txt", "ü/日本.txt", "100%", "a+b", "x#y", "[x]", "a,b", "a//b"]
)
def test_keys_of_s3_are_partition_keys(key):
    assert unusable_partition_key(key) is None


@pytest.mark.parametrize("key", ["", "a...b", "tab\there", "line\n", " lead", "trail "])
def test_keys_that_dagster_tools_cannot_carry_are_refused_with_a_reason(key):
    assert unusable_partition_key(key)
