"""plan, migrate, merge on local folders, as a user types them."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FILES = {
    "a.txt": "The cat and the hat. The cat sat!",
    "sub/b c%+#ü[x].txt": "the dog and THE cat",
    "sub/empty.txt": "",
    "z.txt.gz": gzip.compress(b"packed cat words"),
}
PLAN = ("-s", "in", "-d", "out", "-p", "plan.json")
INGEST = ("ingest", "-s", "in/a.txt", "-t", "table")


def tree(root: Path) -> dict[str, bytes]:
    """All results below a destination, without what is kept beside them."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and ".wordfreq" not in path.parts
    }


@pytest.mark.parametrize("command", [[], ["plan"], ["migrate"], ["merge"]])
def test_help_teaches_by_example(wordfreq, command):
    out = wordfreq.ok(*command, "--help")
    assert f"wordfreq {' '.join(command)}".strip() in out
    assert "example" in out
    assert "exit codes" in out


def test_no_arguments_print_the_help(wordfreq):
    assert wordfreq.ok() == wordfreq.ok("--help")


def test_version_names_counter_and_engine(wordfreq):
    from wordfreq_batch.text.words import COUNTER_VERSION

    out = wordfreq.ok("--version")
    assert COUNTER_VERSION in out
    assert "word engine" in out


def test_help_loads_nothing_heavy():
    code = (
        "import sys, wordfreq_batch.cli.main\n"
        "heavy = {'boto3', 'obstore', 'duckdb', 'icu4py', 'zstandard'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "arguments",
    [
        ["plan", "--sorce", "x"],
        ["plan", "-s", "in"],
        ["plan", *PLAN, "--pack", "much"],
        ["plan", *PLAN, "--task-items", "3"],
        ["plan", *PLAN, "--retry-unusable"],
        ["plan", "-s", "in", "-d", "out", "-p", "folder/"],
        ["plan", "-s", "in", "-d", "out", "-p", "plan"],
        ["plan", "-s", "s3://", "-d", "out", "-p", "p.json"],
        ["plan", "-s", "ftp://x/y", "-d", "out", "-p", "p.json"],
        ["migrate", "-p", "plan.json", "-i", "x"],
        ["migrate", "-p", "plan.json"],
        ["merge"],
        ["merge", "-s", "a", "-p", "b"],
        ["merge", "-p", "plan.json", "--parts", "2", "--part", "-i", "0", "--output", "ranked"],
        ["merge", "-p", "plan.json", "--parts", "2", "--part", "-i", "0", "--top", "5"],
        ["count", "in", "--top", "0"],
        ["count", "in", "--min-count", "0"],
        ["count", "in", "--min-length", "0"],
        [*INGEST, "--write-price", "1"],
        [*INGEST, "--capacity-price", "1"],
        [*INGEST, "--dry-run", "--rejects", "rejects"],
        [*INGEST, "--dry-run", "--write-price", "nan"],
        [*INGEST, "--dry-run", "--write-price", "-1"],
        [*INGEST, "--dry-run", "--capacity-price", "inf"],
        ["nonsense"],
    ],
)
def test_bad_usage_is_exit_code_2(wordfreq, folder, arguments):
    folder("in", FILES)
    ran = wordfreq(*arguments)
    assert ran.code == 2
    assert "error:" in ran.err
    assert ran.out == ""


