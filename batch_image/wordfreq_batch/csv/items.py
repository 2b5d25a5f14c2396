"""From a row of a CSV to an item of DynamoDB, or to the reason why it can't be one. Pure.

For `csv.ingest`. The limits are those of the DynamoDB developer guide, "Quotas" and "Item
sizes and formats": 400 KB an item (names included), keys of 1 to 2,048 and 1,024 bytes, numbers of
38 digits between 1E-130 and 9.99E+125.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from wordfreq_batch.csv.rows import Row
from wordfreq_batch.csv.schema import (
    FILENAME,
    LAST_MODIFIED,
    Column,
    Layout,
    Schema,
)
from wordfreq_batch.errors import UsageError

MAX_ITEM = 400 * 1024
MAX_KEY = 2048
MAX_SORT_KEY = 1024

Attribute = dict[str, str]
"""`{"S": text}` or `{"N": digits}`, as DynamoDB's API has it."""

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_MAX_DIGITS = 38
_SMALLEST, _LARGEST = -130, 125


class BadRowError(Exception):
    """The row can't be an item; the message is the reason, for its sender. Stays in the package."""


@dataclass(frozen=True, slots=True)
class TableItem:
    """An item ready to be put; `key` is the same for rows that are the same item, and no others.

    `size` is what DynamoDB counts, in bytes, to within some bytes of a number.
    """

    attributes: Mapping[str, Attribute]
    key: bytes
    size: int


def check_type(column: Column, wanted: str | None) -> None:
    """Compare a column with the type (S, N, B; None: any) of the table's key or index.

    Raises:
        UsageError: they differ; such items would all be refused.
    """
    if wanted is None or wanted == _LETTER[column.type]:
        return
    name = column.name
    advice = {
        "S": f"write it as {name}",
        "N": f"write it as {name}:number",
        "B": "binary keys can't be loaded",
    }
    raise UsageError(
        f"the table has {name!r} as a key of type {_WORD[wanted]}, it is loaded as a "
        f"{column.type}; correct the columns ({advice[wanted]})"
    )


_LETTER = {"string": "S", "number": "N"}
_WORD = {"S": "string", "N": "number", "B": "binary"}


class ItemBuilder:
    """Makes the items of one file.

    `filename` and `last_modified` become attributes of each; `indexed` names attributes that are
    keys of the table's indexes, with their types: they may be absent, but not empty.

    Raises:
        UsageError: a column, perhaps one that is only kept, is of another type than the index's.
    """

    def __init__(
        self,
        schema: Schema,
        layout: Layout,
        *,
        filename: str,
        last_modified: str,
        indexed: Mapping[str, str] | None = None,
    ) -> None:
        for column in layout.fields:
            if column is not None:
                check_type(column, (indexed or {}).get(column.name))
        self._keys = schema.keys
        self._columns = layout.fields
        self._added = {FILENAME: {"S": filename}, LAST_MODIFIED: {"S": last_modified}}
        self._added_size = sum(len(k) + len(v["S"].encode()) for k, v in self._added.items())
        self._indexed = indexed or {}
        self._names = [
            (position, column.name, len(column.name.encode()), _VALUES[column.type])
            for position, column in enumerate(layout.fields)
            if column is not None
        ]

    def item(self, row: Row) -> TableItem:
        """The item of a row.

        Raises:
            BadRowError: it can't be one.
        """
        fields = row.fields
        if row.reason:
            raise BadRowError(row.reason)
        if len(fields) != len(self._columns):
            raise BadRowError(self._wrong_number(len(fields)))
        attributes: dict[str, Attribute] = {}
        size = self._added_size
        for position, name, length, value_of in self._names:
            value = value_of(fields[position], name)
            if value is not None:
                attributes[name] = value
                size += length + _size(value)
        key = _KEY_SEPARATOR.join([self._key(name, attributes) for name in self._keys])
        for name in self._indexed:
            if attributes.get(name, _THERE) == _EMPTY:
                raise BadRowError(f"{name} is empty, but the table has an index on it")
        if size > MAX_ITEM:
            raise BadRowError(f"the item has {size:,} bytes; DynamoDB allows {MAX_ITEM:,}")
        attributes.update(self._added)
        return TableItem(attributes, key, size)

    def _key(self, name: str, attributes: Mapping[str, Attribute]) -> bytes:
        value = key_of(attributes, (name,))
        limit = MAX_KEY if name == self._keys[0] else MAX_SORT_KEY
        if not value:
            raise BadRowError(f"the key {name} is empty")
        if len(value) > limit:
            raise BadRowError(f"the key {name} has {len(value):,} bytes; DynamoDB allows {limit:,}")
        return value

    def _wrong_number(self, found: int) -> str:
        expected = len(self._columns)
        reason = f"it has {found} field{'s' if found != 1 else ''}, the header has {expected}"
        missing = [c.name if c else "?" for c in self._columns[found:]]
        return f"{reason} (without {', '.join(missing)})" if missing else reason


def key_of(attributes: Mapping[str, Attribute], keys: Sequence[str]) -> bytes:
    """The `TableItem.key` of an item, also of one that the table gave back."""
    found = (attributes.get(name, _EMPTY) for name in keys)
    return _KEY_SEPARATOR.join(
        each.get("S", "").encode() if "N" not in each else number_of(each["N"], "key").encode()
        for each in found
    )


_KEY_SEPARATOR = b"\0"  # no row can hold it

_EMPTY: Attribute = {"S": ""}
_THERE: Attribute = {"S": "there"}


def _size(value: Attribute) -> int:
    if (text := value.get("S")) is not None:
        return len(text) if text.isascii() else len(text.encode())
    return len(value["N"]) // 2 + 3


def _string(text: str, _: str) -> Attribute:
    return {"S": text}


def _number(text: str, name: str) -> Attribute | None:
    stripped = text.strip()
    return {"N": number_of(stripped, name)} if stripped else None


_VALUES: dict[str, Callable[[str, str], Attribute | None]] = {"string": _string, "number": _number}


def number_of(text: str, name: str) -> str:
    """The number in the one spelling that DynamoDB gives back: `1.50` and `15e-1` are `1.5`.

    Raises:
        BadRowError: it is no number, or none that DynamoDB holds.
    """
    if len(text) > 1000 or _NUMBER.fullmatch(text) is None:
        raise BadRowError(f"{name} is no number: {text[:60]!r}; write it as 1234.5 or 1.2e-3")
    sign, digits, exponent = Decimal(text).as_tuple()
    assert isinstance(exponent, int)
    written = "".join(map(str, digits)).lstrip("0")
    significant = written.rstrip("0")
    if not significant:
        return "0"
    exponent += len(written) - len(significant)
    if len(significant) > _MAX_DIGITS:
        raise BadRowError(
            f"{name} has {len(significant)} digits; DynamoDB keeps {_MAX_DIGITS}: {text[:60]}"
        )
    magnitude = exponent + len(significant) - 1
    if not _SMALLEST <= magnitude <= _LARGEST:
        raise BadRowError(f"{name} is out of DynamoDB's range (1E-130 to 9.99E+125): {text[:60]}")
    value = Decimal((sign, tuple(map(int, significant)), exponent))
    return format(value, "f") if abs(magnitude) <= _MAX_DIGITS else str(value)
