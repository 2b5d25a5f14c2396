"""How fast `wordfreq ingest` loads a CSV, in how much memory, and for how many write units.

`make bench-csv` loads a million rows by `--write always` and by awswrangler's `put_csv`, each into
a new table of the same emulator, which shares the machine. `--uploads 2000` measures a run of the
job `csv_to_dynamodb` over so many files of 20 rows instead. With `--null` a server on loopback
answers every write at once without reading it, so that what is left is the client's own time.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import boto3

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from demo.local_aws import local_aws

TABLE = "products"
KEYS = {
    "KeySchema": [{"AttributeName": "ProductId", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "ProductId", "AttributeType": "S"}],
}


def write_csv(path: Path, rows: int) -> None:
    """Rows of about 100 bytes; one of a hundred comes again further down."""
    chooser = random.Random(1)
    with path.open("w") as file:
        file.write("ProductId,ProductName,ProductDescription\n")
        for number in range(rows):
            key = number if number % 100 else chooser.randrange(number + 1)
            file.write(f'P{key:09},"Thing, number {number}",{"description " * 5}{number}\n')


# It doesn't ask what its writes consumed, so its requests are made to.
_PEER = """
import os, sys, boto3, awswrangler as wr
units = []
boto3.setup_default_session()
events = boto3.DEFAULT_SESSION.events
events.register("provide-client-params.dynamodb.BatchWriteItem",
    lambda params, **_: {**params, "ReturnConsumedCapacity": "TOTAL"})
events.register("after-call.dynamodb.BatchWriteItem", lambda parsed, **_: units.append(
    sum(each["CapacityUnits"] for each in parsed["ConsumedCapacity"])))
wr.config.dynamodb_endpoint_url = os.environ["AWS_ENDPOINT_URL_DYNAMODB"]
wr.dynamodb.put_csv(path=sys.argv[1], table_name=sys.argv[2], dtype=str)
print(f"/{sum(units):,.1f} write units in {len(units):,} requests")
"""


class NullServer:
    """Speaks just enough HTTP: the table is described, every write is done."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()
        table = {"Table": {"TableStatus": "ACTIVE", **KEYS}}
        self._table = self._answer(table)
        consumed = {"TableName": f"{TABLE}-wordfreq", "CapacityUnits": 1.0}
        self._put = self._answer({"ConsumedCapacity": consumed})
        self._batch = self._answer({"UnprocessedItems": {}, "ConsumedCapacity": [consumed]})

    def _answer(self, document: object) -> bytes:
        body = json.dumps(document).encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n"
        return (head + "content-type: application/x-amz-json-1.0\r\n\r\n").encode() + body

    def _accept(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        data = b""
        while chunk := connection.recv(1 << 20):
            data += chunk
            while (end := data.find(b"\r\n\r\n")) >= 0:
                head = data[:end].lower()
                length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
                if len(data) < end + 4 + length:
                    break
                answers = {b"describetable": self._table, b"putitem": self._put}
                found = (answer for name, answer in answers.items() if name in head)
                connection.sendall(next(found, self._batch))
                data = data[end + 4 + length :]


def main() -> None:
    """One load by each, with its wall clock, processor time and peak memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--null", action="store_true", help="against a server that does nothing")
    parser.add_argument("--write", choices=("newer", "always"), default="newer")
    parser.add_argument(
        "--peer", metavar="PYTHON", help="also awswrangler's put_csv, by a Python that has it"
    )
    parser.add_argument("--uploads", type=int, help="a run of the job over so many files instead")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        path = folder / "many.csv"
        write_csv(path, options.rows)
        environment = dict(os.environ)
        if options.null:
            url = NullServer().url
            environment |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
        else:
            server = stack.enter_context(local_aws(folder / "aws"))
            url = server.url
            environment |= dict(server.environment)
        environment["AWS_ENDPOINT_URL_DYNAMODB"] = url
        client = boto3.Session("x", "x", region_name="us-east-1").client(
            "dynamodb", endpoint_url=url
        )
        if options.uploads:
            client.create_table(TableName=TABLE, BillingMode="PAY_PER_REQUEST", **KEYS)
            run_job(folder, environment, options.uploads)
            return
        print(f"{options.rows:,} rows, {path.stat().st_size / 1e6:.0f} MB")
        ours = [sys.executable, "-m", "wordfreq_batch", "ingest", "-s", str(path)]
        loaders = {"wordfreq": [*ours, "--write", options.write, "-t"]}
        if options.peer:
            loaders["awswrangler"] = [options.peer, "-c", _PEER, str(path)]
        for name, command in loaders.items():
            table = f"{TABLE}-{name}"
            if not options.null:
                client.create_table(TableName=table, BillingMode="PAY_PER_REQUEST", **KEYS)
            measure(name, [*command, table], environment, options.rows)
            if not options.null:
                count = client.describe_table(TableName=table)["Table"]["ItemCount"]
                print(f"  items in the table: {count:,}", flush=True)


def run_job(folder: Path, environment: dict[str, str], uploads: int) -> None:
    """One run of the Dagster job over files of 20 rows; prints the containers that it took."""
    root = Path(__file__).resolve().parents[1]
    inbox, home = folder / "home" / "uploads", folder / "dagster"
    inbox.mkdir(parents=True)
    home.mkdir()
    shutil.copy(root / "infra" / "dagster" / "local.yaml", home / "dagster.yaml")
    for number in range(uploads):
        rows = "".join(f"{number}-{row},name,text\n" for row in range(20))
        (inbox / f"{number:06}.csv").write_text("ProductId,ProductName,ProductDescription\n" + rows)
    settings = {"HOME": str(folder / "home"), "CSV_TABLE": TABLE, "CSV_WRITE": "always"}
    settings["CSV_ENDPOINT"] = environment["AWS_ENDPOINT_URL_DYNAMODB"]
    environment = {each: text for each, text in environment.items() if each != "AWS_ENDPOINT_URL"}
    environment |= {f"WORDFREQ_{name}": text for name, text in settings.items()}
    launch = [str(Path(sys.executable).with_name("dg")), "launch", "--job", "csv_to_dynamodb"]
    environment["DAGSTER_HOME"] = str(home)
    measure("job", launch, environment, 20 * uploads, log=subprocess.DEVNULL)
    receipts = list((folder / "home" / "plans").glob("*/*/ingest-*.json"))
    done = [json.loads(receipt.read_bytes()) for receipt in receipts]
    rows = sum(item["Rows"]["Written"] for receipt in done for item in receipt["Items"])
    print(f"  {uploads:,} uploads in {len(done)} containers; {rows:,} items written")


def measure(
    name: str, command: list[str], environment: dict[str, str], rows: int, *, log: int | None = None
) -> None:
    """Run a process; `ru_maxrss` of children only grows, so each is measured by its own wait."""
    started = time.monotonic()
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
    ) as process:
        assert process.stdout is not None
        out = process.stdout.read()
        _, status, after = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - started
    used = after.ru_utime + after.ru_stime
    print(f"{name} (exit code {process.returncode}):", out.strip().rpartition("/")[2])
    print(
        f"  {seconds:.1f} s, {rows / seconds:,.0f} rows/s; client's processor time {used:.1f} s "
        f"({rows / used:,.0f} rows/s); peak memory {after.ru_maxrss / 1024:.0f} MiB",
        flush=True,
    )


if __name__ == "__main__":
    main()
