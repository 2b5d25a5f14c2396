"""`wordfreq ingest` on a table that throttles, fails, refuses, answers oddly; and killed."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.integration.batch_image.csv.dynamodb import HEADER, SAMPLE, Unreliable, expected, many
from tests.waiting import until


def test_throttled_failing_and_unprocessed_writes_all_arrive(database, ministack):
    table = database.table()
    with Unreliable(ministack.url, throttled=0.15, failing=0.05, unprocessed=0.15) as proxy:
        ran = database.load(
            many(3000), table, "--write", "always", AWS_ENDPOINT_URL_DYNAMODB=proxy.url
        )
    assert ran.code == 0, ran.err
    assert "3,000 rows read, 2,990 items written" in ran.out
    assert "10 superseded" in ran.out
    assert proxy.sent["throttled"] > 5 and proxy.sent["unprocessed"] > 5 and proxy.sent["failed"]
    assert database.values(table) == expected(3000)


def test_conditional_writes_that_are_throttled_or_fail_all_arrive_in_the_end(database, ministack):
    table = database.table()
    with Unreliable(ministack.url, throttled=0.15, failing=0.05, empty=0.1) as proxy:
        ran = database.load(many(300), table, AWS_ENDPOINT_URL_DYNAMODB=proxy.url)
    assert ran.code == 0, ran.err
    assert "300 rows read, 290 items written" in ran.out
    assert proxy.sent["throttled"] > 5 and proxy.sent["empty"] > 5 and proxy.sent["failed"]
    assert database.values(table) == expected(300)


# Those that are newer are written one by one.
@pytest.mark.parametrize(("mode", "rows"), [("newer", 80), ("always", 500)])
def test_an_answer_that_proves_nothing_is_not_believed(either, mode, rows):
    table = either.table()
    with Unreliable(either.server.url, empty=0.5) as proxy:
        ran = either.load(many(rows), table, "--write", mode, AWS_ENDPOINT_URL_DYNAMODB=proxy.url)
    assert ran.code == 0, ran.err
    assert proxy.sent["empty"] > 5
    assert f"{rows} rows read, {rows - 10} items written" in ran.out
    assert either.values(table) == expected(rows)


def test_numbers_that_come_back_spelled_otherwise_are_recognised(database, ministack):
    table = database.table(kind="N")
    columns = "ProductId:number,ProductName,ProductDescription"
    with Unreliable(ministack.url, unprocessed=0.5, respelled=True) as proxy:
        ran = database.load(
            *(many(1000), table, "--columns", columns, "--write", "always"),
            AWS_ENDPOINT_URL_DYNAMODB=proxy.url,
        )
    assert ran.code == 0, ran.err
    assert proxy.sent["unprocessed"] > 5
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
        until(lambda: proxy.sent["passed"] >= 20, process=slow)
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
    assert proxy.sent["denied"] <= 8  # those in flight


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
        until(lambda: proxy.sent["passed"] >= 20, process=process)
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
    lines = [line for line in ran.err.splitlines() if "rejected: line" in line]
    assert [line.split(":", 3)[2:] for line in lines] == [
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
        until(lambda: proxy.sent["throttled"] >= 40, process=process)
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
        until(lambda: proxy.sent["passed"] >= 5, process=process)
        with path.open("ab") as file:
            file.write(b"new,row,x\n")
        _, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "a.csv was written to while being read" in err
