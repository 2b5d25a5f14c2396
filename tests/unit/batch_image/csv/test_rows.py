"""Rows of CSVs as they come: quotes, line ends, damage; any cutting into chunks is the same."""

from __future__ import annotations

import csv
import gzip
import io

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
    assert fields(b"a,b\n1,\0\n2,x\n") == [["a", "b"], "it holds a NUL character", ["2", "x"]]


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
        (gzip.compress(b"a,b", mtime=0), r"gzip; name it \.csv\.gz"),
        (b"PK\x03\x04 workbook", r"ZIP archive \(such as an Excel workbook\)"),
        ("a,b\n".encode("utf-16-le"), "set --encoding utf-16-le"),
        ("a,b\n".encode("utf-16-be"), "set --encoding utf-16-be"),
        (b"a,b\n1,M\xfcller\n", "looks like cp1252: set --encoding cp1252"),
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


def test_nothing_gives_no_rows():
    assert rows(b"") == []
    assert rows(b"\xef\xbb\xbf") == []
    assert rows(b"\n\r\n\r") == []
