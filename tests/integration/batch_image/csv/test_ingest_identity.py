"""Which uploads count as loaded, after replacements, changes of settings and kills.

Each step plans as the pipeline does and loads what the plan says; the table must then hold what the
bucket holds.
"""

from __future__ import annotations

import os
import signal
from unittest import mock

import pytest

from tests.integration.batch_image.csv.dynamodb import HEADER, Unreliable, expected, many
from tests.waiting import next_second, until
from wordfreq_batch.csv.schema import Schema
from wordfreq_batch.plans.formats import LOADS
from wordfreq_batch.plans.plan_store import write_plan
from wordfreq_batch.plans.planning import build_plan

COLUMNS = HEADER.decode().strip()
A, B = HEADER + b"1,a,x\n2,a,x\n", HEADER + b"1,b,x\n2,b,x\n"


class Inbox:
    """Uploads in S3 or in a folder, and runs of the pipeline's plan over them."""

    def __init__(self, base, store, *, s3=None):
        self.base, self.store, self.s3 = base, store, s3
        self.table = base.table()
        self.plans = 0

    def upload(self, name, data):
        if self.s3 is not None:
            self.s3.put_object(Bucket=self.store.split("/")[2], Key=f"in/{name}", Body=data)
            return
        path = self.base.wordfreq.folder / "in" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)

    def plan(self, columns=COLUMNS):
        self.plans += 1
        uri = f"{self.store}/plans/{self.plans}.json"
        version = Schema.parse(columns=columns, key="ProductId").version(self.table)
        with mock.patch.dict(os.environ, self.base.wordfreq.environment):
            made = build_plan(
                source=f"{self.store}/in",
                destination=f"{self.store}/rejects",
                plan=uri,
                pending=True,
                counter_version=version,
                results=LOADS,
            )
            write_plan(made)
        return uri, made.pending

    def run(self, columns=COLUMNS):
        """Returns the names that were loaded."""
        uri, pending = self.plan(columns)
        for number in range(len(pending)):
            ran = self.ingest(uri, number, columns)
            assert ran.code == 0, ran.err
        return pending

    def command(self, uri, number, columns=COLUMNS):
        return ("ingest", "-p", uri, "-i", str(number), "-t", self.table, "--columns", columns)

    def ingest(self, uri, number, columns=COLUMNS, **environment):
        return self.base.wordfreq(*self.command(uri, number, columns), **environment)

    @property
    def names(self):
        return {name for name, _ in self.base.values(self.table).values()}


@pytest.fixture(params=["s3", "folder"])
def inbox(request, database, ministack):
    if request.param == "s3":
        return Inbox(database, f"s3://{ministack.bucket()}", s3=ministack.client("s3"))
    return Inbox(database, str(database.wordfreq.folder))


def test_an_upload_that_is_changed_back_is_loaded_again(inbox):
    for data, name in [(A, "a"), (B, "b"), (A, "a"), (B, "b")]:
        inbox.upload("f.csv", data)
        assert inbox.run() == ("f.csv",)
        assert inbox.names == {name}
        assert inbox.run() == ()


def test_settings_that_are_changed_back_load_again(inbox):
    inbox.upload("f.csv", HEADER + b"1,7,x\n")
    number = COLUMNS.replace("ProductName", "ProductName:number")
    for columns, kind in [(COLUMNS, "S"), (number, "N"), (COLUMNS, "S")]:
        assert inbox.run(columns) == ("f.csv",)
        (item,) = inbox.base.items(inbox.table)
        assert list(item["ProductName"]) == [kind]
        assert inbox.run(columns) == ()


def test_the_same_bytes_uploaded_again_are_the_newest_upload(inbox):
    inbox.upload("f.csv", A)
    inbox.run()
    next_second()
    inbox.upload("g.csv", B)
    inbox.run()
    assert inbox.names == {"b"}
    next_second()
    inbox.upload("f.csv", A)
    assert inbox.run() == ("f.csv",)
    assert inbox.names == {"a"}


def test_a_load_killed_in_the_middle_is_not_taken_for_the_one_before(inbox, ministack):
    inbox.upload("f.csv", many(300))
    inbox.run()
    inbox.upload("f.csv", many(300).replace(b"text", b"new"))
    uri, _ = inbox.plan()
    with Unreliable(ministack.url, slow=0.05) as proxy:
        process = inbox.base.wordfreq.popen(
            *inbox.command(uri, 0), AWS_ENDPOINT_URL_DYNAMODB=proxy.url
        )
        until(lambda: proxy.sent["passed"] >= 20, process=process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    inbox.upload("f.csv", many(300))
    assert inbox.run() == ("f.csv",)
    assert inbox.base.values(inbox.table) == expected(300)


def test_a_retry_of_an_older_plan_does_not_believe_its_own_receipt(inbox):
    inbox.upload("f.csv", A)
    old, _ = inbox.plan()
    assert inbox.ingest(old, 0).code == 0
    inbox.upload("f.csv", B)
    inbox.run()
    inbox.upload("f.csv", A)
    assert inbox.run() == ("f.csv",)
    assert inbox.names == {"a"}


def test_a_slow_load_of_a_replaced_upload_is_an_error_and_spoils_nothing(inbox, ministack):
    inbox.upload("f.csv", many(300))
    uri, _ = inbox.plan()
    next_second()
    with Unreliable(ministack.url, slow=0.05) as proxy:
        process = inbox.base.wordfreq.popen(
            *inbox.command(uri, 0), AWS_ENDPOINT_URL_DYNAMODB=proxy.url
        )
        until(lambda: proxy.sent["passed"] >= 20, process=process)
        inbox.upload("f.csv", many(300).replace(b"text", b"new"))
        assert inbox.run() == ("f.csv",)
        _, err = process.communicate(timeout=120)
    assert (process.returncode, "f.csv was " in err) == (3, True), err
    inbox.run()
    assert {text for _, text in inbox.base.values(inbox.table).values()} == {"new"}
    assert inbox.run() == ()


def test_an_older_file_put_back_in_its_place_is_what_the_table_holds(either):
    inbox = Inbox(either, str(either.wordfreq.folder))
    inbox.upload("f.csv", B)
    inbox.run()
    inbox.upload("f.csv", A)
    os.utime(either.wordfreq.folder / "in" / "f.csv", (1000, 1000))
    assert inbox.run() == ("f.csv",)
    assert inbox.names == {"a"}
