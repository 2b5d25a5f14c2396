"""Local folders as stores, and the URIs that name stores."""

from __future__ import annotations

import argparse
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wordfreq_batch.cli.options import size
from wordfreq_batch.errors import (
    AlreadyExistsError,
    ChangedError,
    NotFoundError,
    RefusedNameError,
    UsageError,
)
from wordfreq_batch.storage.opening import open_object, open_store
from wordfreq_batch.storage.store import AT_ONCE, join_uri, split_uri


@pytest.mark.parametrize(
    ("uri", "container", "key"),
    [
        ("s3://bucket", "s3://bucket/", ""),
        ("s3://bucket/", "s3://bucket/", ""),
        ("S3://bucket/a/b/", "s3://bucket/", "a/b/"),
        ("s3://bucket//a//b/", "s3://bucket/", "/a//b/"),
        ("s3://b/a b%20+#?ü/../x", "s3://b/", "a b%20+#?ü/../x"),
        ("file:///tmp/a%20b/", "file:///", "tmp/a b/"),
        ("/tmp/x/../y", "file:///", "tmp/y"),
        ("/tmp/a%20b", "file:///", "tmp/a%20b"),
        ("/", "file:///", ""),
    ],
)
def test_a_uri_is_split_literally(uri: str, container: str, key: str) -> None:
    assert split_uri(uri) == (container, key)
    assert split_uri(join_uri(container, key)) == (container, key)


@pytest.mark.parametrize("uri", ["", "  ", "s3://", "s3:///x", "http://b/x", "file://host/x"])
def test_what_names_no_place_is_refused(uri: str) -> None:
    with pytest.raises(UsageError):
        split_uri(uri)


@pytest.mark.parametrize(
    "uri",
    ["s3:/b/counts", "s3:b/c", "S3:/b", "s3//b/c", "arn:aws:s3:::b/counts", "file:/tmp/x", "gs:/b"],
)
def test_a_mistyped_uri_never_becomes_a_local_folder(uri: str) -> None:
    with pytest.raises(UsageError, match="s3://bucket/prefix"):
        split_uri(uri)
    assert split_uri(f"./{uri}")[0] == "file:///"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("64mib", 64 << 20), ("1.5GiB", 3 << 29), ("500kB", 500_000), ("0.5m", 500_000), ("7", 7)],
)
def test_sizes_are_read_as_people_write_them(text: str, expected: int) -> None:
    assert size(text) == expected


