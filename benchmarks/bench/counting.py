"""The cases of counting: ours and the peers on every corpus, and what the machine can do at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.bench import agreement
from benchmarks.bench.measure import Case
from benchmarks.bench.workshop import MEMORY, PEERS, Workshop, clear

ENGINES = ("chdb", "polars", "duckdb", "datafusion", "spark")
"""They can use several threads; the rest has one."""

_SINGLE = ("python", "sklearn", "pipeline-awk", "pipeline-sort")
_ENGLISH_ONLY = ("spark", "sklearn", "pipeline-sort")
"""Twenty seconds and more a run, and never the best: on one corpus, with one thread."""

_LEFT_OUT = (("python-uax29", "quotes"), ("duckdb-uax29", "quotes"), ("pipeline-awk", "logs"))
"""Ten seconds and more that show nothing which other rows don't: the best in none of them."""

_NEED_TEXT = ("multilingual",)  # no regular expression has the words of UAX #29 there


def cases(shop: Workshop) -> Iterator[Case]:
    """All cases of counting, ours first within each corpus."""
    yield from _start_up(shop)
    for corpus in shop.corpora.names():
        source = shop.corpora.file(corpus)
        yield from _ours(shop, f"count/{corpus}", source)
        yield from _peers(shop, f"count/{corpus}", source)
    for corpus in shop.corpora.names():
        yield from _slices(shop, corpus)
    yield from _small(shop)
    yield from _huge(shop)
    yield from _limits(shop)


def reference(shop: Workshop, prefix: str) -> Path:
    """Where our own words of a corpus are kept for comparisons: lines `word:count`."""
    return shop.work / "reference" / prefix.replace("/", "-")


def migrate(
    shop: Workshop, key: str, source: Path, *, threads: int = 1, pack: bool = False, **more: Any
) -> Case:
    """`wordfreq migrate` as the container runs it, on a fresh plan of one task."""
    plan = shop.place(key) / "plan.json"
    return Case(
        key=key,
        command=shop.wordfreq("migrate", "-p", plan, "-i", "0", *shop.threads(threads)),
        size=_size(source),
        reads=source,
        prepare=partial(shop.plan, source, key, *(["--pack", "1000GiB"] if pack else [])),
        memory=shop.memory,
        **more,
    )


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(each.stat().st_size for each in path.rglob("*.txt"))
    return path.stat().st_size


def _numbers(shop: Workshop) -> tuple[int, ...]:
    return (1, 2) if shop.has_threads else (1,)


def _ours(shop: Workshop, prefix: str, source: Path) -> Iterator[Case]:
    for threads in _numbers(shop):
        key = f"{prefix}/ours/{threads}"
        counts = shop.place(key) / "counts" / source.name
        yield migrate(
            shop, key, source, threads=threads, check=partial(_check_ours, shop, prefix, counts)
        )
    key = f"{prefix}/ours-counter/1"
    output = shop.place(key)
    yield Case(
        key=key,
        command=_library(shop, "count_ours.py", source, output),
        size=_size(source),
        reads=source,
        prepare=partial(clear, output),
        check=partial(_check_ours, shop, prefix, output),
    )


def _library(shop: Workshop, program: str, source: Path, output: Path) -> list[str]:
    """A program of `benchmarks/peers` that runs on this project's own Python."""
    return [str(shop.python), str(PEERS / program), str(source), str(output), "1", "uax29"]


def _check_ours(shop: Workshop, prefix: str, counts: Path) -> dict[str, Any]:
    kept = reference(shop, prefix)
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(counts, kept)
    return agreement.facts(counts, ":")


def _check_peer(shop: Workshop, prefix: str, output: Path) -> dict[str, Any]:
    found = agreement.facts(output)
    ours = reference(shop, prefix)
    if ours.exists():
        found["overlap"] = agreement.overlap(ours, output)
    return found


def _peer(shop: Workshop, key: str, source: Path, rule: str, **more: Any) -> Case:
    """A peer's program; `key` ends with `…/NAME[-RULE]/THREADS`."""
    prefix, name, threads = key.rsplit("/", 2)
    program = name.removesuffix("-uax29")
    output = shop.place(key)
    if program.startswith("pipeline-"):
        recut = f"{shop.peers} {PEERS / 'recut.py'}"
        ascii_text = "english" in source.name or "logs" in source.name or "small" in source.name
        stage = "cat" if ascii_text or "tiny" in source.name else recut
        kind = program.removeprefix("pipeline-")
        command = [str(PEERS / "pipeline.sh"), str(source), str(output), threads, kind, stage]
    else:
        command = shop.peer(f"count_{program}.py", source, output, threads, rule)
    return Case(
        key=key,
        command=command,
        size=_size(source),
        reads=source,
        prepare=partial(clear, output),
        check=partial(_check_peer, shop, prefix, output),
        memory=shop.memory,
        **more,
    )


