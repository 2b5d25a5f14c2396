"""From the text of a cell to an attribute of DynamoDB, for each type a column can have. Pure.

An attribute is what the API takes: `{"S": "text"}`, a number in the one spelling that DynamoDB
gives back. The limits are those of the developer guide, "Supported data types": numbers of 38
digits between 1E-130 and 9.99E+125, 32 levels of lists and maps.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Literal, get_args

from wordfreq_batch.csv.reading.hints import setting

Type = Literal[
    "string",
    "number",
    "binary",
    "bool",
    "null",
    "list",
    "map",
    "json",
    "string-set",
    "number-set",
    "binary-set",
]

LETTERS: dict[Type, str] = dict(
    zip(
        get_args(Type),
        ["S", "N", "B", "BOOL", "NULL", "L", "M", "", "SS", "NS", "BS"],
        strict=True,
    )
)
"""DynamoDB's descriptor of each type; a `json` column has whatever its cell holds."""

TYPES: dict[str, Type] = {name: name for name in LETTERS} | {
    letters: name for name, letters in LETTERS.items() if letters
}
"""What a setting may call a type."""

Attribute = dict[str, Any]

MAX_DEPTH = 32

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_GROUPED = re.compile(r"[+-]?[0-9]{1,3}(?:\.[0-9]{3})+(?:,[0-9]*)?")
_MAX_DIGITS = 38
_SMALLEST, _LARGEST = -130, 125

_TRUE = frozenset({"true", "t", "yes", "y", "1"})
_FALSE = frozenset({"false", "f", "no", "n", "0"})


class BadRowError(Exception):
    """The row can't be an item; the message is the reason, for its sender. Stays in the package."""


def value_of(kind: Type, *, decimal: str = ".") -> Callable[[str, str], Attribute]:
    """The function from a cell that isn't empty, and its column's name, to the attribute.

    It raises `BadRowError` where the text is no such value.
    """
    if kind == "number" and decimal == ",":
        return _number_with_comma
    return _VALUES[kind]


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


def size_of(value: Mapping[str, Any]) -> int:
    """What DynamoDB counts for a value, in bytes (developer guide, "Item sizes and formats")."""
    ((kind, content),) = value.items()
    if kind == "S":
        return len(content) if content.isascii() else len(content.encode())
    if kind == "N":
        return len(content) // 2 + 3
    if kind == "B":
        return len(content)
    if kind in ("SS", "NS", "BS"):
        return sum(size_of({kind[0]: each}) for each in content)
    if kind == "L":
        return 3 + sum(1 + size_of(each) for each in content)
    if kind == "M":
        return 3 + sum(1 + len(name.encode()) + size_of(each) for name, each in content.items())
    return 1


def shown(value: Mapping[str, Any]) -> str:
    """A value for people's eyes."""
    ((kind, content),) = value.items()
    if kind == "NULL":
        return "null"
    if isinstance(content, bytes):
        return base64.b64encode(content).decode()
    return content if isinstance(content, str) else json.dumps(_plain(value), ensure_ascii=False)


def _plain(value: Mapping[str, Any]) -> Any:
    ((kind, content),) = value.items()
    if kind == "L":
        return [_plain(each) for each in content]
    if kind == "M":
        return {name: _plain(each) for name, each in content.items()}
    if kind in ("SS", "NS", "BS"):
        return [shown({kind[0]: each}) for each in content]
    return content if kind == "BOOL" else shown(value) if kind != "NULL" else None


def _number_with_comma(text: str, name: str) -> Attribute:
    stripped = text.strip()
    if _GROUPED.fullmatch(stripped):
        stripped = stripped.replace(".", "")
    if "." in stripped:
        raise BadRowError(f"{name} is no number with a decimal comma: {text[:60]!r}")
    return {"N": number_of(stripped.replace(",", "."), name)}


