"""Stopped, killed, doubled, out of space: nothing half, nothing twice, and it goes on."""

from __future__ import annotations

import json
import random
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.waiting import until

TASK = ("migrate", "-p", "plan.json", "-i", "0")


def words(seed: int, number: int) -> str:
    chooser = random.Random(seed)
    return " ".join(f"w{chooser.randrange(3000)}" for _ in range(number))


def results(root: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
        and ".wordfreq" not in path.parts
        and not path.name.startswith(".wordfreq-tmp-")
    }


def leftovers(root: Path) -> list[Path]:
    return [path for path in root.rglob(".wordfreq-tmp-*") if path.is_file()]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["TERM", "INT"]
)
def test_a_signal_ends_counting_soon_and_cleanly(wordfreq, folder, number, code):
    big = folder("in", {"big.txt": (words(1, 200_000) + "\n") * 150}) / "big.txt"
    wordfreq.ok("plan", "-s", "in", "-d", "out", "-p", "plan.json")
    process = wordfreq.popen(*TASK)
    opened = Path(f"/proc/{process.pid}/fd")
    until(
        lambda: any(fd.resolve() == big for fd in opened.iterdir() if fd.exists()), process=process
    )
    started = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert time.monotonic() - started < 10
    assert process.returncode == code
    assert f"stopped by {number.name}" in err
    assert out == ""
    assert "Traceback" not in err
    assert results(wordfreq.folder / "out") == {}
    assert leftovers(wordfreq.folder) == []
    assert not list((wordfreq.folder / "plan").rglob("migrate-*.json"))


