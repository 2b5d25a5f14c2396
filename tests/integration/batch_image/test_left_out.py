"""What can't be read is left out of a plan: named, summed up, and no hindrance to the rest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from wordfreq_batch.plans.planning import build_plan
from wordfreq_batch.storage.opening import open_store

PLAN = ("-s", "in", "-d", "out", "-p", "plan.json")


def _restricted(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program. Root may read anything, unless it gives that right away."""
    command = [sys.executable, "-m", "wordfreq_batch", *arguments]
    if os.geteuid() == 0:
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )


def test_links_and_what_is_forbidden_are_left_out_with_their_reasons(wordfreq, folder):
    source = folder(
        "in", {"a.txt": "one", "dir/b.txt": "two", "secret/c.txt": "three", "closed.txt": "four"}
    )
    folder("elsewhere", {"d.txt": "five"})
    (source / "again.txt").symlink_to("a.txt")
    (source / "dir2").symlink_to("dir")
    (source / "dangling").symlink_to("nowhere")
    (source / "loop").symlink_to("loop")
    (source / "up").symlink_to("..")
    (source / "outside").symlink_to("../elsewhere")
    (source / "outside2").symlink_to("../elsewhere")
    (source / "secret").chmod(0)
    (source / "closed.txt").chmod(0)
    try:
        planned = _restricted(wordfreq.folder, "plan", *PLAN)
        strict = _restricted(wordfreq.folder, "plan", *PLAN[:-1], "strict.json", "--strict")
    finally:
        (source / "secret").chmod(0o755)
    assert planned.returncode == 0, planned.stderr
    plan = json.loads((wordfreq.folder / "plan.json").read_text())
    assert plan["Items"] == ["a.txt", "dir/b.txt", "outside/d.txt"]
    assert {each["Name"]: each["Kind"] for each in plan["Refused"]} == {
        "again.txt": "second name",
        "closed.txt": "unreadable",
        "dangling": "dangling link",
        "dir2/": "second name",
        "loop": "dangling link",
        "outside2/": "second name",
        "secret/": "unreadable folder",
        "up/": "second name",
    }
    assert "left out in all: 4 second name (3 bytes), 2 dangling link" in planned.stderr
    assert strict.returncode == 3
    assert "not everything can be counted" in strict.stderr
    assert not (wordfreq.folder / "strict.json").exists()
    wordfreq.ok("migrate", "-p", "plan.json", "-i", "0")
    wordfreq.ok("migrate", "-p", "plan.json", "-i", "1")
    wordfreq.ok("migrate", "-p", "plan.json", "-i", "2")
    merged = wordfreq("merge", "-p", "plan.json", "--min-count", "1", "--output", "ranked")
    assert merged.code == 0
    ranking = json.loads((wordfreq.folder / "ranked/ranking.json").read_text())
    assert {each["Word"] for each in ranking["Words"]} == {"one", "two", "five"}
    assert {each["Kind"]: each["Files"] for each in ranking["Metadata"]["SetAside"]} == {
        "second name": 4,
        "dangling link": 2,
        "unreadable": 1,
        "unreadable folder": 1,
    }


@pytest.fixture
def s3(moto, monkeypatch):
    for name, value in {
        "AWS_ENDPOINT_URL": moto.url,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "k",
        "AWS_SECRET_ACCESS_KEY": "s",
    }.items():
        monkeypatch.setenv(name, value)
    return moto.client("s3")


def test_archived_objects_are_left_out_as_the_listing_says(s3):
    s3.create_bucket(Bucket="cold")
    for number in range(12):
        s3.put_object(
            Bucket="cold", Key=f"in/2020/{number}", Body=b"cold", StorageClass="DEEP_ARCHIVE"
        )
    s3.put_object(Bucket="cold", Key="in/a", Body=b"warm words", StorageClass="GLACIER_IR")
    plan = build_plan(
        source="s3://cold/in",
        destination="s3://cold/out",
        plan="s3://cold/p.json",
        counter_version="1",
    )
    assert [item.name for item in plan.items] == ["a"]
    assert {each.kind for each in plan.refused} == {"archived"}
    assert len(plan.refused) == 12
    assert "DEEP_ARCHIVE and must be restored first" in plan.refused[0].reason


def test_the_planned_version_is_read_where_the_bucket_keeps_versions(s3):
    s3.create_bucket(Bucket="kept")
    s3.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
    source = open_store("s3://kept/in")
    changed = source.put("changed.txt", b"planned words")
    gone = source.put("odd//gone.txt", b"planned too")
    source.put("changed.txt", b"other words")
    source.delete(["odd//gone.txt"])
    for key, etag, content in (
        ("changed.txt", changed, b"planned words"),
        ("odd//gone.txt", gone, b"planned too"),
    ):
        with source.open(key, etag=etag) as reader:
            assert b"".join(reader) == content
            assert reader.info.etag == etag
