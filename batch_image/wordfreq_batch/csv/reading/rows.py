"""A stored CSV as a stream of its rows, each with its line number; what is no row is told apart.

Python's `csv` reads the rows (RFC 4180: quotes, doubled quotes, line ends within quotes); around it
are the matters of files that come from anywhere: UTF-8 checked byte for byte, line ends of all
systems, a quote that is never closed, lines and rows without end. Memory is bounded by a few times
`LIMIT`, whatever the file.
"""

from __future__ import annotations

import codecs
import csv
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from wordfreq_batch.csv.reading.decoding import SAMPLE, Found, as_utf8, likely_encoding
from wordfreq_batch.csv.reading.dialect import Dialect, likely_delimiter, separator_line
from wordfreq_batch.csv.reading.hints import encoding_hint
from wordfreq_batch.errors import DataError
from wordfreq_batch.text.detect import AUTO
from wordfreq_batch.text.unpack import decompressed

LIMIT = 1 << 20
"""Bytes of one row, quotes and line ends included. An item of DynamoDB is at most 400 KB."""

TITLES = ("wordfreq:line", "wordfreq:reason")
"""No setting can name a column so: a file that begins with them holds rejects."""

DEFAULT_DIALECT = Dialect()

_READ_AGAIN_LIMIT = 64 << 20
_LOOKED_AHEAD = 4 * LIMIT  # bytes in which the quote of a row that is too long may be closed
_GATHERED = 64 << 10  # members of an archive may have a byte each
_KEPT = 4096  # bytes of a line too long to be a row that go to the rejects

_BLANK = b" \t\r\n\xef\xbb\xbf"

_BLANK_LINES = 1000  # so many of them may stand before the header that gives the delimiter away


@dataclass(slots=True)
class Row:
    """One row: its fields, or the reason why it is none.

    `line` is the number of its first line, from 1, `lines` what stands there, line ends included.
    Not frozen: millions of them are made.
    """

    line: int
    fields: list[str]
    lines: list[bytes]
    reason: str = ""
    cut: bool = False  # `lines` is only the beginning of the line

    @property
    def text(self) -> str:
        """The row as it stands in the file, without the line end behind it."""
        return b"".join(self.lines).decode("utf-8", "backslashreplace").rstrip("\r\n")


def read_rows(
    chunks: Iterable[bytes],
    *,
    name: str,
    dialect: Dialect = DEFAULT_DIALECT,
    columns: Collection[str] = (),
    found: Found | None = None,
) -> Iterator[Row]:
    """Yield every row of the file, header included; blank lines are skipped.

    Args:
        chunks: the object's bytes, cut anywhere.
        name: its URI, whose ending `.gz`, `.zst` or `.bz2` says that it is an archive.
        dialect: how the file is written. A first line `sep=;` and a byte order mark decide
            instead.
        columns: names by which the delimiter `auto` is found.
        found: gets how the file is really written, before the first row is yielded.

    Raises:
        DataError: the file is in another encoding, is no text at all, an archive is damaged, or
            quotes are in such disorder that rows can't be told apart. The message names line and
            byte.
    """
    # The limit of the module is the process's; nothing else here reads CSV.
    csv.field_size_limit(2 * _LOOKED_AHEAD)
    found = Found() if found is None else found
    chunks = _gathered(decompressed(chunks, name=name))
    chunks = as_utf8(chunks, name=name, dialect=dialect, found=found)
    lines = _Lines(chunks, name, found, comment=dialect.comment.encode())
    delimiter = found.delimiter = _delimiter(lines, dialect, columns, found)
    if delimiter in (dialect.quote, dialect.escape, dialect.comment[:1]):
        raise DataError(
            f"{name}: its delimiter, {delimiter!r}, is also set as quote, escape or comment; "
            "correct the settings. Nothing of it was loaded"
        )
    form = dialect.format(delimiter)
    while True:
        reader = csv.reader(lines, strict=True, **form)
        try:
            for fields in reader:
                taken = lines.taken
                first = lines.number - len(taken) + 1
                lines.taken = []
                if lines.nul:
                    where = f" in line {lines.nul}" if lines.nul != first else ""
                    yield Row(first, [], taken, f"it holds a NUL character{where}")
                elif fields:
                    yield Row(first, fields, taken)
            return
        except csv.Error as error:
            yield lines.rejected(str(error))
        except _LineTooLong as long:
            # A long line ends the row before it, if there is one: a quote that wasn't closed.
            if not long.within_row:
                yield lines.too_long(long)
            elif dialect.quote and (row := lines.closed(form)) is not None:
                yield row
            else:
                yield lines.rejected(f"a quote is opened and not closed within {LIMIT:,} bytes")


