"""The settings of a CSV pipeline, from options and a TOML file alike: one schema for each prefix.

For `cli.ingest`, which gets them, and for the orchestrator, which needs `Settings.version` to know
which uploads are loaded already. Parsing is pure; every mistake names the setting and where it is.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, cast

from wordfreq_batch.csv.reading.dialect import DELIMITER, ENCODING, Dialect
from wordfreq_batch.csv.schema import (
    DEFAULT_COLUMNS,
    DEFAULT_KEY,
    EMPTY,
    EXTRA,
    Empty,
    Extra,
    Schema,
)
from wordfreq_batch.errors import UsageError
from wordfreq_batch.storage.opening import open_object

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PREFIX = "prefix"
"""The table of a settings file that holds the settings of single prefixes."""

HELP = """\
settings, as `--set NAME=VALUE` and in the TOML file that --settings names:
  columns = "Sku, Day, Price:number"     what an item has, in any order; types: string, number,
                                         binary (Base64), bool, null, and as JSON list, map, json,
                                         string-set, number-set, binary-set
  key, sort-key, extra-columns           as the options
  delimiter, encoding, header            as the options
  quote = "single"                       or double (default), another character, none
  escape = "backslash"                   or another character; default: none, quotes are doubled
  comment = "#"                          lines that begin so are left out; default: none
  skip = 3                               lines before the header (without one: before the rows)
  decimal = "comma"                      numbers as 1.234,5; default: point
  empty = "absent"                       empty cells: no attribute, or null: NULL; default: keep:
                                         empty strings, of other types no attribute
  rename = { "Article No" = "Sku" }      titles of the file, and the columns that they are
  generate = { Id = "hash:Sku,Day" }     an attribute made of columns, or of the row's place: row;
                                         a key, if key names it
  ttl = "Expires=Day+30d"                a number for DynamoDB's TTL, from a column with a date
  date-format = "%d.%m.%Y"               of that date; default: ISO 8601
A table [prefix."excel/"] has the settings of the files below excel/, as far as they differ; the
longest prefix counts. What the file says counts more than the options.
"""

_TEXTS = {
    "key": DEFAULT_KEY,
    "sort-key": "",
    "delimiter": DELIMITER,
    "encoding": ENCODING,
    "quote": '"',
    "escape": "none",
    "comment": "none",
    "decimal": ".",
    "ttl": "",
    "date-format": "",
}
_LISTS = {"columns": DEFAULT_COLUMNS, "header": ""}
_TABLES = ("rename", "generate")
_CHOICES: dict[str, Sequence[str]] = {"extra-columns": EXTRA, "empty": EMPTY}
_SKIP = "skip"
NAMES = (*_TEXTS, _SKIP, *_LISTS, *_TABLES, *_CHOICES)
_SHARED = ("key", "sort-key")  # of the table, and so of all prefixes


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The schema of all CSVs, and those of prefixes that have another, the longest first."""

    default: Schema
    prefixes: tuple[tuple[str, Schema], ...] = ()

    @classmethod
    def parse(cls, given: Mapping[str, object], text: str = "", *, name: str = "") -> Settings:
        """Read the settings.

        Args:
            given: from options, by the names of `NAMES`; what is left out has its default.
            text: a settings file; what it says counts more than `given`.
            name: of that file, for messages.

        Raises:
            UsageError: they can't be meant; the message says which.
        """
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"{name} is no TOML: {error}") from None
        prefixes = document.pop(PREFIX, {})
        if not isinstance(prefixes, dict):
            raise UsageError(f'{name}: write the settings of a prefix below [prefix."NAME/"]')
        base = {**given, **document}
        found = []
        for prefix in sorted(prefixes, key=len, reverse=True):
            where = f'{name}: [prefix."{prefix}"]'
            own = prefixes[prefix]
            if not isinstance(own, dict):
                raise UsageError(f"{where} is no table of settings")
            for each in _SHARED:
                if each in own:
                    raise UsageError(f"{where}: all prefixes share the table and so its {each}")
            found.append((prefix, _schema({**base, **own}, where)))
            _check_date_format(own, where, found[-1][1])
        settings = cls(default=_schema(base, name or "settings"), prefixes=tuple(found))
        _check_date_format(base, name or "settings", *settings.schemas)
        return settings

    @property
    def schemas(self) -> tuple[Schema, ...]:
        """All that there are."""
        return (self.default, *(schema for _, schema in self.prefixes))

    def schema(self, name: str) -> Schema:
        """The one for the file `name`, relative to the source."""
        return next(
            (each for prefix, each in self.prefixes if name.startswith(prefix)), self.default
        )

    def schema_of_path(self, path: str) -> Schema:
        """The one for a single file, whose path holds that of the uploads: prefixes of any length.

        `excel/a.csv`, `inbox/excel/a.csv` and `/data/excel/a.csv` all are files below `excel/`.
        """
        ends = [path, *(path[match.end() :] for match in re.finditer("/", path))]
        found = (each for p, each in self.prefixes if any(end.startswith(p) for end in ends))
        return next(found, self.default)

    def version_of(self, name: str, table: str, *, absent: bool = False) -> str:
        """Changes whenever the file `name` would become other items, see `Schema.version`."""
        return self.schema(name).version(table, absent=absent)

    def version(self, table: str, *, absent: bool = False) -> str:
        """Changes whenever any file would become other items: what a plan was made for."""
        own = self.default.version(table, absent=absent)
        if not self.prefixes:
            return own
        parts = [own]
        for prefix, each in self.prefixes:
            parts += [prefix, each.version(table, absent=absent)]
        digest = blake2b("\0".join(parts).encode(), digest_size=8).hexdigest()
        return f"{own.partition('-')[0]}-{digest}"


