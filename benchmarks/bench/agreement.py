"""Whether results are the same, and where not, how far they overlap.

All results are read as `word SEPARATOR count` in any order, the last separator of a line being the
one: a tab, or in our counts files a colon. DuckDB reads them, as millions of different words would
take Python longer than the counting.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.bench.measure import DisagreementError

_COUNTS = ":"  # the separator of our own files


def facts(result: Path, separator: str = "\t") -> dict[str, Any]:
    """What is kept of a result: a digest that doesn't depend on the order, and its sums."""
    row = _asked(
        "SELECT bit_xor(md5_number(word || ':' || count)), sum(count), count(*) FROM "
        + _lines(result, separator)
    )
    digest, words, distinct = row
    if not distinct:
        raise DisagreementError(f"{result.name} is empty")
    shown = hashlib.sha256(f"{digest} {words} {distinct}".encode()).hexdigest()[:16]
    return {"digest": shown, "words": int(words), "distinct": distinct}


def overlap(ours: Path, theirs: Path) -> float:
    """Of our words, repetitions included, the share that the other result has as well."""
    (share,) = _asked(
        "SELECT sum(least(ours.count, coalesce(theirs.count, 0))) / sum(ours.count) "
        f"FROM {_lines(ours, _COUNTS)} AS ours "
        f"LEFT JOIN {_lines(theirs, chr(9))} AS theirs USING (word)"
    )
    return float(share)


def add_up(folder: Path, target: Path) -> None:
    """Write the sum of all our counts files below a folder, as one of them."""
    _asked(
        "COPY (SELECT word || ':' || sum(count) FROM "
        f"{_lines(folder, _COUNTS)} GROUP BY word) "
        f"TO '{target}' (FORMAT csv, HEADER false, QUOTE '', DELIMITER '\x01')"
    )


def _asked(query: str) -> tuple[Any, ...]:
    try:
        with duckdb.connect() as connection:
            row = connection.execute(query).fetchone()
    except duckdb.Error as error:
        raise DisagreementError(f"a result can't be read: {error}") from error
    return row or ()


def _lines(result: Path, separator: str) -> str:
    """A subquery of words and counts: of a file, or of a folder of parts (PySpark's) or ours."""
    pattern = "/part-*" if separator == "\t" else "/**/*.txt"
    files = f"{result}{pattern if result.is_dir() else ''}"
    count = f"split_part(line, '{separator}', -1)"
    return (
        f"(SELECT left(line, -1 - length({count})) AS word, {count}::BIGINT AS count "
        f"FROM read_csv('{files}', columns = {{'line': 'VARCHAR'}}, header = false, "
        "delim = '\x01', quote = '', escape = '', auto_detect = false, new_line = '\\n'))"
    )
