"""Adds up the counts of all files into one sorted Parquet file, in bounded memory (DuckDB).

For `wordfreq.merge` only. DuckDB's hash aggregation needs the whole vocabulary in memory (more than
its limit is an error, not a spill: docs/merge-engine.md), so the items are first written into so
many partitions, by a hash of the word, that each fits by itself; each is summed up, and DuckDB's
sort, which does spill, puts the sums in order.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import zstandard

from wordfreq.counts import Block
from wordfreq.errors import StorageError
from wordfreq.tally import Item

# What DuckDB can work with, and what interpreter, libraries and buffers take besides its limit.
LEAST_MEMORY: Final = 128 << 20
OVERHEAD: Final = 128 << 20
# Memory that summing up may need for a byte of text; measured 2 to 4 for words of 10 letters.
_EXPANSION: Final = 6
_MOST_PARTITIONS: Final = 256
_PARTITION_ROW: Final = 200  # bytes, generously, of a row waiting to be written to its partition


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """All words with the sums of their counts.

    `path` is a Parquet file with the columns `word` (string) and `count` (64-bit integer), sorted
    by count, highest first, then by word in code point order. `words` is the sum of all counts.
    """

    path: Path
    words: int
    distinct: int
    database: _Database

    def __iter__(self) -> Iterator[Item]:
        """Yield the words in the file's order."""
        return self.database.rows(f"SELECT word, count FROM '{_quoted(self.path)}'")  # noqa: S608


class _Database:
    """DuckDB, working in a thread of its own.

    In the main thread it would answer a signal with an error of its own in place of the exception
    that our handler raises; like this the main thread waits in Python, and stops the query.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        import duckdb

        self._folder = folder
        self._error = duckdb.Error
        self._connection = duckdb.connect(config=_settings(folder, limit))
        self._connection.execute("SET enable_progress_bar = false")  # it would go to stdout
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="wordfreq-duckdb")

    def __enter__(self) -> _Database:
        return self

    def __exit__(self, *exception: object) -> None:
        self._connection.interrupt()
        self._thread.shutdown()
        self._connection.close()

    def run(self, statement: str) -> None:
        """Execute a statement; the error of DuckDB's becomes one with advice."""
        try:
            self._thread.submit(self._connection.execute, statement).result()
        except self._error as error:
            raise StorageError(
                f"adding up the counts failed: {error}; give it more --memory, "
                f"or a temporary folder (TMPDIR, now {self._folder.parent}) with more room"
            ) from error

    def rows(self, query: str) -> Iterator[Any]:
        """Run a query and yield its rows."""
        self.run(query)
        while batch := self._connection.fetchmany(1024):
            yield from batch


@contextmanager
def summed(blocks: Iterable[Block], *, memory: int) -> Iterator[Totals]:
    """Sum up the counts, equal words together. Files are gone when the context ends, however.

    The process stays near `memory` bytes, but never below `LEAST_MEMORY + OVERHEAD`.

    Raises:
        StorageError: the temporary folder is full, or the memory is too small after all.
    """
    folder = Path(tempfile.mkdtemp(prefix="wordfreq-"))
    try:
        limit = max(memory - OVERHEAD, LEAST_MEMORY)
        spool, size = _spooled(blocks, folder)
        with _Database(folder, limit) as database:
            yield _sums(database, folder, spool, size, limit)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _settings(folder: Path, limit: int) -> dict[str, str | bool | int | float | list[str]]:
    return {
        "memory_limit": f"{limit}B",
        "temp_directory": str(folder / "spill"),
        "threads": 1,  # each has buffers of its own; one keeps up with what is read
        # Input order has no meaning here, and keeping it takes memory. ORDER BY is not affected.
        "preserve_insertion_order": False,
        # Everything is built in; nothing is fetched from the network, whatever a query says.
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }


def _spooled(blocks: Iterable[Block], folder: Path) -> tuple[Path, int]:
    """Write everything to a file, lines of `word TAB count`; also returns their size in bytes."""
    path, size = folder / "spool.zst", 0
    compressor = zstandard.ZstdCompressor(level=1).compressobj()
    with path.open("wb") as file:
        for words, counts in blocks:
            lines = ("\n".join(map("\t".join, zip(words, counts, strict=True))) + "\n").encode()
            size += len(lines)
            try:
                file.write(compressor.compress(lines))
            except OSError as error:
                raise StorageError(
                    f"the temporary folder (TMPDIR, now {folder.parent}) can't be written: {error}"
                ) from error
        file.write(compressor.flush())
    return path, size


def _sums(database: _Database, folder: Path, spool: Path, size: int, limit: int) -> Totals:
    path = folder / "totals.parquet"
    partitions = min(1 + size * _EXPANSION // limit, _MOST_PARTITIONS)
    source = (
        f"read_csv('{_quoted(spool)}', delim='\t', quote='', escape='', header=false, "
        "auto_detect=false, compression='zstd', columns={'word': 'VARCHAR', 'count': 'BIGINT'})"
    )
    # The numbers and paths in these statements are our own (S608).
    if size == 0:
        source = "(SELECT '' AS word, 0 AS count WHERE false)"
    if partitions == 1:
        sums = _sum_of(source)
    else:
        waiting = max(2048, limit // partitions // _PARTITION_ROW)
        database.run(f"SET partitioned_write_flush_threshold = {waiting}")
        parted = f"SELECT word, count, hash(word) % {partitions} AS part FROM {source}"  # noqa: S608
        target = _quoted(folder / "parts")
        database.run(f"COPY ({parted}) TO '{target}' (FORMAT parquet, PARTITION_BY part)")
        spool.unlink()
        for part in sorted((folder / "parts").iterdir()):
            source = f"read_parquet('{_quoted(part)}/*.parquet', hive_partitioning=false)"
            target = _quoted(folder / f"sums-{part.name}.parquet")
            database.run(f"COPY ({_sum_of(source)}) TO '{target}' (FORMAT parquet)")
            shutil.rmtree(part)
        sums = f"SELECT word, count FROM '{_quoted(folder)}/sums-*.parquet'"  # noqa: S608
    database.run(
        f"COPY ({sums} ORDER BY count DESC, word) TO '{_quoted(path)}' "
        "(FORMAT parquet, COMPRESSION zstd)"
    )
    query = f"SELECT coalesce(sum(count), 0), count(*) FROM '{_quoted(path)}'"  # noqa: S608
    ((words, distinct),) = database.rows(query)
    return Totals(path=path, words=int(words), distinct=int(distinct), database=database)


def _sum_of(source: str) -> str:
    return f"SELECT word, sum(count)::BIGINT AS count FROM {source} GROUP BY word"  # noqa: S608


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
