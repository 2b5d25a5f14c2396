"""How CSVs are written: delimiter, encoding, header. Pure.

For `csv.schema` (a schema says what its CSVs look like), `csv.rows` and `csv.ingest`.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Collection
from dataclasses import dataclass

from wordfreq_batch.errors import UsageError

AUTO = "auto"

DELIMITERS = {
    ",": "comma",
    ";": "semicolon",
    "\t": "tab",
    "|": "pipe",
    " ": "blank",
}
"""Those of DynamoDB's own import (API reference, CsvOptions), with their names as options."""

_SEPARATOR_LINE = re.compile(r'\s*"?sep=(.)"?\s*', re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How the CSVs of a schema are written.

    Attributes:
        delimiter: between fields; `auto`: the one by which the header has the most known columns.
        encoding: a name that Python knows; a byte order mark in a file is believed instead.
        header: names of the columns where the files have no header; else empty.
    """

    delimiter: str = ","
    encoding: str = "utf-8"
    header: tuple[str, ...] = ()

    @classmethod
    def parse(cls, *, delimiter: str = ",", encoding: str = "utf-8", header: str = "") -> Dialect:
        """Read the settings; `delimiter` is a character or its name, `header` names with commas.

        Raises:
            UsageError: they can't be meant.
        """
        character = {name: each for each, name in DELIMITERS.items()}.get(delimiter, delimiter)
        if character != AUTO and character not in DELIMITERS:
            known = ", ".join([*DELIMITERS.values(), AUTO])
            raise UsageError(f"the delimiter {delimiter!r} is none of {known}")
        try:
            codec = codecs.lookup(encoding)
            "a".encode(codec.name)  # refuses what is no encoding of text, such as `hex`
        except (LookupError, ValueError):
            raise UsageError(
                f"the encoding {encoding!r} isn't known; write e.g. utf-8, cp1252 or utf-16-le"
            ) from None
        names = tuple(name.strip() for name in header.split(",")) if header.strip() else ()
        return cls(delimiter=character, encoding=codec.name, header=names)

    @property
    def settings(self) -> tuple[str, ...]:
        """What a result depends on; empty for the default, as before there was a choice."""
        if self == Dialect():
            return ()
        return (self.delimiter, self.encoding, *self.header)


def separator_line(line: str) -> str | None:
    """The delimiter that Excel's first line `sep=;` names, or None where it is no such line."""
    match = _SEPARATOR_LINE.fullmatch(line)
    return match[1] if match and match[1] in DELIMITERS else None


def likely_delimiter(header: str, columns: Collection[str]) -> str | None:
    """The delimiter by which a header line has the most of `columns`; None where it has none."""
    known = frozenset(columns)

    def found(delimiter: str) -> int:
        return sum(title.strip().strip('"').strip() in known for title in header.split(delimiter))

    best = max(DELIMITERS, key=found)
    return best if found(best) else None
