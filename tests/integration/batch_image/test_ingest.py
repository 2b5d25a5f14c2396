"""`wordfreq ingest` as a process against a real DynamoDB API, with storage in folders and in S3."""

from __future__ import annotations

import http.server
import json
import os
import random
import re
import signal
import threading
import time
import urllib.request
from collections import Counter
from itertools import count
from pathlib import Path

import boto3
import pytest

HEADER = b"ProductId,ProductName,ProductDescription\n"
SAMPLE = HEADER + b"1,name2,desc2\n2,name2,desc2"


WRITES = ("BatchWriteItem", "PutItem")
THROTTLED = "ProvisionedThroughputExceededException"


class Database:
    """Tables of the emulator, and the program with the environment for them."""

    def __init__(self, server, wordfreq):
        self.server = server
        self.dynamodb = server.client("dynamodb")
        self.wordfreq = wordfreq
        wordfreq.environment.update(server.environment)

    def table(self, key="ProductId", sort_key="", *, kind="S", indexed="", index_kind="S"):
        name = self.server.name("table")
        keys = [{"AttributeName": key, "KeyType": "HASH"}]
        types = [{"AttributeName": key, "AttributeType": kind}]
        if sort_key:
            keys.append({"AttributeName": sort_key, "KeyType": "RANGE"})
            types.append({"AttributeName": sort_key, "AttributeType": "S"})
        more = {}
        if indexed:
            types.append({"AttributeName": indexed, "AttributeType": index_kind})
            more["GlobalSecondaryIndexes"] = [
                {
                    "IndexName": "by-name",
                    "KeySchema": [{"AttributeName": indexed, "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "KEYS_ONLY"},
                }
            ]
        self.dynamodb.create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=keys,
            AttributeDefinitions=types,
            **more,
        )
        return name

    def items(self, table):
        pages = self.dynamodb.get_paginator("scan").paginate(TableName=table)
        found = [item for page in pages for item in page["Items"]]
        return sorted(found, key=lambda item: json.dumps(item, sort_keys=True))

    def values(self, table):
        return {
            item["ProductId"]["S"]: (
                item.get("ProductName", {}).get("S"),
                item.get("ProductDescription", {}).get("S"),
            )
            for item in self.items(table)
        }

    def load(self, data, table, *options, name="sample.csv", **environment):
        (self.wordfreq.folder / name).write_bytes(data)
        return self.wordfreq("ingest", "-s", name, "-t", table, *options, **environment)


@pytest.fixture
def database(ministack, wordfreq):
    return Database(ministack, wordfreq)


def test_the_sample_layout_is_loaded(database):
    table = database.table()
    ran = database.load(SAMPLE, table)
    assert ran.code == 0, ran.err
    assert "2 rows read, 2 items written" in ran.out
    first = database.items(table)
    path = database.wordfreq.folder / "sample.csv"
    modified = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(path.stat().st_mtime))
    assert first[0] == {
        "ProductId": {"S": "1"},
        "ProductName": {"S": "name2"},
        "ProductDescription": {"S": "desc2"},
        "Filename": {"S": "sample.csv"},
        "LastModified": {"S": modified},
    }
    assert database.wordfreq("ingest", "-s", "sample.csv", "-t", table).code == 0
    assert database.items(table) == first