def test_all_three_by_hand(wordfreq, folder, receipts):
    folder("in", FILES)
    assert "4 files" in wordfreq.ok("plan", *PLAN)
    plan = json.loads((wordfreq.folder / "plan.json").read_text())
    assert plan["Items"] == sorted(FILES, key=str.encode)
    assert plan["Metadata"]["TotalItems"] == 4

    # The index is the item's, as it always was.
    wordfreq.ok("migrate", "-p", "plan.json", "--index", "1")
    name = plan["Items"][1]
    assert set(tree(wordfreq.folder / "out")) == {name}
    wordfreq.ok("migrate", "-p", "plan.json", AWS_BATCH_JOB_ARRAY_INDEX="0")
    wordfreq.ok("migrate", "-p", "plan.json", AWS_BATCH_JOB_ARRAY_INDEX="1", BATCH_TASKS="0,2-3")

    missing = wordfreq("merge", "-p", "plan.json")
    assert missing.code == 3
    assert "'z.txt.gz'" in missing.err

    wordfreq.ok("migrate", "-p", "plan.json", BATCH_TASKS="3", AWS_BATCH_JOB_ID="j:3")
    results = tree(wordfreq.folder / "out")
    assert set(results) == set(FILES)
    assert results["a.txt"] == b"the:3\ncat:2\nand:1\nhat:1\nsat:1\n"
    assert results["sub/empty.txt"] == b""
    assert results["z.txt.gz"] == b"cat:1\npacked:1\nwords:1\n"

    found = list(receipts(wordfreq.folder / "plan"))
    assert [receipt["Task"] for receipt in found] == [0, 1, 2, 3]
    assert found[3]["JobId"] == "j:3"
    (item,) = found[3]["Items"]
    assert (item["Name"], item["Words"], item["Distinct"]) == ("z.txt.gz", 3, 3)
    assert item["Bytes"] == len("packed cat words")
    assert item["Size"] == (wordfreq.folder / "in/z.txt.gz").stat().st_size

    table = wordfreq.ok("merge", "-p", "plan.json", "--output", "ranking")
    assert "│ the  │   5   │" in table or "│ the │   5   │" in table
    assert wordfreq.ok("merge", "-s", "out") == table
    ranking = json.loads((wordfreq.folder / "ranking/ranking.json").read_text())
    assert ranking["Words"][0] == {"Word": "the", "Count": 5}
    assert ranking["Metadata"]["Files"] == 4
    assert (wordfreq.folder / "ranking/totals.parquet").stat().st_size > 0
    assert list((wordfreq.folder / "plan").rglob("merge-00000.json"))


def test_packed_or_not_the_results_are_the_same_bytes(wordfreq, folder):
    folder("in", {f"{n % 7}/{n}.txt": f"word{n % 5} and word{n % 3} " * n for n in range(60)})
    wordfreq.ok("plan", *PLAN, "--pack", "1MB", "--task-items", "8")
    total = json.loads((wordfreq.folder / "plan.json").read_text())["Metadata"]["TotalTasks"]
    assert 60 / 8 <= total < 30
    assert all(ran.code == 0 for ran in wordfreq.count_all(wordfreq.folder / "plan.json"))
    packed = wordfreq.ok("merge", "-p", "plan.json", "--output", "r1")
    wordfreq.ok("plan", "-s", "in", "-d", "out2", "-p", "plan2.json", "--pack", "1GB")
    assert all(ran.code == 0 for ran in wordfreq.count_all(wordfreq.folder / "plan2.json"))
    assert wordfreq.ok("merge", "-p", "plan2.json", "--output", "r2") == packed
    assert wordfreq.ok("merge", "-s", "out2") == packed
    assert tree(wordfreq.folder / "out") == tree(wordfreq.folder / "out2")
    first, second = (tree(wordfreq.folder / name)["totals.parquet"] for name in ("r1", "r2"))
    assert first == second


def test_what_is_counted_is_not_counted_again(wordfreq, folder):
    source = folder("in", FILES)
    packed = (*PLAN, "--pack", "1MB", "--pending")
    wordfreq.ok("plan", *packed)
    wordfreq.count_all(wordfreq.folder / "plan.json")
    before = {p: p.stat().st_mtime_ns for p in (wordfreq.folder / "out").rglob("*.txt")}
    assert "0 to count, 0 tasks" in wordfreq.ok("plan", *packed)
    table = wordfreq.ok("merge", "-p", "plan.json")

    (source / "a.txt").write_text("Now it says another thing. Another!")
    (source / "new.txt").write_text("another file")
    assert "2 to count, 1 tasks" in wordfreq.ok("plan", *packed)
    assert "5 of 5 files" in wordfreq.ok("migrate", "-p", "plan.json", "-i", "0")
    rewritten = {p for p, at in before.items() if p.stat().st_mtime_ns != at}
    assert rewritten == {wordfreq.folder / "out/a.txt"}
    changed = wordfreq.ok("merge", "-p", "plan.json", "--min-count", "1")
    assert "another" in changed
    assert changed != table

    # A result that somebody spoiled is not believed.
    (wordfreq.folder / "out/new.txt").write_text("spoiled:7\n")
    assert wordfreq("merge", "-p", "plan.json").code == 3
    assert "1 to count" in wordfreq.ok("plan", *packed)
    # Nor is anything, once the ledger is gone: that costs a recount, no more.
    for path in (wordfreq.folder / "out/.wordfreq/counted").iterdir():
        path.unlink()
    assert "5 to count" in wordfreq.ok("plan", *packed)
    wordfreq.count_all(wordfreq.folder / "plan.json")
    assert wordfreq.ok("merge", "-p", "plan.json", "--min-count", "1") == changed


