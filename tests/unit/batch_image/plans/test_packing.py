"""Packing: bounded groups, and a change of one file leaves far groups alone."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from wordfreq_batch.plans.packing import (
    FILE_COST,
    MAX_GROUPS,
    pack,
)

TARGET = 10 * FILE_COST

buckets = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=6), st.integers(0, 12 * FILE_COST), max_size=60
)


def groups_of(
    bucket: dict[str, int], *, target: int = TARGET, max_items: int | None = None, **limits: int
) -> list[tuple[str, ...]]:
    names = sorted(bucket, key=str.encode)
    starts = pack(names, [bucket[n] for n in names], target=target, max_items=max_items, **limits)
    assert (starts == ()) == (not names)
    return [
        tuple(names[a:b]) for a, b in zip(starts, [*starts[1:], len(names)], strict=bool(names))
    ]


@given(buckets, st.integers(1, 8))
def test_groups_cover_all_files_in_order_within_the_limits(
    bucket: dict[str, int], max_items: int
) -> None:
    groups = groups_of(bucket, max_items=max_items)
    assert [name for group in groups for name in group] == sorted(bucket)
    for group in groups:
        assert len(group) <= max_items
        assert len(group) == 1 or sum(bucket[n] + FILE_COST for n in group) <= TARGET


@given(buckets, st.text("abcdefgh", min_size=1, max_size=6), st.integers(0, 12 * FILE_COST))
@settings(max_examples=500)
def test_adding_or_removing_a_file_changes_only_groups_next_to_it(
    bucket: dict[str, int], name: str, size: int
) -> None:
    bucket.pop(name, None)
    larger = {**bucket, name: size}
    without, having = set(groups_of(bucket)), set(groups_of(larger))
    changed = {n for group in without ^ having for n in group}
    names = sorted(larger)
    positions = sorted(names.index(n) for n in changed)
    assert positions == list(range(positions[0], positions[-1] + 1))
    assert name in changed
    # What has to be put together anew is bounded, however large the bucket.
    assert sum(bucket[n] + FILE_COST for n in changed - {name}) <= 2 * TARGET


@given(buckets.filter(bool), st.data())
def test_a_file_that_changes_its_size_spoils_only_groups_around_it(
    bucket: dict[str, int], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(bucket)))
    size = data.draw(st.integers(0, 12 * FILE_COST))
    before, after = groups_of(bucket), groups_of({**bucket, name: size})
    changed = {n for group in set(before) ^ set(after) for n in group}
    # One contiguous stretch of files, with the changed one in it.
    names = sorted(bucket)
    if changed:
        positions = [names.index(n) for n in changed]
        assert name in changed
        assert max(positions) - min(positions) + 1 == len(positions)


def test_never_more_than_the_array_limit() -> None:
    names = [f"{number:06d}" for number in range(30_000)]
    starts = pack(names, [10**9] * len(names), target=1)
    assert len(starts) <= MAX_GROUPS
    assert starts[0] == 0
    assert list(starts) == sorted(set(starts))


def test_limits_double_rather_than_shift_when_there_are_too_many_groups() -> None:
    bucket = {f"{number:04d}": FILE_COST for number in range(400)}
    fine = groups_of(bucket, target=4 * FILE_COST)
    coarse = groups_of(bucket, target=4 * FILE_COST, max_groups=len(fine) - 1)
    ends = {group[-1] for group in fine}
    assert {group[-1] for group in coarse} < ends


def test_no_files_no_groups_and_one_file_one_group() -> None:
    assert pack([], [], target=1) == ()
    assert pack(["a"], [10**12], target=1) == (0,)
