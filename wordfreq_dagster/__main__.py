"""`python -m wordfreq_dagster`: `outputs FILE` prints settings, `doctor` looks at them."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from wordfreq_dagster.outputs import OutputsError, read_outputs
from wordfreq_dagster.settings import PREFIX, Settings, SettingsError, load_settings


def build_parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    parser = argparse.ArgumentParser(prog="python -m wordfreq_dagster")
    commands = parser.add_subparsers(dest="command", required=True)
    outputs = commands.add_parser(
        "outputs", help="print the settings that `make deploy` left in a file, for a shell"
    )
    outputs.add_argument("file", type=Path, help="the file, such as infra/outputs.json")
    commands.add_parser("doctor", help="look at all that the settings name, and say what to repair")
    return parser


def doctor() -> int:
    """Print what was found; 1 if something is to be repaired."""
    from dagster_aws_batch.__main__ import main as ask_batch
    from dagster_aws_batch.findings import Level
    from wordfreq_dagster.doctor import batch_commands, examine

    try:
        settings = load_settings()
    except SettingsError as error:
        sys.stderr.write(f"doctor: error: {error}\n")
        return 1
    wrong = False
    for finding in examine(settings):
        sys.stdout.write(f"{finding}\n")
        wrong |= finding.level is Level.ERROR
    if settings.embedded:
        sys.stdout.write("ok       AWS Batch: the embedded one, which starts with a run\n")
    for command in [] if settings.embedded else batch_commands(settings):
        sys.stdout.write(f"\n{command[-1]}:\n")
        sys.stdout.flush()
        wrong |= ask_batch(command) != 0
    return int(wrong)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    chosen = build_parser().parse_args(arguments)
    if chosen.command == "doctor":
        return doctor()
    try:
        found = read_outputs(chosen.file, Settings.model_fields)
    except OutputsError as error:
        sys.stderr.write(f"outputs: error: {error}\n")
        return 1
    for setting, value in found.items():
        sys.stdout.write(f"export {PREFIX}{setting.upper()}={shlex.quote(value)}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
