"""What makes it pleasant by hand: `count`, `lookup`, `help`, `--json`, Ctrl-C, any stdout."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import resource
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import suppress

import pytest

FILES = {
    "a.txt": "The cat and the hat. The cat sat!",
    "sub/b.txt": "don’t don't ﬁne fine Donau\u00addampf",
    "sub/c.png": b"\x89PNG\r\n\x1a\n" + bytes(99),
}
BAD = {"d.txt": "Größe naïve café ".encode("latin-1") * 40}


@pytest.fixture
def temporary(tmp_path_factory, monkeypatch):
    """The temporary folder of the program; nothing may be left in it."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def test_one_command_counts_and_ranks_and_leaves_nothing(wordfreq, folder, temporary):
    folder("in", FILES | BAD)
    ran = wordfreq("count", "in", "--top", "1")
    assert ran.out.splitlines()[1:4] == ["│ word │ count │", "├──────┼───────┤", "│ the  │   3   │"]
    assert ran.code == 4  # the worst file's
    assert "d.txt is not UTF-8" in ran.err
    assert "sub/c.png holds no text and so no words: PNG image" in ran.err
    assert sorted(path.name for path in wordfreq.folder.iterdir()) == ["in"]


def test_what_is_kept_is_looked_up_and_counted_once(wordfreq, folder, temporary):
    source = folder("in", FILES)
    first = json.loads(wordfreq.ok("count", "in", "--output", "kept", "--min-count", "1", "--json"))
    assert first["Metadata"]["Source"] == f"{source.as_uri()}/"
    before = {p: p.stat().st_mtime_ns for p in (wordfreq.folder / "kept/counts").rglob("*.txt")}
    assert len(before) == 2
    (source / "new.txt").write_text("cat")
    again = json.loads(wordfreq.ok("count", "in", "--output", "kept", "--json"))
    assert again["Metadata"]["Words"] == first["Metadata"]["Words"] + 1
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert wordfreq.ok("lookup", "-s", "kept", "CAT", "dog").splitlines()[1::2] == [
        "│ word │ count │ rank │",
        "│ cat  │   3   │  1   │",
        "└──────┴───────┴──────┘",
    ]
    found = json.loads(wordfreq.ok("lookup", "-s", "kept", "the hat", "--json"))
    assert found["Words"][0] == {"Word": "the", "Count": 3, "Rank": 2}
    assert wordfreq("lookup", "-s", "in", "cat").code == 3
    assert wordfreq("lookup", "-s", "kept", "...").code == 2


def test_a_full_temporary_folder_is_an_error_of_the_work(wordfreq, folder, temporary):
    folder("in", FILES)
    wordfreq.ok("count", "in", "--output", "kept")
    ran = wordfreq.within_file_size(100, "lookup", "-s", "kept", "cat", "--json")
    assert ran.code == json.loads(ran.out)["ExitCode"] == 1
    assert f"is the temporary folder (TMPDIR, now {temporary}) full?" in ran.err
    assert "the work is done" not in ran.err


def test_a_reader_that_has_gone_is_no_error(wordfreq, folder, temporary):
    folder("in", FILES)
    process = wordfreq.popen("count", "in", "--output", "kept")
    process.stdout.close()
    process.stderr.close()
    assert process.wait(60) == 0
    assert (wordfreq.folder / "kept/ranking.json").exists()


def test_folded_words_are_counted_ranked_and_looked_up_as_one(wordfreq, folder):
    folder("in", FILES)
    plain = json.loads(wordfreq.ok("count", "in", "-o", "plain", "--json", "--min-count", "1"))
    folded = json.loads(
        wordfreq.ok("count", "in", "-o", "folded", "--json", "--fold", "--min-count", "2")
    )
    assert folded["Metadata"]["Folded"] is True
    assert "Folded" not in plain["Metadata"]
    assert plain["Metadata"]["CounterVersion"] != folded["Metadata"]["CounterVersion"]
    assert {"Word": "don't", "Count": 2} in folded["Words"]
    assert {"Word": "fine", "Count": 2} in folded["Words"]
    assert {"Word": "don’t", "Count": 1} in plain["Words"]
    asked = ("don’t", "Donaudampf", "--json")
    [one, two] = json.loads(wordfreq.ok("lookup", "-s", "folded", *asked))["Words"]
    assert (one["Word"], one["Count"], two["Count"]) == ("don't", 2, 1)
    [one, two] = json.loads(wordfreq.ok("lookup", "-s", "plain", *asked))["Words"]
    assert (one["Word"], one["Count"], two["Count"]) == ("don’t", 1, 0)
    # Counts of one meaning are none of the other's.
    plan = ("plan", "-s", "in", "-d", "folded/counts", "-p", "p.json", "--pending")
    assert "3 to count" in wordfreq.ok(*plan)
    assert "0 to count" in wordfreq.ok(*plan, "--fold")


