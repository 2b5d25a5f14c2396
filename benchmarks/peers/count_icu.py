"""ICU through icu4py, plainly: cut, keep what holds a letter or a number, lower, compose.

This is the definition of a word written down once more, by itself: nothing of this project is
imported. It is what the counts of ours are compared with.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from unicodedata import category, normalize

from common import task, write
from icu4py.breakers import WordBreaker

_EXTENDING = "\uff9e\uff9f"  # letters that only extend what stands before them


@lru_cache(maxsize=1 << 16)
def word(segment: str) -> str:
    """The word that a segment is, or an empty string."""
    if not any(category(c)[0] in "LN" and c not in _EXTENDING for c in segment):
        return ""
    first, last = 0, len(segment)
    while segment[first].isspace() or category(segment[first]) == "Cc":
        first += 1
    while segment[last - 1].isspace() or category(segment[last - 1]) == "Cc":
        last -= 1
    return normalize("NFC", normalize("NFC", segment[first:last]).lower())


def main() -> None:
    """Count."""
    given = task()
    words: Counter[str] = Counter()
    for path in given.files:
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            # There is always a boundary at a line end.
            while lines := file.readlines(1 << 16):
                words.update(filter(None, map(word, WordBreaker("".join(lines), ""))))
    write(given.output, words)


main()