# Name, file, items by key, lines rejected, and for the record what the original made of it.
HOSTILE = [
    (
        "CRLF and blank lines",
        HEADER.replace(b"\n", b"\r\n") + b"\r\n1,a,b\r\n\r\n2,c,d\r\n",
        {"1": ("a", "b"), "2": ("c", "d")},
        [],
        "as expected",
    ),
    (
        "byte order mark",
        b"\xef\xbb\xbf" + HEADER + b"1,a,b\n",
        {"1": ("a", "b")},
        [],
        "three empty strings",
    ),
    (
        "header in another order",
        b"ProductDescription,ProductId,ProductName\nb,1,a\n",
        {"1": ("a", "b")},
        [],
        "three empty strings",
    ),
    (
        "header padded with blanks",
        b"ProductId , ProductName, ProductDescription\n1,a,b\n",
        {"1": ("a", "b")},
        [],
        "three empty strings",
    ),
    (
        "comma in quotes",
        HEADER + b'1,"a, b",c\n',
        {"1": ("a, b", "c")},
        [],
        'name `"a`, description ` b"`',
    ),
    (
        "line end in quotes",
        HEADER + b'1,"a\nb",c\n',
        {"1": ("a\nb", "c")},
        [],
        "row torn in two",
    ),
    (
        "U+2028 in a cell",
        HEADER + "1,a\u2028b,c\n".encode(),
        {"1": ("a\u2028b", "c")},
        [],
        "row torn in two",
    ),
    (
        "short rows",
        HEADER + b"1,a,b\n2,c\n3\n",
        {"1": ("a", "b")},
        [3, 4],
        "missing fields taken from the row before",
    ),
    (
        "four fields",
        HEADER + b"1,a,b,c\n2,a,b\n",
        {"2": ("a", "b")},
        [2],
        "the fourth is dropped",
    ),
    ("TAB in a row", HEADER + b"1,a\tx,b\n", {"1": ("a\tx", "b")}, [], "rest of the row lost"),
    ("blanks around values", HEADER + b"1, a ,b \n", {"1": (" a ", "b ")}, [], "kept"),
    (
        "the same id twice",
        HEADER + b"1,a,b\n2,x,y\n1,c,d\n",
        {"1": ("c", "d"), "2": ("x", "y")},
        [],
        "last wins",
    ),
    (
        "empty id",
        HEADER + b",a,b\n2,x,y\n",
        {"2": ("x", "y")},
        [2],
        "refused by DynamoDB, logged as updated",
    ),
    ("header only", HEADER, {}, [], "nothing"),
]


@pytest.mark.parametrize(
    ("data", "expected", "rejected"),
    [row[1:4] for row in HOSTILE],
    ids=[row[0] for row in HOSTILE],
)
def test_hostile_input_row_by_row(database, data, expected, rejected):
    table = database.table()
    ran = database.load(data, table)
    assert ran.code == 0, ran.err
    assert database.values(table) == expected
    told = [line for line in ran.err.splitlines() if "rejected: line" in line]
    assert [int(line.split("line ")[1].split(":")[0]) for line in told] == rejected


@pytest.mark.parametrize(
    ("data", "code", "says"),
    [
        (HEADER + b"1,a,b\n2,M\xfcller,d\n", 4, "not UTF-8: line 3, byte 4"),
        ("ProductId\n1\n".encode("utf-16"), 4, "is UTF-16"),
        (b"", 4, "is empty"),
        (b"ProductId;ProductName;ProductDescription\n1;a;b\n", 4, "is missing"),
        (
            b"ProductId,ProductName,ProductDescription,Price\n1,a,b,2\n",
            4,
            "'Price' is not expected",
        ),
        (HEADER + b",a,b\n,c,d\n", 4, "none of its 2 rows can be loaded; the first: line 2"),
    ],
    ids=["Latin-1", "UTF-16", "empty", "semicolons", "other column", "no good row"],
)
def test_a_file_that_is_unusable_is_named_and_nothing_of_it_is_loaded(database, data, code, says):
    table = database.table()
    ran = database.load(data, table)
    assert ran.code == code
    assert says in ran.err
    assert "sample.csv" in ran.err
    assert "items written" not in ran.out
    assert database.items(table) == []


def test_tables_that_do_not_fit_are_explained(database):
    ran = database.load(SAMPLE, "no-such-table")
    assert ran.code == 3
    assert "table no-such-table (us-east-1) doesn't exist" in ran.err
    other = database.table("Sku")
    ran = database.load(SAMPLE, other)
    assert ran.code == 2
    assert "has the key 'Sku', the settings say 'ProductId'" in ran.err
    ranged = database.table("ProductId", "ProductName")
    assert "with the sort key 'ProductName'" in database.load(SAMPLE, ranged).err
    assert database.load(SAMPLE, ranged, "--sort-key", "ProductName").code == 0
    assert len(database.items(ranged)) == 2
    number = database.table(kind="N")
    ran = database.load(SAMPLE, number)
    assert (ran.code, "of type number, it is loaded as a string" in ran.err) == (2, True)
    columns = "ProductId:number,ProductName,ProductDescription"
    assert database.load(SAMPLE, number, "--columns", columns).code == 0
    assert [item["ProductId"] for item in database.items(number)] == [{"N": "1"}, {"N": "2"}]


