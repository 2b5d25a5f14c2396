"""docs/benchmarks.md, its plot, and the same figures as JSON."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.bench import prose
from benchmarks.bench.measure import Case, Results
from benchmarks.bench.tables import (
    HEAD,
    KINDS,
    NAMES,
    SAME,
    SAME_WORDS,
    SIMPLER,
    contradictions,
    failure,
    has_our_words,
    kind,
    name,
    net,
    number,
    rows,
    short,
    spread,
    table,
)
from benchmarks.bench.workshop import PEERS, Workshop

PLOT = "benchmark-counting.png"
_ENGLISH = "count/english/ours/1"
_NO_MARKS = str.maketrans("", "", "*`")
_TERA = 10**12
_PRICE = 0.04048  # USD for a vCPU-hour: Fargate's list price, Linux on x86, us-east-1; no memory


def write(results: Results, cases: Sequence[Case], shop: Workshop, folder: Path) -> int:
    """Write everything; returns 1 if results contradict each other."""
    folder.mkdir(parents=True, exist_ok=True)
    wrong = contradictions(results, cases)
    sections = [
        prose.HEAD,
        _warning(wrong),
        _headline(results, shop),
        f"![Megabytes counted per CPU second](images/{PLOT})\n" if shop.peers else "",
        _summary(results, shop),
        _machine(results),
        prose.METHOD,
        _corpora(results),
        prose.WORDS,
        *_counting(results, cases, shop),
        _equality(results, cases),
        prose.SMALL,
        table([*HEAD, "result"], rows(results, cases, "small/files", base="small/files/ours/1")),
        prose.HUGE,
        table([*HEAD, "result"], rows(results, cases, "huge/file", base="huge/file/ours/1")),
        _money(results, shop),
        prose.LIMITS,
        table(HEAD, rows(results, cases, "limits/english", base=_ENGLISH, agreements=False)),
        *_merge(results, cases),
        *_services(results, cases),
        prose.TAIL,
    ]
    text = "\n".join(section for section in sections if section)
    (folder / "benchmarks.md").write_text(text)
    (folder / "benchmarks.json").write_text(_json(results, cases))
    _draw(results, shop, folder)
    print(f"the report: {folder / 'benchmarks.md'}")
    for line in wrong:
        print(f"CONTRADICTION: {line}")
    return 1 if wrong else 0


def _warning(wrong: list[str]) -> str:
    if not wrong:
        return ""
    return (
        "**Results contradict each other:**\n\n" + "\n".join(f"* {each}" for each in wrong) + "\n"
    )


def _rate(results: Results, key: str, size: int) -> float | None:
    """MB per CPU second, without start-up."""
    used = net(results, key)
    return size / used / 1e6 if used else None


def _rates(results: Results, shop: Workshop, corpus: str) -> dict[str, float]:
    """MB per CPU second of everybody with one thread."""
    size = shop.corpora.file(corpus).stat().st_size
    found = {}
    for key in results.runs:
        contestant = key.split("/")[2]
        if not key.startswith(f"count/{corpus}/") or not key.endswith("/1"):
            continue
        if contestant != "ours-counter" and (rate := _rate(results, key, size)):
            found[contestant] = rate
    return found


def _summary(results: Results, shop: Workshop) -> str:
    """Per corpus: ours, the best peer with our words, the best one with the simpler rule."""
    lines = []
    for corpus in shop.corpora.names():
        rates = _rates(results, shop, corpus)
        ours = rates.pop("ours", None)
        if ours is None:
            continue
        line = [f"**{corpus}**", number(ours)]
        for which in (SAME, SIMPLER):
            peers = {who: rate for who, rate in rates.items() if kind(who) == which}
            best = max(peers, key=peers.__getitem__, default="")
            line.append(f"{short(best)}: {number(peers[best])}" if peers else "–")
            line.append(number(ours / peers[best], 1) if peers else "–")
        lines.append(line)
    return prose.SUMMARY + table(prose.SUMMARY_HEAD, lines) if lines else ""


def _machine(results: Results) -> str:
    facts = {**results.settings["machine"], **results.settings["versions"]}
    facts["measured"] = time.strftime("%Y-%m-%d", time.localtime(results.path.stat().st_mtime))
    loads = [run.load for runs in results.runs.values() for run in runs]
    if loads:
        facts["load when runs began"] = f"{min(loads):.1f} to {max(loads):.1f}"
    return "## Machine and versions\n\n" + table(["what", "which"], facts.items())


def _corpora(results: Results) -> str:
    facts = results.settings["corpora"]
    sizes, english, other = facts["sizes"], facts["english"], facts["translations"]
    return prose.CORPORA.format(
        **{key: f"{value / 1e6:,.0f}" for key, value in sizes.items() if value >= 10**6},
        files=f"{sizes['small_files']:,}",
        english_mb=f"{english['bytes'] / 1e6:.1f}",
        english_paragraphs=f"{english['paragraphs']:,}",
        english_print=english["fingerprint"],
        other_mb=f"{other['bytes'] / 1e6:.1f}",
        other_paragraphs=f"{other['paragraphs']:,}",
        other_print=other["fingerprint"],
        debian="with" if facts["debian"] else "without",
        sizes=", ".join(f"{key} {value:,}" for key, value in sizes.items()),
    )


def _counting(results: Results, cases: Sequence[Case], shop: Workshop) -> list[str]:
    found = ["## Counting\n", prose.COUNTING]
    for corpus in shop.corpora.names():
        size = shop.corpora.file(corpus).stat().st_size
        fact = results.facts.get(f"count/{corpus}/ours/1", {})
        words = f", {fact['words']:,} words, {fact['distinct']:,} different" if fact else ""
        found.append(f"### {corpus}: {size / 1e6:,.1f} MB{words}\n")
        found += _both_rules(results, cases, f"count/{corpus}")
    found.append("### Start-up: a file of 1 KB\n")
    found.append(_plain(results, cases, "start/tiny"))
    return found


def _both_rules(results: Results, cases: Sequence[Case], prefix: str) -> Iterator[str]:
    """A table with the peers that have our words, if there are any; one with the others."""
    base, head = f"{prefix}/ours/1", [*HEAD, "result"]
    kinds = {kind(case.parts[2]) for case in cases if case.key.startswith(f"{prefix}/")}
    if SAME not in kinds:
        yield prose.NO_SAME if SIMPLER in kinds else ""
        yield table(head, rows(results, cases, prefix, base=base))
        return
    yield prose.SAME
    yield table(head, rows(results, cases, prefix, base=base, keep=has_our_words))
    yield prose.SIMPLER
    simpler = rows(
        results,
        cases,
        prefix,
        base=base,
        keep=lambda case: case.key == base or not has_our_words(case),
    )
    yield table(head, simpler)


def _plain(results: Results, cases: Sequence[Case], prefix: str) -> str:
    """Seconds and memory only."""
    lines = []
    for case in cases:
        if case.key.startswith(prefix + "/"):
            reason = failure(results, case.key)
            wall = f"**failed**: {reason}" if reason else spread(results, case.key)
            cpu, peak = results.middle(case.key, "cpu"), results.middle(case.key, "peak")
            mega = None if peak is None else peak / 1e6
            lines.append([name(case.parts[-2]), wall, number(cpu, 3), number(mega)])
    return table(["what", "wall s", "CPU s", "peak MB"], lines)


def _equality(results: Results, cases: Sequence[Case]) -> str:
    lines = []
    for corpus in dict.fromkeys(case.parts[1] for case in cases if case.parts[0] == "icu"):
        prefix = f"icu/{corpus}"
        size = next(case.size for case in cases if case.key == f"{prefix}/kernel/1")
        facts = [results.facts.get(f"{prefix}/{who}/1", {}) for who in ("kernel", "icu", "icu4py")]
        digests = {fact.get("digest") for fact in facts}
        same = "all three equal" if len(digests) == 1 and None not in digests else "**differ**"
        whole = {
            who: results.facts.get(f"count/{corpus}/{who}/1", {}).get("digest")
            for who in ("ours", "ours-counter")
        }
        rates = [
            number(_gross(results, f"{prefix}/{who}/1", size))
            for who in ("kernel", "icu", "icu4py")
        ]
        agree = "equal" if len(set(whole.values())) == 1 else "**differ**"
        agree = "–" if None in whole.values() else agree
        shown = f"{facts[0].get('distinct', 0):,}"
        lines.append([corpus, f"{size / 1e6:.1f}", shown, *rates, same, agree])
    head = ["corpus", "MB", "different words", "kernel", "ICU alone", "icu4py"]
    head += ["on these MB", "`migrate` and counter, whole corpus"]
    return prose.EQUALITY + table(head, lines)


def _gross(results: Results, key: str, size: int) -> float | None:
    cpu = results.middle(key, "cpu")
    return size / cpu / 1e6 if cpu else None


def _money(results: Results, shop: Workshop) -> str:
    """vCPU-hours for 1 TB of English, from the CPU seconds that start-up is not part of."""
    found = []
    for contestant, rate in _rates(results, shop, "english").items():
        start = results.middle(f"start/tiny/{contestant.removesuffix(SAME_WORDS)}/1", "cpu")
        place = KINDS.index(kind(contestant))
        found.append((place, _TERA / 1e6 / rate / 3600, contestant, start))
    found.sort()
    ours = next((hours for _, hours, contestant, _ in found if contestant == "ours"), None)
    lines = [
        [
            short(contestant),
            kind(contestant),
            number(hours, 2),
            number(hours / ours, 1) if ours else "–",
            f"{hours * _PRICE:,.2f}",
            number(start),
        ]
        for _, hours, contestant, start in found
    ]
    head = ["contestant", "words", "vCPU-hours for 1 TB", "ours = 1", "USD"]
    head.append("start-up, CPU s a process")
    return prose.MONEY.format(price=_PRICE) + table(head, lines)


def _merge(results: Results, cases: Sequence[Case]) -> list[str]:
    found = [prose.MERGE]
    for prefix, title in (("merge/files", "many small files"), ("merge/words", "many words")):
        fact = results.facts.get(f"{prefix}/ours/2", {})
        words = f": {fact['distinct']:,} different words" if "distinct" in fact else ""
        chosen = rows(results, cases, prefix, base=f"{prefix}/ours/2")
        lines = [[row[0], row[1], row[2], row[4], row[6], row[7], row[8]] for row in chosen]
        found.append(f"### {title}{words}\n")
        head = [HEAD[0], HEAD[1], HEAD[2], HEAD[4], HEAD[6], HEAD[7], "result"]
        found.append(
            table(head, [[*row[:6], row[6].replace("our words", "same")] for row in lines])
        )
    return found


def _services(results: Results, cases: Sequence[Case]) -> list[str]:
    found = [prose.S3]
    for prefix in ("s3/large", "s3/small"):
        found.append(f"### {prefix.removeprefix('s3/')}\n")
        found.append(
            table(HEAD, rows(results, cases, prefix, base=f"{prefix}/ours/1", agreements=False))
        )
    found += [prose.FIXED, _plain(results, cases, "fixed/start")]
    shown = {
        "fixed/batch/children of the embedded Batch/2": "Trivial children of the embedded Batch"
    }
    for key, title in shown.items():
        printed = results.facts.get(key, {}).get("printed", "") or failure(results, key)
        found.append(f"{title}:\n\n```\n{printed.strip()}\n```\n")
    return [*found, _pipelines(results, cases), _plan(results, cases)]


def _pipelines(results: Results, cases: Sequence[Case]) -> str:
    """The whole job by number of files and store."""
    lines = []
    for case in cases:
        if not case.key.startswith("fixed/pipeline/"):
            continue
        store, files = case.key.split("/")[2].split(", ")
        if reason := failure(results, case.key):
            lines.append([files, prose.STORES[store], f"**failed**: {reason}", *["–"] * 5])
            continue
        fact = results.facts[case.key]
        own = results.facts.get(f"fixed/pipeline/{store}-dagster, {files}/2", {}).get("new")
        lines.append(
            [
                files,
                prose.STORES[store],
                number(fact["new"]),
                number(own / fact["new"], 1) if own else "–",
                number(fact["nothing"]),
                number(fact["orchestrator_cpu"]),
                str(fact["orchestrator_mib"]),
                number(fact.get("page")),
            ]
        )
    return prose.PIPELINE + table(prose.PIPELINE_HEAD, lines) if lines else ""


def _headline(results: Results, shop: Workshop) -> str:
    """The three numbers."""
    lines = []
    rates = _rates(results, shop, "english")
    if (ours := rates.pop("ours", None)) and rates:
        best = {k: max((r for w, r in rates.items() if kind(w) == k), default=0) for k in KINDS}
        against = ", ".join(
            f"{ours / best[k]:.1f} times the best peer with {k}" for k in KINDS[1:] if best[k]
        )
        dollars = _TERA / 1e6 / ours / 3600 * _PRICE
        lines.append(
            f"**{ours:,.0f} MB of English a CPU second**, {against}: "
            f"{dollars:.2f} USD for a terabyte."
        )
    files = f"{shop.corpora.sizes.small_files:,} files"
    facts = {
        store: results.facts.get(f"fixed/pipeline/{store}, {files}/2", {}) for store in prose.STORES
    }
    if "new" in facts["sqlite"]:
        taken = [
            f"{facts[store]['new']:.0f} s on {name}"
            + (f" ({own:.0f} s with Dagster's own storage)" if own else "")
            for store, name in (("sqlite", "SQLite"), ("postgres", "PostgreSQL with TLS"))
            if "new" in facts[store]
            for own in [facts[f"{store}-dagster"].get("new")]
        ]
        lines.append(f"**{files}**, the whole job in Dagster: **{', '.join(taken)}**.")
        lines.append(f"**Nothing new: {facts['sqlite']['nothing']:.1f} s** from launch to ranking.")
    return "\n".join(f"* {line}" for line in lines) + "\n" if lines else ""


def _plan(results: Results, cases: Sequence[Case]) -> str:
    listing = next((case for case in cases if case.key == "s3/list/ours/1"), None)
    lines: list[tuple[str, str]] = []
    if listing and (wall := results.middle(listing.key, "wall")):
        rate = f"{listing.size / wall:,.0f} objects/s, start of the program included"
        lines.append((f"listing {listing.size:,} objects of the S3 server", rate))
    fact: dict[str, Any] = results.facts.get("plan/simulated/ours/1", {})
    if "objects" in fact:
        lines += [
            ("objects, simulated", f"{fact['objects']:,}"),
            ("making the plan", f"{fact['seconds_build']:.1f} s"),
            ("writing it", f"{fact['seconds_write']:.1f} s"),
            ("CPU in all", f"{fact['cpu']:.1f} s, peak {fact['peak'] / 1e6:,.0f} MB"),
            ("plan", f"{fact['plan_bytes'] / 1e6:,.1f} MB, {fact['tasks']:,} tasks"),
            ("their slices", f"{fact['tasks_bytes'] / 1e6:,.1f} MB"),
            (
                "what one child reads",
                f"{fact['child_bytes'] / 1000:,.0f} KB for its {fact['child_files']:,} files, "
                f"in {1000 * fact['child_seconds']:.1f} ms",
            ),
        ]
    return prose.PLAN + table(["what", "how much"], lines)


def _json(results: Results, cases: Sequence[Case]) -> str:
    """Medians and facts; small enough to be kept beside the text."""
    figures = {}
    for case in cases:
        wall = results.middle(case.key, "wall")
        facts = {k: v for k, v in results.facts.get(case.key, {}).items() if k != "printed"}
        figures[case.key] = {
            "runs": len(results.good(case.key)),
            "size": case.size,
            **({} if wall is None else {"wall": round(wall, 3)}),
            **{
                what: round(value, 3)
                for what in ("cpu", "peak")
                if (value := results.middle(case.key, what)) is not None
            },
            **({"failed": reason} if (reason := failure(results, case.key)) else {}),
            **facts,
        }
    return json.dumps({"settings": results.settings, "figures": figures}, indent=1) + "\n"


def _draw(results: Results, shop: Workshop, folder: Path) -> None:
    """The plot, by matplotlib of the peers' environment."""
    if shop.peers is None:
        return
    bars = {
        corpus: [
            (kind(who), NAMES[who.removesuffix(SAME_WORDS)].translate(_NO_MARKS), rate)
            for who, rate in _rates(results, shop, corpus).items()
        ]
        for corpus in shop.corpora.names()
    }
    target = folder / "images" / PLOT
    target.parent.mkdir(parents=True, exist_ok=True)
    program = PEERS / "plot.py"
    done = subprocess.run(
        [str(shop.peers), str(program), str(target)],
        input=json.dumps(bars),
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        print(f"no plot: {done.stderr.strip().splitlines()[-1:]}")
