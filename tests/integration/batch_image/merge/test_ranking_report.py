"""History, folders and report of a ranking, against a computation of our own on 500 real files."""

import json
import random
import re
import shutil
import subprocess
import sys
import unicodedata
from collections import Counter
from html.parser import HTMLParser

import pytest
from icu4py.breakers import WordBreaker

from demo.texts import gather_texts

FILES = 500


def words(text):
    """Words by ICU, without this project's code; the texts here are decoded strictly."""
    for piece in WordBreaker(text, "root"):
        word = unicodedata.normalize("NFC", unicodedata.normalize("NFC", piece).lower())
        if any(unicodedata.category(letter)[0] in "LN" for letter in word):
            yield word


def top(counts, most):
    chosen = [(w, n) for w, n in counts.items() if len(w) >= 3 and n >= 3]
    return sorted(chosen, key=lambda pair: (-pair[1], pair[0]))[:most]


class Corpus:
    def __init__(self, home):
        self.home, self.source = home, home / "source"
        gathered = home / "gathered"
        gather_texts(gathered, most=2000)
        texts = [p for p in sorted(gathered.rglob("*")) if p.is_file() and self._plain(p)]
        for path in texts[:FILES]:
            target = self.source / path.relative_to(gathered)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        self.runs = 0

    @staticmethod
    def _plain(path):
        try:
            return path.read_text("utf-8").isascii() and path.stat().st_size < 100_000
        except UnicodeDecodeError:
            return False

    @property
    def names(self):
        return [
            p.relative_to(self.source).as_posix()
            for p in sorted(self.source.rglob("*"))
            if p.is_file()
        ]

    def count(self, names):
        total = Counter()
        for name in names:
            total.update(words((self.source / name).read_text("utf-8")))
        return total

    def wordfreq(self, *argv):
        command = [sys.executable, "-m", "wordfreq_batch", *map(str, argv)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.home)
        assert done.returncode == 0, done.stderr
        return done

    def rank(self, *options, parts=None):
        self.runs += 1
        plan = self.home / "plans" / f"{self.runs}.json"
        places = ("--source", self.source, "--destination", self.home / "output")
        self.wordfreq("plan", *places, "--plan", plan, "--pack", "4MiB", "--pending")
        for index in range(json.loads(plan.read_text())["Metadata"]["TotalTasks"]):
            self.wordfreq("migrate", "--plan", plan, "--index", index)
        for part in range(parts or 0):
            self.wordfreq("merge", "--plan", plan, "--parts", parts, "--part", "--index", part)
        more = ("--parts", parts) if parts else ()
        output = self.home / "ranking"
        self.wordfreq("merge", "--plan", plan, "--output", output, *more, *options)
        return json.loads((output / "ranking.json").read_text())


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    made = Corpus(tmp_path_factory.mktemp("corpus"))
    assert len(made.names) == FILES
    return made


@pytest.mark.parametrize(("depth", "parts"), [(1, None), (2, None), (1, 2)])
def test_the_rankings_of_folders_equal_those_of_their_files(corpus, depth, parts):
    ranked = corpus.rank("--folder-depth", depth, parts=parts)
    groups = {}
    for name in corpus.names:
        path = name.split("/")[:-1][:depth]
        groups.setdefault("".join(f"{part}/" for part in path), []).append(name)
    assert len(groups) > 5
    found = {each["Folder"]: each for each in ranked["Folders"]}
    assert set(found) <= set(groups)
    assert len(found) == min(len(groups), 100)
    for folder, each in found.items():
        counts = corpus.count(groups[folder])
        assert each["Files"] == len(groups[folder])
        assert (each["Words"], each["DistinctWords"]) == (counts.total(), len(counts))
        assert [(w["Word"], w["Count"]) for w in each["Ranking"]] == top(counts, 20)


def test_what_rose_and_fell_equals_two_rankings_compared(corpus):
    before = top(corpus.count(corpus.names), 100)
    corpus.rank()
    chosen = random.Random(5).sample(corpus.names, 100)
    for name in chosen[:40]:
        (corpus.source / name).unlink()
    for name in chosen[40:]:
        with (corpus.source / name).open("a") as file:
            file.write("\nreport reports history pipeline folder folder folder\n" * 20)
    now = top(corpus.count(corpus.names), 100)
    ranked = corpus.rank()
    assert [(w["Word"], w["Count"]) for w in ranked["Words"]] == now
    old = {word: (rank, count) for rank, (word, count) in enumerate(before, 1)}
    new = {word: (rank, count) for rank, (word, count) in enumerate(now, 1)}
    expected = {
        word: (*new.get(word, (None, None)), *old.get(word, (None, None)))
        for word in old.keys() | new.keys()
        if old.get(word, (0,))[0] != new.get(word, (0,))[0]
    }
    found = {
        c["Word"]: (c["Rank"], c["Count"], c["PreviousRank"], c["PreviousCount"])
        for c in ranked["Changes"]
    }
    assert found == expected
    assert {kind for kind in found.values() if None not in kind}  # some rose or fell
    assert "Previous" in ranked

    again = corpus.rank()  # nothing has changed: what changed last is still there to be read
    assert again["Changes"] == ranked["Changes"]
    other = corpus.rank("--top", 5)  # by other options nothing can be compared
    assert "Changes" not in other


class _Page(HTMLParser):
    """Words and counts of the first table of the page, and everything that it loads."""

    def __init__(self):
        super().__init__()
        self.text, self.loads, self.open = [], [], []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.loads += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        if self.open[-1:] == ["bdi"]:
            self.text.append(data)


def test_the_report_shows_what_the_document_holds(corpus):
    ranked = corpus.rank("--folder-depth", 1, "--stop-words", "en")
    page = _Page()
    source = (corpus.home / "ranking" / "report.html").read_text("utf-8")
    page.feed(source)
    expected = [word["Word"] for word in ranked["Words"]]
    assert page.text[: len(expected)] == expected
    assert page.loads == [] and "<script" not in source
    assert 'name="viewport"' in source
    text = (corpus.home / "ranking" / "report.md").read_text("utf-8")
    for rank, word in enumerate(ranked["Words"], 1):
        assert re.search(rf"^\| {rank} \| \S+ \| {word['Count']:,} \|", text, re.MULTILINE)
    assert "without stop words of en" in text and "## By folder" in text


def test_a_damaged_ranking_before_is_said_and_no_obstacle(corpus):
    (corpus.home / "ranking" / "ranking.json").write_text("{")
    ranked = corpus.rank()
    assert ranked["Words"] and "Previous" not in ranked
