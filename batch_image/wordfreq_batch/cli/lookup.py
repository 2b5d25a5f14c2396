"""The command `wordfreq lookup`: its options and what it prints."""

from __future__ import annotations

import argparse

from wordfreq_batch.cli.options import Commands, add_command, report
from wordfreq_batch.errors import UsageError

_HELP = """\
Say how often words occur, also those that no ranking shows, and which rank they have among all.
"""

_EXAMPLE = """\
examples:
  wordfreq lookup --source s3://out/ranking whale "Moby Dick"
  wordfreq lookup -s ranked don't --json

"""


def add_lookup(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands, "lookup", _lookup, "say how often single words occur", _HELP, _EXAMPLE
    )
    parser.add_argument("words", nargs="+", metavar="WORD", help="a word, or a text of several")
    parser.add_argument(
        "-s",
        "--source",
        required=True,
        metavar="URI",
        help="the --output of `wordfreq merge` or `wordfreq count`, which holds totals.parquet",
    )


def _lookup(options: argparse.Namespace) -> int:
    from wordfreq_batch.merge.lookup import look_up_words
    from wordfreq_batch.merge.ranking import table

    ranking, found = look_up_words(options.source, options.words)
    if not found:
        asked = ", ".join(map(repr, options.words))
        raise UsageError(f"there is no word in {asked}: a word holds a letter or a digit")
    report(
        options,
        table(
            ("word", "count", "rank"),
            [(each.word, str(each.count), str(each.rank or "-")) for each in found],
        ),
        lambda: {
            "Source": options.source,
            "Files": ranking.files,
            "TotalWords": ranking.total_words,
            "DistinctWords": ranking.distinct_words,
            "Words": [
                {"Word": each.word, "Count": each.count, "Rank": each.rank} for each in found
            ],
        },
    )
    return 0
