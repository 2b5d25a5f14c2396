"""From a row of a CSV to an item of DynamoDB, or to the reason why it can't be one. Pure.

The limits are those of the DynamoDB developer guide, "Quotas" and "Item sizes and formats": 400 KB
an item (names included), keys of 1 to 2,048 and 1,024 bytes, numbers of 38 digits between 1E-130
and 9.99E+125.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from wordfreq_batch.csv.reading.rows import Row
from wordfreq_batch.csv.schema import (
    FILENAME,
    LAST_MODIFIED,
    Column,
    Layout,
    Schema,
)
from wordfreq_batch.csv.values import (
    LETTERS,
    Attribute,
    BadRowError,
    number_of,
    size_of,
    value_of,
)
from wordfreq_batch.errors import UsageError

MAX_ITEM = 400 * 1024
MAX_KEY = 2048
WRITE_UNIT = 1024
"""Bytes of an item for one write unit (DynamoDB developer guide, "Write request units")."""
MAX_SORT_KEY = 1024


@dataclass(frozen=True, slots=True)
class TableItem:
    """An item ready to be put; `key` is the same for rows that are the same item, and no others.

    `size` is what DynamoDB counts, in bytes, to within some bytes of a number.
    """

    attributes: Mapping[str, Attribute]
    key: bytes
    size: int

    @property
    def units(self) -> int:
        """Write units of a put (without those of indexes)."""
        return -(-self.size // WRITE_UNIT)


def check_type(column: Column, wanted: str | None) -> None:
    """Compare a column with the type (S, N, B; None: any) of the table's key or index.

    Raises:
        UsageError: they differ; such items would all be refused.
    """
    if wanted is None or wanted == LETTERS[column.type]:
        return
    name = column.name
    advice = {
        "S": f"write it as {name}",
        "N": f"write it as {name}:number",
        "B": f"write it as {name}:binary, in Base64",
    }
    raise UsageError(
        f"the table has {name!r} as a key of type {_WORD[wanted]}, it is loaded as a "
        f"{column.type}; correct the columns ({advice[wanted]})"
    )


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
        for column in (*layout.fields, *schema.made):
            if column is not None:
                check_type(column, (indexed or {}).get(column.name))
        self._schema = schema
        self._filename = filename
        self._keys = schema.keys
        self._columns = layout.fields
        self._added = {FILENAME: {"S": filename}, LAST_MODIFIED: {"S": last_modified}}
        self._added_size = sum(len(k) + len(v["S"].encode()) for k, v in self._added.items())
        self._indexed = indexed or {}
        empty: dict[str, Attribute | None] = {"absent": None, "null": {"NULL": True}}
        self._names = [
            (
                position,
                column.name,
                len(column.name.encode()),
                value_of(column.type, decimal=schema.dialect.decimal),
                _NULL
                if column.type == "null"
                else empty.get(schema.empty, _EMPTY if column.type == "string" else None),
                column.type != "string" or schema.empty != "keep",
            )
            for position, column in enumerate(layout.fields)
            if column is not None
        ]
        self._position = {
            column.name: position
            for position, column in enumerate(layout.fields)
            if column is not None
        }

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
        for position, name, length, value_of_cell, empty, may_be_empty in self._names:
            text = fields[position]
            if may_be_empty and (not text or text.isspace()):
                value = empty
            else:
                value = value_of_cell(text, name)
            if value is not None:
                attributes[name] = value
                size += length + size_of(value)
        if self._schema.made:
            for name, value in self._made(row):
                attributes[name] = value
                size += len(name.encode()) + size_of(value)
        key = _KEY_SEPARATOR.join([self._key(name, attributes) for name in self._keys])
        for name in self._indexed:
            if attributes.get(name, _THERE) in (_EMPTY, _NULL):
                raise BadRowError(f"{name} is empty, but the table has an index on it")
        if size > MAX_ITEM:
            raise BadRowError(f"the item has {size:,} bytes; DynamoDB allows {MAX_ITEM:,}")
        attributes.update(self._added)
        return TableItem(attributes, key, size)

    def _made(self, row: Row) -> Iterator[tuple[str, Attribute]]:
        """The attributes that are made of other cells, or of the row's place."""
        schema = self._schema
        for each in schema.generated:
            cells: list[object] = [row.fields[self._position[column]] for column in each.columns]
            what = json.dumps(cells or [self._filename, row.line]).encode()
            yield each.name, {"S": blake2b(what, digest_size=16).hexdigest()}
        if schema.ttl is not None:
            text = row.fields[self._position[schema.ttl.column]]
            if text.strip():
                yield schema.ttl.name, {"N": schema.ttl.seconds(text)}

    def _key(self, name: str, attributes: Mapping[str, Attribute]) -> bytes:
        value = key_of(attributes, (name,))
        limit = MAX_KEY if name == self._keys[0] else MAX_SORT_KEY
        if not value:
            raise BadRowError(f"the key {name} is empty")
        length = size_of(attributes[name]) if "B" in attributes[name] else len(value)
        if length > limit:
            raise BadRowError(f"the key {name} has {length:,} bytes; DynamoDB allows {limit:,}")
        return value

    def _wrong_number(self, found: int) -> str:
        expected = len(self._columns)
        reason = f"it has {found} field{'s' if found != 1 else ''}, the header has {expected}"
        missing = [c.name if c else "?" for c in self._columns[found:]]
        return f"{reason} (without {', '.join(missing)})" if missing else reason


def key_of(attributes: Mapping[str, Attribute], keys: Sequence[str]) -> bytes:
    """The `TableItem.key` of an item, also of one that the table gave back."""
    return _KEY_SEPARATOR.join(_key_bytes(attributes.get(name, _EMPTY)) for name in keys)


def _key_bytes(value: Attribute) -> bytes:
    if "N" in value:
        return number_of(value["N"], "key").encode()
    if "B" in value:
        return base64.b64encode(value["B"])
    return str(value.get("S", "")).encode()


_KEY_SEPARATOR = b"\0"  # no row can hold it

_EMPTY: Attribute = {"S": ""}
_NULL: Attribute = {"NULL": True}
_THERE: Attribute = {"S": "there"}
