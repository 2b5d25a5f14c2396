"""The command `wordfreq ingest`: its options and what it prints."""

from __future__ import annotations

import argparse
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from wordfreq_batch.cli.options import (
    Commands,
    ReportError,
    add_command,
    positive,
    price,
    report,
    say,
    show,
)
from wordfreq_batch.csv.rate import ON_DEMAND, PROVISIONED
from wordfreq_batch.csv.reading.dialect import DELIMITER, DELIMITERS, ENCODING
from wordfreq_batch.csv.reading.rejects import parse_limit
from wordfreq_batch.csv.schema import DEFAULT_COLUMNS, DEFAULT_KEY, EXTRA, Schema
from wordfreq_batch.csv.settings import HELP as SETTINGS_HELP
from wordfreq_batch.csv.settings import Settings, read_settings, set_option
from wordfreq_batch.errors import UsageError
from wordfreq_batch.job import JobInfo

if TYPE_CHECKING:
    from wordfreq_batch.csv.upload import Target
    from wordfreq_batch.plans.formats import Receipt, RowFigures
    from wordfreq_batch.storage.store import Store

_HELP = """\
Load CSVs into a DynamoDB table: one item a row, with its columns, the Filename and the file's
LastModified. Of rows with the same key the last one counts, of uploads with the same key the
newest, whichever is loaded last. Rows that can't be items go to the
rejects with line number and reason; a file that is no CSV, not UTF-8 or has another header is not
loaded at all. Loading a file again gives the same items.
"""

_EXAMPLE = """\
examples:
  wordfreq ingest --source s3://in/products.csv --table products
      rejected rows are printed on stderr
  wordfreq ingest --source s3://in/p.csv --table prices --columns 'Sku,Day,Price:number' \\
      --key Sku --sort-key Day --rejects s3://out/rejects/ --max-rejects 1%
  wordfreq ingest --source s3://in/products.csv --table products --dry-run
      writes nothing: rows, rejects, write units and their price
  wordfreq plan -s s3://in/ -d s3://out/rejects/ -p s3://out/plans/p.json
  wordfreq ingest --plan s3://out/plans/p.json --index 3 --table products
      the fourth file; the rejects go to the plan's destination, under the file's name

AWS_ENDPOINT_URL_DYNAMODB names another endpoint than AWS's. A file some of whose rows are rejected
is loaded (exit code 0); with none that can be loaded, or more rejects than allowed, it is not (4).

"""


_REDRIVE_HELP = """\
Load those files of a plan again whose tasks failed for a reason that may pass (throttling,
network, access), or were never run. Files that are loaded are left alone; nothing is doubled. The
options are those of `wordfreq ingest`, and must be the same as then.
"""

_REDRIVE_EXAMPLE = """\
examples:
  wordfreq redrive --plan s3://out/plans/p.json --table products

"""


def add_ingest(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands,
        "ingest",
        _ingest,
        "load CSVs into a DynamoDB table",
        _HELP,
        _EXAMPLE + SETTINGS_HELP + "\n",
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("-s", "--source", metavar="URI", help="the CSV to load")
    which.add_argument("-p", "--plan", metavar="URI", help="load the files of a task of this plan")
    parser.add_argument(
        "-i", "--index", type=int, metavar="N", help="the task; default: what AWS Batch says"
    )
    parser.add_argument(
        "--rejects",
        metavar="URI",
        help="with --source: the prefix for the rejects, an object named like the file",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="write nothing; say what would be written, rejected and paid. With --plan: of all its "
        "tasks, and how many keys are in several files",
    )
    parser.add_argument(
        "--write-price",
        type=price,
        metavar="USD",
        help=f"of a million write units on demand, for --dry-run (default: {ON_DEMAND}, us-east-1)",
    )
    parser.add_argument(
        "--capacity-price",
        type=price,
        metavar="USD",
        help="of a provisioned write unit and hour, for --dry-run "
        f"(default: {PROVISIONED:.5f}, us-east-1)",
    )
    _add_load_options(parser)


def add_redrive(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands,
        "redrive",
        _redrive,
        "load again what failed for a passing reason",
        _REDRIVE_HELP,
        _REDRIVE_EXAMPLE,
    )
    parser.add_argument("-p", "--plan", required=True, metavar="URI", help="the plan")
    _add_load_options(parser)


def _add_load_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-t", "--table", required=True, metavar="NAME", help="the table")
    _add_settings(parser)
    parser.add_argument(
        "--max-rejects",
        type=_limit,
        metavar="N|P%",
        help="load nothing of a file with more rejected rows (default: any number will do)",
    )
    parser.add_argument(
        "--write",
        choices=("newer", "absent", "always"),
        default="newer",
        help="newer: an item of a newer upload stays, one request per item (default); "
        "absent: no item is replaced, but those of the same upload; always: "
        "whatever is there is replaced, 25 items per request, quicker where no two files share "
        "keys",
    )
    add_write_options(parser)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--columns",
        default=DEFAULT_COLUMNS,
        help="the columns of the CSV, in any order; a number as Name:number (default: %(default)s)",
    )
    parser.add_argument(
        "--key",
        default=DEFAULT_KEY,
        metavar="NAME",
        help="the table's partition key (default: %(default)s)",
    )
    parser.add_argument("--sort-key", default="", metavar="NAME", help="the table's sort key")
    parser.add_argument(
        "--extra-columns",
        choices=EXTRA,
        default=EXTRA[0],
        help="other columns: the file is an error, they are kept as strings, or left out",
    )
    parser.add_argument(
        "--delimiter",
        default=DELIMITER,
        metavar="CHARACTER",
        help=f"between fields: {', '.join(DELIMITERS.values())}, or auto: as the header has it "
        f"(default: {DELIMITERS[DELIMITER]}; a first line sep=; decides)",
    )
    parser.add_argument(
        "--encoding",
        default=ENCODING,
        metavar="NAME",
        help="such as cp1252 (default: %(default)s; a byte order mark decides)",
    )
    parser.add_argument(
        "--header",
        default="",
        metavar="NAMES",
        help="names of all columns, in order, for files that have no header",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="another setting of those below; may be repeated",
    )
    parser.add_argument("--settings", metavar="URI", help="a TOML file with settings, see below")