def test_an_item_too_large_and_rows_an_index_refuses_are_rejects(database):
    table = database.table(indexed="ProductName")
    data = HEADER + b"1,a," + b"x" * 409_600 + b"\n2,,empty\n3,c," + b"y" * 400_000 + b"\n"
    ran = database.load(data, table)
    assert ran.code == 0
    assert "line 2: the item has 409," in ran.err and "DynamoDB allows 409,600" in ran.err
    assert "line 3: ProductName is empty, but the table has an index on it" in ran.err
    assert list(database.values(table)) == ["3"]


def test_rejects_go_to_an_object_named_like_the_file_and_may_be_limited(database):
    table = database.table()
    data = HEADER + b'1,a,b\n2,"x\ny"z,b\n3,c\n'
    ran = database.load(data, table, "--rejects", "out")
    assert ran.code == 0
    assert "3 rows were rejected" in ran.err
    rejects = (database.wordfreq.folder / "out" / "sample.csv").read_text()
    assert rejects.splitlines()[0] == "line,reason,text"
    assert "'\"' expected" in rejects or "expected after" in rejects
    assert "\n5," in rejects and '"3,c"' in rejects
    for limit, code in (("3", 0), ("2", 4), ("75%", 0), ("50%", 4)):
        other = database.table()
        ran = database.load(data, other, "--rejects", "out", "--max-rejects", limit)
        assert ran.code == code, limit
        assert len(database.items(other)) == (0 if code else 1)
    assert "more than allowed, so nothing of it was" in ran.err
    (database.wordfreq.folder / "out" / "sample.csv").read_text()


def test_plans_receipts_and_leases(database, folder, ministack):
    table = database.table()
    folder("in", {"a.csv": SAMPLE, "b.csv": HEADER + b"9,x,y\n8,short\n", "c.csv": b"\xff"})
    run = database.wordfreq
    run.ok("plan", "-s", "in", "-d", "rejects", "-p", "plan.json")
    ingest = ("ingest", "-p", "plan.json", "-t", table)
    taken = {
        "BATCH_SUBMISSION": "token",
        "AWS_BATCH_JOB_ID": "one",
        "AWS_BATCH_JOB_ARRAY_INDEX": "1",
    }
    assert run(*ingest, **taken).code == 0
    doubled = run(*ingest, **taken | {"AWS_BATCH_JOB_ID": "two"})
    assert (doubled.code, "belongs to job one" in doubled.err) == (0, True)
    assert run(*ingest, "-i", "0").code == 0
    bad = run(*ingest, "-i", "2")
    assert (bad.code, "not UTF-8" in bad.err) == (4, True)
    again = run(*ingest, "-i", "1")
    assert (again.code, "was done already" in again.err) == (0, True)
    assert run(*ingest, "-i", "3").code == 2
    assert run(*ingest).code == 2
    (receipt,) = run.folder.glob("plan/*/ingest-00001.json")
    (item,) = json.loads(receipt.read_bytes())["Items"]
    rows = item["Rows"]
    assert (rows["Read"], rows["Written"], rows["Rejected"], rows["Superseded"]) == (2, 1, 1, 0)
    assert rows["Capacity"] == 1
    assert rows["Rejects"][0][0] == 3
    assert rows["Sample"][0]["ProductId"] == "9"
    assert len(database.items(table)) == 3


def test_from_and_to_s3(database, ministack):
    table = database.table()
    bucket = ministack.bucket()
    s3 = ministack.client("s3")
    key = "in/a b+ü#1.csv"
    s3.put_object(Bucket=bucket, Key=key, Body=SAMPLE + b"\n3\n")
    ran = database.wordfreq(
        *("ingest", "-s", f"s3://{bucket}/{key}", "-t", table, "--rejects", f"s3://{bucket}/out")
    )
    assert ran.code == 0, ran.err
    items = database.items(table)
    modified = s3.head_object(Bucket=bucket, Key=key)["LastModified"]
    assert {item["Filename"]["S"] for item in items} == {key}
    assert {i["LastModified"]["S"] for i in items} == {modified.strftime("%Y-%m-%dT%H:%M:%SZ")}
    rejects = s3.get_object(Bucket=bucket, Key="out/a b+ü#1.csv")["Body"].read().decode()
    assert rejects.splitlines()[1].startswith("4,")


