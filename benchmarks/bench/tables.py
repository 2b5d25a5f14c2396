"""From runs to rows: medians, ratios, and what can be said about the agreement of results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from benchmarks.bench.measure import Case, Results

NAMES = {
    "ours": "**ours**, `wordfreq migrate`",
    "ours-counter": "**ours**, the counter alone",
    "ours-memory": "**ours**, counts to a RAM disk",
    "chdb": "chDB",
    "polars": "Polars, streaming",
    "duckdb": "DuckDB",
    "datafusion": "DataFusion",
    "spark": "PySpark, `local[n]`",
    "sklearn": "scikit-learn",
    "python": "pure Python",
    "pipeline-awk": "`tr`, `tr`, `mawk`",
    "pipeline-sort": "`tr`, `tr`, `sort`, `uniq -c`",
    "kernel": "**ours**, C kernel",
    "icu": "**ours**, ICU alone",
    "icu4py": "separate program over icu4py",
    "boto3": "boto3",
    "obstore": "obstore",
    "scan": "look at every byte once (NumPy)",
    "sort": "`sort -m`, `mawk`, `sort`",
    "ours-partials": "**ours**, `--plan`: the task's partial",
    "migrate": "**ours**, `wordfreq migrate` from there",
}
SAME_WORDS = "-uax29"
KINDS = OURS, SAME, SIMPLER = ("ours", "the same words (UAX #29)", "a simpler rule (runs)")
_SUFFIX = ", UAX #29"

_OURS = {
    "merge": "**ours**, `wordfreq merge --source`",
    "s3": "**ours**, reading only",
}


def name(contestant: str, group: str = "") -> str:
    """What a contestant is called in the tables."""
    if contestant == "ours" and group in _OURS:
        return _OURS[group]
    if contestant.endswith(SAME_WORDS):
        plain = contestant.removesuffix(SAME_WORDS)
        return ("Python `re`" if plain == "python" else NAMES[plain]) + _SUFFIX
    return NAMES.get(contestant, f"`{contestant}`")


def kind(contestant: str) -> str:
    """One of `KINDS`."""
    if contestant.startswith("ours"):
        return OURS
    return SAME if contestant.endswith(SAME_WORDS) else SIMPLER


def short(contestant: str) -> str:
    """Its name where its kind stands beside it."""
    return name(contestant).removesuffix(_SUFFIX)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first two are numbers or short."""
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def number(value: float | None, digits: int = 2) -> str:
    """Three figures or so, whatever the size."""
    if value is None:
        return "–"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.{1 if value >= 10 else digits}f}"


def spread(results: Results, key: str, what: str = "wall") -> str:
    """Median (min–max) of the good runs."""
    values = [float(getattr(run, what)) for run in results.good(key)]
    middle = results.middle(key, what)
    if middle is None or len(values) < 2:
        return number(middle)
    return f"{number(middle)} ({number(min(values))}–{number(max(values))})"


def failure(results: Results, key: str) -> str:
    """Why a case has no good run, or an empty string."""
    runs = results.runs.get(key, [])
    if any(run.ok for run in runs):
        return str(results.facts.get(key, {}).get("wrong", ""))
    return runs[-1].reason.replace("|", "/")[:120] if runs else "not run"


def net(results: Results, key: str) -> float | None:
    """CPU seconds without those that the contestant takes for a file of 1 KB."""
    contestant = key.split("/")[2].removesuffix(SAME_WORDS).removesuffix("-memory")
    cpu = results.middle(key, "cpu")
    start = results.middle(f"start/tiny/{contestant}/1", "cpu")
    # A small difference of two larger figures would say nothing.
    if cpu is None or start is None or cpu - start < 0.3 * start:
        return None
    return cpu - start


