"""`make demo-csv`: load CSVs made on the spot into DynamoDB and show the table's items.

`python -m demo.csv_to_dynamodb`. DynamoDB is an emulator that runs as long as the demo
(`local_aws`); with `WORDFREQ_CSV_TABLE` set, AWS's table of that name is used instead. Everything
the demo keeps is in HOME/csv-demo, but for the Dagster instance, which all demos share: `make ui`
shows both pipelines once this demo has run.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from demo.local_aws import LocalAwsError, executable, local_aws
from demo.runs import make_instance, positive, run_job

TABLE = "products"
_SHOWN = 12

_SAMPLE = """\
ProductId,ProductName,ProductDescription
P00001,Phone,"A phone, with a cord"
P00002,Television,"55"" screen
on a stand"
P00003,Internet,100 Mbit/s
"""
_UPDATE = """\
ProductDescription,ProductId,ProductName
A radio,P00004,Radio
,P00005,Telephone booth
no id at all,,Nothing
too short,P00006
It comes twice in this file; this row counts,P00004,Better radio
"""


def write_uploads(folder: Path, *, rows: int) -> None:
    """A small sample, an update with two bad rows and a duplicate, and one file of `rows` rows."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sample.csv").write_text(_SAMPLE)
    (folder / "update.csv").write_text(_UPDATE)
    with (folder / "many.csv").open("w") as file:
        file.write("ProductId,ProductName,ProductDescription\n")
        for number in range(rows):
            file.write(f"M{number:07},Thing {number},Number {number} of {rows}\n")


def create_table(dynamodb: Any) -> None:
    """The table of the demo: `ProductId` is its key."""
    dynamodb.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "ProductId", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "ProductId", "AttributeType": "S"}],
    )


def show(dynamodb: Any, table: str, home: Path) -> None:
    """Print the first items, their number, and the rejects."""
    items: list[dict[str, Any]] = []
    for page in dynamodb.get_paginator("scan").paginate(TableName=table):
        items += page["Items"]
    items.sort(key=lambda item: item["ProductId"]["S"], reverse=True)
    names = ("ProductId", "ProductName", "ProductDescription", "Filename", "LastModified")
    # as repr: a line end within a cell must not tear the table
    lines = [[repr(item.get(name, {}).get("S", ""))[1:-1] for name in names] for item in items]
    shown = [list(names), *sorted(lines[:_SHOWN])]
    widths = [max(len(line[column]) for line in shown) for column in range(len(names))]
    print(f"\ntable {table}: {len(items):,} items; the last of them by key:\n")
    for line in shown:
        print("  ".join(f"{text:<{width}}" for text, width in zip(line, widths, strict=True)))
    for path in sorted((home / "rejects").glob("*.csv")):
        rejects = path.read_text()
        if rejects.count("\n") > 1:
            print(f"\nrejected rows of {path.name} ({path}):\n\n{rejects.rstrip()}")


def main() -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="make demo-csv", description="Load CSVs into DynamoDB by Dagster, show the items."
    )
    parser.add_argument(
        "--rows", type=positive, default=5000, help="rows of the larger file (5000)"
    )
    options = parser.parse_args()
    home = Path(os.environ.get("WORDFREQ_HOME") or ".local").absolute() / "csv-demo"
    shutil.rmtree(home / "rejects", ignore_errors=True)  # the emulator's table is new each time
    write_uploads(home / "uploads", rows=options.rows)
    print(f"uploads: {home / 'uploads'} (sample.csv, update.csv, many.csv)")
    environment = dict(os.environ) | {
        "WORDFREQ_HOME": str(home),
        "WORDFREQ_CSV_SOURCE": str(home / "uploads"),
        "WORDFREQ_CSV_MAX_REJECTS": "50%",
        "DAGSTER_HOME": os.environ.get("DAGSTER_HOME") or str(home.parent / "dagster"),
    }
    make_instance(Path(environment["DAGSTER_HOME"]))
    try:
        with ExitStack() as stack:
            if not environment.get("WORDFREQ_CSV_TABLE"):
                server = stack.enter_context(local_aws(home / "aws"))
                environment |= dict(server.environment)
                environment |= {"WORDFREQ_CSV_TABLE": TABLE, "WORDFREQ_CSV_ENDPOINT": server.url}
                print(f"DynamoDB: {server.url} (ministack, ends with the demo)")
            return _run(environment, home)
    except LocalAwsError as error:
        print(f"demo-csv: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def serve_with_table(home: Path, command: list[str], environment: dict[str, str]) -> None:
    """Run the UI with this demo's uploads and an empty table, if the demo has run; else return."""
    folder = home / "csv-demo"
    uploads = folder / "uploads"
    if environment.get("WORDFREQ_CSV_TABLE") or not (uploads.exists() and executable().exists()):
        return
    with local_aws(folder / "aws") as server:
        os.environ.update(server.environment)
        import boto3

        create_table(boto3.session.Session().client("dynamodb"))
        more = {
            **server.environment,
            "WORDFREQ_CSV_TABLE": TABLE,
            "WORDFREQ_CSV_ENDPOINT": server.url,
            "WORDFREQ_CSV_SOURCE": str(uploads),
            "WORDFREQ_CSV_REJECTS": str(folder / "rejects"),
            "WORDFREQ_CSV_MAX_REJECTS": "50%",
        }
        print(f"copy a CSV into {uploads}: it is loaded into the table {TABLE}", flush=True)
        process = subprocess.Popen(command, env=environment | more)
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        while True:
            try:
                raise SystemExit(process.wait())
            except KeyboardInterrupt:  # the UI was interrupted too, and ends in its own time
                continue


def _run(environment: dict[str, str], home: Path) -> int:
    os.environ.update(environment)
    import boto3  # late: the first lines of the demo must not wait for it

    from aws_batch_emulator import stop_running
    from wordfreq_dagster.settings import SettingsError, load_settings

    try:
        batch = load_settings().local_folder
    except SettingsError as error:
        print(f"demo-csv: {error}", file=sys.stderr)
        return 1
    dynamodb = boto3.session.Session().client("dynamodb")
    table = environment["WORDFREQ_CSV_TABLE"]
    if environment.get("WORDFREQ_CSV_ENDPOINT"):
        create_table(dynamodb)
    log = home / "logs" / time.strftime("demo-%Y%m%d-%H%M%S.log")
    started = time.monotonic()
    try:
        code = run_job(environment, log, job="csv_to_dynamodb")
    finally:
        stop_running(batch)  # its jobs would look for a DynamoDB that is gone
    if code:
        print(f"\nthe run failed (exit code {code}); its log: {log}", file=sys.stderr)
        return code
    show(dynamodb, table, home)
    print(f"\ntime  {time.monotonic() - started:.1f} s in all\nlog   {log}")
    print("\nNext: `make ui` and open http://127.0.0.1:3000/assets/csv_rows?view=partitions")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