@pytest.fixture(params=["ministack", "moto"])
def either(request, wordfreq):
    """The same on two emulators."""
    return Database(request.getfixturevalue(request.param), wordfreq)


@pytest.fixture(scope="module")
def moto():
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield Moto("http://{}:{}".format(*server.get_host_and_port()))
    server.stop()


class Moto:
    """moto's DynamoDB, to be used as the fixture `ministack` is."""

    def __init__(self, url):
        self.url = url
        self.numbers = count()
        self.environment = {
            "AWS_ENDPOINT_URL": url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "moto",
            "AWS_SECRET_ACCESS_KEY": "moto",
        }

    def name(self, what):
        return f"{what}-{next(self.numbers)}"

    def client(self, service):
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="moto",
            aws_secret_access_key="moto",
        )


class Unreliable:
    """DynamoDB behind a proxy on loopback that refuses or shortens a share of the writes.

    `empty`: share of the writes that are answered by `{}` and not done; `busy`: so many
    DescribeTables are throttled first; `respelled`: numbers given back are spelled otherwise.
    """

    def __init__(
        self,
        url,
        *,
        throttled=0.0,
        unprocessed=0.0,
        failing=0.0,
        denied=False,
        slow=0.0,
        empty=0.0,
        busy=0,
        respelled=False,
    ):
        self.told = Counter()
        chooser = random.Random(3)
        lock = threading.Lock()
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                target = self.headers["x-amz-target"].partition(".")[2]
                if target == "DescribeTable" and proxy.told["busy"] < busy:
                    return self.refuse(400, "ThrottlingException", "busy")
                if target in WRITES:
                    with lock:
                        dice = chooser.random()
                    time.sleep(slow)
                    if b"poison" in body:
                        return self.refuse(400, "ValidationException", "no poison")
                    if denied:
                        return self.refuse(400, "AccessDeniedException", "denied")
                    if dice < throttled:
                        return self.refuse(
                            400, "ProvisionedThroughputExceededException", "throttled"
                        )
                    if dice < throttled + failing:
                        return self.refuse(500, "InternalServerError", "failed")
                    if dice < throttled + failing + unprocessed:
                        return self.shorten(body)
                    if dice > 1 - empty:
                        proxy.told["empty"] += 1
                        return self.answer(200, b"{}")
                proxy.told["passed"] += target in WRITES
                return self.answer(200, self.forward(body))

            def forward(self, body):
                headers = {k: v for k, v in self.headers.items() if k.lower() != "host"}
                headers = {k: v for k, v in headers.items() if k.lower() != "content-length"}
                request = urllib.request.Request(url, data=body, headers=headers)
                try:
                    with urllib.request.urlopen(request) as found:
                        return found.read()
                except urllib.error.HTTPError as error:
                    self.answer(error.code, error.read())
                    raise

            def shorten(self, body):
                document = json.loads(body)
                ((table, puts),) = document["RequestItems"].items()
                half = len(puts) // 2
                proxy.told["unprocessed"] += 1
                if half:
                    document["RequestItems"] = {table: puts[:half]}
                    self.forward(json.dumps(document).encode())
                answer = {"UnprocessedItems": {table: puts[half:]}, "ConsumedCapacity": []}
                text = json.dumps(answer)
                if respelled:
                    text = re.sub(r'"N": "([0-9]+)"', r'"N": "\1.00"', text)
                self.answer(200, text.encode())

            def refuse(self, status, code, what):
                proxy.told[what] += 1
                message = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": what}
                self.answer(status, json.dumps(message).encode())

            def answer(self, status, body):
                self.send_response(status)
                self.send_header("content-type", "application/x-amz-json-1.0")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def many(rows):
    return HEADER + b"".join(b"%d,name %d,text\n" % (n % (rows - 10), n) for n in range(rows))


def expected(rows):
    return {str(n % (rows - 10)): (f"name {n}", "text") for n in range(rows)}


