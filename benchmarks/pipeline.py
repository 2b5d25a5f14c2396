"""The fixed costs of the pipeline: many small files through the job, on this machine.

    python benchmarks/pipeline.py [--files 10000] [--bytes 10240] [--pack 4MiB]

Makes files of English-like text in a temporary folder, runs `dg launch --job word_frequency` twice
(all new, then nothing new) and prints seconds in all and per stage, Batch API calls, events and the
peak memory of the orchestrator. Nothing outside the temporary folder is touched.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
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


def run(environment: dict[str, str]) -> None:
    """Run the job once and print what it took."""
    started = time.monotonic()
    done = subprocess.run(
        [Path(sys.executable).with_name("dg"), "launch", "--job", "word_frequency"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - started
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(done.stdout[-4000:])
    print(f"in all {seconds:.1f} s; peak memory of `dg launch` {usage.ru_maxrss / 1024:.0f} MiB")
    begun: dict[str, float] = {}
    for line in done.stdout.splitlines():
        if not (match := STAMP.match(line)):
            continue
        at = time.mktime(time.strptime(match[1], "%Y-%m-%d %H:%M:%S"))
        if match[3] == "STEP_START":
            begun[match[2]] = at
        elif match[3] in ("STEP_SUCCESS", "STEP_FAILURE"):
            print(f"  {match[2]:<28} {at - begun[match[2]]:6.0f} s")
    print(f"  partition events: {done.stdout.count(' - ASSET_MATERIALIZATION - ')}")


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


def main() -> None:
    """Parse the options and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--bytes", type=int, default=10_240)
    parser.add_argument("--pack", default="4MiB")
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="wordfreq-bench-"))
    try:
        (home / "dagster").mkdir()
        shutil.copyfile(
            ROOT / "infra" / "dagster" / "local.yaml", home / "dagster" / "dagster.yaml"
        )
        make_files(home / "source", files=options.files, size=options.bytes)
        environment = dict(os.environ) | {
            "DAGSTER_HOME": str(home / "dagster"),
            "WORDFREQ_HOME": str(home),
            "WORDFREQ_PACK": options.pack,
        }
        print(f"{options.files:,} files of {options.bytes:,} bytes, all new:")
        run(environment)
        figures(environment)
        print("again, nothing new:")
        run(environment)
    finally:
        from aws_batch_emulator import stop_running

        stop_running(home / "batch")
        shutil.rmtree(home)


if __name__ == "__main__":
    main()
