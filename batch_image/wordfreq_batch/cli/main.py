"""The command line: `wordfreq plan | migrate | merge | ingest`, one container's work each.

Names and options are those of the system this one re-creates, so its documented submit commands
work. Results go to stdout, everything else to stderr. Nothing heavy is imported before a command
needs it: `--help` and a typing error answer at once.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TextIO

from wordfreq_batch import __version__
from wordfreq_batch.cli.ingest import add_ingest, add_redrive
from wordfreq_batch.cli.merge import add_merge
from wordfreq_batch.cli.options import (
    EXIT_CODES,
    Commands,
    add_command,
    positive,
    say,
    share,
    size,
    threads,
)
from wordfreq_batch.errors import (
    OUT_OF_MEMORY,
    InputError,
    UsageError,
    WordfreqError,
)
from wordfreq_batch.job import JobInfo
from wordfreq_batch.stopping import (
    Stopped,
    raise_on_signals,
)
from wordfreq_batch.text.options import MOST_INVALID, TextOptions

if TYPE_CHECKING:
    from wordfreq_batch.plans.formats import Receipt
    from wordfreq_batch.plans.plan import Plan

_MAIN_EXAMPLE = """\
examples, on a laptop:
  wordfreq plan    --source books --destination out/counts --plan out/plan.json
  wordfreq migrate --plan out/plan.json --index 0
  wordfreq merge   --plan out/plan.json

`wordfreq COMMAND --help` has more. The rest of the pipeline calls these on AWS Batch.

"""

_PLAN_HELP = """\
List the source, compare it with what is counted already, and write the plan: which files there
are, and which task (child of an array job) counts which.
"""

_PLAN_EXAMPLE = """\
examples:
  wordfreq plan -s s3://in/docs -d s3://out/counts -p s3://out/plans/p.json
      one task per file: `migrate --index 3` counts the fourth file
  wordfreq plan -s s3://in -d s3://out/counts -p s3://out/plans/p.json --pack 64MiB --pending
      small files share a task, and only what is new or changed is counted

An empty source gives a plan without tasks and exit code 0. Files whose names the destination can't
hold are left out and named.

"""

_MIGRATE_HELP = """\
Count the words of one task's files: one result object per file, named like it, below the plan's
destination; and a receipt beside the plan. A task that has its receipt is not done twice.
"""

_MIGRATE_EXAMPLE = """\
examples:
  wordfreq migrate -p s3://out/plans/p.json --index 0
  AWS_BATCH_JOB_ARRAY_INDEX=7 wordfreq migrate -p s3://out/plans/p.json
  BATCH_TASKS=3,7-9,12 AWS_BATCH_JOB_ARRAY_INDEX=2 wordfreq migrate -p s3://out/plans/p.json
      does task 8, the third of the list; BATCH_TASKS=@s3://out/list is an object with the list

"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Meant for a process of its own: takes signals."""
    try:
        raise_on_signals()
        _show_any_name(sys.stdout)
        options = build_parser().parse_args(arguments)
        command: Callable[[argparse.Namespace], int] | None = options.command
        if command is None:
            build_parser().print_help()
            return 0
        code = command(options)
        sys.stdout.flush()
        return code
    except Stopped as stopped:
        say(f"stopped by {stopped.name}; nothing half-written is left, run it again to go on")
        return stopped.exit_code
    except WordfreqError as error:
        say(f"error: {error}")
        return error.exit_code
    except MemoryError:
        say(f"error: {OUT_OF_MEMORY}")
        return 1
    except OSError as error:  # of stdout: those of the storage are errors of this package
        # Python mustn't complain at its exit, where it writes what is left once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return 0  # the reader of our output (`| head`) has seen enough
        say(f"error: stdout: {error.strerror}; the work is done, only its report is lost")
        return 1


def _show_any_name(stream: TextIO) -> None:
    """Let the stream show what its encoding doesn't have as escapes, as `say` does."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")


def build_parser() -> argparse.ArgumentParser:
    """The command and its options."""
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
    parser.set_defaults(command=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _add_plan(commands)
    _add_migrate(commands)
    add_merge(commands)
    add_ingest(commands)
    add_redrive(commands)
    return parser


class _Version(argparse.Action):
    """`--version`; the engine is loaded only for it."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from wordfreq_batch.tables import engine
        from wordfreq_batch.text import words

        used = engine.description()
        print(f"wordfreq {__version__}; counter {words.COUNTER_VERSION}; word engine: {used}")
        parser.exit()


def _add_plan(commands: Commands) -> None:
    parser = add_command(
        commands,
        "plan",
        _plan,
        description=_PLAN_HELP,
        example=_PLAN_EXAMPLE,
        summary="list the files and lay out the tasks",
    )
    parser.add_argument(
        "-s", "--source", required=True, metavar="URI", help="prefix, folder or file to count"
    )
    parser.add_argument(
        "-d", "--destination", required=True, metavar="URI", help="where the counts go"
    )
    parser.add_argument("-p", "--plan", required=True, metavar="URI", help="the plan to write")
    parser.add_argument(
        "--pack",
        type=size,
        metavar="SIZE",
        help="let files share a task up to SIZE (64MiB); at most 10,000 tasks. Default: one a file",
    )
    parser.add_argument(
        "--task-items", type=positive, metavar="N", help="with --pack: at most N files per task"
    )
    parser.add_argument(
        "--pending",
        action="store_true",
        help="no tasks for files that are counted already, or known to be no text",
    )
    parser.add_argument(
        "--retry-unusable",
        action="store_true",
        help="with --pending: try again what is known to be no text",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="an error (exit code 3) if anything is left out, such as archived or unreadable files",
    )
    parser.add_argument(
        "--encoding",
        default="",
        metavar="NAME",
        help="of texts that are neither UTF-8 nor marked: such as cp1252, or auto: a guess a file "
        "(default: as the object's Content-Type says, else such a file is an error with a guess)",
    )
    parser.add_argument(
        "--most-invalid",
        type=share,
        default=MOST_INVALID,
        metavar="SHARE",
        help="of a text's bytes that may be wrong, such as 0.1%% (default: 0.0001%%; and damage to "
        "what is clearly UTF-8)",
    )
    parser.add_argument(
        "--only-from", metavar="URI", help="count only the files named there, one a line"
    )