def test_throttled_failing_and_unprocessed_writes_all_arrive(database, ministack):
    table = database.table()
    with Unreliable(ministack.url, throttled=0.15, failing=0.05, unprocessed=0.15) as proxy:
        ran = database.load(
            many(3000), table, "--write", "always", AWS_ENDPOINT_URL_DYNAMODB=proxy.url
        )
    assert ran.code == 0, ran.err
    assert "3,000 rows read, 2,990 items written" in ran.out
    assert "10 superseded" in ran.out
    assert proxy.told["throttled"] > 5 and proxy.told["unprocessed"] > 5 and proxy.told["failed"]
    assert database.values(table) == expected(3000)


def test_conditional_writes_that_are_throttled_or_fail_all_arrive_in_the_end(database, ministack):
    table = database.table()
    with Unreliable(ministack.url, throttled=0.15, failing=0.05, empty=0.1) as proxy:
        ran = database.load(many(300), table, AWS_ENDPOINT_URL_DYNAMODB=proxy.url)
    assert ran.code == 0, ran.err
    assert "300 rows read, 290 items written" in ran.out
    assert proxy.told["throttled"] > 5 and proxy.told["empty"] > 5 and proxy.told["failed"]
    assert database.values(table) == expected(300)


@pytest.mark.parametrize("mode", ["newer", "always"])
def test_an_answer_that_proves_nothing_is_not_believed(either, mode):
    table = either.table()
    with Unreliable(either.server.url, empty=0.5) as proxy:
        ran = either.load(many(500), table, "--write", mode, AWS_ENDPOINT_URL_DYNAMODB=proxy.url)
    assert ran.code == 0, ran.err
    assert proxy.told["empty"] > 5
    assert "500 rows read, 490 items written" in ran.out
    assert either.values(table) == expected(500)


def test_numbers_that_come_back_spelled_otherwise_are_recognised(database, ministack):
    table = database.table(kind="N")
    columns = "ProductId:number,ProductName,ProductDescription"
    with Unreliable(ministack.url, unprocessed=0.5, respelled=True) as proxy:
        ran = database.load(
            *(many(1000), table, "--columns", columns, "--write", "always"),
            AWS_ENDPOINT_URL_DYNAMODB=proxy.url,
        )
    assert ran.code == 0, ran.err
    assert proxy.told["unprocessed"] > 5
    assert "1,000 rows read, 990 items written" in ran.out
    assert len(database.items(table)) == 990


def test_a_table_that_is_too_busy_to_be_described_is_asked_again(database, ministack):
    table = database.table()
    with Unreliable(ministack.url, busy=3) as proxy:
        ran = database.load(SAMPLE, table, AWS_ENDPOINT_URL_DYNAMODB=proxy.url)
        assert ran.code == 0, ran.err
    with Unreliable(ministack.url, busy=1_000) as proxy:
        ran = database.load(SAMPLE, table, "--patience", "1", AWS_ENDPOINT_URL_DYNAMODB=proxy.url)
    assert (ran.code, "ThrottlingException" in ran.err) == (1, True)


def test_the_newest_upload_wins_whichever_is_loaded_last(either):
    table = either.table()
    folder = either.wordfreq.folder
    both, mine = HEADER + b"1,%b,x\n2,%b,x\n", HEADER + b"2,%b,x\n3,%b,x\n"
    files = {"new.csv": (both, 2000), "old.csv": (mine, 1000), "newest.csv": (mine, 3000)}
    for name, (data, modified) in files.items():
        word = name.removesuffix(".csv").encode()
        (folder / name).write_bytes(data % (word, word))
        os.utime(folder / name, (modified, modified))

    def load(name):
        ran = either.wordfreq("ingest", "-s", name, "-t", table)
        assert ran.code == 0, ran.err
        return ran

    load("new.csv")
    ran = load("old.csv")
    assert "1 rows were left out: a newer upload holds their keys" in ran.err
    assert "2 rows read, 1 items written" in ran.out and "1 superseded" in ran.out
    assert {k: v[0] for k, v in either.values(table).items()} == {
        "1": "new",
        "2": "new",
        "3": "old",
    }
    ran = load("newest.csv")
    assert "2 keys were those of other uploads" in ran.err
    assert "new.csv" in ran.err and "old.csv" in ran.err
    load("new.csv")
    load("old.csv")
    names = {key: name for key, (name, _) in either.values(table).items()}
    assert names == {"1": "new", "2": "newest", "3": "newest"}
    assert "warning" not in load("newest.csv").err  # its own keys are nobody else's


