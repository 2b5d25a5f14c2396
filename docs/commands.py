"""Write `docs/commands.md` from the parsers of the command lines: `make reference` runs it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import aws_batch_emulator.__main__ as emulator
import dagster_aws_batch.__main__ as client
import wordfreq_batch.cli.main as container
import wordfreq_dagster.__main__ as project

_PLAIN = str.maketrans({"|": "\\|", "<": "\\<"})  # else they end a cell, or begin a tag
PAGE = Path(__file__).with_name("commands.md")
INTRO = """# Commands and their options

Made by `make reference` from the programs' own help, which also has examples and exit codes
(`--help`).
"""


def page() -> str:
    """The whole page, Markdown."""
    programs = (container, project, client, emulator)
    return "\n".join([INTRO, *(line for each in programs for line in _of(each.build_parser()))])


def _of(parser: argparse.ArgumentParser, summary: str | None = None) -> Iterator[str]:
    text = (parser.description or summary or "").partition("\n\n")[0]
    yield f"## `{parser.prog}`\n"
    if text:
        yield f"{' '.join(text.split())}\n"
    own = (argparse._HelpAction, argparse._SubParsersAction)
    if options := [each for each in parser._actions if not isinstance(each, own)]:
        yield "| option | meaning |\n|---|---|"
        yield from map(_row, options)
        yield ""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            said = {each.dest: each.help for each in action._choices_actions}
            for name, command in action.choices.items():
                yield from _of(command, said.get(name))


def _row(option: argparse.Action) -> str:
    names = ", ".join(f"`{name}`" for name in option.option_strings) or f"`{option.dest}`"
    value = option.metavar or (option.dest.upper() if option.nargs is None else "")
    value = f" {value}" if value and option.option_strings else ""
    meaning = " ".join(((option.help or "") % vars(option)).split())
    return f"| {names}{value.translate(_PLAIN)} | {meaning.translate(_PLAIN)} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