def _peers(shop: Workshop, prefix: str, source: Path) -> Iterator[Case]:
    """The peers with our words, where there are such words for them; then those with runs."""
    if shop.peers is None:
        return
    corpus = prefix.rpartition("/")[2]
    if corpus not in _NEED_TEXT:
        for name in ("chdb", "polars", "duckdb", "python"):
            if (f"{name}-uax29", corpus) in _LEFT_OUT:
                continue
            for threads in _threads(name):
                yield _peer(shop, f"{prefix}/{name}-uax29/{threads}", source, "uax29")
    for name in (*ENGINES, *_SINGLE):
        if (name in _ENGLISH_ONLY and corpus != "english") or (name, corpus) in _LEFT_OUT:
            continue
        for threads in (1,) if name in _ENGLISH_ONLY else _threads(name):
            yield _peer(shop, f"{prefix}/{name}/{threads}", source, "runs")


def _threads(name: str) -> tuple[int, ...]:
    return (1, 2) if name in ENGINES else (1,)


def _slices(shop: Workshop, corpus: str) -> Iterator[Case]:
    """The kernel, the same program without it, and a separate one over icu4py, on a part."""
    source = shop.corpora.file(f"slice-{corpus}")
    prefix = f"icu/{corpus}"
    for name, engine in (("kernel", "kernel"), ("icu", "icu")):
        output = shop.place(f"{prefix}/{name}/1")
        yield Case(
            key=f"{prefix}/{name}/1",
            command=_library(shop, "count_ours.py", source, output),
            size=_size(source),
            reads=source,
            environment={"WORDFREQ_ENGINE": engine},
            prepare=partial(clear, output),
            check=partial(_check_ours, shop, prefix, output),
        )
    output = shop.place(f"{prefix}/icu4py/1")
    yield Case(
        key=f"{prefix}/icu4py/1",
        command=_library(shop, "count_icu.py", source, output),
        size=_size(source),
        reads=source,
        prepare=partial(clear, output),
        check=partial(_check_peer, shop, prefix, output),
    )


def _small(shop: Workshop) -> Iterator[Case]:
    source = shop.corpora.small()
    for threads in _numbers(shop):
        key = f"small/files/ours/{threads}"
        counts = shop.place(key) / "counts"
        check = partial(_check_folder, shop, counts)
        yield migrate(shop, key, source, threads=threads, pack=True, check=check)
    if MEMORY.parent.is_dir():
        memory = replace(shop, folder=MEMORY)
        for threads in _numbers(shop):
            key = f"small/files/ours-memory/{threads}"
            check = partial(_check_folder, shop, memory.place(key) / "counts")
            yield migrate(memory, key, source, threads=threads, pack=True, check=check)
    if shop.peers is not None:
        # Not chDB by that rule: it took 4 ms of CPU a file more than by the other, a minute in all.
        yield _peer(shop, "small/files/polars-uax29/2", source, "uax29")
        for name in ("chdb", "polars", "duckdb", "datafusion", "python", "pipeline-awk"):
            yield _peer(shop, f"small/files/{name}/{_threads(name)[-1]}", source, "runs")


def _check_folder(shop: Workshop, counts: Path) -> dict[str, Any]:
    kept = reference(shop, "small/files")
    kept.parent.mkdir(parents=True, exist_ok=True)
    agreement.add_up(counts, kept)
    return agreement.facts(kept, ":")


def _huge(shop: Workshop) -> Iterator[Case]:
    source = shop.corpora.file("huge")
    for threads in _numbers(shop):
        key = f"huge/file/ours/{threads}"
        counts = shop.place(key) / "counts" / source.name
        check = partial(_check_ours, shop, "huge/file", counts)
        yield migrate(shop, key, source, threads=threads, check=check)
    if shop.peers is not None:
        yield _peer(shop, "huge/file/chdb/2", source, "runs")  # the best there is


def _start_up(shop: Workshop) -> Iterator[Case]:
    """A file of 1 KB: what a contestant takes before any counting."""
    tiny = shop.corpora.file("tiny")
    yield migrate(shop, "start/tiny/ours/1", tiny)
    yield Case(
        key="start/tiny/ours-counter/1",
        command=_library(shop, "count_ours.py", tiny, shop.place("start/tiny/ours-counter/1")),
        size=_size(tiny),
        prepare=partial(clear, shop.place("start/tiny/ours-counter/1")),
    )
    if shop.peers is not None:
        for name in (*ENGINES, *_SINGLE):
            yield _peer(shop, f"start/tiny/{name}/1", tiny, "runs")


def _limits(shop: Workshop) -> Iterator[Case]:
    source = shop.corpora.file("english")
    commands: dict[str, tuple[list[str], dict[str, str]]] = {
        "wc -l": (["wc", "-l", str(source)], {}),
        "wc -w, bytes": (["wc", "-w", str(source)], {"LC_ALL": "C"}),
        "wc -w, UTF-8": (["wc", "-w", str(source)], {"LC_ALL": "C.UTF-8"}),
        "cat": (["cat", str(source)], {}),
    }
    for name, (command, environment) in commands.items():
        yield Case(
            key=f"limits/english/{name}/1",
            command=command,
            environment=environment,
            size=_size(source),
            reads=source,
        )
    if shop.peers is not None:
        yield Case(
            key="limits/english/scan/1",
            command=shop.peer("scan.py", source),
            size=_size(source),
            reads=source,
        )
