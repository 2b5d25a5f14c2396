"""What a CSV must look like and what its rows become: columns, types, keys. Pure.

For `csv.ingest` and for the orchestrator, which passes the same settings to the container and
needs `Schema.version` to know which uploads are loaded already.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from hashlib import blake2b
from typing import Literal

from wordfreq_batch.csv.reading.decoding import Found
from wordfreq_batch.csv.reading.dialect import DELIMITERS, Dialect
from wordfreq_batch.csv.reading.hints import header_hint, setting, setting_line
from wordfreq_batch.csv.values import TYPES, BadRowError, Type
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

Extra = Literal["refuse", "keep", "drop"]
EXTRA: tuple[Extra, ...] = ("refuse", "keep", "drop")
"""Other columns than a schema's, see there; the first is the default, of `EMPTY` too."""

Empty = Literal["keep", "absent", "null"]
EMPTY: tuple[Empty, ...] = ("keep", "absent", "null")
"""Empty cells: of strings empty strings, of other types no attribute; none at all; or NULL."""

_COLUMN = re.compile(r"\s*(?P<name>[^\s:](?:[^:]*[^\s:])?)\s*(?::\s*(?P<type>[A-Za-z-]+)\s*)?")
_ISO = re.compile(
    r"([0-9]{4})(-?)([0-9]{2})\2([0-9]{2})"
    r"(?:[Tt ]([01][0-9]|2[0-3])(?::?([0-9]{2})(?::?([0-9]{2})(?:[.,][0-9]+)?)?)?"
    r"(?:[Zz]|([+-][0-9]{2})(?::?([0-9]{2}))?)?|[Zz])?"
)
_SOME_DATE = datetime(2026, 1, 31, tzinfo=timezone.utc)
_TTL = re.compile(r"(?P<name>[^=]+)=(?P<column>.+?)(?:\+(?P<days>[0-9]{1,6})d)?")


@dataclass(frozen=True, slots=True)
class Column:
    """One column that a CSV must have."""

    name: str
    type: Type = "string"


@dataclass(frozen=True, slots=True)
class Generated:
    """A string attribute that is a hash: of `columns`, or, where there are none, of file and row.

    So the same upload always has the same, and loading it again doubles nothing.
    """

    name: str
    columns: tuple[str, ...] = ()

    @classmethod
    def parse(cls, name: str, text: str) -> Generated:
        """Read `row` or `hash:Sku,Day`.

        Raises:
            UsageError: it is neither.
        """
        if text.strip() == "row":
            return cls(name)
        kind, _, columns = text.partition(":")
        if kind.strip() != "hash" or not columns.strip():
            raise UsageError(f"{name} can't be generated from {text!r}; write row or hash:COLUMNS")
        return cls(name, tuple(each.strip() for each in columns.split(",")))


@dataclass(frozen=True, slots=True)
class Ttl:
    """The number attribute `name`: seconds since 1970 of the date in `column`, `days` later.

    `date_format` is one of `datetime.strptime`; empty: ISO 8601. Without a zone it is UTC.
    """

    name: str
    column: str
    days: int = 0
    date_format: str = ""

    @classmethod
    def parse(cls, text: str, *, date_format: str = "") -> Ttl:
        """Read `Expires=Day` or `Expires=Day+30d`.

        Raises:
            UsageError: it is neither.
        """
        match = _TTL.fullmatch(text)
        if match is None:
            raise UsageError(f"ttl: {text!r} can't be meant; write ATTRIBUTE=COLUMN+30d")
        days = int(match["days"] or 0)
        found = cls(match["name"].strip(), match["column"].strip(), days, date_format)
        try:
            found.seconds(_SOME_DATE.strftime(date_format or "%Y-%m-%d"))
        except (BadRowError, ValueError):
            raise UsageError(
                f"date-format: no date can be read by {date_format!r}; write it as strptime of "
                "Python has it, such as %d.%m.%Y"
            ) from None
        return found

    def seconds(self, text: str) -> str:
        """The attribute's digits.

        Raises:
            BadRowError: it is no such date.
        """
        try:
            if self.date_format:
                moment = datetime.strptime(text.strip(), self.date_format)  # noqa: DTZ007
            else:
                moment = _iso(text.strip())
            moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
            return str(int((moment + timedelta(days=self.days)).timestamp()))
        except (ValueError, OverflowError, re.error):  # a directive twice
            wanted = self.date_format or "2026-01-31"
            raise BadRowError(
                f"{self.column} is no date: {text[:60]!r}; write it as {wanted}, or set date-format"
            ) from None


