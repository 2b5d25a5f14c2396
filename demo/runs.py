"""Running a job through the command line on a Dagster instance of this machine, for the demos."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

#: Where the pooled event logs were before the client had them.
_MOVED = "wordfreq_dagster.storage."


def make_instance(folder: Path) -> None:
    """Make a Dagster instance for one machine in `folder`, unless there is one."""
    folder.mkdir(parents=True, exist_ok=True)
    config = Path(__file__).resolve().parents[1] / "infra" / "dagster" / "local.yaml"
    own = folder / "dagster.yaml"
    if not own.exists():
        shutil.copyfile(config, own)
    elif _MOVED in (text := own.read_text(encoding="utf-8")):
        own.write_text(text.replace(_MOVED, "dagster_aws_batch.events."), encoding="utf-8")


def positive(text: str) -> int:
    """A number of an option that 0 would make no sense of."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError("1 or more is needed")
    return int(text)


def run_job(environment: dict[str, str], log: Path, *, job: str = "word_frequency") -> int:
    """Run the job through `dg launch`, show its progress, keep everything it prints in `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [str(Path(sys.executable).with_name("dg")), "launch", "--job", job]
    print(f"$ dg launch --job {job}        (all its output: {log})", flush=True)
    started = time.monotonic()
    with (
        log.open("w", encoding="utf-8") as kept,
        subprocess.Popen(
            command,
            cwd=Path(__file__).resolve().parents[1],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        assert process.stdout is not None
        try:
            for line in process.stdout:
                kept.write(line)
                if shown := progress_of(line):
                    print(f"{time.monotonic() - started:7.1f} s  {shown}", flush=True)
        except KeyboardInterrupt:
            # The terminal interrupted `dg` too, which cancels the Batch jobs: wait for that.
            print("interrupted: waiting for the run to cancel its containers", flush=True)
            process.wait(timeout=60)
            raise
    return process.returncode


def progress_of(line: str) -> str | None:
    """What a person wants to see of one line of Dagster's log: `step: message`, or None."""
    match = _LOG_LINE.match(line.rstrip("\n"))
    if not match or match["rest"].endswith(":"):  # the head of a table, which isn't shown
        return None
    if match["level"] == "DEBUG":
        found = _EVENT.search(match["rest"])
        return f"{found['step']}: {found['event'].lower()[5:]}" if found else None
    step, separator, message = match["rest"].partition(" - ")
    return f"{step}: {message}" if separator and step != "None" else match["rest"]


_LOG_LINE = re.compile(r"^\S+ \S+ \S+ - dagster - (?P<level>[A-Z]+) - \w+ - \S+ - (?P<rest>.*)$")
_EVENT = re.compile(r"- (?P<step>\w+) - (?P<event>STEP_(?:START|FAILURE)) - ")