def rows(
    results: Results,
    cases: Sequence[Case],
    prefix: str,
    *,
    base: str,
    agreements: bool = True,
    keep: Callable[[Case], bool] = lambda _: True,
) -> list[list[str]]:
    """The rows of one comparison; ratios are of the CPU time a byte to that of the key `base`.

    In counting, what start-up takes is left out of rates and ratios of CPU time.
    """
    chosen = [case for case in cases if case.key.startswith(prefix + "/") and keep(case)]
    agreeing = agreement(results, chosen)
    ours = _cost(results, next((case for case in cases if case.key == base), None))
    found = []
    for case in chosen:
        contestant, threads = case.parts[-2:]
        head = [name(contestant, case.parts[0]), threads]
        if reason := failure(results, case.key):
            found.append([*head, f"**failed**: {reason}", *["–"] * (5 + agreements)])
            continue
        wall = results.middle(case.key, "wall") or 0.0
        peak = results.middle(case.key, "peak") or 0.0
        cost = _cost(results, case)
        row = [
            *head,
            spread(results, case.key),
            number(case.size / wall / 1e6) if wall and case.size else "–",
            number(results.middle(case.key, "cpu")),
            number(1 / cost / 1e6) if cost and case.size else "–",
            number(cost / ours, 1) if cost and ours else "–",
            number(peak / 1e6),
        ]
        found.append([*row, agreeing[case.key]] if agreements else row)
    return found


def _cost(results: Results, case: Case | None) -> float | None:
    """CPU seconds a byte (of the merge: in all), in counting without start-up."""
    if case is None:
        return None
    counting = case.parts[0] in ("count", "small", "huge")
    cpu = net(results, case.key) if counting else results.middle(case.key, "cpu")
    return None if cpu is None else cpu / (case.size or 1)


HEAD = (
    "contestant",
    "threads",
    "wall s",
    "MB/s",
    "CPU s",
    "MB per CPU s",
    "CPU a MB, ours = 1",
    "peak MB",
)


def agreement(results: Results, cases: Sequence[Case]) -> dict[str, str]:
    """Per case: whether its result is that of the others with the same rule."""
    facts = {case.key: results.facts.get(case.key, {}) for case in cases}
    of_rule: dict[bool, list[Any]] = {True: [], False: []}
    for case in cases:
        if "digest" in facts[case.key]:
            of_rule[has_our_words(case)].append(facts[case.key]["digest"])
    usual = {rule: Counter(found).most_common(1)[0][0] for rule, found in of_rule.items() if found}
    agreeing = {}
    for case in cases:
        fact, ours = facts[case.key], has_our_words(case)
        if "digest" not in fact:
            agreeing[case.key] = "–"
        elif ours:
            agreeing[case.key] = "our words" if fact["digest"] == usual[ours] else "**differs**"
        else:
            same = "runs" if fact["digest"] == usual[ours] else "**other** runs"
            share = fact.get("overlap")
            agreeing[case.key] = same if share is None else f"{same}; {share:.1%} of our words"
    return agreeing


def has_our_words(case: Case) -> bool:
    """Whether it counts by our rule: we ourselves, and the peers with UAX #29."""
    contestant = case.parts[-2]
    exact = contestant.startswith("ours") or contestant.endswith(SAME_WORDS)
    return exact or case.parts[0] in ("icu", "merge")


def contradictions(results: Results, cases: Sequence[Case]) -> list[str]:
    """What must be equal and isn't; an empty list is what everything else stands on."""
    found = [
        f"{case.key}: {results.facts[case.key]['wrong']}"
        for case in cases
        if "wrong" in results.facts.get(case.key, {})
    ]
    groups: dict[str, list[Case]] = {}
    for case in cases:
        if has_our_words(case):
            groups.setdefault("/".join(case.parts[:2]), []).append(case)
    for group, members in groups.items():
        digests: dict[str, str] = {}
        for case in members:
            if digest := results.facts.get(case.key, {}).get("digest"):
                digests[case.key] = digest
        if len(set(digests.values())) > 1:
            found.append(f"{group}: not the same words: {digests}")
    return found