def _delimiter(lines: _Lines, dialect: Dialect, columns: Collection[str], found: Found) -> str:
    first = lines.peek()
    if (named := separator_line(first)) is not None:
        found.separator_line = True
        lines.drop()
        first = lines.peek()
    if not first.lstrip('"').startswith(TITLES[0]):  # rejects have lost what stood before
        lines.skip(dialect.skip)
    if named is None and dialect.delimiter == AUTO:
        return likely_delimiter(lines.peek(), columns, fields=len(dialect.header)) or ","
    return named or dialect.delimiter


class _LineTooLong(Exception):  # noqa: N818 - it never leaves this module
    """The row being read is longer than `LIMIT`; `within_row`: and has several lines."""

    def __init__(self, *, within_row: bool, size: int = 0, beginning: bytes = b"") -> None:
        self.within_row = within_row
        self.size = size
        self.beginning = beginning


@dataclass(slots=True)
class _Cut:
    """The beginning of a line longer than `LIMIT`, and how long all of it is."""

    beginning: bytes
    size: int


class _Lines:
    """The lines for `csv.reader`, and those that it took for the present row.

    When a row turns out to be none, only its first line is given up; the others are read again.
    """

    def __init__(
        self, chunks: Iterable[bytes], name: str, found: Found, *, comment: bytes = b""
    ) -> None:
        self._source = _split(chunks)
        self._found = found
        self._comment = comment
        self._again: deque[bytes] = deque()
        self._cut: _Cut | None = None
        self._name = name
        self._offset = 0
        self._size = 0
        self._reread = 0
        self.number = 0
        self.taken: list[bytes] = []
        self.nul = 0  # the line of the present row with a NUL character

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._next()
        if not self.taken:
            self._size = self.nul = 0
            while self._comment and isinstance(line, bytes) and self._is_comment(line):
                self.number += 1
                self._offset += len(line)
                line = self._next()
        if isinstance(line, _Cut):
            if self.taken:
                self._cut = line
                raise _LineTooLong(within_row=True)
            self.number += 1
            self._offset += line.size
            raise _LineTooLong(within_row=False, size=line.size, beginning=line.beginning)
        self.number += 1
        self._offset += len(line)
        self._size += len(line)
        self.taken.append(line)
        if self._size > LIMIT:
            raise _LineTooLong(within_row=True)
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            where = self._offset - len(line) + error.start
            likely = likely_encoding(self._sample(line))
            hint = ". " if self._found.mark else f", or {encoding_hint(likely)}"  # a mark decides
            raise DataError(
                f"{self._name} is not UTF-8: line {self.number}, byte {error.start + 1} of the "
                f"line (offset {where:,} of the file) is 0x{line[error.start]:02X}. Save it as "
                f"UTF-8{hint}Nothing of it was loaded"
            ) from None
        if "\0" in text:
            # Python 3.10 refuses it in csv, later ones don't; a NUL is no text anyway.
            self.nul = self.number
            text = text.replace("\0", "\ufffd")
        return text.removeprefix("\ufeff") if self.number == 1 else text

    def _sample(self, line: bytes) -> bytes:
        """Some of the lines from `line` on that aren't ASCII, to tell the encoding by."""
        sample = line
        for each in self._source:
            if isinstance(each, bytes) and not each.isascii():
                sample += each
            if len(sample) > SAMPLE:
                break
        return sample

    def _is_comment(self, line: bytes) -> bool:
        return line.removeprefix(codecs.BOM_UTF8).lstrip().startswith(self._comment)

    def peek(self) -> str:
        """The first line that isn't blank, to be read later all the same; empty if none is near."""
        while (
            not self._again
            or not self._again[-1].strip(_BLANK)
            or (self._comment and self._is_comment(self._again[-1]))
        ):
            if len(self._again) > _BLANK_LINES:
                return ""
            line = next(self._source, None)
            if line is None:
                return ""
            if isinstance(line, _Cut):
                self._cut = line
                return ""
            self._again.append(line)
        return self._again[-1].decode("utf-8", "replace").removeprefix("\ufeff")

    def skip(self, lines: int) -> None:
        """Leave the next lines out, however long."""
        with suppress(StopIteration):
            for _ in range(lines):
                line = self._next()
                self.number += 1
                self._offset += line.size if isinstance(line, _Cut) else len(line)

    def drop(self) -> None:
        """Leave the line that `peek` has found out."""
        self.number += len(self._again)
        self._offset += sum(map(len, self._again))
        self._again.clear()

    def _next(self) -> bytes | _Cut:
        if self._again:
            return self._again.popleft()
        if (cut := self._cut) is not None:
            self._cut = None
            return cut
        return next(self._source)

    def rejected(self, reason: str) -> Row:
        """Give the first line of the present row up; the others will be read again."""
        first, *others = self.taken
        number = self.number - len(others)
        self.taken = []
        self.number = number
        self._offset -= sum(map(len, others))
        self._again.extendleft(reversed(others))
        self._reread += sum(map(len, others))
        if self._reread > _READ_AGAIN_LIMIT:
            raise DataError(
                f"{self._name}: quotes are in such disorder around line {number:,} that its rows "
                "can't be told apart; correct the file. Nothing of it was loaded"
            )
        if reason == "unexpected end of data":
            reason = "a quote is opened and not closed"
        return Row(number, [], [first], reason)

    def closed(self, form: Mapping[str, Any]) -> Row | None:
        """The present row as one that is too long, if its quotes are closed not far below.

        None if they aren't: then the lines will be read again.
        """
        ahead: list[bytes] = []

        def following() -> Iterator[str]:
            # All before is within quotes, or no other line would have been asked for.
            yield form["quotechar"] + self.taken[-1].decode()
            size = self._size
            with suppress(StopIteration):
                while size <= _LOOKED_AHEAD:
                    line = self._next()
                    if isinstance(line, _Cut):
                        self._cut = line
                        return
                    ahead.append(line)
                    size += len(line)
                    yield line.decode().replace("\0", "\ufffd")

        try:
            next(csv.reader(following(), strict=True, **form))
        except (csv.Error, UnicodeDecodeError):
            self._again.extendleft(reversed(ahead))
            return None
        first = self.number - len(self.taken) + 1
        reason = _too_long("row", f"more than {LIMIT:,} bytes", self._offset - self._size)
        beginning = b"".join(self.taken)[:_KEPT]
        self.taken = []
        self.number += len(ahead)
        self._offset += sum(map(len, ahead))
        return Row(first, [], [beginning], reason, cut=True)

    def too_long(self, found: _LineTooLong) -> Row:
        """A line that is longer than any row may be: its beginning, and where all of it is."""
        size = f"{found.size:,} bytes, more than the {LIMIT:,} of a row"
        reason = _too_long("line", size, self._offset - found.size)
        return Row(self.number, [], [found.beginning[:_KEPT]], reason, cut=True)