def test_a_full_plan_reuses_what_is_there(wordfreq, folder, receipts):
    folder("in", FILES)
    wordfreq.ok("plan", *PLAN, "--pack", "1MB")
    wordfreq.count_all("plan.json" if False else wordfreq.folder / "plan.json")
    wordfreq.ok("plan", "-s", "in", "-d", "out", "-p", "again.json", "--pack", "1MB")
    wordfreq.ok("migrate", "-p", "again.json", "-i", "0")
    (receipt,) = receipts(wordfreq.folder / "again")
    assert all(item["Reused"] and item["CountsETag"] for item in receipt["Items"])
    assert sum(item["Words"] for item in receipt["Items"]) == 16


def test_the_ledger_is_compacted_when_it_has_become_many(wordfreq, folder):
    folder("in", {f"{n:03d}.txt": f"word{n}" for n in range(4)})
    wordfreq.ok("plan", *PLAN)
    wordfreq.count_all(wordfreq.folder / "plan.json")
    counted = wordfreq.folder / "out/.wordfreq/counted"
    (first, *_) = counted.iterdir()
    for number in range(100):
        (counted / f"stale-{number}.jsonl").write_bytes(first.read_bytes())
    (counted / "damaged.jsonl").write_text("{\n")
    ran = wordfreq("plan", *PLAN, "--pending")
    assert "4 files" in ran.out
    assert " 0 to count" in ran.out
    assert "damaged" in ran.err
    assert [path.name.startswith("compact-") for path in counted.iterdir()] == [True]
    assert " 0 to count" in wordfreq.ok("plan", *PLAN, "--pending")


def test_only_the_files_asked_for(wordfreq, folder):
    folder("in", FILES)
    (wordfreq.folder / "names").write_text("a.txt\nsub/empty.txt\nnot/there.txt\n")
    ran = wordfreq("plan", *PLAN, "--pack", "1MB", "--only-from", "names")
    assert (ran.code, "2 to count, 1 tasks" in ran.out) == (0, True)
    assert "'not/there.txt' is left out: it is not in the source" in ran.err
    assert "2 of 2 files" in wordfreq.ok("migrate", "-p", "plan.json", "-i", "0")
    assert set(tree(wordfreq.folder / "out")) == {"a.txt", "sub/empty.txt"}
    assert wordfreq("merge", "-p", "plan.json").code == 3


@pytest.mark.parametrize(
    ("source", "destination", "plan", "said"),
    [
        ("in", "in", "p.json", "is the source itself"),
        ("in", "in/sub/../", "p.json", "is the source itself"),
        ("in", "in/results", "p.json", "lies inside the source"),
        ("in", "link/results", "p.json", "lies inside the source"),
        ("in/sub", "in", "p.json", "lies inside the destination"),
        ("in/a.txt", "in", "p.json", "lies inside the destination"),
        ("in", "out", "in/p.json", "in/p.json lies inside the source"),
        ("in", "out", "out/p.json", "out/p.json lies inside the destination"),
        ("in", "out", "out.json", "plan's receipts"),
        ("in", "out", "in.json", "plan's receipts"),
    ],
)
def test_places_that_would_spoil_each_other_are_refused(
    wordfreq, folder, source, destination, plan, said
):
    folder("in", FILES)
    (wordfreq.folder / "link").symlink_to("in")
    ran = wordfreq("plan", "-s", source, "-d", destination, "-p", plan)
    assert ran.code == 2
    assert said in ran.err


def test_prefixes_end_at_a_slash(wordfreq, folder):
    folder("", {"docs/f.txt": "one", "docs2/f.txt": "two", "docs.txt": "three"})
    wordfreq.ok("plan", "-s", "docs", "-d", "out", "-p", "plan.json")
    assert json.loads((wordfreq.folder / "plan.json").read_text())["Items"] == ["f.txt"]


def test_one_file_as_the_source(wordfreq, folder):
    folder("in", FILES)
    wordfreq.ok("plan", "-s", "in/sub/b c%+#ü[x].txt", "-d", "out", "-p", "plan.json")
    wordfreq.ok("migrate", "-p", "plan.json", "-i", "0")
    assert set(tree(wordfreq.folder / "out")) == {"b c%+#ü[x].txt"}


