"""The fixed costs of the pipeline: many small files through the job, on this machine.

    python -m benchmarks.pipeline [--files 10000] [--bytes 10240] [--pack 4MiB] [--stores sqlite]

Makes files of English-like text in a temporary folder and runs `dg launch --job word_frequency`
twice (all new, then nothing new) on a fresh instance of each store: `sqlite` and `postgres` as
`infra/dagster` configures them; `sqlite-dagster` and `postgres-dagster` with Dagster's own classes
and one write per event. PostgreSQL runs on this machine with TLS, passwords and a durable disk.
Prints seconds in all and per stage, CPU seconds, Batch API calls, events, peak memory of the
orchestrator, and how the stores compare. Nothing outside the temporary folder is touched.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
STORES = ("sqlite", "postgres", "sqlite-dagster", "postgres-dagster")
PASSWORD = "benchmark"
STAMP = re.compile(r"^(\S+ \S+) \S+ - dagster - DEBUG - \S+ - \S+ - \d+ - (\w+) - (STEP_\w+) - ")


def make_files(folder: Path, *, files: int, size: int) -> None:
    """Write text whose words have the frequencies of a natural language (Zipf)."""
    draw = random.Random(1)
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    words = ["".join(draw.choices(letters, k=draw.randint(2, 9))) for _ in range(30_000)]
    weights = [1 / (rank + 2) for rank in range(len(words))]
    text = " ".join(draw.choices(words, weights, k=2_000_000))
    for number in range(files):
        path = folder / f"{number // 1000:03}" / f"{number:06}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        start = draw.randrange(len(text) - size)
        path.write_text(text[start : start + size])


def configure(home: Path, store: str, port: int | None) -> None:
    """Write the `dagster.yaml` of a store into its own DAGSTER_HOME."""
    database, _, own = store.partition("-")
    local = yaml.safe_load((ROOT / "infra" / "dagster" / "local.yaml").read_text())
    chosen: dict[str, Any] = local["event_log_storage"]
    if database == "postgres":
        deployment = yaml.safe_load((ROOT / "infra" / "dagster" / "deployment.yaml").read_text())
        del local["event_log_storage"]
        local["storage"] = deployment["storage"]
        chosen = local["storage"]["custom"]
        chosen["config"]["postgres_db"]["port"] = port
    if own:
        chosen["class"] = {
            "sqlite": "ConsolidatedSqliteEventLogStorage",
            "postgres": "DagsterPostgresStorage",
        }[database]
    home.mkdir()
    (home / "dagster.yaml").write_text(yaml.safe_dump(local))


@contextmanager
def database(store: str) -> Iterator[int | None]:
    """The port of a fresh PostgreSQL server where the store needs one."""
    if not store.startswith("postgres"):
        yield None
        return
    from tests.postgres import postgres_server

    with postgres_server(password=PASSWORD, durable=True) as port:
        yield port


def run(environment: dict[str, str]) -> float:
    """Run the job once, print what it took and return the seconds."""
    started = time.monotonic()
    with subprocess.Popen(
        [Path(sys.executable).with_name("dg"), "launch", "--job", "word_frequency"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - started
    if process.returncode:
        sys.exit(printed[-4000:])
    cpu = usage.ru_utime + usage.ru_stime
    print(
        f"in all {seconds:.1f} s; CPU of `dg launch` {cpu:.1f} s, "
        f"peak memory {usage.ru_maxrss / 1024:.0f} MiB"
    )
    begun: dict[str, float] = {}
    for line in printed.splitlines():
        if not (match := STAMP.match(line)):
            continue
        at = time.mktime(time.strptime(match[1], "%Y-%m-%d %H:%M:%S"))
        if match[3] == "STEP_START":
            begun[match[2]] = at
        elif match[3] in ("STEP_SUCCESS", "STEP_FAILURE"):
            print(f"  {match[2]:<28} {at - begun[match[2]]:6.0f} s")
    print(f"  partition events: {printed.count(' - ASSET_MATERIALIZATION - ')}")
    return seconds


def figures(environment: dict[str, str]) -> None:
    """Print the calls and times that the client recorded."""
    os.environ.update(environment)
    import dagster as dg

    with dg.DagsterInstance.get() as instance:
        for name in ("plan", "word_counts", "ranking"):
            event = instance.get_latest_materialization_event(dg.AssetKey(name))
            assert event is not None and event.asset_materialization is not None
            found = {k: v.value for k, v in event.asset_materialization.metadata.items()}
            shown = {k: found[k] for k in found if k in ("batch/tasks", "batch/api_calls")}
            print(f"  {name}: {shown} batch/seconds {found.get('batch/seconds')}")


def page(environment: dict[str, str], files: int) -> float:
    """Seconds until Chromium shows how many partitions `word_counts` has."""
    from playwright.sync_api import sync_playwright

    from tests.waiting import answers, until

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [Path(sys.executable).with_name("dagster-webserver"), "-w", "workspace.yaml"]
    server = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: answers(f"{url}/server_info"), process=server)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
            )
            opened = browser.new_page()
            opened.goto(f"{url}/assets/ranking")  # the program of the page is loaded then
            opened.get_by_text("ranking").first.wait_for()
            started = time.monotonic()
            opened.goto(f"{url}/assets/word_counts?view=partitions")
            shown = re.compile(rf"Materialized \(({files}|{files:,})\)")
            opened.get_by_text(shown).first.wait_for(timeout=600_000)
            seconds = time.monotonic() - started
            browser.close()
    finally:
        server.terminate()
        server.wait()
    return seconds


def measure(store: str, folder: Path, options: argparse.Namespace) -> float:
    """Run the job twice on a fresh instance and home; return the seconds of the first run."""
    home = folder / store
    home.mkdir()
    with database(store) as port:
        configure(home / "dagster", store, port)
        own = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        environment = own | {
            "DAGSTER_HOME": str(home / "dagster"),
            "WORDFREQ_HOME": str(home),
            "WORDFREQ_SOURCE": str(folder / "source"),
            "WORDFREQ_PACK": options.pack,
            "DAGSTER_PG_HOST": "127.0.0.1",
            "DAGSTER_PG_USERNAME": "dagster",
            "DAGSTER_PG_PASSWORD": PASSWORD,
            "DAGSTER_PG_DB": "dagster",
        }
        if store.endswith("-dagster"):
            environment["DAGSTER_EVENT_BATCH_SIZE"] = "0"
        try:
            print(f"{store}: {options.files:,} files of {options.bytes:,} bytes, all new:")
            seconds = run(environment)
            figures(environment)
            print("again, nothing new:", flush=True)
            run(environment)
            if options.page:
                print(f"partition page in Chromium: {page(environment, options.files):.1f} s")
        finally:
            from aws_batch_emulator import stop_running

            stop_running(home / "batch")
    shutil.rmtree(home)
    return seconds


def main() -> None:
    """Parse the options and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--bytes", type=int, default=10_240)
    parser.add_argument("--pack", default="4MiB")
    parser.add_argument("--stores", default="sqlite", help=f"several by commas, of {STORES}")
    parser.add_argument("--page", action="store_true", help="time the partition page in Chromium")
    options = parser.parse_args()
    stores = options.stores.split(",")
    if unknown := set(stores) - set(STORES):
        parser.error(f"--stores: {sorted(unknown)} are none of {STORES}")
    folder = Path(tempfile.mkdtemp(prefix="wordfreq-bench-"))
    try:
        make_files(folder / "source", files=options.files, size=options.bytes)
        seconds = {store: measure(store, folder, options) for store in stores}
    finally:
        shutil.rmtree(folder)
    for store in stores:
        if (own := f"{store}-dagster") in seconds:
            ratio = seconds[own] / seconds[store]
            print(
                f"{store}: {seconds[store]:.1f} s; Dagster's own {seconds[own]:.1f} s: {ratio:.1f}"
            )


if __name__ == "__main__":
    main()
