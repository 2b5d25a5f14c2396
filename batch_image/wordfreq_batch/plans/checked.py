"""Whether a record read from JSON holds what its type says. For the documents' formats only."""

from __future__ import annotations

from functools import lru_cache
from types import UnionType
from typing import Any, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

R = TypeVar("R", bound=NamedTuple)


def checked(record: R) -> R:
    """Return the record itself.

    Raises:
        TypeError: a field holds a value of another type than it is declared with. `True` is no
            number, an integer is a float; what is inside a tuple isn't looked at.
    """
    for number, (value, types) in enumerate(zip(record, _types(type(record)), strict=True)):
        if type(value) not in types:
            raise TypeError(f"{record._fields[number]} is {value!r}")
    return record


@lru_cache(maxsize=32)
def _types(record: type[Any]) -> tuple[frozenset[type], ...]:
    hints = get_type_hints(record)
    return tuple(_allowed(hints[name]) for name in record._fields)


def _allowed(hint: Any) -> frozenset[type]:
    if get_origin(hint) in (Union, UnionType):
        return frozenset().union(*map(_allowed, get_args(hint)))
    if hint is float:
        return frozenset({int, float})
    return frozenset({get_origin(hint) or hint})
