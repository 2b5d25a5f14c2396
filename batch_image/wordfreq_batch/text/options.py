"""How a plan wants its texts read: part of the counter's version, so that meanings never mix.

The defaults add nothing to the version.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from wordfreq_batch.text.detect import UTF_8, known_encoding

MOST_INVALID = 1e-6
"""One byte in a million, as in a log that a name was written into."""

FOLDING = 1
"""Raised by hand whenever the rules of `text.folding` change."""

_CHARSET = r"(?ia)charset\s*=\s*\"?([\w.:+-]+)"
_SERVER_DEFAULTS = frozenset(("utf-8", "ascii"))  # what servers say who don't know better


class TextOptions(NamedTuple):
    """How texts are read.

    Attributes:
        encoding: of texts that are not UTF-8 and have no mark: a name that Python knows, `auto`
            for a guess per file, or empty: such a file is bad data.
        most_invalid: share of a file's bytes, 0 to 1, that may be no UTF-8 without it being taken
            for another encoding.
        fold: spellings that look alike are counted as one (`text.folding`).
    """

    encoding: str = ""
    most_invalid: float = MOST_INVALID
    fold: bool = False

    @classmethod
    def make(
        cls, *, encoding: str = "", most_invalid: float = MOST_INVALID, fold: bool = False
    ) -> TextOptions:
        """Check what a user gave.

        Raises:
            UsageError: the encoding isn't known.
        """
        name = known_encoding(encoding) if encoding else ""
        chosen = "" if name == UTF_8 else name
        return cls(encoding=chosen, most_invalid=most_invalid, fold=fold)

    @property
    def suffix(self) -> str:
        """What the counter's version gets behind it: empty for the defaults."""
        parts = [f";encoding={self.encoding}"] if self.encoding else []
        if self.most_invalid != MOST_INVALID:
            parts.append(f";most-invalid={self.most_invalid!r}")
        if self.fold:
            parts.append(f";fold={FOLDING}")
        return "".join(parts)

    @classmethod
    def parse(cls, suffix: str) -> TextOptions:
        """The reverse of `suffix`; ValueError where it isn't one of this program."""
        found = dict(part.split("=", 1) for part in suffix.split(";")[1:])
        options = cls(
            encoding=found.get("encoding", ""),
            most_invalid=float(found.get("most-invalid", MOST_INVALID)),
            fold="fold" in found,
        )
        if options.suffix != suffix:
            raise ValueError(f"{suffix!r} are no options of this program")
        return options


DEFAULT_OPTIONS = TextOptions()


def charset_of(content_type: str) -> str:
    """The encoding that an object's Content-Type names, as Python calls it; empty: none of use."""
    match = re.search(_CHARSET, content_type)
    if match is None:
        return ""
    try:
        name = known_encoding(match[1])
    except Exception:  # noqa: BLE001 - whatever somebody wrote there, it is no reason to fail
        return ""
    # As the WHATWG's Encoding Standard has it: who says Latin-1 means what Windows makes of it.
    return "cp1252" if name == "iso8859-1" else "" if name in _SERVER_DEFAULTS else name