def _add_migrate(commands: Commands) -> None:
    parser = add_command(
        commands,
        "migrate",
        _migrate,
        description=_MIGRATE_HELP,
        example=_MIGRATE_EXAMPLE,
        summary="count the files of one task",
    )
    parser.add_argument("-p", "--plan", required=True, metavar="URI", help="the plan")
    parser.add_argument(
        "-i", "--index", type=int, metavar="N", help="the task; default: what AWS Batch says"
    )
    parser.add_argument(
        "--threads",
        type=threads,
        metavar="N",
        help="count by N threads (default: $WORDFREQ_THREADS, else auto: one for each vCPU)",
    )
    parser.add_argument(
        "--memory",
        type=size,
        metavar="SIZE",
        help="words held at a time, more go to the temporary folder "
        "(default: half of the container's memory; without a limit at most 1GiB a thread)",
    )


def _plan(options: argparse.Namespace) -> int:
    from wordfreq_batch.plans.planning import (
        build_plan,
        write_plan,
    )
    from wordfreq_batch.text.words import counter_version

    if options.task_items is not None and options.pack is None:
        raise UsageError("--task-items needs --pack; without it every file has a task of its own")
    texts = TextOptions.make(encoding=options.encoding, most_invalid=options.most_invalid)
    plan = build_plan(
        source=options.source,
        destination=options.destination,
        plan=options.plan,
        pack=options.pack,
        task_items=options.task_items,
        pending=options.pending,
        retry_unusable=options.retry_unusable,
        only=None if options.only_from is None else _names(options.only_from),
        progress=say,
        warn=lambda message: say(f"warning: {message}"),
        compact=True,
        counter_version=counter_version(texts),
    )
    if options.strict and plan.refused:
        first = plan.refused[0]
        raise InputError(
            f"{options.source}: not everything can be counted ({left_out(plan)}), first "
            f"{first.name!r}: {first.reason}. Nothing was planned; without --strict the others are"
        )
    _report(write_plan(plan))
    return 0


def left_out(plan: Plan) -> str:
    """How much a plan leaves out, by kind."""
    kinds = Counter(each.kind for each in plan.refused)
    sizes = Counter[str]()
    for each in plan.refused:
        sizes[each.kind] += each.size
    return ", ".join(
        f"{number:,} {kind} ({sizes[kind]:,} bytes)" for kind, number in kinds.most_common()
    )


def _names(uri: str) -> list[str]:
    from wordfreq_batch.storage.opening import open_object

    store, key = open_object(uri)
    try:
        return [name for name in store.get(key).decode().split("\n") if name]
    except UnicodeDecodeError as error:
        raise UsageError(f"{uri} is not UTF-8 ({error}); write one name a line") from None


def _report(plan: Plan) -> None:
    head = plan.head
    for refused in plan.refused[:10]:
        say(f"warning: {refused.name!r} is left out: {refused.reason}")
    if len(plan.refused) > 10:
        say(f"warning: {len(plan.refused) - 10:,} more files are left out; the plan lists them")
    if plan.refused:
        say(f"warning: left out in all: {left_out(plan)}")
    if not plan.items:
        say(f"note: there is nothing to count below {head.source.uri}; is the prefix right?")
    total = sum(item.size for item in plan.items)
    print(
        f"{head.plan.uri}: {head.total_items:,} files ({total:,} bytes), "
        f"{len(plan.pending):,} to count, {head.total_tasks:,} tasks"
    )


def _migrate(options: argparse.Namespace) -> int:
    from wordfreq_batch.plans.tasknumber import task_number

    number = task_number(options.index, os.environ)
    from wordfreq_batch.cli import limits
    from wordfreq_batch.counts.migrate import run_task

    count = limits.threads(options.threads, os.environ)
    outcome = run_task(
        options.plan,
        number,
        job=JobInfo.of(os.environ),
        memory=options.memory or limits.memory(count),
        threads=count,
        progress=say,
    )
    if outcome.receipt is None:
        say(f"task {number} belongs to job {outcome.holder}, submitted twice; nothing to do here")
        return 0
    if outcome.earlier:
        say(f"task {number} was done already (receipt of {outcome.receipt.finished})")
    _report_task(outcome.receipt)
    return outcome.receipt.exit_code


def _report_task(receipt: Receipt) -> None:
    for failed in receipt.failed[:10]:
        say(f"error: {failed.error}")
    if len(receipt.failed) > 10:
        say(f"error: {len(receipt.failed) - 10:,} more files failed; the receipt lists them")
    aside = [item for item in receipt.items if item.aside]
    for item in aside[:10]:
        say(f"note: {item.name} holds no text and so no words: {item.aside}")
    if len(aside) > 10:
        say(f"note: {len(aside) - 10:,} more files hold no text; the receipt lists them")
    damaged = [item for item in receipt.items if item.invalid]
    for item in damaged[:10]:
        say(f"warning: {item.name}: {item.invalid:,} of its {item.bytes:,} bytes were unreadable")
    done = len(receipt.items) - len(receipt.failed)
    words = sum(item.words for item in receipt.items)
    print(f"task {receipt.task}: {done:,} of {len(receipt.items):,} files, {words:,} words")
