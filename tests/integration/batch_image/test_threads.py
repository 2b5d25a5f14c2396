"""`wordfreq migrate --threads`: the same results, faults of single files, ends in the middle."""

from __future__ import annotations

import gzip
import json
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import until
from wordfreq_batch.counts.migrate import run_task
from wordfreq_batch.errors import ChangedError
from wordfreq_batch.job import JobInfo
from wordfreq_batch.storage import s3_reader
from wordfreq_batch.storage.local import LocalStore
from wordfreq_batch.storage.opening import open_store

LARGE = 17 << 20  # bytes; files from 16 MiB on are counted by all threads together


def text(seed: int, size: int) -> bytes:
    chance = random.Random(seed)
    some = " ".join(
        f"“w{chance.randrange(3000)}” été, 东京-{chance.randrange(99)}" for _ in range(5000)
    )
    line = some.encode() + b"\n"
    return (line * (size // len(line) + 1))[:size]


def results(root: Path) -> dict[str, bytes]:
    """The counts, and the partial, whose name depends on the counts' ETags."""
    found = {str(p.relative_to(root)): p for p in root.rglob("*") if p.is_file()}
    counts = {name: p.read_bytes() for name, p in found.items() if ".wordfreq" not in name}
    (partial,) = [p for name, p in found.items() if name.endswith(".zst")] or [None]
    return counts | ({"partial": partial.read_bytes()} if partial else {})


FIGURES = ("Name", "Size", "Bytes", "Words", "Distinct", "Invalid")


def test_any_number_of_threads_gives_the_same(wordfreq, folder, receipts) -> None:
    folder("in", {f"{n:02d}.txt": text(n, 3 + 40_000 * n) for n in range(25)})
    folder("in", {"empty": b"", "bad.txt": b"\xff\xfe\x00", "large.txt": text(99, LARGE) + b"\xff"})
    folder("in", {"large.txt.gz": gzip.compress(text(98, LARGE), 1)})
    seen: list[tuple[Any, ...]] = []
    for threads in ("1", "3"):
        out, plan = f"out{threads}", f"plan{threads}.json"
        wordfreq.ok("plan", "-s", "in", "-d", out, "-p", plan, "--pack", "1GB")
        printed = wordfreq.ok("migrate", "-p", plan, "-i", "0", "--threads", threads)
        (receipt,) = receipts(wordfreq.folder / f"plan{threads}")
        figures = [[item.get(name) for name in FIGURES] for item in receipt["Items"]]
        seen.append((printed, figures, results(wordfreq.folder / out)))
    assert len(seen[0][2]) == 29 + 1
    assert seen[0] == seen[1]


def test_the_number_of_threads_can_be_wrong(wordfreq) -> None:
    for arguments, environment in (
        (("--threads", "0"), {}),
        (("--threads", "many"), {}),
        (("--threads", "257"), {}),
        ((), {"WORDFREQ_THREADS": "many"}),
    ):
        ran = wordfreq("migrate", "-p", "p.json", "-i", "0", *arguments, **environment)
        assert ran.code == 2
        assert "threads" in ran.err.lower()


@pytest.mark.parametrize("size", [3 << 20, 2 * LARGE])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_damaged_archive_fails_alone(wordfreq, folder, receipts, monkeypatch, size, threads):
    monkeypatch.chdir(wordfreq.folder)
    whole = gzip.compress(text(1, size), 0)
    folder("in", {"a.txt": b"one", "cut.gz": whole[: len(whole) // 2], "z.txt": b"two"})
    folder("in", {"flipped.gz": whole[:-6] + b"12" + whole[-4:]})
    wordfreq.ok("plan", "-s", "in", "-d", "out", "-p", "plan.json", "--pack", "1GB")
    outcome = run_task(
        "plan.json", 0, job=JobInfo(), memory=1 << 28, threads=threads, progress=print
    )
    assert outcome.receipt is not None
    assert outcome.receipt.exit_code == 4
    errors = {item.name: item.error for item in outcome.receipt.items}
    assert errors["a.txt"] is errors["z.txt"] is None
    assert "cut.gz is no intact gzip archive (it ends too early)" in str(errors["cut.gz"])
    assert "flipped.gz is no intact gzip archive" in str(errors["flipped.gz"])
    assert sorted(results(wordfreq.folder / "out")) == ["a.txt", "z.txt"]


def run_small(plan: str) -> int | None:
    """The task by as little memory as it works with; returns its receipt's exit code."""
    outcome = run_task(plan, 0, job=JobInfo(), memory=1, threads=2, progress=print)
    return outcome.receipt and outcome.receipt.exit_code


def test_files_with_more_words_than_memory_merge_alike_with_and_without_the_partial(
    wordfreq, folder, monkeypatch
) -> None:
    monkeypatch.chdir(wordfreq.folder)
    words = [[f"w{n:06}" for n in range(start, start + 200_000)] for start in (0, 100_000)]
    folder("in", {"a.txt": " ".join(words[0]), "b.txt": " ".join(words[1])})
    wordfreq.ok("plan", "-s", "in", "-d", "out", "-p", "plan.json", "--pack", "1GB")
    assert run_small("plan.json") == 0
    merge = ("merge", "-p", "plan.json", "--json")
    found = wordfreq.ok(*merge)
    assert json.loads(found)["Metadata"]["DistinctWords"] == 300_000
    (stored,) = (wordfreq.folder / "out/.wordfreq/partials").rglob("*.zst")
    stored.unlink()
    again = json.loads(wordfreq.ok(*merge))
    assert again["Words"] == json.loads(found)["Words"]
    assert again["Metadata"]["DistinctWords"] == 300_000


def test_counts_that_were_not_stored_whole_are_noticed(wordfreq, folder, monkeypatch) -> None:
    monkeypatch.chdir(wordfreq.folder)
    folder("in", {"a.txt": "x y z", "b.txt": b"y \xff", "c.txt": "z"})
    wordfreq.ok("plan", "-s", "in", "-d", "out", "-p", "plan.json", "--pack", "1GB")
    put = LocalStore.put
    with monkeypatch.context() as patch:
        patch.setattr(
            LocalStore,
            "put",
            lambda store, key, data, **more: put(
                store, key, data[:4] if key == "a.txt" else data, **more
            ),
        )
        assert run_small("plan.json") == 4
    ran = wordfreq("merge", "-p", "plan.json", "--allow-missing")
    assert ran.code == 4
    assert "a.txt holds 1 different words where 3 were counted" in ran.err
    # A task that finds them counts the file again before it makes a partial of them.
    folder("in", {"b.txt": "y"})
    wordfreq.ok("plan", "-s", "in", "-d", "out", "-p", "plan.json", "--pack", "1GB")
    assert run_small("plan.json") == 0
    assert (wordfreq.folder / "out/a.txt").read_bytes() == b"x:1\ny:1\nz:1\n"
    wordfreq.ok("merge", "-p", "plan.json")


@pytest.mark.usefixtures("kernel")  # without it one thread counts
@pytest.mark.parametrize("kind", ["large.gz", "small"])
def test_a_signal_ends_all_threads(wordfreq, folder, kind) -> None:
    if kind == "small":
        folder("in", {f"{n:04d}": text(n, 500_000) for n in range(20)})
        for n in range(20, 1500):
            (wordfreq.folder / f"in/{n:04d}").hardlink_to(wordfreq.folder / f"in/{n % 20:04d}")
    else:
        part = gzip.compress(text(1, 1 << 24), 1)
        folder("in", {kind: part * 40})
    wordfreq.ok("plan", "-s", "in", "-d", "out", "-p", "plan.json", "--pack", "10GB")
    process = wordfreq.popen("migrate", "-p", "plan.json", "-i", "0", "--threads", "3")
    tasks = Path(f"/proc/{process.pid}/task")
    # main, the one for signals, and ours
    until(lambda: len(list(tasks.iterdir())) >= 5, process=process)
    process.send_signal(signal.SIGTERM)
    started = time.monotonic()
    out, err = process.communicate(timeout=30)
    assert time.monotonic() - started < 10
    assert process.returncode == 143, err
    assert "stopped by SIGTERM" in err
    assert "Traceback" not in err
    assert out == ""
    assert not [p for p in wordfreq.folder.rglob(".wordfreq-tmp-*") if p.is_file()]
    assert not list((wordfreq.folder / "plan").rglob("migrate-*.json"))


@pytest.mark.s3
def test_ranges_of_a_real_server_and_an_object_that_changes_meanwhile(
    s3_server, monkeypatch
) -> None:
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(s3_reader, "RANGE", 1 << 18)
    store = open_store(f"s3://{s3_server.bucket()}/in")
    data = random.Random(5).randbytes(7 << 20)
    etag = store.put("k", data)
    with store.open("k", etag=etag, ranges=4) as reader:
        assert (reader.info.size, reader.info.etag) == (len(data), etag)
        assert b"".join(reader) == data
    with store.open("k", ranges=4) as reader, pytest.raises(ChangedError, match="k has changed"):
        for number, _ in enumerate(reader):
            if not number:
                store.put("k", data[::-1])
    for small in (b"", b"x" * 1000):
        store.put("k", small)
        with store.open("k", ranges=4) as reader:
            assert b"".join(reader) == small


@pytest.mark.s3
def test_counting_from_s3_to_s3_by_threads(s3_server, wordfreq, folder) -> None:
    wordfreq.environment = s3_server.environment
    bucket, client = s3_server.bucket(), s3_server.client()
    files = {f"{n:02d}.txt": text(n, 3 + 80_000 * n) for n in range(10)} | {"l": text(7, LARGE)}
    folder("in", files)
    for name, data in files.items():
        client.put_object(Bucket=bucket, Key=f"in/{name}", Body=data)
    for source, out, plan in (
        ("in", "out", "p.json"),
        (f"s3://{bucket}/in", f"s3://{bucket}/out", "q.json"),
    ):
        wordfreq.ok("plan", "-s", source, "-d", out, "-p", plan, "--pack", "1GB")
        wordfreq.ok("migrate", "-p", plan, "-i", "0", "--threads", "3")
    for name in files:
        body = client.get_object(Bucket=bucket, Key=f"out/{name}")["Body"].read()
        assert body == (wordfreq.folder / "out" / name).read_bytes()