def test_a_slow_load_of_an_older_upload_spoils_nothing(database, ministack):
    table = database.table()
    rows, folder = 300, database.wordfreq.folder
    (folder / "v1.csv").write_bytes(many(rows))
    os.utime(folder / "v1.csv", (1000, 1000))
    (folder / "v2.csv").write_bytes(many(rows).replace(b"text", b"new text"))
    with Unreliable(ministack.url, slow=0.05) as proxy:
        slow = database.wordfreq.popen(
            *("ingest", "-s", "v1.csv", "-t", table), AWS_ENDPOINT_URL_DYNAMODB=proxy.url
        )
        while proxy.told["passed"] < 20:
            assert slow.poll() is None, slow.communicate()
            time.sleep(0.01)
        assert database.wordfreq("ingest", "-s", "v2.csv", "-t", table).code == 0
        assert slow.poll() is None
        slow.communicate(timeout=120)
    assert slow.returncode == 0
    assert {text for _, text in database.values(table).values()} == {"new text"}


def test_rejects_of_the_table_itself_obey_the_limit_and_a_file_without_any_item_is_bad(
    database, ministack
):
    some = many(40) + b"".join(b"x%d,poison,1\n" % n for n in range(10))
    none = HEADER + b"".join(b"x%d,poison,1\n" % n for n in range(10))
    with Unreliable(ministack.url) as proxy:
        for data, options, code in [
            (some, ["--max-rejects", "50%"], 0),
            (some, ["--max-rejects", "1%", "--rejects", "out"], 4),
            (some, ["--max-rejects", "9", "--write", "always"], 4),
            (none, [], 4),
        ]:
            ran = database.load(
                data, database.table(), *options, AWS_ENDPOINT_URL_DYNAMODB=proxy.url
            )
            assert ran.code == code, (options, ran.err)
            assert "Traceback" not in ran.err
        assert "none of its 10 rows can be loaded" in ran.err
    assert "no poison" in (database.wordfreq.folder / "out" / "sample.csv").read_text()


def test_types_of_indexed_attributes_are_compared_before_anything_is_written(database):
    table = database.table(indexed="Price", index_kind="N")
    data = HEADER.replace(b"\n", b",Price\n") + b"1,a,b,5\n"
    ran = database.load(data, table, "--extra-columns", "keep")
    assert (ran.code, "write it as Price:number" in ran.err) == (2, True)
    assert database.items(table) == []
    columns = "ProductId,ProductName,ProductDescription,Price:number"
    assert database.load(data, table, "--columns", columns).code == 0
    ran = database.load(SAMPLE, database.table(indexed="LastModified", index_kind="N"))
    assert (ran.code, "'LastModified' as a key of type number" in ran.err) == (2, True)


def test_a_table_that_takes_nothing_is_given_up_in_time(database, ministack):
    table = database.table()
    with Unreliable(ministack.url, throttled=1.0) as proxy:
        ran = database.load(
            many(100), table, "--patience", "1", AWS_ENDPOINT_URL_DYNAMODB=proxy.url
        )
    assert ran.code == 1
    assert f"table {table} took nothing for 1 seconds" in ran.err
    assert "ProvisionedThroughputExceededException" in ran.err
    assert "Traceback" not in ran.err


def test_without_the_right_to_write_nothing_is_retried(database, ministack):
    table = database.table()
    with Unreliable(ministack.url, denied=True) as proxy:
        ran = database.load(many(100), table, AWS_ENDPOINT_URL_DYNAMODB=proxy.url)
    assert ran.code == 1
    assert "access denied" in ran.err and "dynamodb:BatchWriteItem" in ran.err
    assert proxy.told["denied"] <= 8  # those in flight


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)], ids=["TERM", "KILL"]
)
def test_killed_in_the_middle_and_run_again_gives_the_same_items(
    database, ministack, folder, number, code
):
    table = database.table()
    folder("in", {"a.csv": many(4000)})
    run = database.wordfreq
    run.ok("plan", "-s", "in", "-d", "rejects", "-p", "plan.json")
    ingest = ("ingest", "-p", "plan.json", "-i", "0", "-t", table)
    with Unreliable(ministack.url, slow=0.05) as proxy:
        process = run.popen(*ingest, AWS_ENDPOINT_URL_DYNAMODB=proxy.url)
        while proxy.told["passed"] < 20:
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        process.send_signal(number)
        started = time.monotonic()
        _, err = process.communicate(timeout=30)
    assert time.monotonic() - started < 10
    assert process.returncode == code
    assert "Traceback" not in err
    assert 0 < len(database.items(table)) < 3990
    assert not list(run.folder.glob("plan/*/ingest-*.json"))
    assert not (run.folder / "rejects" / "a.csv").exists()
    assert run(*ingest).code == 0
    assert database.values(table) == expected(4000)


