"""Filter patterns of CloudWatch Logs for log events without structure.

Source: CloudWatch Logs user guide, "Filter pattern syntax": terms that all must occur, `-term` that
must not, `?a ?b` of which one must; a term with other characters than letters, digits and `_` is
quoted. Case counts. Patterns for JSON, columns and regular expressions are refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from aws_batch_emulator._core.errors import ApiError, unsupported

Matches = Callable[[str], bool]

_TERM = re.compile(r'\s*([-?]?)(?:"((?:[^"\\]|\\.)*)"|([^\s"]+))(?=\s|$)')
_PLAIN = re.compile(r"\w+")
_OTHERS = {
    "{": "filter patterns for JSON events",
    "[": "filter patterns for columns of events",
    "%": "regular expressions in filter patterns",
}


def compiled(pattern: str) -> Matches:
    """Return the test that the pattern stands for; an empty one matches every event."""
    text = pattern.strip()
    if text[:1] in _OTHERS:
        raise unsupported(_OTHERS[text[0]])
    signed: dict[str, list[str]] = {"": [], "-": [], "?": []}
    position = 0
    while position < len(text):
        found = _TERM.match(text, position)
        if found is None:
            raise _invalid(f"Invalid filter pattern at character {position + 1}")
        sign, quoted, plain = found.groups()
        if plain is not None and not _PLAIN.fullmatch(plain):
            raise _invalid(f"Invalid character(s) in term '{plain[:200]}'")
        signed[sign].append(plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
        position = found.end()
    needed, excluded, optional = signed.values()
    if optional and (needed or excluded):
        raise unsupported("filter patterns of optional terms (?) beside others")
    return lambda message: (
        all(term in message for term in needed)
        and not any(term in message for term in excluded)
        and (not optional or any(term in message for term in optional))
    )


def _invalid(message: str) -> ApiError:
    return ApiError("InvalidParameterException", message)
