"""The cases of the merge: many small count files, and more words than fit into the memory."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.bench.measure import Case, DisagreementError
from benchmarks.bench.workshop import PEERS, Workshop, clear

GIB = 1 << 30
_FILES = 40  # that the many words are spread over


def cases(shop: Workshop) -> Iterator[Case]:
    """Both merges, ours first."""
    counted = partial(_counted_files, shop)
    yield _ours(shop, "merge/files/ours/2", counted, options=("--memory", "512MiB"))
    yield _ours(shop, "merge/files/ours-partials/2", counted, plan=True)
    yield from _peers(shop, "merge/files", counted, memory=0, also="merge_python.py")
    many = partial(_many_words, shop)
    yield _ours(shop, "merge/words/ours/2", many, rounds=1, options=("--memory", "1GiB"))
    yield from _peers(shop, "merge/words", many, memory=GIB, rounds=1)


def _ours(
    shop: Workshop,
    key: str,
    data: Callable[[], Path],
    *,
    plan: bool = False,
    options: tuple[str, ...] = (),
    rounds: int | None = None,
) -> Case:
    folder, place = _folder(shop, key), shop.place(key)
    source = ["-p", str(folder / "plan.json")] if plan else ["-s", str(folder / "counts")]

    def prepare() -> None:
        data()
        # The receipt of an earlier merge of the plan would spare the work.
        for receipt in (folder / "plan").glob("**/merge*"):
            clear(receipt)
        clear(place)

    return Case(
        key=key,
        command=shop.wordfreq("merge", *source, "--output", place, *options),
        prepare=prepare,
        check=partial(_check, shop, key, place / "totals.parquet"),
        rounds=rounds,
        memory=shop.memory,
    )


def _peers(
    shop: Workshop,
    prefix: str,
    data: Callable[[], Path],
    *,
    memory: int,
    rounds: int | None = None,
    also: str = "",
) -> Iterator[Case]:
    if shop.peers is None:
        return
    for program in filter(None, ("merge_duckdb.py", "merge_polars.py", "merge_sort.sh", also)):
        name = program.removeprefix("merge_").partition(".")[0]
        key = f"{prefix}/{name}/{1 if name == 'python' else 2}"
        output = shop.place(key).with_suffix(".parquet" if name in ("duckdb", "polars") else ".tsv")
        arguments = [str(_folder(shop, key) / "tsv"), str(output), key[-1], str(memory)]

        def prepare(output: Path = output) -> None:
            data()
            clear(output)

        script = program.endswith(".sh")
        yield Case(
            key=key,
            command=[str(PEERS / program), *arguments]
            if script
            else shop.peer(program, *arguments),
            prepare=prepare,
            check=partial(_check, shop, key, output),
            rounds=rounds,
            memory=shop.memory,
        )


def _folder(shop: Workshop, key: str) -> Path:
    """Where the count files of this merge are."""
    if key.startswith("merge/files"):
        return shop.work / "merge-input"
    return shop.folder / "corpora" / f"merge-{shop.corpora.sizes.merge_words}"


def _counted_files(shop: Workshop) -> Path:
    """The small files counted by us; and, for the peers, the same as TSV, sorted by word."""
    folder = _folder(shop, "merge/files")
    if (folder / "tsv").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    shop.plan(shop.corpora.small(), "merge-input", "--pack", "1000GiB")
    migrate = shop.wordfreq("migrate", "-p", folder / "plan.json", "-i", "0")
    subprocess.run(migrate, check=True, capture_output=True)
    unfinished = folder / "tsv.part"
    unfinished.mkdir()
    for number, path in enumerate(sorted((folder / "counts").rglob("*.txt"))):
        lines = sorted(line.rpartition(b":") for line in path.read_bytes().splitlines())
        rows = [b"%b\t%b\n" % (word, count) for word, _, count in lines]
        (unfinished / f"{number:05}.tsv").write_bytes(b"".join(rows))
    unfinished.rename(folder / "tsv")
    return folder


def _many_words(shop: Workshop) -> Path:
    """Files of made-up words: each in one file, and every second in another one as well."""
    import duckdb

    folder = _folder(shop, "merge/words")
    if (folder / "tsv").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "counts").mkdir(parents=True)
    (folder / "tsv.part").mkdir()
    connection = duckdb.connect(str(folder / "words.duckdb"))
    number = shop.corpora.sizes.merge_words
    connection.execute(f"""
        CREATE TABLE words AS
        SELECT substr(md5(id::VARCHAR), 1, 14) AS word, 1 + id % 7 AS count,
               (hash(id + copy * 1000000007) % {_FILES})::INTEGER AS file
        FROM range({number}) AS ids(id), range(2) AS copies(copy) WHERE copy = 0 OR id % 2 = 0
    """)
    plain = "(FORMAT csv, HEADER false, QUOTE '', DELIMITER '{}')"
    for file in range(_FILES):
        # A word's two copies may meet in one file: there it is one line.
        summed = f"SELECT word, sum(count) AS count FROM words WHERE file = {file} GROUP BY word"
        for name, order, separator in (
            (f"counts/{file:02}.txt", "count DESC, word", ":"),
            (f"tsv.part/{file:02}.tsv", "word", "\t"),
        ):
            connection.execute(
                f"COPY ({summed} ORDER BY {order}) TO '{folder / name}' {plain.format(separator)}"
            )
    connection.close()
    (folder / "words.duckdb").unlink()
    (folder / "tsv.part").rename(folder / "tsv")
    return folder


def _check(shop: Workshop, key: str, totals: Path) -> dict[str, Any]:
    """Words, sum and a digest that doesn't depend on the order."""
    import duckdb

    source = (
        f"read_parquet('{totals}')"
        if totals.suffix == ".parquet"
        else f"read_csv('{totals}', columns = {{'word': 'VARCHAR', 'count': 'BIGINT'}}, "
        "header = false, delim = '\t', quote = '', escape = '', auto_detect = false)"
    )
    row = (
        duckdb.connect()
        .execute(
            "SELECT count(*), sum(count), bit_xor(hash(word, count::BIGINT)), "
            f"arg_max(word, count) FROM {source}"
        )
        .fetchone()
    )
    if row is None or not row[0]:
        raise DisagreementError(f"{key} left no totals")
    if key.startswith("merge/words") and row[0] != shop.corpora.sizes.merge_words:
        raise DisagreementError(f"{key} found {row[0]:,} different words")
    return {"distinct": row[0], "words": int(row[1]), "digest": f"{row[2]:016x}"}
