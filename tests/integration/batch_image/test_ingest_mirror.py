"""`wordfreq mirror`: the table holds what the uploads hold, whatever was replaced and deleted."""

from __future__ import annotations

import json
import os
import signal

import pytest

from tests.integration.batch_image.dynamodb import HEADER, Unreliable, many
from tests.integration.batch_image.test_ingest_identity import Inbox
from tests.waiting import until


def rows(*keys, text="x"):
    return HEADER + b"".join(f"{key},{text},d\n".encode() for key in keys)


@pytest.fixture
def inbox(either):
    return Folder(either, str(either.wordfreq.folder))


class Folder(Inbox):
    """Uploads in a folder, whose times are as far apart as S3's."""

    moment = 1_700_000_000

    def upload(self, name, data):
        super().upload(name, data)
        self.moment += 10
        os.utime(self.path(name), (self.moment, self.moment))

    def path(self, name):
        return self.base.wordfreq.folder / "in" / name

    @property
    def keys(self):
        return set(self.base.values(self.table))

    def mirror(self, *options, uri=None, **environment):
        uri = uri or self.plan()[0]
        return self.base.wordfreq("mirror", "-p", uri, "-t", self.table, *options, **environment)


def test_replaced_and_deleted_uploads_leave_nothing_and_all_else_stays(inbox):
    inbox.upload("a.csv", rows("a1", "a2", "both"))
    inbox.upload("b.csv", rows("b1", "b2"))
    inbox.upload("c.csv", rows("c1"))
    inbox.run()
    stranger = {"ProductId": {"S": "s"}, "Filename": {"S": "other.csv"}}
    stranger["LastModified"] = {"S": "2020-01-01T00:00:00Z"}
    inbox.base.dynamodb.put_item(TableName=inbox.table, Item=stranger)
    inbox.base.dynamodb.put_item(TableName=inbox.table, Item={"ProductId": {"S": "by hand"}})
    inbox.upload("a.csv", rows("a1", "a3"))
    inbox.upload("b.csv", rows("both"))  # its new version takes over a key of the old a.csv
    inbox.path("c.csv").unlink()
    inbox.run()
    before = {"a1", "a2", "a3", "b1", "b2", "both", "c1", "s", "by hand"}
    assert inbox.keys == before

    rehearsed = inbox.mirror("--dry-run")
    assert rehearsed.code == 0, rehearsed.err
    assert inbox.keys == before
    uri, _ = inbox.plan()
    done = inbox.mirror(uri=uri)
    assert done.code == 0, done.err
    assert inbox.keys == {"a1", "a3", "both", "s", "by hand"}
    for says in ("a.csv: 1 items", "b.csv: 2 items", "c.csv: 1 items", "4 items of 3 uploads"):
        assert says in rehearsed.out and says in done.out
    assert "9 items read for" in done.out
    (receipt,) = inbox.base.wordfreq.folder.rglob("mirror-00000.json")
    items = json.loads(receipt.read_bytes())["Items"]
    assert {i["Name"]: i["Rows"]["Deleted"] for i in items} == {"a.csv": 1, "b.csv": 2, "c.csv": 1}
    assert "0 items of 0 uploads deleted" in inbox.mirror().out


def test_an_upload_that_is_not_loaded_yet_keeps_the_items_of_the_one_before(inbox):
    inbox.upload("a.csv", rows("1", "2"))
    inbox.run()
    inbox.upload("a.csv", b"bad\n1\n")
    uri, _ = inbox.plan()
    assert inbox.ingest(uri, 0).code == 4
    assert inbox.mirror(uri=uri).code == 0
    assert inbox.keys == {"1", "2"}
    inbox.upload("a.csv", rows("2"))
    inbox.run()
    assert inbox.mirror().code == 0
    assert inbox.keys == {"2"}


def test_an_older_file_put_back_is_all_that_is_left(inbox):
    inbox.upload("a.csv", rows("1", "2"))
    inbox.run()
    inbox.upload("a.csv", rows("2", "3"))
    os.utime(inbox.path("a.csv"), (1000, 1000))
    inbox.run()
    assert inbox.mirror().code == 0
    assert inbox.keys == {"2", "3"}


def test_what_a_newer_upload_has_put_meanwhile_stays(inbox):
    """Two runs at once: one deletes slowly while the other loads the same keys of a new upload."""
    inbox.upload("a.csv", many(300))
    inbox.run()
    inbox.path("a.csv").unlink()
    uri, _ = inbox.plan()
    with Unreliable(inbox.base.server.url, slow=0.02) as proxy:
        process = inbox.base.wordfreq.popen(
            *("mirror", "-p", uri, "-t", inbox.table, "--in-flight", "1"),
            AWS_ENDPOINT_URL_DYNAMODB=proxy.url,
        )
        until(lambda: proxy.told["passed"] >= 10, process=process)
        inbox.upload("a.csv", many(300).replace(b"text", b"new"))
        inbox.run()
        _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert len(inbox.keys) == 290
    assert {text for _, text in inbox.base.values(inbox.table).values()} == {"new"}
    assert inbox.mirror().code == 0
    assert len(inbox.keys) == 290


def test_killed_and_throttled_it_goes_on(inbox):
    inbox.upload("a.csv", many(300))
    inbox.upload("b.csv", rows("b"))
    inbox.run()
    inbox.path("a.csv").unlink()
    uri, _ = inbox.plan()
    with Unreliable(inbox.base.server.url, slow=0.02) as proxy:
        process = inbox.base.wordfreq.popen(
            "mirror", "-p", uri, "-t", inbox.table, AWS_ENDPOINT_URL_DYNAMODB=proxy.url
        )
        until(lambda: proxy.told["passed"] >= 10, process=process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert 1 < len(inbox.keys) < 291
    with Unreliable(inbox.base.server.url, throttled=0.3, failing=0.1) as proxy:
        again = inbox.mirror(AWS_ENDPOINT_URL_DYNAMODB=proxy.url)
        assert again.code == 0, again.err
        assert proxy.told["throttled"]
    assert inbox.keys == {"b"}


def test_a_file_that_came_back_with_its_old_time_is_loaded_again(inbox):
    inbox.upload("a.csv", many(300))
    inbox.run()
    kept = inbox.path("a.csv").rename(inbox.base.wordfreq.folder / "kept")
    uri, _ = inbox.plan()
    with Unreliable(inbox.base.server.url, slow=0.02) as proxy:
        process = inbox.base.wordfreq.popen(
            "mirror", "-p", uri, "-t", inbox.table, AWS_ENDPOINT_URL_DYNAMODB=proxy.url
        )
        until(lambda: proxy.told["passed"] >= 10, process=process)
        kept.rename(inbox.path("a.csv"))
        _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert inbox.run() == ("a.csv",)
    assert len(inbox.keys) == 290


def test_a_table_that_is_not_there_is_named(inbox):
    uri = f"{inbox.store}/plans/1.json"
    inbox.upload("a.csv", rows("1"))
    inbox.run()
    ran = inbox.base.wordfreq("mirror", "-p", uri, "-t", "nowhere")
    assert (ran.code, "table nowhere (us-east-1) doesn't exist" in ran.err) == (3, True)
