"""The command line: one container's work for each command; `count` and `lookup` are for people.

Names and options are those of the system this one re-creates, so its documented submit commands
work. Results go to stdout, everything else to stderr. Nothing heavy is imported before a command
needs it: `--help` and a typing error answer at once.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext, redirect_stdout, suppress
from importlib import import_module
from typing import Final, TextIO

from wordfreq_batch import __version__
from wordfreq_batch.cli.options import EXIT_CODES, Commands, ReportError, reporting, say
from wordfreq_batch.errors import (
    NO_MEMORY,
    OUT_OF_MEMORY,
    UsageError,
    WordfreqError,
    is_out_of_memory,
)
from wordfreq_batch.stopping import Stopped, raise_on_signals, stop_before_errors

_MODULES: Final = {
    "count": "count",
    "plan": "stages",
    "migrate": "stages",
    "merge": "merge",
    "lookup": "lookup",
    "ingest": "ingest",
    "redrive": "ingest",
    "mirror": "mirror",
}
"""Each command's module beside this one, whose function `add_…` adds it to the parser."""

_MAIN_EXAMPLE = """\
examples, on a laptop:
  wordfreq count   books

the same in the steps that the pipeline runs on AWS Batch:
  wordfreq plan    --source books --destination out/counts --plan out/plan.json
  wordfreq migrate --plan out/plan.json --index 0
  wordfreq merge   --plan out/plan.json

`wordfreq help COMMAND` has more.

"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Meant for a process of its own: takes signals."""
    try:
        return _run(arguments)
    except Stopped as stopped:
        say(f"stopped by {stopped.name}; nothing half-written is left, run it again to go on")
        return stopped.exit_code


def _run(arguments: Sequence[str] | None) -> int:
    as_json = False
    try:
        raise_on_signals()
        _show_any_name(sys.stdout)
        arguments = sys.argv[1:] if arguments is None else arguments
        parser = build_parser(only=next(iter(arguments), ""))
        options = parser.parse_args(arguments)
        as_json = getattr(options, "json", False)
        command: Callable[[argparse.Namespace], int] = options.command
        with stop_before_errors(), redirect_stdout(sys.stderr) if as_json else nullcontext():
            code = command(options)
        with reporting():
            sys.stdout.flush()
        return code
    except WordfreqError as error:
        return _failed(str(error), error.exit_code, as_json=as_json)
    except ReportError as error:
        # Python mustn't complain at its exit, where it writes what is left once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error.__cause__, BrokenPipeError):
            return 0  # the reader of our output (`| head`) has seen enough
        say(f"error: stdout: {error.__cause__}; the work is done, only its report is lost")
        return 1
    except Exception as error:
        if is_out_of_memory(error):
            return _failed(OUT_OF_MEMORY, NO_MEMORY, as_json=as_json)
        if not isinstance(error, OSError):
            raise
        from wordfreq_batch.temporary import no_room

        return _failed(no_room(error), WordfreqError.exit_code, as_json=as_json)


def _failed(message: str, code: int, *, as_json: bool) -> int:
    say(f"error: {message}")
    if as_json:
        with suppress(OSError):
            print(json.dumps({"Error": message, "ExitCode": code}), flush=True)
    return code


def _show_any_name(stream: TextIO) -> None:
    """Let the stream show what its encoding doesn't have as escapes, as `say` does."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")


def build_parser(*, only: str = "") -> argparse.ArgumentParser:
    """The commands and their options; only those of `only`, quickly, if it is a command."""
    parser = argparse.ArgumentParser(
        prog="wordfreq",
        description="Count and rank the words of every file below an S3 prefix or in a folder.",
        epilog=_MAIN_EXAMPLE + EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version", action=_Version, nargs=0, help="show versions and the word engine in use"
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name in (only,) if only in _MODULES else _MODULES:
        module = import_module(f"wordfreq_batch.cli.{_MODULES[name]}")
        getattr(module, f"add_{name}")(commands)
    _add_help(commands, parser)
    return parser


def _add_help(commands: Commands, whole: argparse.ArgumentParser) -> None:
    known = commands.choices
    parser = commands.add_parser("help", help="explain a command", allow_abbrev=False)
    parser.add_argument("topic", nargs="?", metavar="COMMAND", help="the command to explain")

    def show(options: argparse.Namespace) -> int:
        if options.topic not in (None, *known):
            raise UsageError(f"there is no command {options.topic!r}; choose of {', '.join(known)}")
        with reporting():
            (known[options.topic] if options.topic else whole).print_help()
        return 0

    parser.set_defaults(command=show)
    whole.set_defaults(command=show, topic=None)


class _Version(argparse.Action):
    """`--version`; the engine is loaded only for it."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from wordfreq_batch.tables import engine
        from wordfreq_batch.text import words

        used = engine.description()
        print(f"wordfreq {__version__}; counter {words.COUNTER_VERSION}; word engine: {used}")
        parser.exit()
