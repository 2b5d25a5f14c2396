"""The one optional folding, `--fold`: spellings that a reader takes for the same word become one.

What it does, in this order: NFKC (UAX #15: ligatures, full width, superscripts); characters that
show nothing are dropped (Default_Ignorable_Code_Point: soft hyphen, zero width joiners, U+FEFF in a
text, variation selectors), and so is the Arabic tatweel, which only stretches a line; apostrophes
become U+0027.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final

_APOSTROPHES: Final = re.compile("[\u2018\u2019\u201b\u02bc\uff07]")
# Code points before the end among which a chunk is cut. A line of half-width Katakana has no place
# to cut; no text has none for so long.
_NEAR: Final = 4096
# Bytes that are no UTF-8 pass unchanged, so that they are still counted as such.
_ERRORS: Final = "surrogateescape"


def folded(text: str) -> str:
    """Return the text as `--fold` counts it."""
    if text.isascii():
        return text
    from wordfreq_batch.tables import icu

    return _APOSTROPHES.sub("'", _dropped().sub("", icu.nfkc(text)))


def fold_chunks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Fold a stream of UTF-8, cut anywhere.

    The words don't depend on where it was cut, unless more than `_NEAR` characters stand in a row
    that may combine or change.
    """
    decoder = codecs.getincrementaldecoder("utf-8")(_ERRORS)
    rest = ""
    for chunk in chunks:
        searched, text = len(rest), rest + decoder.decode(chunk)
        # What comes next may combine with the last characters.
        cut = len(text) - 1
        while cut >= searched and len(text) - cut < _NEAR and not _starter().match(text, cut):
            cut -= 1
        if cut < searched:
            cut = max(len(text) - _NEAR, 0)
        text, rest = text[:cut], text[cut:]
        yield folded(text).encode("utf-8", _ERRORS)
    yield folded(rest + decoder.decode(b"", final=True)).encode("utf-8", _ERRORS)


@lru_cache(maxsize=1)
def _dropped() -> re.Pattern[str]:
    from wordfreq_batch.tables import icu

    return re.compile(icu.regular_expression("[[:Default_Ignorable_Code_Point:]\u0640]"))


@lru_cache(maxsize=1)
def _starter() -> re.Pattern[str]:
    """A character that nothing before it has to do with, as far as NFKC goes."""
    from wordfreq_batch.tables import icu

    unchanging = "[:NFKC_Quick_Check=Yes:]&[:Canonical_Combining_Class=0:]"
    return re.compile(icu.regular_expression(f"[{unchanging}]"))
