"""`make demo`: run the job `word_frequency` through the CLI on real text and show the result.

`python -m demo.word_frequency [--source FOLDER|s3://…]`. Without a source it gathers, once, text
that the installed packages bring: licences, readmes, metadata, documentation.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import shutil
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from demo.csv_to_dynamodb import serve_with_table
from demo.runs import make_instance, run_job

_TEXTS = (".md", ".rst", ".txt")
_NAMED = ("METADATA", "LICENSE", "LICENCE", "COPYING", "NOTICE", "AUTHORS", "README")
_MOST_FILES = 1000
_MOST_OF_A_PACKAGE = 40
_WORDS_SHOWN = 20
_FOLDERS_SHOWN = 6
_WORDS_OF_A_FOLDER = 6
_SETTINGS = {
    # small, so that also little text becomes an array job that uses every processor
    "WORDFREQ_PACK": "2MiB",
    # without them the first words of every text are the same
    "WORDFREQ_STOP_WORDS": "en",
    # each package's own words tell more than those of all together
    "WORDFREQ_FOLDER_DEPTH": "1",
}


def gather_texts(folder: Path, *, most: int) -> int:
    """Copy up to `most` text files of installed packages into `folder`; returns how many.

    The same packages give the same files. An existing folder is left as it is: it is the user's
    to change, so that the next run has something to notice.
    """
    if folder.exists():
        return sum(1 for path in folder.rglob("*") if path.is_file())
    building = folder.with_name(folder.name + ".new")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    copied = 0
    for path, name in _texts():
        target = building / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        copied += 1
        if copied == most:
            break
    building.rename(folder)
    return copied


def _texts() -> Iterator[tuple[Path, str]]:
    """Text files of installed packages with their names below site-packages, in a fixed order."""
    roots = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    distributions = sorted(
        importlib.metadata.distributions(path=sorted(roots)),
        key=lambda found: str(found.metadata["Name"]).lower(),
    )
    for distribution in distributions:
        found = 0
        for file in sorted(distribution.files or (), key=str):
            name = str(file)
            if name.startswith("..") or not (file.name.startswith(_NAMED) or file.suffix in _TEXTS):
                continue
            path = Path(str(file.locate()))
            if path.is_file():
                yield path, name
                found += 1
            if found == _MOST_OF_A_PACKAGE:
                break


def prepare(home: Path, source: str | None, *, files: int) -> dict[str, str]:
    """Make the Dagster instance and the sample text; returns the environment for the CLI."""
    environment = dict(os.environ)
    make_instance(Path(environment.setdefault("DAGSTER_HOME", str(home / "dagster"))))
    environment["WORDFREQ_HOME"] = str(home)
    for name, value in _SETTINGS.items():
        environment.setdefault(name, value)
    if source:
        environment["WORDFREQ_SOURCE"] = source
    elif "WORDFREQ_SOURCE" not in environment:
        there = gather_texts(home / "source", most=files)
        print(f"source: {home / 'source'} ({there:,} files: texts of the installed packages)")
    return environment


def open_ui(environment: dict[str, str], port: int) -> NoReturn:
    """Become the Dagster UI: it gets the signals of this process, and the same settings."""
    print(f"the UI: http://127.0.0.1:{port}  (Ctrl-C ends it)", flush=True)
    root = Path(__file__).resolve().parents[1]
    os.chdir(root)
    command = ["dg", "dev", "-w", "workspace.yaml", "--host", "127.0.0.1", "--port", str(port)]
    dg = str(Path(sys.executable).with_name("dg"))
    serve_with_table(Path(environment["WORDFREQ_HOME"]), [dg, *command[1:]], environment)
    os.execve(dg, command, environment)  # noqa: S606


def report(environment: dict[str, str], seconds: float) -> None:
    """Print the ranking, the figures of the run and where everything is."""
    os.environ.update(environment)
    import dagster as dg  # late: --help and the first lines of the demo must not wait for it

    from wordfreq_batch.merge.document import Ranking
    from wordfreq_batch.merge.ranking import table
    from wordfreq_batch.storage.opening import open_store
    from wordfreq_batch.tables.engine import description
    from wordfreq_dagster.settings import load_settings

    settings = load_settings()
    store = open_store(settings.ranking)
    ranked = Ranking.loads(store.get("ranking.json"), uri=store.url("ranking.json"))
    with dg.DagsterInstance.get() as instance:
        figures = {name: _figures(instance, name) for name in ("plan", "word_counts", "ranking")}
    counts, ranking = figures["word_counts"], figures["ranking"]
    print()
    print(table(ranked.words[:_WORDS_SHOWN]), end="")
    if ranked.folders:
        print("\nthe largest folders and their most used words:")
    for each in ranked.folders[:_FOLDERS_SHOWN]:
        words = ", ".join(entry.word for entry in each.words[:_WORDS_OF_A_FOLDER])
        print(f"  {each.folder or '(top)':<28} {each.files:>5,} files   {words}")
    print(f"""
files     {ranking["files"]:,} in the source; {counts["files counted"]:,} counted in this run, \
{counts["files unchanged"]:,} unchanged
words     {ranking["words"]:,}, of them {ranking["distinct words"]:,} distinct
time      {seconds:.1f} s in all
engine    {description()}

source    {settings.source}
counts    {settings.destination}
ranking   {settings.ranking}   (ranking.json, totals.parquet)
report    {settings.ranking}/report.html
instance  {environment["DAGSTER_HOME"]}

Next:
  1. `make ui` and open http://127.0.0.1:3000/assets/ranking: the table, its chart, what has changed
  2. http://127.0.0.1:3000/assets/word_counts?view=partitions: the figures of each file
  3. copy a text into {settings.source}: within a minute it is counted and ranked
  4. `make demo-csv`: the second pipeline, CSVs into DynamoDB; then `make ui` shows both""")


def _figures(instance: Any, name: str) -> dict[str, Any]:
    import dagster as dg

    event = instance.get_latest_materialization_event(dg.AssetKey(name))
    found = event.asset_materialization if event else None
    return {key: value.value for key, value in found.metadata.items()} if found else {}


def main() -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="make demo", description="Run the job word_frequency on real text, show the ranking."
    )
    parser.add_argument("--source", help="a folder or s3://bucket/prefix of your own")
    parser.add_argument(
        "--files", type=int, default=_MOST_FILES, help="how many files to gather at most (1000)"
    )
    parser.add_argument(
        "--ui", type=int, metavar="PORT", help="run nothing, open the Dagster UI on this port"
    )
    options = parser.parse_args()
    home = Path(os.environ.get("WORDFREQ_HOME") or ".local").absolute()
    environment = prepare(home, options.source, files=options.files)
    if options.ui:
        open_ui(environment, options.ui)
    started = time.monotonic()
    log = home / "logs" / time.strftime("demo-%Y%m%d-%H%M%S.log")
    try:
        code = run_job(environment, log)
    except KeyboardInterrupt:
        return 130
    if code:
        print(f"\nthe run failed (exit code {code}); its log: {log}", file=sys.stderr)
        return code
    report(environment, time.monotonic() - started)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