def _number(text: str, name: str) -> Attribute:
    stripped = text.strip()
    try:
        return {"N": number_of(stripped, name)}
    except BadRowError as error:
        if "," in stripped and _NUMBER.fullmatch(stripped.replace(".", "").replace(",", ".")):
            needed = setting(decimal="comma").rstrip(". ")
            raise BadRowError(f"{error}; for a decimal comma {needed}") from None
        raise


def _bool(text: str, name: str) -> Attribute:
    word = text.strip().lower()
    if word not in _TRUE and word not in _FALSE:
        raise BadRowError(f"{name} is neither true nor false: {text[:60]!r}")
    return {"BOOL": word in _TRUE}


def _null(text: str, name: str) -> Attribute:
    if text.strip().lower() != "null":
        raise BadRowError(f"{name} must be empty or null: {text[:60]!r}")
    return {"NULL": True}


def _binary(text: str, name: str) -> Attribute:
    try:
        return {"B": base64.b64decode(text.strip(), validate=True)}
    except (binascii.Error, ValueError):
        raise BadRowError(f"{name} is no Base64: {text[:60]!r}") from None


class _Digits(str):
    """A number of a JSON document, as it stands there."""

    __slots__ = ()


def _constant(text: str) -> Any:
    raise ValueError(text)


def _json(text: str, name: str) -> Attribute:
    try:
        found = json.loads(text, parse_float=_Digits, parse_int=_Digits, parse_constant=_constant)
        if "\\u" in text:  # without an escape there are only whole characters
            json.dumps(found, ensure_ascii=False).encode()
        return _nested(found, name, MAX_DEPTH)
    except UnicodeEncodeError:
        raise BadRowError(f"{name} has an escape that is no character: {text[:60]!r}") from None
    except (ValueError, RecursionError):
        raise BadRowError(f"{name} is no JSON: {text[:60]!r}") from None


def _nested(found: Any, name: str, depth: int) -> Attribute:
    if isinstance(found, _Digits):
        return {"N": number_of(found, name)}
    if isinstance(found, str):
        return {"S": found}
    if found is None:
        return {"NULL": True}
    if isinstance(found, bool):
        return {"BOOL": found}
    if not depth:
        raise BadRowError(f"{name} has more than {MAX_DEPTH} levels")
    if isinstance(found, list):
        return {"L": [_nested(each, name, depth - 1) for each in found]}
    return {"M": {key: _nested(each, name, depth - 1) for key, each in found.items()}}


def _of(kind: Literal["L", "M"], what: str) -> Callable[[str, str], Attribute]:
    def value(text: str, name: str) -> Attribute:
        found = _json(text, name)
        if kind not in found:
            raise BadRowError(f"{name} is no {what} in JSON: {text[:60]!r}")
        return found

    return value


def _set(element: Callable[[str, str], Attribute]) -> Callable[[str, str], Attribute]:
    def value(text: str, name: str) -> Attribute:
        list_ = _json(text, name).get("L")
        if not list_:
            raise BadRowError(f"{name} is no list with elements in JSON: {text[:60]!r}")
        found = [element(next(iter(each.values())), name) for each in list_ if _scalar(each, name)]
        letter = next(iter(found[0]))
        # A set holds each element once; DynamoDB refuses one that doesn't.
        return {letter + "S": list(dict.fromkeys(each[letter] for each in found))}

    return value


def _scalar(value: Attribute, name: str) -> bool:
    if not value.keys() & {"S", "N"}:
        raise BadRowError(f"{name} has an element that can't be in a set")
    return True


_VALUES: dict[Type, Callable[[str, str], Attribute]] = {
    "string": lambda text, _: {"S": text},
    "number": _number,
    "binary": _binary,
    "bool": _bool,
    "null": _null,
    "list": _of("L", "list"),
    "map": _of("M", "object"),
    "json": _json,
    "string-set": _set(lambda text, _: {"S": text}),
    "number-set": _set(_number),
    "binary-set": _set(_binary),
}
