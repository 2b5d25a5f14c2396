"""Records as JSON objects and back, checked: members are the fields' names in PascalCase.

An object that lacks a field, or holds another type than the field is declared with, is no such
record, and the error names the document and the next step.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from types import UnionType
from typing import Any, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

from wordfreq_batch.errors import DataError

R = TypeVar("R", bound=NamedTuple)


@contextmanager
def reading(uri: str, what: str, advice: str) -> Iterator[None]:
    """Read a document within the block.

    Args:
        uri: where it came from.
        what: what it should be.
        advice: what to do if it isn't.

    Raises:
        DataError: it isn't.
    """
    try:
        yield
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise DataError(f"{uri} is no {what} ({error!r}); {advice}") from None


def to_object(
    record: NamedTuple, *, without: Collection[str] = (), **others: Any
) -> dict[str, Any]:
    """The record as a JSON object.

    Args:
        record: the record.
        without: fields that are left out.
        others: values of fields that aren't JSON as they are.
    """
    return {
        member: others.get(name, value)
        for (name, member), value in zip(_members(type(record)).items(), record, strict=True)
        if name not in without
    }


def from_object(
    cls: type[R], found: Mapping[str, Any], *, optional: Collection[str] = (), **given: Any
) -> R:
    """The reverse of `to_object`.

    Args:
        cls: the record's type.
        found: the JSON object; members that are no fields are ignored.
        optional: fields that may be missing: they get their defaults.
        given: values of fields that were read otherwise.

    Raises:
        KeyError, TypeError: see `checked`.
    """
    return checked(
        cls._make(
            given[name]
            if name in given
            else found.get(member, cls._field_defaults[name])
            if name in optional
            else found[member]
            for name, member in _members(cls).items()
        )
    )


@lru_cache(maxsize=32)
def _members(record: type[Any]) -> dict[str, str]:
    return {name: name.title().replace("_", "").replace("Etag", "ETag") for name in record._fields}


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
