"""How CSVs are written: delimiter, encoding, header. Pure."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Any

from wordfreq_batch.errors import UsageError
from wordfreq_batch.text.detect import AUTO, known_encoding

NONE = "none"
"""The setting that switches the quote, the escape or the comments off."""

DELIMITERS = {
    ",": "comma",
    ";": "semicolon",
    "\t": "tab",
    "|": "pipe",
    " ": "blank",
}
"""Those of DynamoDB's own import (API reference, CsvOptions), with their names as options."""

DELIMITER = ","
ENCODING = "utf-8"

_SEPARATOR_LINE = re.compile(r'\s*"?sep=(.)"?\s*', re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How the CSVs of a schema are written.

    Attributes:
        delimiter: between fields; `auto`: the one by which the header has the most known columns.
        encoding: a name that Python knows, or `auto`; a byte order mark in a file decides
            instead.
        header: names of the columns where the files have no header; else empty.
        quote: the character around fields that hold delimiters; empty: there is none.
        escape: the character that takes the meaning from the one behind it; empty: there is none.
        comment: what lines begin with that are no rows; empty: there are none.
        decimal: `.` or `,`; the other one may stand between groups of three digits.
        skip: so many lines stand before the header, or, without one, before the first row.
    """

    delimiter: str = DELIMITER
    encoding: str = ENCODING
    header: tuple[str, ...] = ()
    quote: str = '"'
    escape: str = ""
    comment: str = ""
    decimal: str = "."
    skip: int = 0

    @classmethod
    def parse(
        cls,
        *,
        delimiter: str = DELIMITER,
        encoding: str = ENCODING,
        header: str = "",
        quote: str = '"',
        escape: str = NONE,
        comment: str = NONE,
        decimal: str = ".",
        skip: int = 0,
    ) -> Dialect:
        """Read the settings; characters may be named, `header` holds names with commas.

        Raises:
            UsageError: they can't be meant.
        """
        character = _BY_NAME.get(delimiter, delimiter)
        if character != AUTO and character not in DELIMITERS:
            known = ", ".join([*DELIMITERS.values(), AUTO])
            raise UsageError(f"the delimiter {delimiter!r} is none of {known}")
        if decimal not in (*_DECIMALS, *_DECIMALS.values()):
            raise UsageError(f"the decimal sign {decimal!r} is neither point nor comma")
        found = cls(
            delimiter=character,
            encoding=known_encoding(encoding),
            header=tuple(name.strip() for name in header.split(",")) if header.strip() else (),
            quote=_one("quote", quote),
            escape=_one("escape", escape),
            comment="" if comment in (NONE, "") else comment.lstrip(),
            decimal=_DECIMALS.get(decimal, decimal),
            skip=skip,
        )
        marks = (found.delimiter, found.quote, found.escape, found.comment[:1])
        special = [each for each in marks if each]
        if len(set(special)) < len(special):
            raise UsageError(
                "delimiter, quote, escape and what comments begin with must be different characters"
            )
        return found

    @property
    def settings(self) -> tuple[str, ...]:
        """What a result depends on; empty for the default, as before there was a choice."""
        if self == Dialect():
            return ()
        later = [
            f"{each.name}={getattr(self, each.name)}"
            for each in fields(self)[3:]
            if getattr(self, each.name) != each.default
        ]
        return (self.delimiter, self.encoding, *self.header, *later)

    def format(self, delimiter: str) -> dict[str, Any]:
        """The arguments of `csv.reader` and `csv.writer`; a found delimiter is for `auto`."""
        return {
            "delimiter": delimiter,
            "quotechar": self.quote or None,
            "quoting": csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
            "escapechar": self.escape or None,
        }


_BY_NAME = {name: each for each, name in DELIMITERS.items()} | {"\\t": "\t"}
_DECIMALS = {"point": ".", "comma": ","}


def _one(what: str, text: str) -> str:
    named = {"double": '"', "single": "'", "backslash": "\\", NONE: ""}.get(text, text)
    if len(named) > 1 or named.isalnum() or named.isspace():
        raise UsageError(f"the {what} {text!r} is no character for that; write e.g. ' or none")
    return named


def separator_line(line: str) -> str | None:
    """The delimiter that Excel's first line `sep=;` names, or None where it is no such line."""
    match = _SEPARATOR_LINE.fullmatch(line)
    return match[1] if match and match[1] in DELIMITERS else None


def likely_delimiter(line: str, columns: Collection[str], *, fields: int = 0) -> str | None:
    """The delimiter by which a first line has the most of `columns`; None where it has none.

    `fields`: a line that holds none of the columns has so many fields.
    """
    known = frozenset(columns)

    def found(delimiter: str) -> int:
        return sum(title.strip().strip('"').strip() in known for title in line.split(delimiter))

    best = max(DELIMITERS, key=found)
    if found(best) or not fields:
        return best if found(best) else None
    return next((each for each in DELIMITERS if fields_of(line, each) == fields), None)


def fields_of(line: str, delimiter: str) -> int:
    """How many fields a line has by this delimiter; 0 where it is no line of a CSV."""
    try:
        return len(next(csv.reader([line], delimiter=delimiter), ()))
    except csv.Error:
        return 0