def test_missing_and_empty_sources(wordfreq, folder):
    ran = wordfreq("plan", "-s", "nowhere", "-d", "out", "-p", "plan.json")
    assert ran.code == 3
    assert "nowhere" in ran.err
    (wordfreq.folder / "in").mkdir()
    ran = wordfreq("plan", *PLAN)
    assert ran.code == 0
    assert "nothing to count" in ran.err
    assert '"Items": []' in (wordfreq.folder / "plan.json").read_text()
    assert wordfreq("migrate", "-p", "plan.json", "-i", "0").code == 2
    assert wordfreq("merge", "-p", "plan.json").code == 0
    assert wordfreq("merge", "-p", "noplan.json").code == 3
    assert wordfreq("migrate", "-p", "noplan.json", "-i", "0").code == 3
    (wordfreq.folder / "bad.json").write_text("{}")
    assert wordfreq("migrate", "-p", "bad.json", "-i", "0").code == 4


def test_one_bad_file_fails_alone(wordfreq, folder, receipts):
    source = folder("in", {**FILES, "bad.gz": gzip.compress(b"text " * 1000)[:-30]})
    wordfreq.ok("plan", *PLAN, "--pack", "1MB")
    (source / "a.txt").write_text("changed after it was planned")
    (source / "sub/empty.txt").unlink()
    ran = wordfreq("migrate", "-p", "plan.json", "-i", "0")
    assert ran.code == 4
    assert "2 of 5 files" in ran.out
    for name, why in [
        ("bad.gz", "ends too early"),
        ("a.txt", "has changed"),
        ("sub/empty.txt", "doesn't exist"),
    ]:
        assert any(name in line and why in line for line in ran.err.splitlines()), name
    (receipt,) = receipts(wordfreq.folder / "plan")
    codes = {item["Name"]: item["ExitCode"] for item in receipt["Items"]}
    assert codes == {
        "a.txt": 3,
        "bad.gz": 4,
        "sub/b c%+#ü[x].txt": 0,
        "sub/empty.txt": 3,
        "z.txt.gz": 0,
    }
    # Once more: it is known already, and nothing is done.
    again = wordfreq("migrate", "-p", "plan.json", "-i", "0")
    assert again.code == 4
    assert "done already" in again.err


def test_names_that_no_result_can_have_are_left_out_and_named(wordfreq, folder):
    source = folder("in", {"good.txt": "good", ".wordfreq/x": "reserved"})
    Path(os.fsdecode(os.fsencode(source) + b"/bad\xff.txt")).write_text("x")
    ran = wordfreq("plan", *PLAN)
    assert ran.code == 0
    assert "'.wordfreq/x' is left out" in ran.err
    assert "bad\\\\xff.txt" in ran.err
    plan = json.loads((wordfreq.folder / "plan.json").read_text())
    assert plan["Items"] == ["good.txt"]
    assert [refused["Name"] for refused in plan["Refused"]] == [".wordfreq/x", "bad\\xff.txt"]


def test_an_unreadable_file_fails_alone(wordfreq, folder):
    source = folder("in", FILES)
    wordfreq.ok("plan", *PLAN, "--pack", "1MB")
    (source / "a.txt").chmod(0)
    command = [sys.executable, "-m", "wordfreq_batch", "migrate", "-p", "plan.json", "-i", "0"]
    if os.geteuid() == 0:
        # Root may read anything, unless it gives that right away.
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    try:
        ran = subprocess.run(command, cwd=wordfreq.folder, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("root, and no setpriv")
    if "setpriv:" in ran.stderr:
        pytest.skip("root, and setpriv may not drop capabilities here")
    assert ran.returncode == 1
    assert "a.txt: permission denied" in ran.stderr
    assert "3 of 4 files" in ran.stdout
    # That may be mended, so the receipt is not the last word.
    (source / "a.txt").chmod(0o600)
    assert "4 of 4 files" in wordfreq.ok("migrate", "-p", "plan.json", "-i", "0")
    assert set(tree(wordfreq.folder / "out")) == set(FILES)


def test_a_report_that_cannot_be_written_is_said_in_one_line(wordfreq, folder):
    folder("in", {"a.txt": "a word"})
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(
            [
                sys.executable,
                "-m",
                "wordfreq_batch",
                "plan",
                "-s",
                "in",
                "-d",
                "out",
                "-p",
                "p.json",
            ],
            cwd=wordfreq.folder,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ran.returncode == 1
    assert "No space left" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert "Exception ignored" not in ran.stderr


def test_words_that_the_terminal_cannot_show_are_escaped(wordfreq, folder):
    folder("in", {"a.txt": "東京 東京 東京"})
    wordfreq.ok("plan", "-s", "in", "-d", "out", "-p", "p.json")
    wordfreq.ok("migrate", "-p", "p.json", "-i", "0")
    out = wordfreq.ok(
        "merge", "-p", "p.json", "--min-length", "1", PYTHONIOENCODING="latin-1", PYTHONUTF8="0"
    )
    assert "\\u6771\\u4eac" in out
