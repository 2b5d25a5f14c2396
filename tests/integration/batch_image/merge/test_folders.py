"""Plan, count and merge real folders; merge under little memory, and stopped half way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import duckdb
import pytest

from tests.waiting import until
from wordfreq_batch.counts.migrate import run_task
from wordfreq_batch.errors import DataError, InputError, NotFoundError, UsageError
from wordfreq_batch.job import JobInfo
from wordfreq_batch.merge.document import Ranking, RankingOptions
from wordfreq_batch.merge.group_sums import version_of
from wordfreq_batch.merge.merge import MergeOptions, merge_plan, merge_source
from wordfreq_batch.merge.merge_parts import merge_part, merge_parts, stage_of
from wordfreq_batch.plans.plan_store import write_plan
from wordfreq_batch.plans.planning import build_plan
from wordfreq_batch.plans.receipts import SingleTask
from wordfreq_batch.tables.lines import Share
from wordfreq_batch.text.words import COUNTER_VERSION, tokens

TEXTS = {
    "a.txt": "The cat and the dog. The cat!",
    "b/c.txt": "Die Katze, der Hund; the cat: 3:15 a:b a:b a:b a:b",
    "b/d é.txt": "日本語 日本語 日本語 naïve naïve naïve ''",
    "empty.txt": "",
    "z.txt": "cat dog cat dog cat dog",
}


run = partial(run_task, job=JobInfo(), memory=1 << 28, threads=1, progress=print)


@dataclass(frozen=True)
class Folders:
    """A source with a plan over it; nothing counted yet."""

    root: Path
    plan: str

    @property
    def counts(self) -> Path:
        return self.root / "counts"

    def count(self, *tasks: int) -> None:
        for task in tasks:
            outcome = run(self.plan, task)
            assert outcome.receipt is not None
            assert outcome.receipt.exit_code == 0

    def tasks(self) -> int:
        return len(self._plan().tasks)

    def _plan(self):
        from wordfreq_batch.plans.plan_store import load_plan

        return load_plan(self.plan)


def planned(root: Path, *, pack: int | None) -> Folders:
    for name, text in TEXTS.items():
        path = root / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    plan = str(root / "plans" / "p.json")
    source, destination = str(root / "source"), str(root / "counts")
    made = partial(build_plan, counter_version=COUNTER_VERSION)
    write_plan(made(source=source, destination=destination, plan=plan, pack=pack))
    return Folders(root, plan)


def everything() -> Counter[str]:
    return Counter(word for text in TEXTS.values() for word in tokens(text))


ALL_WORDS = RankingOptions(min_length=1, min_count=1, top=1000)


def listed(ranking: Ranking) -> list[tuple[str, int]]:
    return [(each.word, each.count) for each in ranking.words]


def in_order(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


@pytest.mark.parametrize("pack", [None, 1 << 20])
def test_a_plan_is_merged_to_the_words_of_all_its_files(tmp_path: Path, pack: int | None) -> None:
    folders = planned(tmp_path, pack=pack)
    folders.count(*range(folders.tasks()))
    output = tmp_path / "out"
    ranking = merge_plan(folders.plan, MergeOptions(ranking=ALL_WORDS, output=str(output)))
    expected = everything()
    assert listed(ranking) == in_order(expected)
    assert (ranking.files, ranking.total_words) == (len(TEXTS), expected.total())
    assert ranking.distinct_words == len(expected)
    assert ranking.plan_id
    assert ranking.counter_version
    stored = Ranking.loads((output / "ranking.json").read_bytes(), uri="r")
    assert stored == ranking
    rows = duckdb.sql(f"SELECT * FROM '{output}/totals.parquet'").fetchall()
    assert rows == in_order(expected)


def test_the_default_ranking_has_words_of_three_characters_three_times(tmp_path: Path) -> None:
    folders = planned(tmp_path, pack=None)
    folders.count(*range(folders.tasks()))
    ranking = merge_plan(folders.plan, MergeOptions())
    expected = [("cat", 6), ("a:b", 4), ("dog", 4), ("the", 4), ("naïve", 3), ("日本語", 3)]
    assert listed(ranking) == expected


def test_missing_counts_are_named_and_counted(tmp_path: Path) -> None:
    folders = planned(tmp_path, pack=None)
    folders.count(0)
    with pytest.raises(InputError, match="4 of 5 files have no valid counts") as error:
        merge_plan(folders.plan, MergeOptions())
    assert error.value.exit_code == 3
    assert "'b/c.txt', 'b/d é.txt', 'empty.txt', 'z.txt'" in str(error.value)


def test_counts_changed_by_others_are_missing(tmp_path: Path) -> None:
    folders = planned(tmp_path, pack=None)
    folders.count(*range(folders.tasks()))
    (folders.counts / "z.txt").write_text("other:1\n")
    with pytest.raises(InputError, match=r"1 of 5 files .*: 'z\.txt'; run `wordfreq migrate`"):
        merge_plan(folders.plan, MergeOptions())


def test_many_missing_files_are_named_by_ten(tmp_path: Path) -> None:
    for n in range(30):
        path = tmp_path / "source" / f"f{n:02}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text("word")
    plan = str(tmp_path / "p.json")
    source, destination = str(tmp_path / "source"), str(tmp_path / "counts")
    made = partial(build_plan, counter_version=COUNTER_VERSION)
    write_plan(made(source=source, destination=destination, plan=plan))
    with pytest.raises(InputError, match=r"30 of 30 files .*'f09.txt', …; run"):
        merge_plan(plan, MergeOptions())


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("source", "lies inside the source"),
        ("source/ranked", "lies inside the source"),
        ("link/ranked", "lies inside the source"),
        ("counts", "lies inside the destination"),
        ("counts/b", "lies inside the destination"),
        ("ranked", ""),
        ("sourced", ""),
        ("counts/.wordfreq/ranked", ""),
    ],
)
@pytest.mark.parametrize("parts", [0, 1])
def test_an_output_among_what_is_read_is_refused(
    tmp_path: Path, output: str, said: str, parts: int
) -> None:
    folders = planned(tmp_path, pack=None)
    folders.count(*range(folders.tasks()))
    (tmp_path / "link").symlink_to("source")
    options = MergeOptions(output=str(tmp_path / output))
    if parts:
        store_part(folders.plan)
    merge = partial(merge_parts, parts=1) if parts else merge_plan
    if said:
        with pytest.raises(UsageError, match=said):
            merge(folders.plan, options=options)
        assert not list(tmp_path.rglob("ranking.json"))
    else:
        assert merge(folders.plan, options=options).files == len(TEXTS)


def store_part(plan: str) -> None:
    """Make the only part of a merge in one."""
    task = SingleTask(plan, stage_of(1), JobInfo())
    task.succeeded(version_of(task.head), [merge_part(plan, Share(0, 1), MergeOptions())])


def test_the_ranking_of_one_file_may_lie_beside_it(tmp_path: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text("one one one")
    plan, destination = str(tmp_path / "plans/p.json"), str(tmp_path / "counts")
    made = partial(build_plan, counter_version=COUNTER_VERSION)
    write_plan(made(source=str(text), destination=destination, plan=plan))
    run(plan, 0)
    assert merge_plan(plan, MergeOptions(output=str(tmp_path))).files == 1


def test_a_lost_ledger_is_made_up_for_by_the_receipts(tmp_path: Path) -> None:
    folders = planned(tmp_path, pack=1 << 20)
    folders.count(*range(folders.tasks()))
    before = merge_plan(folders.plan, MergeOptions(ranking=ALL_WORDS))
    for entry in (folders.counts / ".wordfreq" / "counted").iterdir():
        entry.unlink()
    assert merge_plan(folders.plan, MergeOptions(ranking=ALL_WORDS)) == before


def test_a_lost_partial_is_made_again(tmp_path: Path) -> None:
    folders = planned(tmp_path, pack=1 << 20)
    folders.count(*range(folders.tasks()))
    (partial,) = (folders.counts / ".wordfreq" / "partials").iterdir()
    content = partial.read_bytes()
    partial.unlink()
    ranking = merge_plan(folders.plan, MergeOptions(ranking=ALL_WORDS))
    assert listed(ranking) == in_order(everything())
    assert partial.read_bytes() == content


def test_a_folder_is_merged_without_what_is_reserved(tmp_path: Path) -> None:
    folders = planned(tmp_path, pack=1 << 20)
    folders.count(*range(folders.tasks()))
    ranking = merge_source(str(folders.counts), MergeOptions(ranking=ALL_WORDS))
    assert listed(ranking) == in_order(everything())
    assert (ranking.files, ranking.total_words) == (len(TEXTS), everything().total())


def test_a_foreign_object_among_the_counts_is_named(tmp_path: Path) -> None:
    (tmp_path / "ok.txt").write_text("word:1\n")
    (tmp_path / "plan.json").write_text(json.dumps({"TotalItems": 5}, indent=2))
    with pytest.raises(DataError, match=r"/plan\.json line 1: '\{' is not word"):
        merge_source(str(tmp_path), MergeOptions())


def test_an_empty_folder_gives_an_empty_ranking_and_none_is_an_error(tmp_path: Path) -> None:
    ranking = merge_source(str(tmp_path), MergeOptions())
    assert (ranking.words, ranking.files, ranking.total_words) == ((), 0, 0)
    with pytest.raises(NotFoundError):
        merge_source(str(tmp_path / "none"), MergeOptions())


def test_output_among_the_counts_and_unknown_stop_words_are_refused_early(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="lies inside the source"):
        merge_source(str(tmp_path), MergeOptions(output=str(tmp_path / "out")))
    with pytest.raises(UsageError, match="no stop words for xx"):
        merge_source(str(tmp_path), MergeOptions(ranking=RankingOptions(stop_words=("xx",))))


MERGE = """
import sys
from pathlib import Path
from wordfreq_batch.merge.merge import MergeOptions, merge_source
from wordfreq_batch.stopping import Stopped, raise_on_signals
from tests.waiting import until
raise_on_signals()
try:
    print("started", flush=True)
    for _ in range(int(sys.argv[2])):
        ranking = merge_source(sys.argv[1], MergeOptions(memory=64 << 20, output=sys.argv[3]))
