"""The same commands on S3, and the store itself: against a real server, and moto for odd keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from wordfreq_batch.errors import (
    AlreadyExistsError,
    ChangedError,
    NotFoundError,
    PermissionDeniedError,
    RefusedNameError,
    StorageError,
)
from wordfreq_batch.storage.opening import open_store
from wordfreq_batch.storage.store import Store

FILES = {
    "a.txt": b"The cat and the hat. The cat sat!",
    "sub/b c%+#?ü[x].txt": b"the dog and THE cat",
    "sub/empty.txt": b"",
    "sub/100%41.txt": b"dog dog",
}

pytestmark = pytest.mark.s3


@pytest.fixture
def s3(s3_server, monkeypatch):
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return s3_server


@pytest.fixture
def store(s3) -> Store:
    return open_store(f"s3://{s3.bucket()}/pre fix")


def test_objects_are_written_read_listed_and_deleted(store):
    keys = [*FILES, "~t", "<&>'\"", "e\u0301", "\U0001f600", "a..b", "tab\there", "{c}|^`"]
    etags = {key: store.put(key, key.encode()) for key in keys}
    listed = {info.key: info for info in store.list()}
    assert set(listed) == set(keys)
    for key in keys:
        assert store.get(key) == key.encode()
        assert store.head(key).etag == listed[key].etag == etags[key]
        # A listing has fractions of a second, a header hasn't.
        listed_time = listed[key].last_modified.replace(microsecond=0)
        assert store.head(key).last_modified == listed_time
    assert dict(store.get_many(keys, etags=etags)) == {key: key.encode() for key in keys}
    assert {info.key for info in store.list("sub/")} == {k for k in keys if k.startswith("sub/")}
    store.delete(keys[1:])
    assert [info.key for info in store.list()] == [keys[0]]


def test_conditions_are_the_servers(store):
    etag = store.put("k", b"first", if_absent=True)
    for key in ("k",):
        with pytest.raises(AlreadyExistsError, match="k exists already"):
            store.put(key, b"second", if_absent=True)
    assert store.get("k", etag=etag) == b"first"
    store.put("k", b"third")
    with pytest.raises(ChangedError, match="k has changed"):
        store.get("k", etag=etag)
    with pytest.raises(ChangedError), store.open("k", etag=etag):
        pass


def test_missing_things_are_named(store, s3):
    for action in (store.get, store.head, lambda key: store.get_range(key, 0, 5)):
        with pytest.raises(NotFoundError, match="pre fix/none doesn't exist"):
            action("none")
    elsewhere = open_store("s3://there-is-no-such-bucket/x")
    with pytest.raises(NotFoundError, match="there-is-no-such-bucket: there is no such bucket"):
        list(elsewhere.list())
    with pytest.raises(NotFoundError, match="there-is-no-such-bucket"):
        elsewhere.get("k")
    with pytest.raises(RefusedNameError, match="1024 bytes"):
        store.put("x" * 1100, b"")


def test_ranges(store):
    store.put("k", b"0123456789")
    assert store.get_range("k", 3, 4) == b"3456"
    assert store.get_range("k", 8, 100) == b"89"
    assert store.get_range("k", 10, 5) == b""
    store.put("empty", b"")
    assert store.get_range("empty", 0, 5) == b""
    assert store.get("empty") == b""


def test_large_objects_are_streams_and_appear_whole(store, s3):
    with store.writer("large") as writer:
        for number in range(20):
            writer.write(bytes([number]) * (1 << 20))
        assert list(store.list()) == []
    assert store.head("large").etag == writer.etag
    with store.open("large", etag=writer.etag) as reader:
        chunks = list(reader)
    assert len(chunks) > 2
    assert b"".join(chunks) == b"".join(bytes([n]) * (1 << 20) for n in range(20))

    with pytest.raises(RuntimeError), store.writer("half") as writer:
        for _ in range(20):
            writer.write(b"x" * (1 << 20))
        raise RuntimeError
    assert [info.key for info in store.list()] == ["large"]
    bucket = store.uri.split("/")[2]
    assert not s3.client().list_multipart_uploads(Bucket=bucket).get("Uploads")


def test_a_broken_connection_is_taken_up_again(store, monkeypatch):
    body = bytes(range(256)) * (1 << 15)
    etag = store.put("k", body)
    stream = type(store)._stream
    starts: list[int] = []

    def breaking(self, key, *, etag, start, version=None):
        starts.append(start)
        info, chunks = stream(self, key, etag=etag, start=start, version=version)

        def some() -> Iterator[bytes]:
            for number, chunk in enumerate(chunks):
                if number == 1 and len(starts) == 1:
                    raise ConnectionResetError("peer went away")
                yield chunk

        return info, some()

    monkeypatch.setattr(type(store), "_stream", breaking)
    with store.open("k", etag=etag) as reader:
        assert b"".join(reader) == body
    assert len(starts) == 2
    assert starts[1] > 0


def test_wrong_and_missing_credentials_are_told_apart(s3, monkeypatch):
    uri = f"s3://{s3.bucket()}/x"
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    store = open_store(uri)
    for action in (lambda: store.get("k"), lambda: list(store.list()), lambda: store.put("k", b"")):
        with pytest.raises(PermissionDeniedError, match="access denied"):
            action()
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    store = open_store(uri)
    for action in (lambda: store.get("k"), lambda: list(store.list()), lambda: store.put("k", b"")):
        with pytest.raises(StorageError, match="no AWS credentials"):
            action()


def test_the_commands_give_the_same_bytes_as_on_folders(s3_server, wordfreq, folder, receipts):
    wordfreq.environment = s3_server.environment
    client, bucket = s3_server.client(), s3_server.bucket()
    folder("in", FILES)
    for key, body in FILES.items():
        client.put_object(Bucket=bucket, Key=f"in/{key}", Body=body)
    client.put_object(Bucket=bucket, Key="in2/other.txt", Body=b"not of this prefix")
    client.put_object(Bucket=bucket, Key="in/sub/", Body=b"")
    places = {"local": "{}", "s3": f"s3://{bucket}/{{}}"}
    tables = {}
    for name, place in places.items():
        plan = place.format("plans/p.json")
        out = wordfreq.ok(
            *("plan", "-s", place.format("in"), "-d", place.format("out"), "-p", plan),
            *("--pack", "1MB", "--task-items", "3"),
        )
        assert "4 files" in out
        target = plan if name == "s3" else wordfreq.folder / plan
        assert all(ran.code == 0 for ran in wordfreq.count_all(target))
        args = ("merge", "-p", plan, "--min-count", "1", "--output", place.format("ranking"))
        tables[name] = wordfreq.ok(*args)
    assert tables["local"] == tables["s3"]
    assert wordfreq.ok("merge", "-s", f"s3://{bucket}/out/", "--min-count", "1") == tables["s3"]
    for key in FILES:
        stored = client.get_object(Bucket=bucket, Key=f"out/{key}")["Body"].read()
        assert stored == (wordfreq.folder / "out" / key).read_bytes()
    parquet = client.get_object(Bucket=bucket, Key="ranking/totals.parquet")["Body"].read()
    assert parquet == (wordfreq.folder / "ranking/totals.parquet").read_bytes()

    # What was counted stays counted; a changed object is found by its ETag.
    again = ("plan", "-s", f"s3://{bucket}/in", "-d", f"s3://{bucket}/out")
    again += ("-p", f"s3://{bucket}/plans/p.json", "--pack", "1MB", "--task-items", "3")
    assert " 0 to count, 0 tasks" in wordfreq.ok(*again, "--pending")
    client.put_object(Bucket=bucket, Key="in/a.txt", Body=b"changed")
    assert " 1 to count, 1 tasks" in wordfreq.ok(*again, "--pending")
    client.put_object(Bucket=bucket, Key="in/a.txt", Body=b"changed once more")
    ran = wordfreq("migrate", "-p", f"s3://{bucket}/plans/p.json", "-i", "0")
    assert ran.code == 3
    assert "in/a.txt has changed" in ran.err


def test_sources_that_are_not_there(s3_server, wordfreq):
    wordfreq.environment = s3_server.environment
    bucket = s3_server.bucket()
    ran = wordfreq("plan", "-s", f"s3://{bucket}/none", "-d", "out", "-p", "p.json")
    assert ran.code == 0
    assert "nothing to count" in ran.err
    ran = wordfreq("plan", "-s", "s3://there-is-no-such-bucket/x", "-d", "out", "-p", "p.json")
    assert ran.code == 3
    assert "s3://there-is-no-such-bucket" in ran.err


def test_one_object_as_the_source(s3_server, wordfreq):
    wordfreq.environment = s3_server.environment
    client, bucket = s3_server.client(), s3_server.bucket()
    client.put_object(Bucket=bucket, Key="docs/f.txt", Body=b"one two two")
    client.put_object(Bucket=bucket, Key="docs/f.txt.bak", Body=b"not this")
    wordfreq.ok("plan", "-s", f"s3://{bucket}/docs/f.txt", "-d", "out", "-p", "p.json")
    wordfreq.ok("migrate", "-p", "p.json", "-i", "0")
    assert (wordfreq.folder / "out/f.txt").read_text() == "two:2\none:1\n"
    ran = wordfreq(
        *("plan", "-s", f"s3://{bucket}/docs/f.txt", "-d", f"s3://{bucket}/docs", "-p", "p.json")
    )
    assert ran.code == 2


ODD = ["a//b", "/lead", "//", "x/../y", "./z", "..", "back\\slash", "del\x7f", "plain"]


@pytest.fixture
def odd_keys(wordfreq, monkeypatch) -> Iterator[str]:
    """moto: it keeps every key as it is, which SeaweedFS doesn't."""
    server_module = pytest.importorskip("moto.server")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "k",
        "AWS_SECRET_ACCESS_KEY": "s",
    }
    wordfreq.environment = environment
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    import boto3

    client = boto3.client("s3", region_name="us-east-1")
    client.create_bucket(Bucket="odd")
    for key in ODD:
        client.put_object(Bucket="odd", Key=f"in/{key}", Body=f"the text of {len(key)}".encode())
    yield "s3://odd"
    server.stop()