def add_write_options(parser: argparse.ArgumentParser) -> None:
    """The options of whatever writes to the table."""
    parser.add_argument(
        "--max-write-units",
        type=positive,
        metavar="N",
        help="write units a second, of all containers that load this plan together (default: as "
        "many as the table takes)",
    )
    parser.add_argument(
        "--in-flight",
        type=positive,
        default=8,
        metavar="N",
        help="requests on their way at a time (default: %(default)s)",
    )
    parser.add_argument(
        "--patience",
        type=positive,
        default=300,
        metavar="SECONDS",
        help="give up when the table took nothing for so long (default: %(default)s)",
    )


def _limit(text: str) -> float:
    """A number of rows, or a share of them (below 1) from `5%`."""
    try:
        return parse_limit(text)
    except ValueError:
        problem = f"{text!r} is no number of rows; write e.g. 100 or 0.5%"
        raise argparse.ArgumentTypeError(problem) from None


def _ingest(options: argparse.Namespace) -> int:
    if options.plan is None and options.index is not None:
        raise UsageError("--index needs --plan; with --source there is one file")
    if options.plan is not None and options.rejects is not None:
        raise UsageError("--rejects needs --source; with --plan they go to the plan's destination")
    if options.dry_run and options.rejects is not None:
        raise UsageError("--rejects: with --dry-run nothing is written; they are printed on stderr")
    if options.dry_run and options.index is not None:
        raise UsageError("--dry-run is of all tasks of the plan; leave --index out")
    if not options.dry_run and (options.write_price, options.capacity_price) != (None, None):
        raise UsageError("--write-price and --capacity-price need --dry-run, which says the price")
    settings = _settings(options)
    if options.plan is None:
        return _load_one(options, settings)
    return (_dry_run_plan if options.dry_run else _load_task)(options, settings)


def _settings(options: argparse.Namespace) -> Settings:
    names = ("columns", "key", "sort_key", "extra_columns", "delimiter", "encoding", "header")
    given = {name.replace("_", "-"): getattr(options, name) for name in names}
    return read_settings(given | dict(map(set_option, options.set)), options.settings or "")


def _target(options: argparse.Namespace, settings: Settings, schema: Schema) -> Target:
    from wordfreq_batch.csv.dynamo import check_table, connect
    from wordfreq_batch.csv.rate import TokenBucket
    from wordfreq_batch.csv.upload import Target

    client = connect(connections=options.in_flight)
    return Target(
        client=client,
        table=check_table(client, options.table, settings.schemas, patience=options.patience),
        schema=schema,
        in_flight=options.in_flight,
        patience=options.patience,
        max_rejects=options.max_rejects,
        mode=options.write,
        rate=TokenBucket(options.max_write_units) if options.max_write_units else None,
    )