def read_settings(given: Mapping[str, object], uri: str = "") -> Settings:
    """The settings of options and of the file at `uri`, if there is one.

    Raises:
        NotFoundError: there is no such file.
        UsageError: they can't be meant, see `Settings.parse`.
    """
    if not uri:
        return Settings.parse(given)
    store, key = open_object(uri)
    try:
        return Settings.parse(given, store.get(key).decode("utf-8-sig"), name=uri)
    except UnicodeDecodeError as error:
        raise UsageError(f"{uri} is not UTF-8: {error}") from None


def set_option(text: str) -> tuple[str, object]:
    """Read `NAME=VALUE` of `--set`: the value as TOML has it, or else a text as it stands.

    Raises:
        UsageError: there is no such setting.
    """
    name, sign, value = text.partition("=")
    name = name.strip()
    if not sign or name not in NAMES:
        raise UsageError(f"--set {text!r}: write NAME=VALUE, a name of {', '.join(NAMES)}")
    try:
        return name, tomllib.loads(f"{name} = {value}")[name]
    except tomllib.TOMLDecodeError:
        return name, value


def _schema(given: Mapping[str, object], where: str) -> Schema:
    try:
        for name in given:
            if name not in NAMES:
                raise UsageError(f"{name} is no setting; there are {', '.join(NAMES)}")
        texts = {name: _text(name, given.get(name, default)) for name, default in _TEXTS.items()}
        lists = {name: _list(name, given.get(name, default)) for name, default in _LISTS.items()}
        choices = {
            name: _choice(name, given.get(name, known[0])) for name, known in _CHOICES.items()
        }
        dialect = Dialect.parse(
            header=lists["header"],
            **{name: texts[name] for name in ("delimiter", "encoding", "quote", "escape")},
            comment=texts["comment"],
            decimal=texts["decimal"],
            skip=_count(_SKIP, given.get(_SKIP, 0)),
        )
        return Schema.parse(
            columns=lists["columns"],
            key=texts["key"],
            sort_key=texts["sort-key"],
            extra=cast(Extra, choices["extra-columns"]),
            dialect=dialect,
            rename=_table("rename", given.get("rename", {})),
            empty=cast(Empty, choices["empty"]),
            generate=_table("generate", given.get("generate", {})),
            ttl=texts["ttl"],
            date_format=texts["date-format"],
        )
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None


def _check_date_format(given: Mapping[str, object], where: str, *schemas: Schema) -> None:
    if given.get("date-format") and not any(each.ttl for each in schemas):
        raise UsageError(f"{where}: date-format is that of the date in ttl; set ttl too")


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{name} must be a text, not {value!r}")
    return value


def _count(name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise UsageError(f"{name} must be a number from 0 on, not {value!r}")
    return value


def _list(name: str, value: object) -> str:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        if any("," in each for each in value):
            raise UsageError(f"{name}: a column's name can't hold a comma; rename it")
        return ",".join(value)
    if not isinstance(value, str):
        raise UsageError(f"{name} must be a text or a list of texts, not {value!r}")
    return value


def _table(name: str, value: object) -> dict[str, str]:
    table = cast(dict[Any, Any], value)
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in table.values()):
        raise UsageError(f'{name} must be a table of texts, such as {{ "Name" = "text" }}')
    return table


def _choice(name: str, value: object) -> str:
    if value not in _CHOICES[name]:
        raise UsageError(f"{name} must be one of {', '.join(_CHOICES[name])}, not {value!r}")
    return str(value)
