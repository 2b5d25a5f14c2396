"""A merge in parts gives what the merge as a whole gives, killed, repeated and damaged as well."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path

import duckdb
import pytest

from tests.waiting import until


def rows(folder: Path) -> list[tuple[str, int]]:
    return duckdb.sql(f"SELECT * FROM '{folder}/totals.parquet'").fetchall()


PNG = b"\x89PNG\r\n\x1a\n" + bytes(99)
PARTS = ("merge", "-p", "plan.json", "--parts", "3")


@pytest.fixture
def counted(wordfreq, folder, tmp_path):
    """Six counted files, a large one alone; `whole` is their merge as a whole."""
    chance = random.Random(5)
    words = [f"{chance.choice('aéж日x')}{n % 700:x}" for n in range(3000)]
    texts = {f"{n}.txt": " ".join(chance.choices(words, k=2000)) for n in range(4)}
    folder("in", {**texts, "large.txt": " ".join(words * 40), "no-text.png": PNG})
    folder("in", {".wordfreq/x": "a name that no result can have"})
    wordfreq.ok("plan", "-s", "in", "-d", "out", "-p", "plan.json", "--pack", "50000")
    for ran in wordfreq.count_all(tmp_path / "plan.json"):
        assert ran.code == 0, ran.err
    wordfreq.ok("merge", "-p", "plan.json", "--min-count", "1", "--output", "whole")
    return wordfreq


def parts_in(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "out/.wordfreq/merge").rglob("*.zst"))


def test_parts_put_together_equal_the_whole(counted, tmp_path, either_engine) -> None:
    for index in range(3):
        # Parts made with and without the kernel fit together.
        chosen = either_engine if index else "icu"
        said = counted.ok(
            *PARTS, "--part", AWS_BATCH_JOB_ARRAY_INDEX=str(index), WORDFREQ_ENGINE=chosen
        )
        assert said.startswith(f"part {index} of 3: ")
    assert len(parts_in(tmp_path)) == 3
    parted = counted(
        *PARTS, "--min-count", "1", "--output", "parted", WORDFREQ_ENGINE=either_engine
    )
    assert parted == counted("merge", "-p", "plan.json", "--min-count", "1")
    assert "note: 2 files have no words in the ranking: " in parted.err
    assert rows(tmp_path / "parted") == rows(tmp_path / "whole")
    ranking = (tmp_path / "parted/ranking.json").read_text()
    assert ranking == (tmp_path / "whole/ranking.json").read_text()
    # What only the merge needed is gone.
    assert parts_in(tmp_path) == []


def test_missing_parts_are_named_and_can_be_made_up_for(counted, tmp_path) -> None:
    counted.ok(*PARTS, "--part", "-i", "1")
    missing = counted(*PARTS)
    assert missing.code == 3
    assert "2 of 3 parts of the merge are missing" in missing.err
    assert "/: 0, 2; run `wordfreq merge --parts 3 --part --index N`" in missing.err
    for index in ("0", "1", "2"):
        counted.ok(*PARTS, "--part", "-i", index)
    done = counted(*PARTS, "--part", "-i", "1")
    assert (done.code, "part 1 was done already" in done.err) == (0, True)
    counted.ok(*PARTS, "--min-count", "1", "--output", "parted")
    assert rows(tmp_path / "parted") == rows(tmp_path / "whole")
    # The parts are gone, and nothing says that they were done.
    assert counted(*PARTS).code == 3
    assert "done already" not in counted(*PARTS, "--part", "-i", "1").err


@pytest.mark.parametrize(("text", "words"), [("a cat", 2), ("", 0)])
def test_there_may_be_more_parts_than_words(
    wordfreq, folder, tmp_path, text, words, either_engine
) -> None:
    folder("in", {"a.txt": text})
    wordfreq.environment["WORDFREQ_ENGINE"] = either_engine
    wordfreq.ok("plan", "-s", "in", "-d", "out", "-p", "plan.json")
    wordfreq.count_all(tmp_path / "plan.json")
    for index in range(3):
        wordfreq.ok(*PARTS, "--part", "-i", str(index))
    ranked = json.loads(wordfreq.ok(*PARTS, "--json"))
    assert ranked["Metadata"]["DistinctWords"] == words


def test_a_lost_part_is_missing_whatever_its_receipt_says(counted, tmp_path) -> None:
    for index in ("0", "1", "2"):
        counted.ok(*PARTS, "--part", "-i", index)
    next((tmp_path / "out/.wordfreq/merge").rglob("00002-of-3.zst")).unlink()
    assert "1 of 3 parts of the merge are missing" in counted(*PARTS).err
    counted.ok(*PARTS, "--part", "-i", "2")
    counted.ok(*PARTS)


@pytest.mark.parametrize("kind", ["cut off", "of another part"])
def test_a_damaged_part_is_an_error(counted, tmp_path, kind) -> None:
    for index in ("0", "1", "2"):
        counted.ok(*PARTS, "--part", "-i", index)
    first, second, _ = sorted((tmp_path / "out/.wordfreq/merge").rglob("*.zst"))
    first.write_bytes(first.read_bytes()[:-5] if kind == "cut off" else second.read_bytes())
    ran = counted(*PARTS, "--output", "parted")
    assert ran.code == 4, ran.err
    assert "00000-of-3.zst" in ran.err if kind == "cut off" else "their receipts say" in ran.err
    assert not (tmp_path / "parted").exists()
    assert len(parts_in(tmp_path)) == 3


def test_two_copies_of_a_part_at_once_and_a_killed_one_do_no_harm(counted, tmp_path) -> None:
    own = tmp_path / "temporary"
    own.mkdir()
    killed = counted.popen(*PARTS, "--part", "-i", "0", TMPDIR=str(own))
    until(lambda: list(own.iterdir()) or killed.poll() is not None, what="temporary files")
    killed.kill()
    killed.communicate()
    for index in ("0", "1", "2"):
        both = [counted.popen(*PARTS, "--part", "-i", index) for _ in range(2)]
        for process in both:
            _, error = process.communicate(timeout=60)
            assert process.returncode == 0, error
    counted.ok(*PARTS, "--min-count", "1", "--output", "parted")
    assert rows(tmp_path / "parted") == rows(tmp_path / "whole")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-s", "out", "--parts", "2"), "--parts needs --plan"),
        (("-p", "plan.json", "--part"), "--part needs --parts"),
        (("-p", "plan.json", "--parts", "65"), "at most 64"),
        (("-p", "plan.json", "--parts", "2", "--index", "1"), "--index needs --part"),
        (("-p", "plan.json", "--parts", "2", "--part", "--index", "2"), "numbered from 0 to 1"),
        (("-p", "plan.json", "--parts", "2", "--part"), "which task?"),
    ],
)
def test_what_makes_no_sense_is_refused(wordfreq, arguments, message) -> None:
    ran = wordfreq("merge", *arguments)
    assert (ran.code, message in ran.err) == (2, True), ran.err


def test_the_plan_is_read_once_and_its_head_once(wordfreq, folder, tmp_path, plan_reads) -> None:
    folder("in", {"a.txt": "a cat", "b.txt": "a dog"})
    wordfreq.ok("plan", "-s", "in", "-d", "out", "-p", "plan.json")
    wordfreq.count_all(tmp_path / "plan.json")
    merge, parts = ("merge", "-p", str(tmp_path / "plan.json")), ("--parts", "2")
    for arguments in (("--part", "-i", "0", *parts), ("--part", "-i", "1", *parts), parts, ()):
        assert plan_reads(*merge, *arguments) == ["get_range", "get"], arguments


def partials(root: Path) -> dict[str, bytes]:
    found = (root / "out/.wordfreq/partials").iterdir()
    return {path.name: path.read_bytes() for path in found}


def age(root: Path) -> None:
    """Make everything in the destination two days old."""
    long_ago = time.time() - 2 * 86_400
    for path in (root / "out").rglob("*.zst"):
        os.utime(path, (long_ago, long_ago))


def test_partials_that_have_been_superseded_are_removed_when_old(
    wordfreq, folder, tmp_path
) -> None:
    plan = ("plan", "-s", "in", "-d", "out", "-p", "plan.json", "--pack", "1MB", "--pending")
    folder("in", {"a.txt": "a cat", "b.txt": "a dog"})
    wordfreq.ok(*plan)
    wordfreq.count_all(tmp_path / "plan.json")
    before = partials(tmp_path)
    assert len(before) == 1
    wordfreq.ok("merge", "-p", "plan.json")
    folder("in", {"b.txt": "another dog"})
    wordfreq.ok(*plan)
    wordfreq.count_all(tmp_path / "plan.json")
    age_of_new = partials(tmp_path).keys() - before.keys()
    wordfreq.ok("merge", "-p", "plan.json")
    # Young ones stay: another plan may just be counting them.
    assert partials(tmp_path).keys() == before.keys() | age_of_new
    folder("out/.wordfreq/merge/other-plan", {"00000-of-2.zst": "left behind"})
    age(tmp_path)
    table = wordfreq.ok("merge", "-p", "plan.json", "--min-count", "1")
    assert partials(tmp_path).keys() == age_of_new
    assert parts_in(tmp_path) == []
    # Who needs it still makes it again.
    for name in age_of_new:
        (tmp_path / "out/.wordfreq/partials" / name).unlink()
    assert wordfreq.ok("merge", "-p", "plan.json", "--min-count", "1") == table
    assert partials(tmp_path).keys() == age_of_new


def test_a_plan_of_some_of_the_files_removes_no_partials(wordfreq, folder, tmp_path) -> None:
    from wordfreq_batch.plans.plan_store import load_plan, write_plan
    from wordfreq_batch.plans.planning import build_plan
    from wordfreq_batch.text.words import COUNTER_VERSION

    folder("in", {"a.txt": "a cat", "b.txt": "a dog"})
    wordfreq.ok("plan", "-s", "in", "-d", "out", "-p", "plan.json", "--pack", "1MB")
    wordfreq.count_all(tmp_path / "plan.json")
    age(tmp_path)
    before = partials(tmp_path)
    folder("in", {"c.txt": "not counted"})
    some = build_plan(
        source=str(tmp_path / "in"),
        destination=str(tmp_path / "out"),
        plan=str(tmp_path / "some.json"),
        counter_version=COUNTER_VERSION,
        pack=1 << 20,
    )
    write_plan(some.only_counted())
    assert len(load_plan(str(tmp_path / "some.json")).items) == 2
    wordfreq.ok("merge", "-p", "some.json")
    assert before.items() <= partials(tmp_path).items()
