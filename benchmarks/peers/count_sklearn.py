"""scikit-learn's CountVectorizer, on pieces of some 64 KB as its documents."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import regex
from common import RUN, python_letter, task, write
from sklearn.feature_extraction.text import CountVectorizer


def main() -> None:
    """Count."""
    given = task()

    def documents() -> Iterator[str]:
        for path in given.files:
            with path.open(encoding="utf-8", errors="replace") as file:
                while lines := file.readlines(1 << 16):
                    yield "".join(lines)

    find = python_letter().findall if given.exact else regex.compile(RUN).findall
    vectorizer = CountVectorizer(tokenizer=find, token_pattern=None)
    matrix = vectorizer.fit_transform(documents())
    totals = np.asarray(matrix.sum(axis=0)).ravel().tolist()
    write(given.output, {word: totals[column] for word, column in vectorizer.vocabulary_.items()})


main()
