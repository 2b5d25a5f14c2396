"""`python -m benchmarks.bench`: measure everything in turns, compare, write docs/benchmarks.md.

The page is written after the first round and after the last. Ctrl-C ends it cleanly at any point;
`--resume` goes on from there. All it makes lies below `.local/bench` and, in the meantime, in
/dev/shm: corpora are kept for the next time, the rest is removed at the start of a run.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path

from benchmarks.bench import counting, machine, merging, report, services
from benchmarks.bench.corpora import QUICK, Corpora, Sizes
from benchmarks.bench.measure import Case, DisagreementError, Results, Run, run
from benchmarks.bench.s3_server import S3Server
from benchmarks.bench.workshop import MEMORY, ROOT, Workshop

_QUICK = 3.0  # seconds; what takes longer runs once


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench; 0 if all was measured and nothing contradicts."""
    options = _options(arguments)
    sizes = _sizes(options)
    peers = None if options.no_peers else _peers(options.peers)
    environments = [Path(sys.prefix)] + ([peers.parent.parent] if peers else [])
    corpora = Corpora(options.folder / "corpora", environments, sizes)
    shop = Workshop(options.folder, corpora, peers)
    say(f"corpora below {corpora.folder}")
    settings = {
        "corpora": corpora.describe(),
        "versions": machine.versions(shop),
        "machine": machine.describe(),
        "command": "make bench-quick" if options.quick else "make bench",
    }
    results = Results(options.folder / "results.jsonl", settings)
    kept = results.open(resume=options.resume)
    if not kept:
        shutil.rmtree(shop.work, ignore_errors=True)
    shop.work.mkdir(parents=True, exist_ok=True)
    server = S3Server(shop)
    try:
        todo = [*counting.cases(shop), *merging.cases(shop), *services.cases(shop, server)]
        chosen = [case for case in todo if re.search(options.only, case.key)]
        if kept:
            say(f"{kept} runs are there already")
        began = time.monotonic()
        for number in range(options.rounds):
            measure(chosen, results, shop, number=number, options=options, began=began)
            if number in (0, options.rounds - 1):
                measured = [case for case in todo if case.key in results.runs]
                code = report.write(results, measured, shop, options.report)
    except KeyboardInterrupt:
        say("stopped; `--resume` goes on from here")
        return 130
    finally:
        server.stop()
        shutil.rmtree(MEMORY, ignore_errors=True)
    return code


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bench", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, one round: minutes")
    parser.add_argument("--resume", action="store_true", help="keep what is measured already")
    parser.add_argument("--rounds", type=int, help="runs of each case, in turns (3; quick: 1)")
    parser.add_argument(
        "--minutes", type=float, default=17.5, help="then only the first round is ended (17.5)"
    )
    parser.add_argument("--only", default="", metavar="REGEX", help="only cases whose key has it")
    parser.add_argument("--no-peers", action="store_true", help="measure this project alone")
    parser.add_argument("--peers", type=Path, default=ROOT / ".venv-bench", help="their venv")
    parser.add_argument("--folder", type=Path, default=ROOT / ".local" / "bench")
    parser.add_argument(
        "--report", type=Path, help="folder for benchmarks.md (docs; quick: the folder of the run)"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=SIZE", help=f"sizes: {_names()}"
    )
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.folder = options.folder.resolve()
    default = options.folder if options.quick else ROOT / "docs"
    options.report = options.report or default
    return options


def _names() -> str:
    return ", ".join(f"{name}={value}" for name, value in asdict(Sizes()).items())


def _sizes(options: argparse.Namespace) -> Sizes:
    sizes = QUICK if options.quick else Sizes()
    known = {field.name for field in fields(Sizes)}
    units = {"": 1, "K": 1000, "M": 10**6, "G": 10**9}
    for given in options.set:
        match = re.fullmatch(r"(\w+)=(\d+)([KMG]?)B?", given)
        if match is None or match[1] not in known:
            sys.exit(f"--set {given}: write NAME=SIZE, e.g. text=100MB; there are {_names()}")
        sizes = replace(sizes, **{match[1]: int(match[2]) * units[match[3]]})
    return sizes


def _peers(environment: Path) -> Path:
    python = environment / "bin" / "python"
    if not python.exists():
        sys.exit(f"no peers in {environment}: run `make bench`, which installs them")
    return python.absolute()


def measure(
    todo: Sequence[Case],
    results: Results,
    shop: Workshop,
    *,
    number: int,
    options: argparse.Namespace,
    began: float,
) -> None:
    """One round over all cases: so that a machine that gets slower does so for everybody.

    The first has all of them, the others those that took little time, and ours.
    """
    for index, case in enumerate(todo, 1):
        minutes = (time.monotonic() - began) / 60
        if number and minutes > options.minutes:
            say(f"{minutes:.0f} minutes are over in round {number + 1} of {options.rounds}")
            return
        if not _is_wanted(case, results.runs.get(case.key, []), number):
            continue
        head = f"[{minutes:.1f} min, round {number + 1}, {index} of {len(todo)}] {case.key}"
        finished = run(case, folder=shop.work)
        results.add(case.key, finished)
        if finished.ok:
            _check(case, results)
            rate = f", {case.size / finished.wall / 1e6:.1f} MB/s" if case.size > 10**5 else ""
            say(f"{head}: {finished.wall:.2f} s, CPU {finished.cpu:.2f} s{rate}")
        else:
            say(f"{head}: FAILED {finished.reason}")


def _is_wanted(case: Case, done: Sequence[Run], number: int) -> bool:
    """Whether a case runs in this round, the first being 0."""
    if len(done) > number or len(done) >= (case.rounds or number + 1):
        return False
    # What failed once is not tried again: it may have taken ten minutes to fail.
    ours = case.parts[-2].startswith("ours")
    return all(each.ok and (ours or each.wall <= _QUICK) for each in done)


def _check(case: Case, results: Results) -> None:
    if case.check is None or case.key in results.facts:
        return
    try:
        results.add_facts(case.key, case.check())
    except (DisagreementError, OSError, ValueError) as error:
        results.add_facts(case.key, {"wrong": str(error)})
        say(f"{case.key}: WRONG RESULT: {error}")


def say(line: str) -> None:
    """Print a line of progress."""
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
