"""The command `wordfreq merge`: its options and what it prints."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from wordfreq_batch.cli.options import (
    Commands,
    add_command,
    add_ranking_options,
    add_work_options,
    natural,
    positive,
    report,
    say,
)
from wordfreq_batch.errors import UsageError
from wordfreq_batch.job import JobInfo
from wordfreq_batch.merge.document import RankingOptions

if TYPE_CHECKING:
    from wordfreq_batch.merge.document import Ranking
    from wordfreq_batch.merge.merge import MergeOptions

_HELP = """\
Add the counts of all files up and print the most used words; with --output also write them.
"""

_EXAMPLE = """\
examples:
  wordfreq merge --plan s3://out/plans/p.json --output s3://out/ranking/
      exactly the plan's files; fails (exit code 3) naming files that aren't counted
  wordfreq merge --source s3://out/counts/
      everything below a prefix, whatever plan it came from
  wordfreq merge --plan p.json --top 20 --min-length 5 --stop-words en,de

a very large plan, in 16 parts:
  wordfreq merge --plan s3://out/plans/p.json --parts 16 --part --index 3
      adds up the words of one part; without --index the part is what AWS Batch says
  wordfreq merge --plan s3://out/plans/p.json --parts 16 --output s3://out/ranking/
      puts the parts together and removes them; the result is the same as without parts

"""


def add_merge(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands, "merge", _merge, "add all counts up and rank the words", _HELP, _EXAMPLE
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("-s", "--source", metavar="URI", help="rank everything below this prefix")
    which.add_argument("-p", "--plan", metavar="URI", help="rank exactly the files of this plan")
    parser.add_argument(
        "--allow-missing",
        action="store_true",
        help="with --plan: rank what is counted; the ranking says what is missing",
    )
    add_ranking_options(parser)
    parser.add_argument(
        "--output",
        metavar="URI",
        help="also write ranking.json, totals.parquet, report.html and report.md there",
    )
    parser.add_argument(
        "--folder-depth",
        type=natural,
        default=0,
        metavar="N",
        help="also rank each folder of the source, N levels deep; needs --plan and --output "
        "(default: 0, none)",
    )
    add_work_options(parser)
    parser.add_argument(
        "--parts", type=positive, metavar="N", help="merge in N parts, at most 64; needs --plan"
    )
    parser.add_argument("--part", action="store_true", help="add up one part only; needs --parts")
    parser.add_argument(
        "-i", "--index", type=int, metavar="N", help="that part; default: what AWS Batch says"
    )


def _merge(options: argparse.Namespace) -> int:
    from wordfreq_batch.cli import limits
    from wordfreq_batch.merge.merge import MergeOptions, merge_source

    _check(options)
    merge = MergeOptions(
        ranking=ranking_options(options),
        output=options.output,
        folder_depth=options.folder_depth,
        memory=options.memory or limits.memory(1),
        threads=limits.threads(options.threads, os.environ),
        allow_missing=options.allow_missing,
        progress=say,
    )
    if options.part:
        _one_part(options, merge)
        return 0
    if options.plan is None:
        ranking: Ranking | None = merge_source(options.source, merge)
    else:
        ranking = _whole(options.plan, options.parts, merge)
    if ranking is None:
        report(options, "", dict)
        return 0
    if not ranking.files:
        say(f"note: there is nothing below {ranking.source}; is the prefix right?")
    report_ranking(options, ranking, ranking.to_json)
    return 0


def report_ranking(
    options: argparse.Namespace, ranking: Ranking, document: Callable[[], dict[str, Any]]
) -> None:
    """A ranking as a table, or as the JSON document; what isn't in it on stderr."""
    from wordfreq_batch.merge.ranking import notes, word_table

    for line in notes(ranking):
        say(f"note: {line}")
    report(options, word_table(ranking.words), document)


def ranking_options(options: argparse.Namespace) -> RankingOptions:
    """The options of `add_ranking_options`."""
    return RankingOptions(
        min_length=options.min_length,
        min_count=options.min_count,
        top=options.top,
        stop_words=options.stop_words,
    )


def _check(options: argparse.Namespace) -> None:
    from wordfreq_batch.merge.merge_parts import MOST_PARTS

    if options.parts is not None and options.plan is None:
        raise UsageError("--parts needs --plan: only a plan's files are known beforehand")
    if options.parts is not None and options.parts > MOST_PARTS:
        raise UsageError(f"--parts {options.parts}: at most {MOST_PARTS} are possible")
    if options.part and options.parts is None:
        raise UsageError("--part needs --parts: how many there are")
    if options.part and (options.output or ranking_options(options) != RankingOptions()):
        raise UsageError("--part ranks nothing: give --output and the ranking's options without it")
    if options.folder_depth and (options.plan is None or options.output is None):
        raise UsageError("--folder-depth needs --plan and --output: ranking.json has the folders")
    if options.allow_missing and (options.plan is None or options.parts is not None):
        raise UsageError("--allow-missing needs --plan, and a merge in one go (without --parts)")
    if options.index is not None and not options.part:
        raise UsageError("--index needs --part: the merge as a whole has no number")


def _one_part(options: argparse.Namespace, merge: MergeOptions) -> None:
    from wordfreq_batch.merge.group_sums import version_of
    from wordfreq_batch.merge.merge_parts import merge_part, part_receipts, stage_of
    from wordfreq_batch.plans.receipts import SingleTask
    from wordfreq_batch.plans.tasknumber import task_number
    from wordfreq_batch.tables.lines import Share

    plan, parts = options.plan, options.parts
    part = task_number(options.index, os.environ)
    if part >= parts:
        raise UsageError(f"part {part} of {parts}: they are numbered from 0 to {parts - 1}")
    task = SingleTask(plan, stage_of(parts), JobInfo.of(os.environ), task=part)
    if holder := task.taken_by():
        say(f"part {part} belongs to job {holder}, submitted twice; nothing to do here")
        report(options, "", lambda: {"Part": part, "Job": holder})
        return
    if earlier := part_receipts(task.head, parts, [part]):
        say(f"part {part} was done already (receipt of {earlier[part].finished})")
        report(options, "", earlier[part].to_json)
        return
    done = merge_part(plan, Share(part, parts), merge)
    task.succeeded(version_of(task.head), [done])
    report(
        options,
        f"part {part} of {parts}: {done.words:,} words, {done.distinct:,} different ones",
        lambda: {"Part": part, "Parts": parts, "Words": done.words, "Distinct": done.distinct},
    )


def _whole(plan: str, parts: int | None, merge: MergeOptions) -> Ranking | None:
    from wordfreq_batch.merge.merge import merge_plan
    from wordfreq_batch.merge.merge_parts import merge_parts, remove_parts
    from wordfreq_batch.plans.receipts import SingleTask

    task = SingleTask(plan, "merge", JobInfo.of(os.environ))
    if holder := task.taken_by():
        say(f"this merge belongs to job {holder}, submitted twice; nothing to do here")
        return None
    ranking = merge_plan(plan, merge) if parts is None else merge_parts(plan, parts, merge)
    task.succeeded(ranking.counter_version)
    if parts is not None:
        remove_parts(task.head, parts)
    return ranking
