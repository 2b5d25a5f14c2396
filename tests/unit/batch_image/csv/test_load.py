"""Loads of one file into a table that isn't there: what becomes of rejects, and of threads."""

from __future__ import annotations

import re
import threading
from types import SimpleNamespace

import botocore.exceptions
import pytest

from wordfreq_batch.csv.dynamo import Table, connect
from wordfreq_batch.csv.ingest import load
from wordfreq_batch.csv.settings import Settings
from wordfreq_batch.csv.upload import Source, Target
from wordfreq_batch.errors import DataError, StorageError
from wordfreq_batch.storage.opening import open_store


class Client:
    """A DynamoDB that keeps what is put, or does with an item what `refused` does."""

    meta = SimpleNamespace(region_name="nowhere")

    def __init__(self, refused=lambda item: None):
        self.refused = refused
        self.items = []

    def put_item(self, *, Item, **_):
        self.refused(Item)
        self.items.append({k: v for k, v in Item.items() if k not in ("Filename", "LastModified")})
        return {"ConsumedCapacity": {"CapacityUnits": 1.0}}


def invalid(item):
    error = {"Error": {"Code": "ValidationException", "Message": "no poison"}}
    raise botocore.exceptions.ClientError(error, "PutItem")


@pytest.fixture
def loads(tmp_path):
    """Write `name` into the folder `source`, load it, and return the rejects."""

    def loaded(data, *, name="f.csv", client=None, max_rejects=None, **settings):
        for folder in ("source", "rejects"):
            (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / "source" / name).write_bytes(data)
        schema = Settings.parse({"columns": "A,B", "key": "A", **settings}).default
        target = Target(
            client=client or Client(),
            table=Table(name="t"),
            schema=schema,
            in_flight=4,
            patience=60,
            max_rejects=max_rejects,
        )
        source = Source(store=open_store(str(tmp_path / "source")), key=name, filename=name)
        rejects = open_store(str(tmp_path / "rejects"))
        try:
            load(source, target, rejects=(rejects, name), progress=lambda _: None)
        finally:
            path = tmp_path / "rejects" / name
            loaded.rejects = path.read_bytes() if path.exists() else None
        return loaded.rejects

    return loaded


DIALECTS = {
    "plain": {},
    "single quotes": {"quote": "single"},
    "escapes": {"quote": "none", "escape": "backslash"},
    "quotes and escapes": {"escape": "backslash"},
    "nothing": {"quote": "none"},
    "a mark that isn't there": {"encoding": "utf-8-sig"},
}


@pytest.mark.parametrize("settings", DIALECTS.values(), ids=DIALECTS)
@pytest.mark.parametrize("delimiter", ["comma", "semicolon", "blank"])
def test_rejects_go_round_as_they_are_however_often(loads, settings, delimiter):
    mark = {"comma": ",", "semicolon": ";", "blank": " "}[delimiter]
    quote = {"single": "'", "none": ""}.get(settings.get("quote"), '"')
    rows = ["A|B", "1|x", "2", f"3|{quote}a{quote}b", "4|x|y", "|Ü", f"{quote}5{quote}", "6|\0"]
    first = loads(
        "\n".join(rows).replace("|", mark).encode() + b"\n7" + b"\n8" * 100,
        delimiter=delimiter,
        **settings,
    )
    assert len(first.splitlines()) > 100
    for name in ("twice.csv", "thrice.csv"):
        with pytest.raises(DataError, match="none of its"):
            loads(first, name=name, delimiter=delimiter, **settings)
        numbered = re.compile(rb"^[0-9]+", re.MULTILINE)
        again = numbered.sub(b"N", loads.rejects)
        assert again == numbered.sub(b"N", first)
        first = loads.rejects


def test_line_ends_of_all_systems_within_fields_are_kept_in_rejects(loads):
    data = b"A;'x\ry'\n1;'a\rb';c\n2;x\n"
    settings = {"delimiter": "semicolon", "quote": "single", "extra-columns": "keep"}
    rejects = loads(data, columns="A", **settings)
    assert rejects == (
        b"wordfreq:line;wordfreq:reason;A;'x\ry'\n3;it has 3 fields, the header has 2;1;'a\rb';c\n"
    )
    corrected, client = rejects.replace(b";c\n", b"\n"), Client()
    assert loads(corrected, client=client, columns="A", **settings).count(b"\n") == 1
    assert client.items == [{"A": {"S": "1"}, "x\ry": {"S": "a\rb"}}]


def test_half_a_character_in_json_costs_its_row_only(loads):
    client = Client()
    data = b'A,B\n1,"""\\ud800"""\n2,"{""\\udfff"": 1}"\n3,"""\\ud83d\\ude00"""\n'
    rejects = loads(data, client=client, columns="A,B:json")
    assert client.items == [{"A": {"S": "3"}, "B": {"S": "😀"}}]
    assert rejects.count(b"has an escape that is no character") == 2


def test_a_load_that_the_table_ends_leaves_no_thread_and_all_rejects(loads):
    """One request returns when the load has long ended, unless that waits; of two batches."""
    ended = threading.Event()
    refused = threading.Semaphore(0)

    def late(item):
        if item["A"]["S"] == "0":
            refused.acquire(timeout=60)
            ended.wait(0.5)
        else:
            refused.release()
        invalid(item)

    data = b"A,B\n" + b"".join(b"%d,x\n" % n for n in range(26))
    with pytest.raises(DataError, match="1 of 26 rows can't be loaded") as caught:
        loads(
            data,
            client=Client(late),
            max_rejects=0,
        )
    names = [thread.name for thread in threading.enumerate()]
    ended.set()
    assert not [name for name in names if name.startswith("wordfreq-dynamo")]
    assert "the first: line 27: DynamoDB: no poison" in str(caught.value)
    assert [line.split(b",")[0] for line in loads.rejects.splitlines()[1:]] == [b"2", b"27"]


def test_the_rejects_of_an_older_version_do_not_outlast_it(loads):
    with pytest.raises(DataError):
        loads(b"X\n")
    assert loads.rejects is None
    assert loads(b"A,B\n1,x\n2\n").endswith(b",2\n")
    with pytest.raises(DataError, match="the header doesn't fit"):
        loads(b"X\n1\n")
    assert b"\n" not in loads.rejects.strip()
    assert loads.rejects.startswith(b"wordfreq:line,wordfreq:reason")


@pytest.mark.parametrize("variable", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_the_region_is_what_the_environment_says_or_an_error(monkeypatch, tmp_path, variable):
    for each in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1")
    assert connect(connections=1).meta.region_name == "us-east-1"
    monkeypatch.delenv("AWS_ENDPOINT_URL_DYNAMODB")
    with pytest.raises(StorageError, match="set AWS_REGION"):
        connect(connections=1)
    monkeypatch.setenv(variable, "eu-central-1")
    assert connect(connections=1).meta.region_name == "eu-central-1"
