"""`python -m wordfreq_dagster outputs FILE`: the settings of a deployment as `export` lines."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from wordfreq_dagster.outputs import OutputsError, read_outputs
from wordfreq_dagster.settings import PREFIX, Settings


def build_parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    parser = argparse.ArgumentParser(prog="python -m wordfreq_dagster")
    commands = parser.add_subparsers(dest="command", required=True)
    outputs = commands.add_parser(
        "outputs", help="print the settings that `make deploy` left in a file, for a shell"
    )
    outputs.add_argument("file", type=Path, help="the file, such as infra/outputs.json")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    chosen = build_parser().parse_args(arguments)
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
