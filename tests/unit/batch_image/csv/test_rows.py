"""Rows of CSVs as they come: quotes, line ends, damage; any cutting into chunks is the same."""

from __future__ import annotations

import csv
import gzip
import io
import lzma

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wordfreq_batch.csv.reading.dialect import Dialect
from wordfreq_batch.csv.reading.rows import (
    LIMIT,
    read_rows,
)
from wordfreq_batch.errors import DataError, UsageError


def rows(data: bytes, *, step: int = 1 << 20, name: str = "s3://b/x.csv"):
    chunks = [data[i : i + step] for i in range(0, len(data), step)]
    return list(read_rows(chunks, name=name))


def fields(data: bytes, **more: int):
    return [row.fields if not row.reason else row.reason for row in rows(data, **more)]


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_every_line_end_quotes_blank_lines_and_a_mark(step, end):
    data = (
        b"\xef\xbb\xbfa,b" + end + end + b'1,"x ""y"", ' + end + b'z"' + end + "2,ü\u2028".encode()
    )
    found = rows(data, step=step)
    assert [row.fields for row in found] == [
        ["a", "b"],
        ["1", f'x "y", {end.decode()}z'],
        ["2", "ü\u2028"],
    ]
    assert [row.line for row in found] == [1, 3, 5]


@given(
    table=st.lists(
        st.lists(
            st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
            min_size=2,
            max_size=4,
        ),
        max_size=8,
    ),
    step=st.integers(1, 40),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_what_a_writer_of_csv_writes_is_read_back(table, step, end):
    text = io.StringIO()
    csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(table)
    assert fields(b"\xef\xbb\xbf" + text.getvalue().encode(), step=step) == table


def test_a_quote_never_closed_costs_its_own_line_only():
    found = rows(b'a,b\n1,"open\n2,two\n3,three\n')
    assert [row.fields for row in found] == [["a", "b"], [], ["2", "two"], ["3", "three"]]
    assert found[1].line == 2
    assert found[1].text == '1,"open'
    assert "not closed" in found[1].reason


def test_text_behind_a_closing_quote_is_a_bad_row_and_the_next_line_is_not():
    found = rows(b'a,b\n1,"x"y\n2,two\n')
    assert found[1].reason
    assert found[2].fields == ["2", "two"]


def test_a_quote_within_a_field_is_text():
    assert fields(b'1,5" pipe\n2,x\n') == [["1", '5" pipe'], ["2", "x"]]


def test_a_nul_is_a_bad_row_on_every_python():
    good = ["2", "x" * 200]
    data = b"a,b\n1,\0\n2," + b"x" * 200 + b"\n"
    assert fields(data) == [["a", "b"], "it holds a NUL character", good]


def test_a_nul_in_a_row_of_several_lines_costs_that_row_and_is_named():
    data = b"a,b\n" + b'1,"x\n' + b"y" * 200 + b'\0z"\n2,x\n3,"open\0\n4,x\n'
    assert [row.fields or (row.line, row.text.count("\n"), row.reason) for row in rows(data)] == [
        ["a", "b"],
        (2, 1, "it holds a NUL character in line 3"),
        ["2", "x"],
        (5, 0, "a quote is opened and not closed"),
        ["4", "x"],
    ]


@pytest.mark.parametrize("step", [1 << 16, 1 << 22])
def test_lines_without_end_are_named_and_not_held(step):
    long = b"x" * (LIMIT + 5)
    data = b"a,b\n" + long + b'\n3,"' + long + b'"\n4,four\n5,"open\n' + long
    found = rows(data, step=step)
    assert [row.line for row in found] == [1, 2, 3, 4, 5, 6]
    assert f"{len(long) + 1:,} bytes" in found[1].reason
    assert "offset 4 of the file" in found[1].reason
    assert len(found[1].text) < 5000
    assert found[2].reason
    assert found[3].fields == ["4", "four"]
    assert "not closed" in found[4].reason
    assert f"{len(long):,} bytes" in found[5].reason


def test_a_row_of_many_lines_without_end_gives_up_its_first_line_only():
    lines = b"".join(b"%d,x\n" % n for n in range(200_000))  # more than LIMIT
    found = rows(b'0,"open\n' + lines)
    assert len(found) == 200_001
    assert found[0].reason and not any(row.reason for row in found[1:])


@pytest.mark.parametrize("size", [2 * LIMIT, LIMIT - 4])
def test_a_row_of_many_short_lines_is_too_long_and_one_reject(size):
    cell = b'x ""y""\n' + b"z\n" * (size // 2)
    found = rows(b'a,b,c\n1,2,3\n2,"' + cell + b'",3\n4,"5\n",6\n')
    assert [(row.line, bool(row.reason)) for row in found[:3]] == [
        (1, False),
        (2, False),
        (3, True),
    ]
    assert "the row has more than 1,048,576 bytes" in found[2].reason
    assert "at offset 12 of the file" in found[2].reason
    assert found[2].cut and len(found[2].text) < 5000
    assert [(row.line, row.fields) for row in found[3:]] == [(5 + size // 2, ["4", "5\n", "6"])]


@pytest.mark.parametrize("behind", [b"", b'7,"q",r\n', b"y" * (2 * LIMIT)])
def test_a_quote_that_no_line_not_far_below_closes_costs_its_own_line_only(behind):
    found = rows(b'0,"open\n' + b"1,x\n" * (LIMIT // 3) + behind)
    assert "not closed within 1,048,576 bytes" in found[0].reason
    assert sum(bool(row.reason) for row in found) == 1 + behind.startswith(b"y")
    assert len(found) == LIMIT // 3 + 1 + bool(behind)


def test_bytes_that_are_no_text_are_found_in_rows_that_are_too_long():
    with pytest.raises(DataError, match="is not UTF-8: line"):
        rows(b'0,"open\n' + b"1,x\n" * (LIMIT // 3) + b'\xff"\n')


def test_tiny_chunks_take_time_in_proportion():
    """Counted in bytes that are copied, which don't depend on the machine's speed."""
    copied = 0

    class Chunk(bytes):
        def __radd__(self, before):
            nonlocal copied
            copied += len(before)
            return before + bytes(self)

    (row,) = read_rows([Chunk(b"x")] * 200_000, name="x")
    assert len(row.fields[0]) == 200_000
    assert copied < 20 * 200_000


def test_quotes_that_make_reading_again_endless_are_given_up():
    with pytest.raises(DataError, match="quotes are in such disorder around line"):
        rows((b'x","' + b"y" * 1000 + b"\n") * 4000)


def test_what_is_not_utf8_names_line_and_byte():
    with pytest.raises(DataError, match=r"line 3, byte 4 .*\(offset 14 of the file\) is 0xFC"):
        rows(b"\xef\xbb\xbfa,b\n1,x\n2,M\xfcller\n", step=4)


@pytest.mark.parametrize("step", [1, 3, 1000])
@pytest.mark.parametrize("mark", ["utf-16", "utf-32", "utf-8-sig"])
def test_a_byte_order_mark_is_believed(mark, step):
    assert fields("a,b\n1,ü😀\n".encode(mark), step=step) == [["a", "b"], ["1", "ü😀"]]


WRITTEN = [
    (delimiter, encoding)
    for delimiter in ("comma", "semicolon", "tab", "pipe", "blank")
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252")
]


@pytest.mark.parametrize(("delimiter", "encoding"), WRITTEN)
@pytest.mark.parametrize("found", ["given", "auto", "sep"])
def test_every_dialect_is_read_as_it_was_written(delimiter, encoding, found):
    character = Dialect.parse(delimiter=delimiter).delimiter
    table = [["Id", "Name"], ["1", 'Mül"ler'], ["2", "x;y,z|\t q"], ["3", "€"]]
    text = io.StringIO()
    csv.writer(text, delimiter=character).writerows(table)
    content = (f"sep={character}\r\n" if found == "sep" else "") + text.getvalue()
    given = {"given": delimiter, "auto": "auto", "sep": "comma"}[found]
    dialect = Dialect.parse(delimiter=given, encoding=encoding)
    read = read_rows([content.encode(encoding)], name="x", dialect=dialect, columns=["Id", "Name"])
    rows = list(read)
    assert [row.fields for row in rows] == table
    assert rows[0].line == (2 if found == "sep" else 1)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (gzip.compress(b"a,b", mtime=0), r"no CSV \(gzip\); name it \.csv\.gz"),
        (lzma.compress(b"a,b"), r"no CSV \(xz\); name it \.csv\.xz"),
        (b"\x01\x02\x03", r"no CSV \(binary data\); save it as CSV"),
        (b"PK\x03\x04 workbook", r"\(ZIP archive, such as an Excel workbook\); save it as CSV"),
        ("a,b\n".encode("utf-16-le"), "set --encoding utf-16-le"),
        ("a,b\n".encode("utf-16-be"), "set --encoding utf-16-be"),
        (b"a,b\n1,M\xfcller\n", "looks like cp1252: set --encoding cp1252"),
        ("a,b\n".encode("utf-16")[:-1], "it is cut off or damaged: upload it again"),
        (b"\xef\xbb\xbfa,b\n1,M\xfcller\n", r"Save it as UTF-8\. Nothing"),
    ],
)
def test_what_is_no_csv_is_named_as_what_it_is(data, says):
    with pytest.raises(DataError, match=says):
        rows(data)


@pytest.mark.parametrize("more", [{"delimiter": "#"}, {"encoding": "klingon"}, {"encoding": "hex"}])
def test_dialects_that_cannot_be_meant(more):
    with pytest.raises(UsageError):
        Dialect.parse(**more)


def test_archives_are_read_through_and_damage_is_named():
    packed = gzip.compress(b"a,b\n1,2\n", mtime=0)
    assert [row.fields for row in rows(packed, name="x.csv.gz")] == [["a", "b"], ["1", "2"]]
    with pytest.raises(DataError, match="gzip"):
        rows(packed[:-4], name="x.csv.gz")


def test_an_archive_in_an_archive_is_to_be_unpacked_once():
    twice = gzip.compress(gzip.compress(b"a,b\n1,2\n", mtime=0), mtime=0)
    with pytest.raises(DataError, match=r"no CSV \(gzip in another archive\); unpack it once"):
        rows(twice, name="x.csv.gz")


@pytest.mark.parametrize("mark", ["quote", "escape", "comment"])
def test_a_delimiter_that_is_found_and_means_something_else_is_refused(mark):
    dialect = Dialect.parse(delimiter="auto", **{mark: "|"})
    with pytest.raises(DataError, match=r"'\|', is also set as quote, escape or comment"):
        list(read_rows([b"a|b\n|2\n"], name="x", dialect=dialect, columns=["a", "b"]))


def test_nothing_gives_no_rows():
    assert rows(b"") == []
    assert rows(b"\xef\xbb\xbf") == []
    assert rows(b"\n\r\n\r") == []
