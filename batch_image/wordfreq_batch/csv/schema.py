"""What a CSV must look like and what its rows become: columns, types, keys. Pure.

For `csv.ingest` and for the orchestrator, which passes the same settings to the container and
needs `Schema.version` to know which uploads are loaded already.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal

from wordfreq_batch.csv.dialect import AUTO, DELIMITERS, Dialect, likely_delimiter
from wordfreq_batch.errors import (
    DataError,
    UsageError,
)

FILENAME = "Filename"
LAST_MODIFIED = "LastModified"
ADDED = (FILENAME, LAST_MODIFIED)
"""Attributes that every item gets besides its columns."""

DEFAULT_COLUMNS = "ProductId,ProductName,ProductDescription"
DEFAULT_KEY = "ProductId"

MEANING = "1"
"""Raised whenever the same CSV and settings would give other items."""

Type = Literal["string", "number"]
Extra = Literal["refuse", "keep", "drop"]
EXTRA: tuple[Extra, ...] = ("refuse", "keep", "drop")

_COLUMN = re.compile(r"\s*(?P<name>[^\s:](?:[^:]*[^\s:])?)\s*(?::\s*(?P<type>string|number)\s*)?")


@dataclass(frozen=True, slots=True)
class Column:
    """One column that a CSV must have."""

    name: str
    type: Type = "string"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a file has its columns: for each field of a row its column, or None to leave it out."""

    fields: tuple[Column | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """Which columns a CSV has, which of them are the table's key, and what to do with others.

    `extra`: columns that nobody asked for make the file an error (`refuse`), become string
    attributes (`keep`), or are left out (`drop`).

    Raises:
        UsageError: the settings contradict each other.
    """

    columns: tuple[Column, ...]
    key: str
    sort_key: str = ""
    extra: Extra = "refuse"
    dialect: Dialect = field(default_factory=Dialect)

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        for name, times in Counter(names).items():
            if times > 1:
                raise UsageError(f"the column {name!r} is named twice; name each column once")
            if name in ADDED:
                raise UsageError(f"the column {name!r} can't be loaded: every item gets its own")
        for name in self.keys:
            if name not in names:
                raise UsageError(f"the key {name!r} is none of the columns {', '.join(names)}")
        if self.key == self.sort_key:
            raise UsageError(f"{self.key!r} can't be both key and sort key; leave the latter out")

    @classmethod
    def parse(
        cls,
        *,
        columns: str,
        key: str,
        sort_key: str = "",
        extra: Extra = "refuse",
        dialect: Dialect | None = None,
    ) -> Schema:
        """Read the settings; `columns` is such as `ProductId,Price:number` (else a string).

        Raises:
            UsageError: they can't be meant.
        """
        found = []
        for part in columns.split(","):
            match = _COLUMN.fullmatch(part)
            if match is None:
                raise UsageError(
                    f"columns: {part!r} is no column; write names with commas between them, a "
                    "number as Name:number"
                )
            number: Type = "number" if match["type"] == "number" else "string"
            found.append(Column(match["name"], number))
        return cls(
            columns=tuple(found),
            key=key.strip(),
            sort_key=sort_key.strip(),
            extra=extra,
            dialect=dialect or Dialect(),
        )

    @property
    def keys(self) -> tuple[str, ...]:
        """The partition key and, if there is one, the sort key."""
        return (self.key, self.sort_key) if self.sort_key else (self.key,)

    def version(self, table: str) -> str:
        """Changes whenever the same file would become other items, or go to another table."""
        parts = [table, self.key, self.sort_key, self.extra]
        parts += [f"{column.name}:{column.type}" for column in self.columns]
        parts += self.dialect.settings
        digest = blake2b("\0".join(parts).encode(), digest_size=8).hexdigest()
        return f"csv{MEANING}-{digest}"

    def layout(self, header: Sequence[str], *, name: str) -> Layout:
        """Find the columns in a file's header, whatever their order; blanks around are dropped.

        Raises:
            DataError: a column is missing, there twice, or nobody asked for it; the message says
                which of file `name`.
        """
        titles = [title.strip() for title in header]
        known = {column.name: column for column in self.columns}
        times = Counter(titles)  # counted once: a header may have as many fields as a row has bytes
        problems = [f"{each!r} is missing" for each in known if each not in times]
        problems += [f"{each!r} is there twice" for each in known if times[each] > 1]
        others = [title for title in titles if title not in known]
        if self.extra == "refuse":
            problems += [
                f"{title!r} is not expected" if title else "a column has no name"
                for title in others
            ]
        elif self.extra == "keep":
            problems += [
                f"{title!r} is an attribute that every item gets" if title else "one has no name"
                for title in others
                if title in ADDED or not title
            ]
            problems += [f"{each!r} is there twice" for each in others if times[each] > 1]
        if problems:
            shown = "; ".join(dict.fromkeys(problems[:10]))
            likely = likely_delimiter(self.dialect.delimiter.join(header), known)
            hint = (
                ""
                if likely in (None, self.dialect.delimiter) or self.dialect.delimiter == AUTO
                else f"It looks as if the delimiter were a {DELIMITERS[likely]}: set --delimiter "
                f"{DELIMITERS[likely]} (WORDFREQ_CSV_DELIMITER). "
            )
            raise DataError(
                f"{name}: the header doesn't fit: {shown}. It is {_shown(titles)}; expected are, "
                f"in any order, {', '.join(known)}. {hint}Correct the file, or the settings"
            )
        keep = self.extra == "keep"
        return Layout(
            tuple(known.get(title) or (Column(title) if keep else None) for title in titles)
        )


def _shown(titles: Sequence[str]) -> str:
    text = ",".join(titles)
    return repr(text if len(text) <= 200 else text[:200] + "…")
