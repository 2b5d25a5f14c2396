"""`wordfreq ingest` as a process against a real DynamoDB API, with storage in folders and in S3."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import pytest

from tests.integration.batch_image.csv.dynamodb import HEADER, SAMPLE, Moto


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
    lines = [line for line in ran.err.splitlines() if "rejected: line" in line]
    assert [int(line.split("line ")[1].split(":")[0]) for line in lines] == rejected


@pytest.mark.parametrize(
    ("data", "code", "says"),
    [
        (HEADER + b"1,a,b\n2,M\xfcller,d\n", 4, "not UTF-8: line 3, byte 4"),
        ("ProductId\n1\n".encode("utf-16-le"), 4, "--encoding utf-16-le"),
        (b"", 4, "is empty"),
        (b"ProductId;ProductName;ProductDescription\n1;a;b\n", 4, "set --delimiter semicolon"),
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


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (
            "ProductId;ProductName;ProductDescription\r\n1;Mü,l;€\r\n;;\r\n".encode("cp1252"),
            ["--delimiter", "semicolon", "--encoding", "cp1252"],
        ),
        (
            "sep=;\r\nProductId;ProductName;ProductDescription\r\n1;Mü,l;€\r\n".encode("utf-16"),
            [],
        ),
        (
            "1\tMü,l\t€\n\t \t\n".encode(),
            [
                *("--delimiter", "tab"),
                *("--header", "ProductId,ProductName,ProductDescription"),
            ],
        ),
        (
            'ProductId|ProductName|ProductDescription\n1|"Mü,l"|€\n'.encode("utf-8-sig"),
            ["--delimiter", "auto"],
        ),
    ],
    ids=["Excel", "sep and a mark", "no header", "auto"],
)
def test_other_dialects_are_loaded_where_a_setting_names_them(either, data, options):
    table = either.table()
    ran = either.load(data, table, *options, "--rejects", "out")
    assert ran.code == 0, ran.err
    assert "1 rows read, 1 items written" in ran.out
    assert either.values(table) == {"1": ("Mü,l", "€")}


def test_a_dry_run_says_what_then_happens_and_writes_nothing(either):
    table = either.table()
    data = (
        HEADER
        + b"".join(b"%d,name,%s\n" % (n % 90, b"x" * (40 * n)) for n in range(100))
        + b"short\n,no key,x\n"
    )
    tried = either.load(data, table, "--dry-run")
    assert tried.code == 0, tried.err
    assert either.items(table) == []
    loaded = either.load(data, table)

    def figures(text, pattern):
        return re.search(pattern, text).groups()

    numbers = r"([0-9,]+) rows read[;,] ([0-9,]+) items .*, (\d+) rejected, (\d+) superseded"
    assert figures(tried.out, numbers) == figures(loaded.out, numbers)
    assert figures(loaded.out, numbers) == ("102", "90", "2", "10")
    (units,) = figures(tried.out, r"([0-9,]+) write units")
    if not isinstance(either.server, Moto):
        assert figures(loaded.out, r"([0-9,]+)\.0 write units") == (units,)  # moto takes 1 each
    lines = [line for line in tried.err.splitlines() if "rejected: line" in line]
    assert lines == [line for line in loaded.err.splitlines() if "rejected: line" in line]
    assert either.wordfreq("ingest", "-p", "p", "-i", "0", "-t", table, "--dry-run").code == 2


def test_a_full_temporary_folder_is_no_report_that_is_lost(database):
    table = database.table()
    (database.wordfreq.folder / "bad.csv").write_bytes(HEADER + b"1,a\n" * 50_000)
    ran = database.wordfreq.within_file_size(
        1 << 20, "ingest", "-s", "bad.csv", "-t", table, "--dry-run", "--json"
    )
    assert ran.code == 1
    assert "File too large; is the temporary folder (TMPDIR, now /" in ran.err
    assert "File too large" in json.loads(ran.out)["Error"]


def test_the_dry_run_of_a_plan_says_what_then_happens_to_all_of_its_files(either):
    table = either.table()
    inbox = either.wordfreq.folder / "in"
    inbox.mkdir()
    for number in range(4):
        rows = b"".join(b"%d,name,%s\n" % (n, b"x" * 30 * n) for n in range(20 * number, 70))
        (inbox / f"p{number}.csv").write_bytes(HEADER + rows + b"short\n")
    (inbox / "bad.csv").write_bytes(b"other\n1\n")
    either.wordfreq.ok("plan", "-s", "in", "-d", "out", "-p", "p.json", "--pack", "1MiB")
    tried = either.wordfreq("ingest", "-p", "p.json", "-t", table, "--dry-run")
    assert tried.code == 4, tried.err
    assert "bad.csv: the header doesn't fit" in tried.err
    assert either.items(table) == []
    pattern = r"all 5 files: (\d+) rows read; (\d+) items .*, (\d+) of their keys are in later"
    read, written, shared = map(int, re.search(pattern, tried.out).groups())
    assert (read, written, shared) == (70 + 50 + 30 + 10 + 4, 160, 90)
    loaded = either.wordfreq("ingest", "-p", "p.json", "-t", table, "-i", "0")
    assert loaded.code == 4, loaded.err
    assert len(either.items(table)) == 70
    each = r"(p\d\.csv): (\d+) rows read[;,] (\d+) items .* (\d+) rejected, (\d+) superseded; "
    if not isinstance(either.server, Moto):
        each += r"([\d,]+)"  # write units; moto takes 1 each
    assert re.findall(each, tried.out) == re.findall(each, loaded.out) != []
    again = either.wordfreq("ingest", "-p", "p.json", "-t", table, "--dry-run")
    assert again.out == tried.out
    document = json.loads(
        either.wordfreq("ingest", "-p", "p.json", "-t", table, "-i", "0", "--json").out
    )
    assert (document["Task"], document["ExitCode"], len(document["Items"])) == (0, 4, 5)


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
    assert rejects.splitlines()[0] == (
        "wordfreq:line,wordfreq:reason,ProductId,ProductName,ProductDescription"
    )
    assert "'\"' expected" in rejects or "expected after" in rejects
    assert "\n5," in rejects and rejects.endswith(",3,c\n")
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


def test_what_is_loaded_already_is_left_alone(database, folder):
    from unittest import mock

    from wordfreq_batch.csv.schema import Schema
    from wordfreq_batch.plans.formats import LOADS
    from wordfreq_batch.plans.plan_store import write_plan
    from wordfreq_batch.plans.planning import build_plan

    table = database.table()
    root = folder("in", {"a.csv": SAMPLE}).parent
    schema = Schema.parse(columns=HEADER.decode().strip(), key="ProductId")

    def plan(name, **more):
        made = build_plan(
            source=str(root / "in"),
            destination=str(root / "rejects"),
            plan=str(root / name),
            counter_version=schema.version(table),
            results=LOADS,
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
