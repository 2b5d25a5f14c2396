"""The harness of `make bench` at tiny sizes, without the other engines."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wordfreq_batch.text.words import tokens

ROOT = Path(__file__).resolve().parents[3]
PEERS = ROOT / "benchmarks" / "peers"
WATCH = ROOT / "benchmarks" / "bench" / "watch.py"
TINY = """
    text=60K multi=30K logs=40K small_files=6 huge=60K slice=20K merge_words=2000
    s3_object=10K s3_small=2 plan_objects=2000 containers=1
"""


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.syspath_prepend(str(PEERS))


def bench(folder, *options):
    sizes = [part for size in TINY.split() for part in ("--set", size)]
    command = [sys.executable, "-m", "benchmarks.bench", "--quick", "--no-peers", *sizes]
    command += ["--folder", str(folder), *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def watched(command, *, seconds=30, memory=4 << 30, output="/dev/null"):
    given = {"command": command, "seconds": seconds, "memory": memory, "output": str(output)}
    watch = [sys.executable, "-I", "-S", str(WATCH), json.dumps(given)]
    return json.loads(subprocess.run(watch, capture_output=True, check=True).stdout)


def test_measures_compares_reports_and_resumes(kernel, tmp_path):
    done = bench(tmp_path, "--only", "^(count/logs|icu/multi|small|merge/words|plan)")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAILED" not in done.stdout
    figures = json.loads((tmp_path / "benchmarks.json").read_text())["figures"]
    assert {"count/logs/ours/1", "icu/multilingual/icu4py/1", "merge/words/ours/2"} <= set(figures)
    assert figures["merge/words/ours/2"]["distinct"] == 2000
    report = (tmp_path / "benchmarks.md").read_text()
    assert report.count("all three equal") == 1
    assert "**differ" not in report
    again = bench(tmp_path, "--resume", "--only", "^count/logs")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "min, round" not in again.stdout
    assert json.loads((tmp_path / "benchmarks.json").read_text())["figures"] == figures


def test_corpora_are_the_same_each_time(tmp_path):
    from benchmarks.bench.corpora import Corpora, Sizes

    sizes = Sizes(text=50_000, multi=20_000, logs=30_000, small_files=3, huge=60_000)
    one, two = (Corpora(tmp_path / name, [Path(sys.prefix)], sizes) for name in "ab")
    for name in one.names():
        assert one.file(name).read_bytes() == two.file(name).read_bytes()
        assert 0.99 * one.file(name).stat().st_size < one.file(name).stat().st_size <= 50_000
    assert one.file("english").read_bytes().isascii()
    assert not one.file("quotes").read_bytes().isascii()
    assert len(list(one.small().rglob("*.txt"))) == 3


def test_text_beyond_what_there_is_brings_new_words_in_its_script(tmp_path, monkeypatch):
    from benchmarks.bench import texts
    from benchmarks.bench.corpora import Corpora, Sizes

    messages = ["Die Welt ist rund und dreht sich", "Мир круглый и он вертится", "地球是圆的"]
    monkeypatch.setattr(texts, "translations", lambda *_: messages)
    corpora = Corpora(tmp_path, [], Sizes(multi=400_000, slice=20_000))
    text = corpora.file("multilingual").read_text()
    half = len(text) // 2
    known, later = set(text[:half].split()), set(text[half:].split())
    new = later - known
    assert any(word.isascii() for word in new)
    assert any(word.isalpha() and "а" <= word[0] <= "я" for word in new)
    assert text.count("地球是圆的") > text.count("\n\n") // 4
    slice_ = corpora.file("slice-multilingual").read_text()
    assert 15_000 < len(slice_.encode()) <= 20_000
    assert new & set(slice_.split())


@given(st.text(alphabet="abZ019_.,:;'‘’“”—–…é!-/ \n\tÆß", max_size=40))
def test_the_peers_expression_has_our_words(text):
    sys.path.insert(0, str(PEERS))
    try:
        from common import python_letter
    finally:
        sys.path.remove(str(PEERS))
    assert python_letter().findall(text.lower()) == list(tokens(text))


def test_runs_that_are_not_ascii_are_divided():
    from common import recut

    lines = "don\t2\n“don\t1\nÉté’été…\t3\n".encode()
    assert sorted(recut(lines).decode().split()) == sorted(["don", "3", "été", "6"])


def test_what_descendants_use_is_counted_even_of_orphans():
    burn = "import time\nwhile time.process_time() < 0.4: pass"
    orphan = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', '''{burn}'''])"
    found = watched([sys.executable, "-c", orphan])
    assert (found["exit"], found["reason"]) == (0, "")
    assert found["cpu"] > 0.4


def test_a_command_is_stopped_at_its_limits(tmp_path):
    late = watched(["sleep", "60"], seconds=0.3)
    assert "time limit" in late["reason"]
    assert late["wall"] < 20
    large = "x = bytearray(b'x') * 400_000_000; import time; time.sleep(60)"
    assert "GiB" in watched([sys.executable, "-c", large], memory=100 << 20)["reason"]
    failed = watched(["sh", "-c", "echo no >&2; exit 3"], output=tmp_path / "output")
    assert failed["exit"] == 3
    assert (tmp_path / "output").read_text() == "no\n"


def test_results_that_differ_are_reported(tmp_path):
    from benchmarks.bench import agreement, tables
    from benchmarks.bench.measure import Case, Results, Run

    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.write_text("a:b:2\nc:1\n")
    theirs.mkdir()
    (theirs / "part-1").write_text("c\t1\na\t2\n")
    (theirs / "part-2").write_text("b\t2\n")
    assert agreement.overlap(ours, theirs) == pytest.approx(1 / 3)
    (tmp_path / "as-ours").write_text("c\t1\na:b\t2\n")
    assert agreement.facts(tmp_path / "as-ours") == agreement.facts(ours, ":")
    assert agreement.facts(ours, ":")["words"] == 3
    results = Results(tmp_path / "results.jsonl", {})
    results.open(resume=False)
    cases = [Case(key=f"count/x/{name}/1", command=[]) for name in ("ours", "chdb-uax29", "chdb")]
    found = [agreement.facts(ours, ":"), agreement.facts(theirs), agreement.facts(theirs)]
    for case, facts in zip(cases, found, strict=True):
        results.add(case.key, Run(wall=1, cpu=1, peak=1, exit=0))
        results.add_facts(case.key, facts)
    assert len(tables.contradictions(results, cases)) == 1
    again = Results(tmp_path / "results.jsonl", {})
    assert again.open(resume=True) == 3
    assert again.facts == results.facts
    assert Results(tmp_path / "results.jsonl", {"other": 1}).open(resume=True) == 0


def test_the_report_tells_both_kinds_of_peers_apart(tmp_path, monkeypatch):
    from benchmarks.bench import report, texts
    from benchmarks.bench.corpora import Corpora, Sizes
    from benchmarks.bench.measure import Case, Results, Run
    from benchmarks.bench.workshop import Workshop

    for kind in ("english", "translations"):
        monkeypatch.setattr(texts, kind, lambda *_, **__: ["Some words of a text."])
    corpora = Corpora(tmp_path, [], Sizes(text=3000, multi=3000, logs=3000))
    shop = Workshop(tmp_path, corpora, None)
    settings = {"machine": {}, "versions": {}, "corpora": corpora.describe()}
    results = Results(tmp_path / "results.jsonl", settings)
    results.open(resume=False)
    used = {"ours": 1.0, "chdb": 0.8, "polars": 4.0, "chdb-uax29": 6.0, "polars-uax29": 5.0}
    runs = {f"count/english/{who}/1": 0.1 + cpu for who, cpu in used.items()}
    runs |= {f"start/tiny/{who}/1": 0.1 for who in ("ours", "chdb", "polars")}
    for key, cpu in runs.items():
        results.add(key, Run(wall=1, cpu=cpu, peak=1, exit=0))
    cases = [Case(key=key, command=[], size=3000) for key in runs]
    assert report.write(results, cases, shop, tmp_path) == 0
    text = (tmp_path / "benchmarks.md").read_text()
    (best,) = (line.split(" | ") for line in text.splitlines() if line.startswith("| **english**"))
    assert best[2].startswith("Polars")
    assert best[4].startswith("chDB")
    assert (best[3], best[5]) == ("5.0", "0.8 |")
    section = text.partition("### english")[2].partition("###")[0]
    same, simpler = section.partition("**A simpler rule**")[::2]
    assert "chDB, UAX #29 |" in same
    assert "| chDB |" not in same
    assert "| chDB |" in simpler
    assert "UAX #29" not in simpler
    assert all("**ours**" in part for part in (same, simpler))