def test_rows_that_only_the_table_refuses_are_rejects(database, ministack):
    table = database.table()
    data = many(200) + b"x,poison,1\n" + b"y,fine,2\n" + b"z,poison,3\n"
    with Unreliable(ministack.url, throttled=0.2) as proxy:
        ran = database.load(data, table, AWS_ENDPOINT_URL_DYNAMODB=proxy.url)
    assert ran.code == 0, ran.err
    told = [line for line in ran.err.splitlines() if "rejected: line" in line]
    assert [line.split(":", 3)[2:] for line in told] == [
        [" line 202", " DynamoDB: no poison: 'x,poison,1'"],
        [" line 204", " DynamoDB: no poison: 'z,poison,3'"],
    ]
    assert "203 rows read, 191 items written" in ran.out
    assert database.values(table) == expected(200) | {"y": ("fine", "2")}


def test_sigterm_ends_the_waiting_for_a_table_that_throttles(database, ministack):
    table = database.table()
    (database.wordfreq.folder / "a.csv").write_bytes(many(1000))
    with Unreliable(ministack.url, throttled=1.0) as proxy:
        process = database.wordfreq.popen(
            *("ingest", "-s", "a.csv", "-t", table), AWS_ENDPOINT_URL_DYNAMODB=proxy.url
        )
        while proxy.told["throttled"] < 40:
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        started = time.monotonic()
        _, err = process.communicate(timeout=30)
    assert time.monotonic() - started < 10
    assert process.returncode == 143
    assert "Traceback" not in err


def test_a_file_that_changes_meanwhile_is_an_error(database, ministack):
    table = database.table()
    path = database.wordfreq.folder / "a.csv"
    path.write_bytes(many(8_000))
    with Unreliable(ministack.url, slow=0.02) as proxy:
        process = database.wordfreq.popen(
            *("ingest", "-s", "a.csv", "-t", table, "--write", "always"),
            AWS_ENDPOINT_URL_DYNAMODB=proxy.url,
        )
        while proxy.told["passed"] < 5:
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        with path.open("ab") as file:
            file.write(b"new,row,x\n")
        _, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "a.csv was written to while being read" in err


def test_what_is_loaded_already_is_left_alone(database, folder):
    from unittest import mock

    from wordfreq_batch.csv.schema import Schema
    from wordfreq_batch.plans.planning import (
        build_plan,
        write_plan,
    )

    table = database.table()
    root = folder("in", {"a.csv": SAMPLE}).parent
    schema = Schema.parse(columns=HEADER.decode().strip(), key="ProductId")

    def plan(name, **more):
        made = build_plan(
            source=str(root / "in"),
            destination=str(root / "rejects"),
            plan=str(root / name),
            counter_version=schema.version(table),
            **more,
        )
        write_plan(made)
        return made

    with mock.patch.dict(os.environ, database.wordfreq.environment):
        assert plan("one.json").pending == ("a.csv",)
        run = database.wordfreq
        assert run("ingest", "-p", "one.json", "-i", "0", "-t", table).code == 0
        assert plan("two.json").pending == ()
        assert "loaded already" in run.ok("ingest", "-p", "two.json", "-i", "0", "-t", table)
        assert plan("three.json", again=True).pending == ("a.csv",)
        assert "2 items written" in run.ok("ingest", "-p", "three.json", "-i", "0", "-t", table)
        other = run("ingest", "-p", "two.json", "-i", "0", "-t", database.table())
        assert (other.code, "was made for ingest" in other.err) == (3, True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_rejects_that_cannot_be_written_are_named(database):
    table = database.table()
    Path(database.wordfreq.folder / "out").mkdir(mode=0o500)
    ran = database.load(SAMPLE, table, "--rejects", "out")
    assert ran.code == 1
    assert "out" in ran.err
