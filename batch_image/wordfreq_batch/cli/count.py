"""The command `wordfreq count`: plan, migrate and merge in one process, for people."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from wordfreq_batch.cli.merge import ranking_options, report_ranking
from wordfreq_batch.cli.options import (
    Commands,
    add_command,
    add_ranking_options,
    add_text_options,
    add_work_options,
    say,
    text_options,
)
from wordfreq_batch.cli.stages import say_files, say_left_out
from wordfreq_batch.job import JobInfo
from wordfreq_batch.temporary import temporary_folder

if TYPE_CHECKING:
    from wordfreq_batch.plans.formats import ItemReceipt
    from wordfreq_batch.plans.plan import Plan
    from wordfreq_batch.progress import Meter

_HELP = """\
Count the words of all files below a prefix or in a folder, here and now, and print the most used
ones. What can't be counted is named with its reason.
"""

_EXAMPLE = """\
examples:
  wordfreq count books
  wordfreq count s3://bucket/texts --top 20 --stop-words en
  wordfreq count books --output counted
      keeps ranking.json, totals.parquet and the reports in that folder, and the counts below
      counts/: the next time only what is new or changed is counted
  wordfreq count books --json | jq '.Words[0]'

Without --output everything is kept in the temporary folder (TMPDIR) and removed in the end. The
exit code is that of the worst file: 4 if one is bad data; the others are ranked all the same.

"""

_PACK: Final = 256 << 20  # bytes of a task: what a killed count with --output has to do again


def add_count(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands,
        "count",
        _count,
        "count and rank a folder or prefix in one go, here",
        _HELP,
        _EXAMPLE,
    )
    parser.add_argument("source", metavar="SOURCE", help="prefix, folder or file to count")
    parser.add_argument("-o", "--output", metavar="URI", help="keep all results there")
    add_ranking_options(parser)
    add_text_options(parser)
    add_work_options(parser)


def _count(options: argparse.Namespace) -> int:
    from wordfreq_batch.cli import limits
    from wordfreq_batch.merge.merge import MergeOptions, merge_plan
    from wordfreq_batch.plans.plan_store import write_plan
    from wordfreq_batch.plans.planning import build_plan
    from wordfreq_batch.plans.tasks import worst
    from wordfreq_batch.text.words import counter_version

    threads = limits.threads(options.threads, os.environ)
    memory = options.memory or limits.memory(threads)
    with _place(options.output) as place:
        plan = build_plan(
            source=options.source,
            destination=place + "counts/",
            plan=place + "plan.json",
            pack=_PACK,
            pending=True,
            retry_unusable=True,
            progress=say,
            warn=lambda message: say(f"warning: {message}"),
            compact=True,
            counter_version=counter_version(text_options(options)),
        )
        write_plan(plan)
        say_left_out(plan)
        done = _migrate(plan, threads=threads, memory=memory)
        say_files(done, where="--json")
        merge = MergeOptions(
            ranking=ranking_options(options),
            output=options.output and place,
            memory=memory,
            threads=threads,
            allow_missing=True,
            progress=say,
        )
        ranking = merge_plan(plan.head.plan.uri, merge)
    failed = [item for item in done if item.error is not None]
    document = ranking.to_json()
    document["Metadata"]["Source"] = plan.head.source.uri  # the texts, not their counts
    report_ranking(
        options,
        ranking,
        lambda: {
            **document,
            "Failed": [each.to_json() for each in failed],
            "LeftOut": [each.to_json() for each in plan.refused],
        },
    )
    return worst(each.exit_code for each in failed)


@contextmanager
def _place(output: str | None) -> Iterator[str]:
    """The folder or prefix that gets everything; ends with `/`."""
    if output is not None:
        yield output.rstrip("/") + "/"
        return
    with temporary_folder() as folder:
        yield f"{folder}/"


def _migrate(plan: Plan, *, threads: int, memory: int) -> list[ItemReceipt]:
    """Count what isn't counted yet; returns what became of each file."""
    from wordfreq_batch.counts.migrate import run_task

    done: list[ItemReceipt] = []
    tasks = list(plan.all_tasks())
    with _bar(sum(item.size for task in tasks for item in task.items)) as (line, shown):
        for task in tasks:
            outcome = run_task(
                plan.head.plan.uri,
                task.number,
                job=JobInfo(),
                memory=memory,
                threads=threads,
                progress=line,
                shown=shown,
            )
            assert outcome.receipt is not None  # by hand nobody else has the task
            done += outcome.receipt.items
    return done


@contextmanager
def _bar(size: int) -> Iterator[tuple[Callable[[str], None], Callable[[Meter], None] | None]]:
    """A progress bar on a terminal, else lines; what takes lines, and what takes the progress."""
    if not sys.stderr.isatty():
        yield say, None
        return
    from tqdm import tqdm

    options: dict[str, Any] = {"unit": "B", "unit_scale": True, "unit_divisor": 1024}
    options |= {"file": sys.stderr, "leave": False}
    with tqdm(total=size, desc="wordfreq", **options) as bar:
        meters: dict[Meter, int] = {}

        def shown(meter: Meter) -> None:
            meters[meter] = meter.bytes
            bar.update(sum(meters.values()) - bar.n)

        yield lambda line: tqdm.write(f"wordfreq: {line}", file=sys.stderr), shown
