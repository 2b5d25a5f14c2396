"""The command `wordfreq mirror`: its options and what it prints."""

from __future__ import annotations

import argparse
import os

from wordfreq_batch.cli.ingest import add_write_options
from wordfreq_batch.cli.options import Commands, add_command, report, say
from wordfreq_batch.job import JobInfo

_HELP = """\
Delete the items of uploads that are gone, and of earlier versions of uploads that were replaced and
are loaded, so that the table holds what the uploads hold. Only items of uploads that were loaded
with the plan's destination are looked at. Each delete is conditional on Filename and LastModified:
what a newer upload has put stays. The whole table is scanned.
"""

_EXAMPLE = """\
examples:
  wordfreq plan -s s3://in/ -d s3://out/rejects/ -p s3://out/plans/p.json
  wordfreq mirror --plan s3://out/plans/p.json --table products --dry-run

"""


def add_mirror(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands, "mirror", _mirror, "delete items whose rows or uploads are gone", _HELP, _EXAMPLE
    )
    parser.add_argument("-p", "--plan", required=True, metavar="URI", help="names the uploads")
    parser.add_argument("-t", "--table", required=True, metavar="NAME", help="the table")
    parser.add_argument("--dry-run", action="store_true", help="delete nothing, say how many")
    add_write_options(parser)


def _mirror(options: argparse.Namespace) -> int:
    from wordfreq_batch.csv.dynamo import connect
    from wordfreq_batch.csv.mirror import mirror
    from wordfreq_batch.csv.rate import TokenBucket

    done = mirror(
        options.plan,
        connect(connections=options.in_flight),
        options.table,
        job=JobInfo.of(os.environ),
        progress=say,
        rate=TokenBucket(options.max_write_units) if options.max_write_units else None,
        in_flight=options.in_flight,
        patience=options.patience,
        dry_run=options.dry_run,
    )
    if done is None:
        say("another job of the same submission does this already; nothing to do here")
        report(options, "", dict)
        return 0
    deleted = "would be deleted" if options.dry_run else "deleted"
    lines = [
        f"{name}: {items:,} items {deleted}: {'gone' if name in done.gone else 'replaced'}"
        for name, items in sorted(done.deleted.items())[:10]
    ]
    lines.append(
        f"{options.table}: {done.scanned:,} items read for {done.reads:,.1f} read units; "
        f"{sum(done.deleted.values()):,} items of {len(done.deleted):,} uploads {deleted} for "
        f"{done.writes:,.1f} write units"
    )
    report(
        options,
        "\n".join(lines),
        lambda: {
            "Deleted": done.deleted,
            "Gone": list(done.gone),
            "Scanned": done.scanned,
            "ReadUnits": done.reads,
            "WriteUnits": done.writes,
        },
    )
    return 0