IGNORING = """
import os, signal, sys
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [number])
os.execv(sys.executable, [sys.executable, "-m", "wordfreq_batch", *sys.argv[1:]])
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_launcher_that_ignores_and_blocks_signals_takes_nothing_from_us(wordfreq, folder, number):
    big = folder("in", {"big.txt": (words(1, 200_000) + "\n") * 150}) / "big.txt"
    wordfreq.ok("plan", "-s", "in", "-d", "out", "-p", "plan.json")
    process = subprocess.Popen(
        [sys.executable, "-c", IGNORING, *TASK],
        cwd=wordfreq.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    opened = Path(f"/proc/{process.pid}/fd")
    until(
        lambda: any(fd.resolve() == big for fd in opened.iterdir() if fd.exists()), process=process
    )
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number, err
    assert f"stopped by {number.name}" in err


@pytest.mark.parametrize("command", ["plan", "migrate"])
def test_a_signal_ends_waiting_for_a_silent_server(wordfreq, command):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        silent.settimeout(30)
        environment = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "k",
            "AWS_SECRET_ACCESS_KEY": "s",
        }
        arguments = {
            "plan": ("plan", "-s", "s3://b/in/", "-d", "out", "-p", "plan.json"),
            "migrate": ("migrate", "-p", "s3://b/plan.json", "-i", "0"),
        }[command]
        process = wordfreq.popen(*arguments, **environment)
        connection, _ = silent.accept()
        with connection:
            connection.recv(1)
            process.send_signal(signal.SIGTERM)
            started = time.monotonic()
            process.communicate(timeout=30)
            assert time.monotonic() - started < 10
    assert process.returncode == 143


def test_killed_anywhere_and_run_again(wordfreq, folder):
    files = {f"{n:02d}.txt": words(n, 20_000) for n in range(40)}
    folder("in", files)
    wordfreq.ok("plan", "-s", "in", "-d", "right", "-p", "plan-right.json", "--pack", "1GB")
    started = time.monotonic()
    wordfreq.ok("migrate", "-p", "plan-right.json", "-i", "0")
    whole = time.monotonic() - started
    right = results(wordfreq.folder / "right")
    assert len(right) == 40

    wordfreq.ok("plan", "-s", "in", "-d", "out", "-p", "plan.json", "--pack", "1GB")
    chooser = random.Random(7)
    kills = 0
    for _ in range(6):
        process = wordfreq.popen(*TASK)
        try:
            process.wait(timeout=whole * chooser.uniform(0.2, 0.9))
        except subprocess.TimeoutExpired:
            kills += 1
        process.kill()
        process.communicate()
        so_far = results(wordfreq.folder / "out")
        assert so_far.items() <= right.items(), "whatever is there is whole"
    assert kills
    wordfreq.ok(*TASK)
    assert results(wordfreq.folder / "out") == right
    table = wordfreq.ok("merge", "-p", "plan-right.json")
    assert wordfreq.ok("merge", "-p", "plan.json") == table
    assert wordfreq.ok("merge", "-s", "out") == table


def test_copies_of_a_task_at_the_same_time(wordfreq, folder, receipts):
    folder("in", {f"{n:02d}.txt": words(n, 5_000) for n in range(20)})
    wordfreq.ok("plan", "-s", "in", "-d", "out", "-p", "plan.json", "--pack", "1GB")
    processes = [wordfreq.popen(*TASK) for _ in range(3)]
    for process in processes:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    (receipt,) = receipts(wordfreq.folder / "plan")
    assert sum(item["Words"] for item in receipt["Items"]) == 100_000
    assert leftovers(wordfreq.folder) == []
    wordfreq.ok("merge", "-p", "plan.json", "--output", "ranking")
    ranking = json.loads((wordfreq.folder / "ranking/ranking.json").read_text())
    assert ranking["Metadata"]["Words"] == 100_000


def test_of_two_jobs_of_one_submission_one_works(wordfreq, folder, receipts):
    folder("in", {"a.txt": "one"})
    wordfreq.ok("plan", "-s", "in", "-d", "out", "-p", "plan.json")
    (wordfreq.folder / "in/a.txt").rename(wordfreq.folder / "in/b.txt")  # the first try fails
    assert wordfreq(*TASK, BATCH_SUBMISSION="t-1", AWS_BATCH_JOB_ID="first").code == 3
    for path in (wordfreq.folder / "plan").rglob("migrate-00000.json"):
        path.unlink()
    (wordfreq.folder / "in/b.txt").rename(wordfreq.folder / "in/a.txt")
    other = wordfreq(*TASK, BATCH_SUBMISSION="t-1", AWS_BATCH_JOB_ID="second")
    assert other.code == 0
    assert "belongs to job first" in other.err
    assert list(receipts(wordfreq.folder / "plan")) == []
    attempt = {"AWS_BATCH_JOB_ID": "first", "AWS_BATCH_JOB_ATTEMPT": "2"}
    wordfreq.ok(*TASK, BATCH_SUBMISSION="t-1", **attempt)
    (receipt,) = receipts(wordfreq.folder / "plan")
    assert (receipt["JobId"], receipt["Attempt"]) == ("first", 2)
    # A new submission is another matter.
    again = wordfreq(*TASK, BATCH_SUBMISSION="t-2", AWS_BATCH_JOB_ID="third")
    assert "done already" in again.err
    assert wordfreq(*TASK, BATCH_SUBMISSION="a/b").code == 2


def test_out_of_space(wordfreq, folder):
    folder("in", {"big.txt": words(1, 20_000), "small.txt": "few words"})
    wordfreq.ok("plan", "-s", "in", "-d", "out", "-p", "plan.json", "--pack", "1GB")
    ran = subprocess.run(
        [sys.executable, "-m", "wordfreq_batch", *TASK],
        cwd=wordfreq.folder,
        capture_output=True,
        text=True,
        # No file larger than that: big.txt's counts and the partial are, the receipt isn't.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192)),
    )
    assert ran.returncode == 1, ran.stderr
    assert "out/big.txt: File too large; free some space" in ran.stderr
    assert set(results(wordfreq.folder / "out")) == {"small.txt"}
    assert leftovers(wordfreq.folder) == []
    assert "2 of 2 files" in wordfreq.ok(*TASK)
    wordfreq.ok("merge", "-p", "plan.json")
    assert set(results(wordfreq.folder / "out")) == {"small.txt", "big.txt"}
