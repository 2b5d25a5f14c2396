"""`wordfreq mirror`: the table holds what the uploads hold, whatever was replaced and deleted."""

from __future__ import annotations

import json
import os
import signal
from functools import partial

import pytest

from tests.integration.batch_image.csv.dynamodb import HEADER, Unreliable, many
from tests.integration.batch_image.csv.test_ingest_identity import Inbox
from tests.waiting import next_second, until


def rows(*keys, text="x"):
    return HEADER + b"".join(f"{key},{text},d\n".encode() for key in keys)


@pytest.fixture
def inbox(database):
    return Folder(database, str(database.wordfreq.folder))


@pytest.fixture
def on_both(either):
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


def test_a_command_reads_the_head_of_its_plan_once(inbox, plan_reads, monkeypatch):
    inbox.upload("a.csv", rows("a1"))
    uri, _ = inbox.plan()
    for name, value in inbox.base.wordfreq.environment.items():
        monkeypatch.setenv(name, value)
    options = ("-p", uri, "-t", inbox.table)
    for command in (("ingest", "--dry-run"), ("ingest", "-i", "0"), ("mirror", "--dry-run")):
        assert plan_reads(*command, *options) == ["get_range"], command
    assert plan_reads("mirror", *options) == ["get_range"]


def test_a_second_job_of_one_submission_does_nothing_and_says_so_as_json(inbox):
    inbox.upload("a.csv", rows("a1"))
    uri, _ = inbox.plan()
    first, second = (
        inbox.mirror("--json", uri=uri, BATCH_SUBMISSION="s", AWS_BATCH_JOB_ID=job)
        for job in ("one", "two")
    )
    assert json.loads(first.out)["Scanned"] == 0
    assert (second.code, json.loads(second.out)) == (0, {}), second.err


def test_replaced_and_deleted_uploads_leave_nothing_and_all_else_stays(on_both):
    on_both.upload("a.csv", rows("a1", "a2", "both"))
    on_both.upload("b.csv", rows("b1", "b2"))
    on_both.upload("c.csv", rows("c1"))
    on_both.run()
    stranger = {"ProductId": {"S": "s"}, "Filename": {"S": "other.csv"}}
    stranger["LastModified"] = {"S": "2020-01-01T00:00:00Z"}
    on_both.base.dynamodb.put_item(TableName=on_both.table, Item=stranger)
    on_both.base.dynamodb.put_item(TableName=on_both.table, Item={"ProductId": {"S": "by hand"}})
    on_both.upload("a.csv", rows("a1", "a3"))
    on_both.upload("b.csv", rows("both"))  # its new version takes over a key of the old a.csv
    on_both.path("c.csv").unlink()
    on_both.run()
    before = {"a1", "a2", "a3", "b1", "b2", "both", "c1", "s", "by hand"}
    assert on_both.keys == before

    tried = on_both.mirror("--dry-run")
    assert tried.code == 0, tried.err
    assert on_both.keys == before
    uri, _ = on_both.plan()
    done = on_both.mirror(uri=uri)
    assert done.code == 0, done.err
    assert on_both.keys == {"a1", "a3", "both", "s", "by hand"}
    for says in ("a.csv: 1 items", "b.csv: 2 items", "c.csv: 1 items", "4 items of 3 uploads"):
        assert says in tried.out and says in done.out
    assert "9 items read for" in done.out
    (receipt,) = on_both.base.wordfreq.folder.rglob("mirror-00000.json")
    items = json.loads(receipt.read_bytes())["Items"]
    assert {i["Name"]: i["Rows"]["Deleted"] for i in items} == {"a.csv": 1, "b.csv": 2, "c.csv": 1}
    assert "0 items of 0 uploads deleted" in on_both.mirror().out


