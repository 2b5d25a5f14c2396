"""All words in the order of their counts, as a Parquet file (written by DuckDB).

`tables.tally` adds up and sorts, so that DuckDB, which takes a whole vocabulary into memory to sum
it up (docs/merge-engine.md), has lines to convert and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from wordfreq_batch.errors import DataError, StorageError
from wordfreq_batch.tables.by_count import LineFile
from wordfreq_batch.tables.lines import WordCount
from wordfreq_batch.tables.runs import (
    Merged,
    append,
    blocks_of,
)
from wordfreq_batch.tables.tally import Tally
from wordfreq_batch.temporary import temporary_folder

# What words get and DuckDB can work with, and what interpreter, libraries and buffers take besides.
_LEAST_FOR_WORDS: Final = 128 << 20
_OVERHEAD: Final = 128 << 20
_THREAD_MEMORY: Final = 384 << 20  # bytes that each thread of DuckDB's takes


def usable(memory: int) -> int:
    """What of a process's memory is left for words, but never less than they need."""
    return max(memory - _OVERHEAD, _LEAST_FOR_WORDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """All words with the sums of their counts, highest first, then in code point order."""

    spool: Path
    """Lines `word TAB count LF` in that order."""
    words: int
    """The sum of all counts."""
    distinct: int

    def __iter__(self) -> Iterator[WordCount]:
        """Yield the words in their order."""
        return LineFile(self.spool)

    def write_parquet(self, path: Path, *, memory: int, threads: int = 1) -> None:
        """Write the columns `word` (string) and `count` (64-bit integer), in order.

        Raises:
            StorageError: the temporary folder is full, or the memory is too small after all.
        """
        source = "(SELECT '' AS word, 0::BIGINT AS count WHERE false)"
        if self.distinct:
            source = (
                f"read_csv('{_quoted(self.spool)}', delim='\t', quote='', escape='', "
                "header=false, auto_detect=false, compression='none', "
                "columns={'word': 'VARCHAR', 'count': 'BIGINT'})"
            )
        # Paths are our own (S608).
        _run(
            f"COPY (SELECT word, count FROM {source}) TO '{_quoted(path)}' "  # noqa: S608
            "(FORMAT parquet, COMPRESSION zstd)",
            folder=path.parent,
            limit=usable(memory),
            threads=max(min(threads, memory // _THREAD_MEMORY), 1),
        )


@contextmanager
def totals_of(sums: Tally | Merged) -> Iterator[Totals]:
    """The totals of a tally, which is empty after that, or of a merge by count.

    Their files are gone when the context ends, however.
    """
    with temporary_folder() as folder:
        spool = folder / "spool.tsv"
        if isinstance(sums, Tally):
            sums.write_by_count(spool)
        else:
            append(spool, blocks_of(sums))
        totals = Totals(spool=spool, words=sums.total, distinct=sums.distinct)
        if isinstance(sums, Tally):
            sums.close()
        yield totals


def find(path: Path, words: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Count and rank, from 1, of those of the words that a Parquet file of totals has.

    Raises:
        DataError: it is no such file.
    """
    try:
        rows = _run(
            "SELECT word, count, file_row_number + 1 "  # noqa: S608 - the path is our own
            f"FROM read_parquet('{_quoted(path)}', file_row_number = true) "
            "WHERE list_contains(?, word)",
            list(words),
            folder=path.parent,
            limit=_LEAST_FOR_WORDS,
        )
    except StorageError as error:
        raise DataError(f"{path} holds no totals: {error.__cause__}") from error
    return {word: (count, rank) for word, count, rank in rows}


def _run(
    statement: str, *parameters: object, folder: Path, limit: int, threads: int = 1
) -> list[tuple[Any, ...]]:
    """Let DuckDB execute a statement and return its rows, in a thread of its own.

    In the main thread it would answer a signal with an error of its own in place of the exception
    that our handler raises; like this the main thread waits in Python, and stops the query.
    """
    import duckdb

    connection = duckdb.connect(config=_settings(folder, limit, threads))
    thread = ThreadPoolExecutor(1, thread_name_prefix="wordfreq-duckdb")
    try:
        connection.execute("SET enable_progress_bar = false")  # it would go to stdout

        def execute() -> list[tuple[Any, ...]]:
            return connection.execute(statement, parameters).fetchall()

        return thread.submit(execute).result()
    except duckdb.Error as error:
        raise StorageError(
            f"writing the totals failed: {error}; give it more --memory, "
            f"or a temporary folder (TMPDIR, now {folder.parent}) with more room"
        ) from error
    finally:
        connection.interrupt()
        thread.shutdown()
        connection.close()


def _settings(
    folder: Path, limit: int, threads: int
) -> dict[str, str | bool | int | float | list[str]]:
    return {
        "memory_limit": f"{limit}B",
        "temp_directory": str(folder / "spill"),
        "threads": threads,
        # Everything is built in; nothing is fetched from the network, whatever a query says.
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