def _load_one(options: argparse.Namespace, settings: Settings) -> int:
    from wordfreq_batch.cli.ingest_report import report_load, say_rejected
    from wordfreq_batch.csv.ingest import dry_run, load
    from wordfreq_batch.csv.upload import Source
    from wordfreq_batch.storage.opening import open_object, open_store
    from wordfreq_batch.storage.store import split_uri

    store, key = open_object(options.source)
    local = store.uri.startswith("file:")
    source = Source(store=store, key=key, filename=key if local else split_uri(options.source)[1])
    schema = settings.schema_of_path(split_uri(store.url(key))[1])
    store.head(key)  # a wrong name is reported before the table is asked
    rejects: tuple[Store, str] | None = None
    if options.rejects is not None:
        rejects = open_store(options.rejects), key
        if rejects[0].uri == store.uri:
            raise UsageError(
                f"--rejects {options.rejects} is where the file itself lies; choose another place"
            )
    if options.dry_run:
        target = _target(options, settings, schema)
        found = dry_run(source, target, progress=say, rejected=say_rejected)
        show(f"settings: {found.settings}")
        _report_dry_run(options, options.source, found.figures)
        report(options, "", found.figures.to_json)
        return 0
    loaded = load(
        source,
        _target(options, settings, schema),
        rejects=rejects,
        progress=say,
        rejected=say_rejected,
    )
    where = "above" if rejects is None else rejects[0].url(rejects[1])
    report_load(options.source, options.table, loaded.figures, where=where)
    report(options, "", loaded.figures.to_json)
    return 0


def _dry_run_plan(options: argparse.Namespace, settings: Settings) -> int:
    from wordfreq_batch.csv.dry_run import dry_run_plan, totals
    from wordfreq_batch.plans.tasks import worst

    target = _target(options, settings, settings.default)
    job = JobInfo.of(os.environ)
    items = dry_run_plan(options.plan, target, settings, job=job, progress=say)
    if items is None:
        say("another job of the same submission does this already; nothing to do here")
        report(options, "", dict)
        return 0
    for item in items:
        if item.error is not None:
            say(f"error: {item.error}")
        elif item.rows is None:
            show(f"{item.name}: loaded already")
        else:
            for row in item.rows.rejects:
                say(f"rejected: {item.name}: line {row.line}: {row.reason}: {row.text!r}")
            _report_dry_run(options, item.name, item.rows)
    together = totals(items)
    _report_dry_run(options, f"all {len(items):,} files", together)
    report(
        options,
        "",
        lambda: {"Items": [item.to_json() for item in items], "Rows": together.to_json()},
    )
    return worst(item.exit_code for item in items)


def _load_task(options: argparse.Namespace, settings: Settings) -> int:
    from wordfreq_batch.plans.tasknumber import task_number

    number = task_number(options.index, os.environ)
    from wordfreq_batch.cli.ingest_report import report_task
    from wordfreq_batch.csv.ingest_task import ingest_task

    outcome = ingest_task(
        options.plan,
        number,
        _target(options, settings, settings.default),
        settings,
        job=JobInfo.of(os.environ),
        progress=say,
    )
    if outcome.receipt is None:
        say(f"task {number} belongs to job {outcome.holder}, submitted twice; nothing to do here")
        report(options, "", lambda: {"Task": number, "Job": outcome.holder})
        return 0
    if outcome.earlier:
        say(f"task {number} was done already (receipt of {outcome.receipt.finished})")
    report_task(outcome.receipt, options.table)
    report(options, "", outcome.receipt.to_json)
    return outcome.receipt.exit_code


def _report_dry_run(options: argparse.Namespace, name: str, rows: RowFigures) -> None:
    from wordfreq_batch.cli.ingest_report import report_dry_run

    report_dry_run(
        name,
        rows,
        table=options.table,
        rate=options.max_write_units,
        million=options.write_price,
        hour=options.capacity_price,
    )


def _redrive(options: argparse.Namespace) -> int:
    from wordfreq_batch.cli.ingest_report import report_task
    from wordfreq_batch.csv.ingest_task import redrive
    from wordfreq_batch.plans.tasks import worst

    settings = _settings(options)
    target = _target(options, settings, settings.default)
    # By hand: no lease of a job of AWS Batch is taken.
    outcomes = redrive(options.plan, target, settings, job=JobInfo(), progress=say)
    done: list[Receipt] = []
    try:
        for outcome in outcomes:
            done += [outcome.receipt] if outcome.receipt else []
    finally:
        with suppress(ReportError):  # it must not end the work, nor hide what did
            for receipt in done:
                report_task(receipt, options.table)
    report(
        options,
        f"{len(done):,} tasks were done again",
        lambda: {"Tasks": [receipt.to_json() for receipt in done]},
    )
    return worst(receipt.exit_code for receipt in done)