def _iso(text: str) -> datetime:
    """A date of ISO 8601, in the forms that are the same for every Python."""
    if (match := _ISO.fullmatch(text)) is None:
        raise ValueError(text)
    year, _, month, day, *time, hours, minutes = match.groups()
    clock = ":".join(each or "00" for each in time)
    zone = f"{hours}:{minutes or '00'}" if hours else "+00:00"
    return datetime.fromisoformat(f"{year}-{month}-{day}T{clock}{zone}")


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a file has its columns: for each field of a row its column, or None to leave it out."""

    fields: tuple[Column | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """Which columns a CSV has, which of them are the table's key, and what to do with others.

    `extra`: columns that nobody asked for make the file an error (`refuse`), become string
    attributes (`keep`), or are left out (`drop`). `rename`: titles of the files, and the columns
    that they are.

    Raises:
        UsageError: the settings contradict each other.
    """

    columns: tuple[Column, ...]
    key: str
    sort_key: str = ""
    extra: Extra = EXTRA[0]
    dialect: Dialect = field(default_factory=Dialect)
    rename: tuple[tuple[str, str], ...] = ()
    empty: Empty = EMPTY[0]
    generated: tuple[Generated, ...] = ()
    ttl: Ttl | None = None

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        for name, times in Counter(names).items():
            if times > 1:
                raise UsageError(f"the column {name!r} is named twice; name each column once")
            if name in ADDED:
                raise UsageError(f"the column {name!r} can't be loaded: every item gets its own")
        made = [each.name for each in self.made]
        for name in made:
            if name in (*names, *ADDED) or made.count(name) > 1:
                raise UsageError(f"{name!r} can't be generated: the items have it already")
        for source in (*(c for each in self.generated for c in each.columns), *self._dates()):
            if source not in names:
                raise UsageError(f"{source!r} is none of the columns {', '.join(names)}")
        for name in self.keys:
            if name not in (*names, *(each.name for each in self.generated)):
                raise UsageError(
                    f"the key {name!r} is none of the columns {', '.join(names)}; "
                    + setting(key="NAME").rstrip(". ")
                )
        for title, times in Counter(title for title, _ in self.rename).items():
            if times > 1:
                raise UsageError(f"{title!r} is renamed twice")
        if self.key == self.sort_key:
            raise UsageError(f"{self.key!r} can't be both key and sort key; leave the latter out")
        if self.dialect.header and (problems := self._problems(self._titles(self.dialect.header))):
            raise UsageError(
                f"header: {'; '.join(problems)}; name each of the columns {', '.join(names)} once"
                + (", or set extra-columns" if self.extra == "refuse" else "")
            )

    @classmethod
    def parse(
        cls,
        *,
        columns: str,
        key: str,
        sort_key: str = "",
        extra: Extra = EXTRA[0],
        dialect: Dialect | None = None,
        rename: Mapping[str, str] | None = None,
        empty: Empty = EMPTY[0],
        generate: Mapping[str, str] | None = None,
        ttl: str = "",
        date_format: str = "",
    ) -> Schema:
        """Read the settings; `columns` is such as `ProductId,Price:number` (else a string).

        Raises:
            UsageError: they can't be meant.
        """
        found = []
        for part in columns.split(","):
            match = _COLUMN.fullmatch(part)
            if match is None or (kind := TYPES.get(match["type"] or "string")) is None:
                raise UsageError(
                    f"columns: {part!r} is no column; write names with commas between them, a "
                    f"number as Name:number; other types are {', '.join(TYPES)}"
                )
            found.append(Column(match["name"], kind))
        return cls(
            columns=tuple(found),
            key=key.strip(),
            sort_key=sort_key.strip(),
            extra=extra,
            dialect=dialect or Dialect(),
            rename=tuple((rename or {}).items()),
            empty=empty,
            generated=tuple(Generated.parse(*each) for each in (generate or {}).items()),
            ttl=Ttl.parse(ttl, date_format=date_format) if ttl else None,
        )

    @property
    def made(self) -> tuple[Column, ...]:
        """The attributes that are made of others, as columns."""
        generated = tuple(Column(each.name) for each in self.generated)
        return (*generated, Column(self.ttl.name, "number")) if self.ttl else generated

    @property
    def titles(self) -> tuple[str, ...]:
        """What a file may call its columns: by these `auto` finds the delimiter."""
        return (*(column.name for column in self.columns), *(title for title, _ in self.rename))

    def line(self, found: Found) -> str:
        """The settings as a settings file has them, on one line; `found` says what `auto` found."""
        columns = (
            each.name if each.type == "string" else f"{each.name}:{each.type}"
            for each in self.columns
        )
        given: dict[str, object] = {
            "columns": ",".join(columns),
            "key": self.key,
            "sort-key": self.sort_key,
            "extra-columns": self.extra,
            "delimiter": DELIMITERS[found.delimiter],
            "encoding": found.encoding,
            "header": ",".join(self.dialect.header),
            "quote": self.dialect.quote if self.dialect.quote != '"' else "",
            "escape": self.dialect.escape,
            "comment": self.dialect.comment,
            "skip": self.dialect.skip,
            "decimal": self.dialect.decimal if self.dialect.decimal != "." else "",
            "empty": self.empty if self.empty != "keep" else "",
            "rename": dict(self.rename),
        }
        return "; ".join(setting_line(name, value) for name, value in given.items() if value)

    def _dates(self) -> tuple[str, ...]:
        return (self.ttl.column,) if self.ttl else ()

    @property
    def keys(self) -> tuple[str, ...]:
        """The partition key and, if there is one, the sort key."""
        return (self.key, self.sort_key) if self.sort_key else (self.key,)

    def version(self, table: str, *, absent: bool = False) -> str:
        """Changes whenever the same file would become other items, or go to another table.

        `absent`: items of other uploads aren't replaced.
        """
        parts = [table, self.key, self.sort_key, self.extra]
        parts += [f"{column.name}:{column.type}" for column in self.columns]
        parts += self.dialect.settings
        # Only what isn't as before there was a choice.
        for each in (self.rename, self.generated, self.ttl):
            parts += [repr(each)] if each else []
        parts += [self.empty] if self.empty != "keep" else []
        parts += ["absent"] if absent else []
        digest = blake2b("\0".join(parts).encode(), digest_size=8).hexdigest()
        return f"csv{MEANING}-{digest}"

    def layout(
        self, header: Sequence[str], *, name: str, later: Iterable[tuple[int, str]] = ()
    ) -> Layout:
        """Find the columns in a file's header, whatever their order; blanks around are dropped.

        Args:
            header: the titles.
            name: of the file, for messages.
            later: the lines behind the header, numbered: one of them may be the real header.

        Raises:
            DataError: a column is missing, there twice, or nobody asked for it; the message says
                which, and what setting would read the file.
        """
        titles = self._titles(header)
        known = {column.name: column for column in self.columns}
        if problems := self._problems(titles):
            hint = header_hint(titles, list(known), self.dialect, others=self.extra, later=later)
            raise DataError(
                f"{name}: the header doesn't fit: {'; '.join(problems)}. It is {_shown(titles)}; "
                f"expected are, in any order, {', '.join(known)}. {hint}"
            )
        keep = self.extra == "keep"
        return Layout(
            tuple(known.get(title) or (Column(title) if keep else None) for title in titles)
        )

    def _titles(self, header: Sequence[str]) -> list[str]:
        renamed = dict(self.rename)
        return [renamed.get(title.strip(), title.strip()) for title in header]

    def _problems(self, titles: Sequence[str]) -> list[str]:
        """What keeps these titles, renamed, from being a header; only the first of many."""
        known = dict.fromkeys(column.name for column in self.columns)
        times = Counter(titles)  # counted once: a header may have as many fields as a row has bytes
        problems = [f"{each!r} is missing" for each in known if each not in times]
        problems += [f"{each!r} is there twice" for each in known if times[each] > 1]
        others = [title for title in titles if title not in known]
        reserved = (*ADDED, *(each.name for each in self.made))
        if self.extra == "refuse":
            problems += [
                f"{title!r} is not expected" if title else "a column has no name"
                for title in others
            ]
        elif self.extra == "keep":
            problems += [
                f"{title!r} is an attribute that every item gets" if title else "one has no name"
                for title in others
                if title in reserved or not title
            ]
            problems += [f"{each!r} is there twice" for each in others if times[each] > 1]
        return list(dict.fromkeys(problems[:10]))


def _shown(titles: Sequence[str]) -> str:
    text = ", ".join(map(repr, titles))
    return text if len(text) <= 200 else text[:200] + "…"