except Stopped as stopped:
    sys.exit(stopped.exit_code)
peak = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
print(ranking.distinct_words, ranking.total_words, peak)
"""


@pytest.fixture(scope="module")
def large_counts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six counts objects with 3,000,000 different words, and some common ones."""
    folder = tmp_path_factory.mktemp("large")
    for part in range(6):
        lines = [f"common{n}:5\n" for n in range(1000)]
        lines += [
            f"x{n * 2654435761 % 2**32:08x}:1\n"
            for n in range(part * 500_000, (part + 1) * 500_000)
        ]
        (folder / f"{part}.txt").write_text("".join(lines))
    return folder


def child(counts: Path, folder: Path, *, times: int = 1) -> subprocess.Popen[str]:
    """A merge; temporary files are in `folder / "temporary"`, results in `folder / "out"`."""
    (folder / "temporary").mkdir()
    return subprocess.Popen(
        [sys.executable, "-c", MERGE, str(counts), str(times), str(folder / "out")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder / "temporary")},
    )


def test_three_million_words_are_merged_in_bounded_memory(
    large_counts: Path, tmp_path: Path
) -> None:
    process = child(large_counts, tmp_path)
    output, _ = process.communicate(timeout=120)
    distinct, total, kibibytes = map(int, output.split()[1:])
    assert (distinct, total) == (3_001_000, 3_000_000 + 6 * 5 * 1000)
    # 64 MiB are less than the least (256 MiB) that a merge works with. In a dictionary these words
    # take 400 MiB.
    assert kibibytes < 256 << 10, f"{kibibytes >> 10} MiB"
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.parametrize("written", [0, 1, 4])
def test_a_stopped_merge_leaves_nothing_behind(
    large_counts: Path, tmp_path: Path, written: int
) -> None:
    process = child(large_counts, tmp_path, times=100)
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    temporary = tmp_path / "temporary"
    files = lambda: [path for path in temporary.rglob("*") if path.is_file()]  # noqa: E731
    until(lambda: len(files()) >= written, process=process, what=files)
    process.send_signal(signal.SIGTERM)
    started = time.monotonic()
    assert process.wait(timeout=10) == 143
    assert time.monotonic() - started < 10
    assert not list((tmp_path / "temporary").iterdir())
    stored = {path.name for path in (tmp_path / "out").glob("*")}
    assert stored <= {"ranking.json", "totals.parquet", "report.html", "report.md"}