def test_each_step_has_its_result_as_json(wordfreq, folder):
    folder("in", FILES)
    planned = json.loads(wordfreq.ok("plan", "-s", "in", "-d", "o", "-p", "p.json", "--json"))
    assert (planned["Files"], planned["ToCount"], planned["Tasks"]) == (3, 3, 3)
    for task in range(3):
        counted = json.loads(wordfreq.ok("migrate", "-p", "p.json", "-i", str(task), "--json"))
        assert (counted["Task"], counted["ExitCode"], len(counted["Items"])) == (task, 0, 1)
    parts = ("merge", "-p", "p.json", "--parts", "2")
    part = json.loads(wordfreq.ok(*parts, "--part", "-i", "0", "--json"))
    assert part["Words"] > 0
    wordfreq.ok(*parts, "--part", "-i", "1")
    ranked = json.loads(wordfreq.ok(*parts, "--json"))
    assert ranked["Words"][0] == {"Word": "the", "Count": 3}
    failed = wordfreq("merge", "-p", "none.json", "--json")
    assert failed.code == json.loads(failed.out)["ExitCode"] == 3
    assert "none.json doesn't exist" in json.loads(failed.out)["Error"]


def test_a_folder_that_may_be_meant_as_a_bucket_gets_a_hint(wordfreq):
    assert "For a bucket write s3://books/english" in wordfreq("count", "books/english").err
    assert "s3://" not in wordfreq("count", "./books").err


def test_help_is_a_command_too(wordfreq):
    assert wordfreq.ok("help") == wordfreq.ok("--help")
    for command in ("count", "lookup", "merge"):
        assert wordfreq.ok("help", command) == wordfreq.ok(command, "--help")
    assert wordfreq("help", "cuont").code == 2


def test_a_terminal_without_lines_gets_a_table_all_the_same(wordfreq, folder):
    folder("in", {"a.txt": "漢字 " * 3})
    out = wordfreq.ok(
        "count", "in", "--min-length", "1", PYTHONIOENCODING="latin-1", PYTHONUTF8="0"
    )
    assert out.splitlines()[0].startswith("+--")
    assert "\\u6f22\\u5b57" in out


def test_a_terminal_shows_a_bar_with_bytes_and_the_time_left(wordfreq, folder, temporary):
    folder("in", {"a.txt": "word " * 3_000_000})
    terminal, inside = pty.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "wordfreq_batch", "count", "in", "--threads", "1"],
        cwd=wordfreq.folder,
        stdout=subprocess.PIPE,
        stderr=inside,
    )
    os.close(inside)
    seen = b""
    with suppress(OSError):  # at its end
        while got := os.read(terminal, 1 << 16):
            seen += got
    os.close(terminal)
    assert "│ word │ 3000000 │" in process.communicate()[0].decode()
    assert b"/14.3M [" in seen
    assert b"B/s]" in seen


@pytest.mark.parametrize("number", range(8))
def test_ctrl_c_at_any_moment_is_silent_but_for_a_line(wordfreq, folder, temporary, number):
    folder("in", {"a.txt": "word " * 3_000_000})
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "wordfreq_batch", "count", "in"],
        cwd=wordfreq.folder,
        stderr=subprocess.PIPE,
        text=True,
    )
    while "wordfreq_batch." not in process.stderr.readline():
        pass  # until Python itself has started
    time.sleep(0.06 * number)  # a moment, whichever it is
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    # Before and after its work the signal itself ends it, as the shell shows it: 130.
    assert process.returncode in (0, 130, -signal.SIGINT), err
    assert "Traceback" not in err
    if process.returncode == 130:
        assert "stopped by SIGINT; nothing half-written is left" in err


@pytest.mark.parametrize("mebibytes", [40, 64])
def test_a_lack_of_memory_has_its_own_words_and_exit_code(wordfreq, folder, temporary, mebibytes):
    folder("in", FILES)
    process = subprocess.run(
        [sys.executable, "-m", "wordfreq_batch", "count", "in", "--json"],
        cwd=wordfreq.folder,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (mebibytes << 20,) * 2),
    )
    assert process.returncode == 5, process.stderr
    assert "there is not enough memory; give the process more of it" in process.stderr
    assert "Traceback" not in process.stderr
