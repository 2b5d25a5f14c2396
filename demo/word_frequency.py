"""`make demo`: run the job `word_frequency` through the CLI on real text and show the result.

`python -m demo.word_frequency [--source FOLDER|s3://…]`. Without a source it gathers, once, the
documentation that installed packages bring (`demo.texts`).
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from pathlib import Path
from typing import NoReturn

from demo.csv_to_dynamodb import serve_with_table
from demo.runs import make_instance, positive, run_job
from demo.texts import gather_texts

_MOST_FILES = 600
_WORDS_SHOWN = 15
_FOLDERS_SHOWN = 10
_WORDS_OF_A_FOLDER = 7
_SETTINGS = {
    # small, so that also little text becomes an array job that uses every processor
    "WORDFREQ_PACK": "2MiB",
    # without them the first words of every text are the same
    "WORDFREQ_STOP_WORDS": "en",
    # each subject's own words tell more than those of all together
    "WORDFREQ_FOLDER_DEPTH": "1",
}


def prepare(home: Path, source: str | None, *, files: int) -> dict[str, str]:
    """Make the Dagster instance and the sample text; returns the environment for the CLI.

    It is written to HOME/env too: who continues in a shell has to have the same settings, else
    the next run ranks with others.
    """
    environment = dict(os.environ)
    make_instance(Path(environment.setdefault("DAGSTER_HOME", str(home / "dagster"))))
    environment["WORDFREQ_HOME"] = str(home)
    for name, value in _SETTINGS.items():
        environment.setdefault(name, value)
    if source:
        environment["WORDFREQ_SOURCE"] = source
    elif "WORDFREQ_SOURCE" not in environment:
        there = gather_texts(home / "source", most=files)
        subjects = "documentation of AWS services, Dagster and Python"
        print(f"source: {home / 'source'} ({there:,} files: {subjects})")
    names = ("DAGSTER_HOME", "WORDFREQ_HOME", "WORDFREQ_SOURCE", *_SETTINGS)
    lines = [
        f"export {name}={shlex.quote(environment[name])}" for name in names if name in environment
    ]
    activate = shlex.quote(str(Path(sys.executable).with_name("activate")))
    (home / "env").write_text("\n".join([f". {activate}", *lines, ""]))
    return environment


def last_source(home: Path) -> str | None:
    """The source of the last demo, where it had one of the user's own."""
    file = home / "env"
    words = shlex.split(file.read_text()) if file.exists() else []
    given = [word.partition("=")[2] for word in words if word.startswith("WORDFREQ_SOURCE=")]
    return given[0] if given else None


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

    from wordfreq_batch.merge.ranking import word_table
    from wordfreq_batch.tables.engine import description
    from wordfreq_dagster.files.places import WordPlaces
    from wordfreq_dagster.files.plans import latest_metadata
    from wordfreq_dagster.settings import load_settings

    settings = load_settings()
    places = WordPlaces(**settings.values(WordPlaces.model_fields) | {"stop_words": []})
    ranked = places.read_ranking()
    with dg.DagsterInstance.get() as instance:
        counts, ranking = (
            latest_metadata(instance, dg.AssetKey(name)) for name in ("word_counts", "ranking")
        )
    print()
    print(word_table(ranked.words[:_WORDS_SHOWN]))
    if ranked.folders:
        print("\nthe most used words of each folder (the largest first):\n")
    shown = ranked.folders[:_FOLDERS_SHOWN]
    width = max((len(each.folder or "(top)") for each in shown), default=0)
    for each in shown:
        words = ", ".join(entry.word for entry in each.words[:_WORDS_OF_A_FOLDER])
        print(f"  {each.folder or '(top)':<{width}}  {each.files:>5,} files  {words}")
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
  1. `make ui`, then open http://127.0.0.1:3000/assets/ranking: the table, its chart, the folders
  2. click word_counts in its lineage, then Partitions: the figures of each file
  3. while the UI runs, copy a text into {settings.source}:
     within a minute it is counted and ranked, and the ranking says which words rose
  4. in a shell: `. {os.path.relpath(environment["WORDFREQ_HOME"])}/env`, then
     `dg launch --job word_frequency`
  5. `make demo-csv`: the second pipeline, CSVs into DynamoDB; then `make ui` shows both""")


def main() -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="make demo", description="Run the job word_frequency on real text, show the ranking."
    )
    parser.add_argument("--source", help="a folder or s3://bucket/prefix of your own")
    parser.add_argument(
        "--files", type=positive, default=_MOST_FILES, help="how many files to gather at most (600)"
    )
    parser.add_argument(
        "--ui", type=positive, metavar="PORT", help="run nothing, open the Dagster UI on this port"
    )
    options = parser.parse_args()
    home = Path(os.environ.get("WORDFREQ_HOME") or ".local").absolute()
    source = options.source or (last_source(home) if options.ui else None)
    environment = prepare(home, source, files=options.files)
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