def test_a_folder_that_is_not_there_now_keeps_its_items(inbox):
    """Such as a volume that isn't mounted, behind a link: its files are not gone."""
    volume = inbox.base.wordfreq.folder / "volume"
    volume.mkdir()
    inbox.upload("a.csv", rows("a1"))
    inbox.path("linked").symlink_to(volume)
    inbox.upload("linked/b.csv", rows("b1"))
    inbox.run()
    volume.rename(volume.with_name("unmounted"))
    inbox.upload("a.csv", rows("a2"))
    inbox.run()
    done = inbox.mirror()
    assert done.code == 0, done.err
    assert inbox.keys == {"a2", "b1"}
    volume.with_name("unmounted").rename(volume)
    inbox.path("linked/b.csv").unlink()
    assert inbox.mirror().code == 0
    assert inbox.keys == {"a2"}


def test_uploads_in_a_bucket_of_an_s3_server(database, ministack, s3_server):
    bucket, client = s3_server.bucket(), s3_server.client()
    database.wordfreq.environment |= s3_server.environment
    database.wordfreq.environment["AWS_ENDPOINT_URL_DYNAMODB"] = ministack.url
    inbox = Folder(database, f"s3://{bucket}")
    upload = partial(client.put_object, Bucket=bucket)
    upload(Key="in/ä b.csv", Body=rows("1", "2", "both"))
    upload(Key="in/b.csv", Body=rows("3"))
    inbox.run()
    next_second()
    upload(Key="in/ä b.csv", Body=rows("2", "4"))
    upload(Key="in/c.csv", Body=rows("both"))
    client.delete_object(Bucket=bucket, Key="in/b.csv")
    inbox.run()
    assert inbox.keys == {"1", "2", "3", "4", "both"}
    done = inbox.mirror()
    assert done.code == 0, done.err
    assert inbox.keys == {"2", "4", "both"}
    assert "2 items of 2 uploads" in done.out


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


def test_what_a_newer_upload_has_put_meanwhile_stays(on_both):
    """Two runs at once: one deletes slowly while the other loads the same keys of a new upload."""
    on_both.upload("a.csv", many(100))
    on_both.run()
    on_both.path("a.csv").unlink()
    uri, _ = on_both.plan()
    with Unreliable(on_both.base.server.url, slow=0.05) as proxy:
        process = on_both.base.wordfreq.popen(
            *("mirror", "-p", uri, "-t", on_both.table, "--in-flight", "1"),
            AWS_ENDPOINT_URL_DYNAMODB=proxy.url,
        )
        until(lambda: proxy.sent["passed"] >= 10, process=process)
        on_both.upload("a.csv", many(100).replace(b"text", b"new"))
        on_both.run()
        _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert len(on_both.keys) == 90
    assert {text for _, text in on_both.base.values(on_both.table).values()} == {"new"}
    assert on_both.mirror().code == 0
    assert len(on_both.keys) == 90


def test_killed_and_throttled_it_goes_on(on_both):
    on_both.upload("a.csv", many(300))
    on_both.upload("b.csv", rows("b"))
    on_both.run()
    on_both.path("a.csv").unlink()
    uri, _ = on_both.plan()
    with Unreliable(on_both.base.server.url, slow=0.02) as proxy:
        process = on_both.base.wordfreq.popen(
            "mirror", "-p", uri, "-t", on_both.table, AWS_ENDPOINT_URL_DYNAMODB=proxy.url
        )
        until(lambda: proxy.sent["passed"] >= 10, process=process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert 1 < len(on_both.keys) < 291
    with Unreliable(on_both.base.server.url, throttled=0.3, failing=0.1) as proxy:
        again = on_both.mirror(AWS_ENDPOINT_URL_DYNAMODB=proxy.url)
        assert again.code == 0, again.err
        assert proxy.sent["throttled"]
    assert on_both.keys == {"b"}


def test_a_file_that_came_back_with_its_old_time_is_loaded_again(inbox):
    inbox.upload("a.csv", many(300))
    inbox.run()
    kept = inbox.path("a.csv").rename(inbox.base.wordfreq.folder / "kept")
    uri, _ = inbox.plan()
    with Unreliable(inbox.base.server.url, slow=0.02) as proxy:
        process = inbox.base.wordfreq.popen(
            "mirror", "-p", uri, "-t", inbox.table, AWS_ENDPOINT_URL_DYNAMODB=proxy.url
        )
        until(lambda: proxy.sent["passed"] >= 10, process=process)
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
