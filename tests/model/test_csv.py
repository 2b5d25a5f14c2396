"""Whatever happens to uploads and runs, one run later the table is what the inbox says.

As `test_words`, for CSVs in DynamoDB, in mirror mode, on two emulators. Uploads share keys. Of such
a key the newest upload's row is right; where an upload that had it is gone it may be missing, until
the other upload is loaded again (docs/csv-to-dynamodb.md, "Mirror").
"""

import os

import dagster as dg
import pytest
from dagster import AssetCheckKey
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from moto.server import ThreadedMotoServer

from tests.integration.batch_image.csv.dynamodb import Moto
from tests.model.processes import ended, report_dead_runs, start
from tests.model.test_words import Model, run
from wordfreq_dagster.defs.csv_to_dynamodb.csv_rows import REPORTED, ROWS_ADD_UP
from wordfreq_dagster.files.partitions import csv_uploads_partitions
from wordfreq_dagster.settings import Settings

CSV_ROWS = dg.AssetKey("csv_rows")
BAD = b"Something,Else\n1,2\n"
BEGIN = 1_700_000_000


class Uploads(Model):
    """The inbox, what is known to be in it, and the table."""

    server = None

    def __init__(self):
        super().__init__()
        self.inbox = self.home / "uploads"
        self.inbox.mkdir()
        self.dynamodb = self.server.client("dynamodb")
        self.table = f"model-{os.getpid()}"
        self.dynamodb.create_table(
            TableName=self.table,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "ProductId", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "ProductId", "AttributeType": "S"}],
        )
        self.settings = Settings(
            home=str(self.home),
            csv_table=self.table,
            csv_endpoint=self.server.environment["AWS_ENDPOINT_URL"],
            csv_removed="mirror",
            csv_pack="60B",
        )
        #: Every version ever uploaded: name and keys, None if it is bad. Its number is its time.
        self.versions = []
        self.current = {}
        self.begin()
        self.upload("first.csv", {"1"})

    def teardown(self):
        super().teardown()
        self.dynamodb.delete_table(TableName=self.table)

    @rule(
        name=st.sampled_from(["a.csv", "b.csv", "deep/c d.csv"]),
        keys=st.one_of(st.none(), st.sets(st.sampled_from("123456"), min_size=1, max_size=3)),
    )
    def upload(self, name, keys):
        number = len(self.versions)
        self.versions.append((name, keys))
        self.current[name] = number
        rows = "".join(f"{key},{name}@{number},text\n" for key in sorted(keys or ()))
        path = self.inbox / name
        path.parent.mkdir(exist_ok=True)
        head = "ProductId,ProductName,ProductDescription\n"
        path.write_bytes(BAD + b"%d" % number if keys is None else (head + rows).encode())
        os.utime(path, (BEGIN + number, BEGIN + number))

    @precondition(lambda self: len(self.current) > 1)
    @rule(data=st.data())
    def remove(self, data):
        name = data.draw(st.sampled_from(sorted(set(self.current) - {"first.csv"})))
        (self.inbox / name).unlink()
        del self.current[name]

    @rule(event=st.integers(min_value=1, max_value=50))
    def a_run_is_killed(self, event):
        ended(self.start(die_at=event))
        report_dead_runs(self.instance)
        self.settle()

    @rule()
    def two_runs_at_once(self):
        for process in [self.start(), self.start()]:
            ended(process)
        self.settle()

    @rule(number=st.integers(min_value=0, max_value=9))
    def a_partition_is_launched(self, number):
        there = sorted(self.instance.get_dynamic_partitions("csv_uploads"))
        if there:
            ended(self.start(job="only_csv_rows", partition=there[number % len(there)]))
        self.settle()

    @rule()
    def settle(self):
        # a run that finds bad data fails, and the next one has nothing left to find
        assert ended(self.start()) or (self.bad and ended(self.start())), self.log
        self.check_partitions()
        self.check_items()
        self.check_checks()

    @property
    def environment(self):
        return self.server.environment

    def start(self, job="csv_to_dynamodb", **options):
        where = {"job": job, "environment": self.environment}
        return start(self.instance.get_ref(), self.settings, **where, **options)

    @property
    def bad(self):
        return {name for name, number in self.current.items() if self.versions[number][1] is None}

    def check_partitions(self):
        self.done["comparisons"] += 1
        keys = self.instance.get_dynamic_partitions("csv_uploads")
        assert set(keys) == set(self.current)
        found = self.instance.get_status_by_partition(CSV_ROWS, keys, csv_uploads_partitions)
        shown = {key: status and status.value for key, status in found.items()}
        expected = {name: "FAILED" if name in self.bad else "MATERIALIZED" for name in self.current}
        assert shown == expected

    def check_items(self):
        found = self.dynamodb.scan(TableName=self.table)["Items"]
        shown = {item["ProductId"]["S"]: item["ProductName"]["S"] for item in found}
        for key in "123456":
            assert shown.get(key) in self.allowed(key), (key, self.versions, self.current, shown)

    def check_checks(self):
        keys = [AssetCheckKey(CSV_ROWS, name) for name in (REPORTED, ROWS_ADD_UP)]
        found = self.instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
        shown = {key.name: (found[key].status.value if key in found else "none") for key in keys}
        right = {REPORTED: "SUCCEEDED", ROWS_ADD_UP: "FAILED" if self.bad else "SUCCEEDED"}
        assert shown == right

    def allowed(self, key):
        """What the table may show of a key."""
        having = [n for n, (_, keys) in enumerate(self.versions) if keys and key in keys]
        newest = max((n for n in having if n in self.current.values()), default=-1)
        newer = [n for n in having if n > newest]
        rows = {f"{self.versions[newest][0]}@{newest}" if newest >= 0 else None}
        # of an upload that is bad data now the former items stay
        rows |= {f"{name}@{n}" for n in newer if (name := self.versions[n][0]) in self.bad}
        return rows | {None} if newer else rows


@pytest.mark.slow
@pytest.mark.timeout(3 * 3600)
def test_on_ministack(ministack):
    class OnMinistack(Uploads):
        server = ministack

    run(OnMinistack, steps=4)


@pytest.mark.slow
@pytest.mark.timeout(3 * 3600)
def test_on_moto():
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()

    class OnMoto(Uploads):
        server = Moto("http://{}:{}".format(*moto.get_host_and_port()))

    try:
        run(OnMoto, steps=4)
    finally:
        moto.stop()
