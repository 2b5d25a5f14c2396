"""The fingerprint of a listing, and listings taken up again in the middle."""

from __future__ import annotations

import random
from datetime import datetime, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wordfreq_batch.plans.plan import Plan
from wordfreq_batch.plans.plan_store import write_plan
from wordfreq_batch.plans.planning import build_plan
from wordfreq_batch.storage.fingerprint import Fingerprint
from wordfreq_batch.storage.opening import open_store
from wordfreq_batch.storage.store import ObjectInfo, split_uri

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


def info(key: str, etag: str = "e", size: int = 1) -> ObjectInfo:
    return ObjectInfo(key, size, etag, NOW)


FILES = [info(f"k{n}", f"e{n}", n) for n in range(50)]


@given(st.randoms(use_true_random=False), st.integers(min_value=0, max_value=50))
def test_order_and_pieces_do_not_matter(dice: random.Random, cut: int) -> None:
    shuffled = FILES[:]
    dice.shuffle(shuffled)
    whole = Fingerprint().plus(FILES)
    assert Fingerprint().plus(shuffled[:cut]).plus(shuffled[cut:]) == whole
    assert Fingerprint.parse(str(whole)) == whole


@pytest.mark.parametrize(
    "changed",
    [
        FILES[1:],
        [*FILES, info("new")],
        [info("k0", "other", 0), *FILES[1:]],
        [info("k0", "e0", 7), *FILES[1:]],
        [info("renamed", "e0", 0), *FILES[1:]],
        [info("k1", "e0", 0), info("k0", "e1", 1), *FILES[2:]],
    ],
    ids=["removed", "added", "other bytes", "other size", "renamed", "exchanged"],
)
def test_every_change_changes_it(changed: list[ObjectInfo]) -> None:
    assert Fingerprint().plus(changed) != Fingerprint().plus(FILES)


def test_folder_markers_are_no_files() -> None:
    assert Fingerprint().plus([info("", size=0), info("a/", size=0)]) == Fingerprint()
    assert Fingerprint().plus([info("a/", size=3)]).files == 1
    assert str(Fingerprint()) == "0-0-" + "0" * 32
    with pytest.raises(ValueError, match="no fingerprint"):
        Fingerprint.parse("12-ff")


def test_names_that_are_not_utf8_are_counted_too(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    Path(bytes(tmp_path / "source").decode() + "/" + "\udcff").write_bytes(b"x")
    assert Fingerprint().plus(open_store(str(tmp_path / "source")).list()).files == 1


def test_a_plan_holds_the_fingerprint_of_its_source(tmp_path: Path) -> None:
    source = open_store(str(tmp_path / "source"))
    for key in ("a", "sub/b", ".wordfreq/refused"):
        source.put(key, key.encode())
    uri = str(tmp_path / "plans" / "p.json")
    places = {"source": source.uri, "destination": str(tmp_path / "out"), "plan": uri}
    plan = build_plan(**places, counter_version="1", pack=1 << 20)
    assert plan.refused
    assert plan.head.listing == str(Fingerprint().plus(source.list()))
    write_plan(plan)
    container, key = split_uri(uri)
    assert Plan.loads(open_store(container).get(key), uri=uri).head.listing == plan.head.listing


TREE = ["a-", "a.b", "a/1", "a/2", "a/b/3", "a0", "b/c/d/e", "b/c/d0", "z", "ü/x"]


@pytest.mark.parametrize("after", [*TREE, "", "a/", "a/b", "a/b/", "b/c", "gone", "zz", "ü/", "ÿ"])
def test_a_folder_is_listed_from_any_key_on(tmp_path: Path, after: str) -> None:
    store = open_store(str(tmp_path))
    for key in TREE:
        store.put(key, b"")
    wanted = sorted((k for k in TREE if k.encode() > after.encode()), key=str.encode)
    assert [found.key for found in store.list(start_after=after)] == wanted
    assert [found.key for found in store.list("a/", start_after=after)] == [
        key for key in wanted if key.startswith("a/")
    ]
