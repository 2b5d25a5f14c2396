"""The counts object and the partial: written, read back, and refused when damaged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wordfreq_batch.counts.counts import (
    load_counts,
    load_partial,
    read_counts,
    write_counts,
    write_partial,
)
from wordfreq_batch.errors import DataError
from wordfreq_batch.tables.lines import Share
from wordfreq_batch.tables.tally import Tally

WORDS = st.text(
    st.one_of(st.sampled_from(":a\u202f\u2028"), st.characters(exclude_categories=["Cs", "Cc"])),
    min_size=1,
    max_size=6,
)
COUNTS = st.dictionaries(WORDS, st.integers(1, 10**18 - 1), max_size=30)


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


def loaded(chunks: list[bytes], *, name: str, partial: bool = False) -> list[tuple[str, int]]:
    with Tally(memory=1 << 24) as tally:
        (load_partial if partial else load_counts)(tally, chunks, name=name)
        return list(tally.by_word())


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(COUNTS.filter(lambda counts: sum(counts.values()) < 10**18), st.integers(1, 9))
@pytest.mark.usefixtures("either_engine")
def test_what_is_written_is_read_back(counts: dict[str, int], size: int) -> None:
    with Tally(memory=1 << 24) as tally:
        tally.add(counts.items())
        text = b"".join(write_counts(tally.by_count()))
        partial = b"".join(write_partial(tally.by_word()))
    by_count = list(read_counts(cut(text, size), name="c"))
    assert by_count == sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    by_word = sorted(counts.items(), key=lambda item: item[0].encode())
    assert loaded(cut(text, size), name="c") == by_word
    assert loaded(cut(partial, size), name="p", partial=True) == by_word


@pytest.mark.usefixtures("either_engine")
def test_counts_that_nothing_could_store_are_refused() -> None:
    many = b"".join(b"w%d:999999999999999999\n" % n for n in range(10))
    with pytest.raises(DataError, match="add up to more than"):
        loaded([many], name="c")


def test_a_counts_object_is_plain_lines() -> None:
    data = b"".join(write_counts([("the", 3), ("a:b", 1), ("é", 1)]))
    assert data == "the:3\na:b:1\né:1\n".encode()


def test_a_partial_is_plain_lines_in_zstd() -> None:
    data = b"".join(write_partial([("a:b", 1), ("the", 3)]))
    assert zstandard.ZstdDecompressor().decompressobj().decompress(data) == b"a:b\t1\nthe\t3\n"


def test_the_last_line_may_lack_its_end() -> None:
    assert list(read_counts([b"a:1\nb:", b"2"], name="c")) == [("a", 1), ("b", 2)]


@pytest.mark.usefixtures("either_engine")
def test_a_line_without_a_count_is_bad_beside_one_that_looks_like_two() -> None:
    for read in (
        lambda: loaded([b"x:1:1\n1\n"], name="x"),
        lambda: list(read_counts([b"x:1:1\n1\n"], name="x")),
    ):
        with pytest.raises(DataError, match="x line 2: '1' is not word, ':', count"):
            read()


@pytest.mark.usefixtures("either_engine")
def test_only_words_of_the_share_count_against_the_limit() -> None:
    share = Share(0, 2)
    words = [f"{number}" for number in range(20)]
    own = [word for word in words if share.has(word)]
    assert 0 < len(own) < len(words)
    lines = "".join(f"{word}:{1 if word in own else 10**18 - 1}\n" for word in words).encode()
    with Tally(memory=1 << 20, share=share) as tally:
        load_counts(tally, [lines * 2], name="x")
        assert dict(tally.by_word()) == dict.fromkeys(own, 2)


@pytest.mark.parametrize("data", [b"", b"a:2\n", b"a:2\nb:1\nc:1\n"])
@pytest.mark.parametrize("load", [True, False])
def test_another_number_of_words_than_was_counted_is_refused(data: bytes, load: bool) -> None:
    def read(distinct: int) -> None:
        if load:
            with Tally(memory=1 << 20) as tally:
                load_counts(tally, [data], name="s3://b/x", distinct=distinct)
        else:
            list(read_counts([data], name="s3://b/x", distinct=distinct))

    read(data.count(b"\n"))
    with pytest.raises(DataError, match=r"s3://b/x holds .* 2 were counted.*count its file again"):
        read(2)


def test_nothing_is_no_words() -> None:
    assert list(read_counts([], name="c")) == list(read_counts([b""], name="c")) == []
    assert loaded([zstandard.compress(b"")], name="p", partial=True) == []


@pytest.mark.parametrize(
    "bad",
    [
        "nothing",
        "word:",
        "word:x",
        ":1",
        "",
        "word:0",
        "word:01",
        "word:-1",
        "word:+1",
        "word:1 ",
        "word:1\r",
        "word:1_0",
        "word:1.5",
        "word:٣",
        "word:1234567890123456789",
        "tab\tbed:1",
        "esc\x1b[0m:1",
        '  "TotalItems": 5,',
    ],
)
@pytest.mark.parametrize("with_colon", [False, True])
@pytest.mark.parametrize("read", [loaded, read_counts])
@pytest.mark.usefixtures("either_engine")
def test_a_bad_line_is_named(bad: str, with_colon: bool, read: Callable[..., Any]) -> None:
    good = "a:b:2" if with_colon else "good:2"
    data = f"{good}\nmore:1\n{bad}\nlast:1\n".encode()
    for size in (3, 1000):
        with pytest.raises(DataError, match=r"s3://b/out/x\.txt line 3: ") as error:
            list(read(cut(data, size), name="s3://b/out/x.txt"))
        assert error.value.exit_code == 4


@pytest.mark.parametrize("bad", ["ff", "c3", "e282", "eda080", "f4908080", "c0af", "e28228"])
@pytest.mark.parametrize("read", [loaded, read_counts])
@pytest.mark.usefixtures("either_engine")
def test_a_line_that_is_no_utf8_is_named(bad: str, read: Callable[..., Any]) -> None:
    line = b"letters" + bytes.fromhex(bad) + b":1\n"
    with pytest.raises(DataError, match="x line 2: it isn't UTF-8"):
        list(read([b"a:1\n" + line + b"b:1\n"], name="x"))


@pytest.mark.parametrize("read", [loaded, read_counts])
def test_something_without_lines_is_refused_early(read: Callable[..., Any]) -> None:
    with pytest.raises(DataError, match="x holds no counts"):
        list(read([b"\x89PNG" * (1 << 18), b"more"] * 3, name="x"))


def test_a_truncated_partial_is_refused() -> None:
    data = b"".join(write_partial((f"w{n:05}", n + 1) for n in range(1000)))
    with pytest.raises(DataError, match="p is no intact zstd archive"):
        loaded([data[:-3]], name="p", partial=True)