def test_odd_keys_stay_what_they_are(odd_keys):
    store = open_store(f"{odd_keys}/in")
    assert {info.key for info in store.list()} == set(ODD)
    for key in ODD:
        assert store.get(key).startswith(b"the text")
        etag = store.put(key, key.encode())
        assert store.head(key).etag == etag
        assert store.get(key, etag=etag) == key.encode()
        assert store.get_range(key, 0, 1) == key.encode()[:1]
        with pytest.raises(ChangedError):
            store.get(key, etag="0" * 32)
        with store.writer(key) as writer:
            writer.write(b"as a stream")
        assert store.get(key, etag=writer.etag) == b"as a stream"
    assert {info.key for info in store.list()} == set(ODD)
    store.delete(ODD)
    assert list(store.list()) == []


def test_odd_keys_are_counted_to_s3_and_refused_by_a_folder(odd_keys, wordfreq):
    wordfreq.ok("plan", "-s", f"{odd_keys}/in", "-d", f"{odd_keys}/out", "-p", "p.json")
    plan = json.loads((wordfreq.folder / "p.json").read_text())
    countable = sorted(set(ODD) - {"//"}, key=str.encode)
    assert plan["Items"] == countable
    assert [refused["Name"] for refused in plan["Refused"]] == ["//"]
    assert all(ran.code == 0 for ran in wordfreq.count_all(wordfreq.folder / "p.json"))
    assert {info.key for info in open_store(f"{odd_keys}/out").list() if ".word" not in info.key}
    assert f"│  {len(countable)}" in wordfreq.ok("merge", "-p", "p.json").replace("│   ", "│  ")

    ran = wordfreq("plan", "-s", f"{odd_keys}/in", "-d", "out", "-p", "p.json")
    assert ran.code == 0
    assert json.loads(Path(wordfreq.folder, "p.json").read_text())["Items"] == [
        "back\\slash",
        "del\x7f",
        "plain",
    ]
    for key in ("a//b", "/lead", "x/../y", "./z", ".."):
        assert f"{key!r} is left out" in ran.err


def test_a_listing_goes_on_behind_any_key(store):
    # one folder level: across folders this server sorts in a way of its own
    keys = [f"k {n:02}+ü" for n in range(30)]
    for key in keys:
        store.put(key, b"")
    for after in (keys[0], keys[17], "k 17", keys[-1], "zzz"):
        assert [info.key for info in store.list(start_after=after)] == [
            k for k in keys if k > after
        ]
    assert len(list(store.list("k 1", start_after=keys[12]))) == 7