def _too_long(what: str, size: str, offset: int) -> str:
    return (
        f"the {what} has {size}; this is its beginning, all of it is at offset {offset:,} of the "
        "file"
    )


def _gathered(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in chunks that aren't tiny: what a chunk leaves is copied for the next one."""
    found, size = [], 0
    for chunk in chunks:
        found.append(chunk)
        size += len(chunk)
        if size >= _GATHERED:
            yield b"".join(found)
            found, size = [], 0
    yield b"".join(found)


def _split(chunks: Iterable[bytes]) -> Iterator[bytes | _Cut]:
    r"""The lines with their ends (\n, \r\n, \r); those longer than `LIMIT` as `_Cut`."""
    rest, beginning, cut = b"", b"", 0
    for chunk in chunks:
        # bytes.splitlines knows just these three line ends (str.splitlines knows more).
        lines = (rest + chunk).splitlines(keepends=True)
        # The last one may go on; a "\r" may be half of a line end.
        rest = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        for line in lines:
            if cut or len(line) > LIMIT:
                yield _Cut(beginning or line[:_KEPT], cut + len(line))
                beginning, cut = b"", 0
            else:
                yield line
        if len(rest) > LIMIT and not rest.endswith(b"\r"):
            beginning = beginning or rest[:_KEPT]
            cut, rest = cut + len(rest), b""
    if cut or len(rest) > LIMIT:
        yield _Cut(beginning or rest[:_KEPT], cut + len(rest))
    elif rest:
        yield rest