@pytest.mark.parametrize("text", ["", "0", "0.1", "-1", "1.5.5M", "12 parsecs", "KiB", "١k"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="64MiB"):
        size(text)


def test_relative_paths_start_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert split_uri("a/b/") == ("file:///", f"{tmp_path}/a/b/".lstrip("/"))
    with pytest.raises(UsageError, match="object is needed"):
        open_object("folder/")


def test_keys_come_in_byte_order_whatever_the_folders(tmp_path: Path) -> None:
    keys = ["p-", "p.x", "p/a", "p/b/c", "p0", "ü", "z", "p/b-", ".hidden", "A b%+#[x]"]
    store = open_store(str(tmp_path))
    for key in keys:
        store.put(key, key.encode())
    assert [info.key for info in store.list()] == sorted(keys, key=str.encode)
    assert [info.key for info in store.list("p")] == sorted(
        (key for key in keys if key.startswith("p")), key=str.encode
    )
    assert [info.key for info in store.list("p/b")] == ["p/b-", "p/b/c"]
    assert list(store.list("nowhere/x")) == []
    assert [store.get(key) for key in keys] == [key.encode() for key in keys]


@given(st.text(max_size=12))
def test_any_key_is_either_kept_as_it_is_or_refused(key: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        store = open_store(folder + "/x")
        try:
            store.put(key, b"1")
        except (RefusedNameError, UnicodeEncodeError):
            return
        assert [info.key for info in store.list()] == [key]


@pytest.mark.parametrize(
    "key", ["a//b", "/a", "a/", "a/./b", "../a", "", "a\0b", "x" * 300, "y/" * 2100 + "z"]
)
def test_a_key_no_folder_can_hold_is_named(key: str, tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    for action in (store.get, store.head, lambda k: store.put(k, b"")):
        with pytest.raises(RefusedNameError, match=r"can't be a file|too long a path"):
            action(key)


def test_file_and_folder_of_one_name_cannot_both_be(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.put("p", b"")
    with pytest.raises(RefusedNameError, match="p/x"):
        store.put("p/x", b"")
    store.put("q/x", b"")
    with pytest.raises(RefusedNameError, match="q"):
        store.put("q", b"")
    with pytest.raises(NotFoundError):
        store.head("q")
    with pytest.raises(RefusedNameError):
        store.get("p/x")


def test_links_are_followed_and_loops_are_not(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "f").write_text("x")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real" / "up").symlink_to("..")
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "gone").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    store = open_store(str(tmp_path))
    keys = [info.key for info in store.list()]
    assert {"real/f", "link/f", "gone", "self"} <= set(keys)
    assert "pipe" not in keys, "a pipe would never end"
    assert all(key.count("/") <= 3 for key in keys)
    for key in ("gone", "self", "pipe"):
        with pytest.raises(NotFoundError, match=key):
            store.get(key)


def test_undecodable_names_can_be_listed_and_read(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.txt")).write_text("x")
    store = open_store(str(tmp_path))
    (info,) = store.list()
    assert os.fsencode(info.key) == b"\xff.txt"
    assert store.get(info.key) == b"x"
    place, key = open_object(store.url(info.key))
    assert place.get(key) == b"x"


def test_an_etag_changes_with_the_bytes_and_is_enforced(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    first = store.put("k", b"same length 1")
    assert store.head("k").etag == first == next(store.list()).etag
    second = store.put("k", b"same length 2")
    assert first != second
    assert store.get("k", etag=second) == b"same length 2"
    with pytest.raises(ChangedError, match="k has changed"):
        store.get("k", etag=first)
    with pytest.raises(ChangedError, match="while being read"), store.open("k") as reader:
        for _ in reader:
            with (tmp_path / "k").open("ab") as file:
                file.write(b"more")


def test_create_only_has_one_winner(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    won: list[int] = []
    barrier = threading.Barrier(8)

    def attempt(number: int) -> None:
        barrier.wait()
        try:
            store.put("one", str(number).encode(), if_absent=True)
            won.append(number)
        except AlreadyExistsError:
            pass

    threads = [threading.Thread(target=attempt, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert store.get("one") == str(won[0]).encode()
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.put("k", b"old")
    with pytest.raises(RuntimeError), store.writer("k") as writer:
        writer.write(b"new")
        assert [info.key for info in store.list()] == ["k"], "what is being written isn't listed"
        raise RuntimeError
    assert store.get("k") == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["k"]
    with store.writer("k") as writer:
        writer.write(b"new ")
        writer.write(b"and more")
    assert store.get("k") == b"new and more"
    assert store.head("k").etag == writer.etag


def test_many_are_read_lazily_and_errors_come_in_their_place(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    etags = {str(n): store.put(str(n), b"%d" % n) for n in range(100)}
    etags["7"] = "other"
    asked = 0

    def keys() -> object:
        nonlocal asked
        for key in [*etags, "missing"]:
            asked += 1
            yield key

    answers = store.get_many(keys(), etags=etags)  # type: ignore[arg-type]
    first = next(answers)
    assert asked <= AT_ONCE + 1
    found = dict([first, *answers])
    assert len(found) == 101
    assert isinstance(found.pop("7"), ChangedError)
    assert isinstance(found.pop("missing"), NotFoundError)
    assert found == {key: key.encode() for key in found}


def test_ranges_and_deleting(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.put("k", b"0123456789")
    assert store.get_range("k", 3, 4) == b"3456"
    assert store.get_range("k", 8, 100) == b"89"
    assert store.get_range("k", 50, 1) == b""
    store.delete(["k", "never/was"])
    with pytest.raises(NotFoundError):
        store.get_range("k", 0, 1)
    with pytest.raises(NotFoundError, match="nofolder"):
        list(open_store(str(tmp_path / "nofolder")).list())
