"""The commands `wordfreq plan` and `wordfreq migrate`: their options and what they print."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from wordfreq_batch.cli.options import (
    Commands,
    add_command,
    add_text_options,
    add_work_options,
    first,
    positive,
    report,
    say,
    size,
    text_options,
)
from wordfreq_batch.errors import InputError, UsageError
from wordfreq_batch.job import JobInfo

if TYPE_CHECKING:
    from wordfreq_batch.plans.formats import ItemReceipt
    from wordfreq_batch.plans.plan import Plan

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


def add_plan(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands, "plan", _plan, "list the files and lay out the tasks", _PLAN_HELP, _PLAN_EXAMPLE
    )
    parser.add_argument(
        "-s", "--source", required=True, metavar="URI", help="prefix, folder or file to count"
    )
    parser.add_argument(
        "-d", "--destination", required=True, metavar="URI", help="where the counts go"
    )
    parser.add_argument(
        "-p", "--plan", required=True, metavar="URI", help="the plan to write, a .json"
    )
    parser.add_argument(
        "--pack",
        type=size,
        metavar="SIZE",
        help="let files share a task up to SIZE (64MiB), at most 10,000 tasks (default: one file)",
    )
    parser.add_argument(
        "--task-items", type=positive, metavar="N", help="with --pack: at most N files per task"
    )
    parser.add_argument(
        "--pending",
        action="store_true",
        help="no tasks for files that are counted already, or known to be bad data",
    )
    parser.add_argument(
        "--retry-unusable",
        action="store_true",
        help="with --pending: try again what is known to be bad data",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="an error (exit code 3) if anything is left out, such as archived or unreadable files",
    )
    add_text_options(parser)
    parser.add_argument(
        "--only-from", metavar="URI", help="count only the files named there, one per line"
    )


def add_migrate(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands,
        "migrate",
        _migrate,
        "count the files of one task",
        _MIGRATE_HELP,
        _MIGRATE_EXAMPLE,
    )
    parser.add_argument("-p", "--plan", required=True, metavar="URI", help="the plan")
    parser.add_argument(
        "-i", "--index", type=int, metavar="N", help="the task; default: what AWS Batch says"
    )
    add_work_options(parser)


def _plan(options: argparse.Namespace) -> int:
    from wordfreq_batch.plans.plan_store import write_plan
    from wordfreq_batch.plans.planning import build_plan
    from wordfreq_batch.text.words import counter_version

    if options.task_items is not None and options.pack is None:
        raise UsageError("--task-items needs --pack; without it every file has a task of its own")
    if options.retry_unusable and not options.pending:
        raise UsageError("--retry-unusable needs --pending; without it every file has a task")
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
        counter_version=counter_version(text_options(options)),
    )
    if options.strict and plan.refused:
        one = plan.refused[0]
        raise InputError(
            f"{options.source}: not everything can be counted ({_kinds(plan)}), first "
            f"{one.name!r}: {one.reason}. Nothing was planned; without --strict the others are"
        )
    plan = write_plan(plan)
    say_left_out(plan)
    total = sum(item.size for item in plan.items)
    report(
        options,
        f"{plan.head.plan.uri}: {plan.head.total_items:,} files ({total:,} bytes), "
        f"{len(plan.pending):,} to count, {plan.head.total_tasks:,} tasks",
        lambda: {
            "Plan": plan.head.plan.uri,
            "Files": plan.head.total_items,
            "Bytes": total,
            "ToCount": len(plan.pending),
            "Tasks": plan.head.total_tasks,
            "LeftOut": [each.to_json() for each in plan.refused],
        },
    )
    return 0


def _kinds(plan: Plan) -> str:
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


def say_left_out(plan: Plan) -> None:
    """Name on stderr what a plan leaves out, and sum it up."""
    for refused in plan.refused[:10]:
        say(f"warning: {refused.name!r} is left out: {refused.reason}")
    if len(plan.refused) > 10:
        say(f"warning: {len(plan.refused) - 10:,} more files are left out; the plan lists them")
    if plan.refused:
        say(f"warning: left out in all: {_kinds(plan)}")
    if not plan.items:
        say(f"note: there is nothing to count below {plan.head.source.uri}; is the prefix right?")


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
    receipt = outcome.receipt
    if receipt is None:
        elsewhere = f"task {number} belongs to job {outcome.holder}"
        say(f"{elsewhere}, submitted twice; nothing to do here")
        report(options, "", lambda: {"Task": number, "Job": outcome.holder})
        return 0
    if outcome.earlier:
        say(f"task {number} was done already (receipt of {receipt.finished})")
    say_files(receipt.items, where="the receipt")
    done = len(receipt.items) - len(receipt.failed)
    words = sum(item.words for item in receipt.items)
    report(
        options,
        f"task {receipt.task}: {done:,} of {len(receipt.items):,} files, {words:,} words",
        receipt.to_json,
    )
    return receipt.exit_code


def say_files(items: Sequence[ItemReceipt], *, where: str) -> None:
    """Name on stderr the files that failed, hold no text or are damaged; all are listed `where`."""
    failed = [item for item in items if item.error is not None]
    first(failed, lambda item: say(f"error: {item.error}"), "error", "failed", where)
    aside = [item for item in items if item.aside]
    line = "note: {0.name} holds no text and so no words: {0.aside}"
    first(aside, lambda item: say(line.format(item)), "note", "hold no text", where)
    damaged = [item for item in items if item.invalid]
    bad = "warning: {0.name}: {0.invalid:,} of its {0.bytes:,} bytes were unreadable"
    first(damaged, lambda item: say(bad.format(item)), "warning", "are damaged", where)
