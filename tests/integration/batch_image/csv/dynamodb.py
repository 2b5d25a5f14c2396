"""A DynamoDB API for the tests of `wordfreq ingest`: tables, moto, a proxy that makes trouble."""

from __future__ import annotations

import http.server
import json
import random
import re
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from itertools import count

import boto3

HEADER = b"ProductId,ProductName,ProductDescription\n"
SAMPLE = HEADER + b"1,name2,desc2\n2,name2,desc2"


WRITES = ("BatchWriteItem", "PutItem", "DeleteItem")
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
        self.sent = Counter()
        self.times = []  # of the writes that were passed on
        chooser = random.Random(3)
        lock = threading.Lock()
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                target = self.headers["x-amz-target"].partition(".")[2]
                if target == "DescribeTable" and proxy.sent["busy"] < busy:
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
                        proxy.sent["empty"] += 1
                        return self.answer(200, b"{}")
                if target in WRITES:
                    proxy.sent["passed"] += 1
                    proxy.times.append(time.monotonic())
                return self.answer(*self.forward(body))

            def forward(self, body):
                headers = {k: v for k, v in self.headers.items() if k.lower() != "host"}
                headers = {k: v for k, v in headers.items() if k.lower() != "content-length"}
                request = urllib.request.Request(url, data=body, headers=headers)
                try:
                    with urllib.request.urlopen(request) as found:
                        return 200, found.read()
                except urllib.error.HTTPError as error:
                    return error.code, error.read()

            def shorten(self, body):
                document = json.loads(body)
                ((table, puts),) = document["RequestItems"].items()
                half = len(puts) // 2
                proxy.sent["unprocessed"] += 1
                if half:
                    document["RequestItems"] = {table: puts[:half]}
                    self.forward(json.dumps(document).encode())
                answer = {"UnprocessedItems": {table: puts[half:]}, "ConsumedCapacity": []}
                text = json.dumps(answer)
                if respelled:
                    text = re.sub(r'"N": "([0-9]+)"', r'"N": "\1.00"', text)
                self.answer(200, text.encode())

            def refuse(self, status, code, what):
                proxy.sent[what] += 1
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
