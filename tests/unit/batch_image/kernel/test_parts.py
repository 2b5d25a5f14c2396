"""The parts of the C kernel by themselves: its table, its scanner, its generated header."""

from __future__ import annotations

import importlib.util
import random
import re
import subprocess
import sys
import threading
from graphlib import TopologicalSorter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wordfreq_batch.errors import UsageError
from wordfreq_batch.tables import engine, icu
from wordfreq_batch.tables.tally import (
    DictTable,
    Tally,
)
from wordfreq_batch.text.words import WordCounter

KERNEL_SOURCES = Path(engine.__file__).parents[2] / "kernel"


WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=24) | st.sampled_from(
    ["", "a", "ab", "ab\0", "ab\0\0", "abcdefgh", "abcdefgh\0", "abcdefghi", "ab" * 8, "ab" * 9]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(WORDS, st.integers(0, 2**40)), max_size=80))
def test_table_agrees_with_the_one_in_python(
    kernel: ModuleType, items: list[tuple[str, int]]
) -> None:
    native, python = kernel.Table(1 << 24), DictTable(1 << 24)
    positive = [(word, count) for word, count in items if count]
    assert native.add(iter(items))
    assert python.add(iter(positive))
    assert len(native) == len(python)
    assert native.total == python.total
    assert list(native.by_word()) == list(python.by_word())
    assert list(native.by_count()) == list(python.by_count())
    for separator, size in ((b":", 1), (b"\t", 100), (b":", 1 << 20)):
        cursor, lines = native.by_count(), []
        while block := cursor.lines(separator, size):
            lines.append(block)
        assert b"".join(lines) == python.by_count().lines(separator, 1 << 30)


def test_table_sorts_many_words_whatever_they_have_in_common(kernel: ModuleType) -> None:
    chance = random.Random(7)
    words = {f"{'prefix' * chance.randrange(9)}{chance.randrange(10**6)}" for _ in range(60_000)}
    words |= {"x" * length for length in range(3000)} | {f"{'y' * 5000}{n}" for n in range(100)}
    counts = {word: chance.choice([1, 1, 1, 2, 300, 2**45]) for word in words}
    table = kernel.Table(1 << 30)
    assert table.add(iter(counts.items()))
    assert list(table.by_word()) == sorted(counts.items())
    assert list(table.by_count()) == sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def test_table_can_be_added_to_after_it_was_sorted(kernel: ModuleType) -> None:
    words = [f"{'w' * (n % 40)}{n}" for n in range(50_000)]
    table = kernel.Table(1 << 30)
    expected = dict.fromkeys(words, 0)
    for _ in range(3):
        assert table.add((word, 2) for word in words)
        expected = {word: count + 2 for word, count in expected.items()}
        cursor = table.by_count()
        assert next(cursor) == (min(words), expected[words[0]])
        assert list(table.by_word()) == sorted(expected.items())
        with pytest.raises(RuntimeError, match="changed while it was read"):
            next(cursor)  # sorting has moved what it was at


def test_table_stops_when_its_memory_is_used_up_and_can_be_emptied(kernel: ModuleType) -> None:
    table = kernel.Table(4 << 20)
    words = ((f"word{number}", 1) for number in range(1_000_000))
    taken = 0
    for _ in range(1000):
        done = table.add(words)
        assert table.full or done
        taken += len(table)
        table.clear()
        assert len(table) == table.total == 0
        assert not table.full
        if done:
            break
    assert taken == 1_000_000


def test_words_beyond_the_memory_go_to_disk_and_come_back_in_order() -> None:
    counter, expected = WordCounter(memory=1), {}
    text = [f"{'long' * 9}{n % 70_001} w{n % 91_003} é{n % 50_021}" for n in range(200_000)]
    for start in range(0, len(text), 1000):
        counter.feed(" ".join([*text[start : start + 1000], ""]).encode())
    for line in text:
        for word in line.split():
            expected[word] = expected.get(word, 0) + 1
    with counter.finish() as counted:
        assert counted.words == 600_000
        assert counted.distinct == len(expected)
        assert list(counted.tally.by_word()) == sorted(expected.items())
        by_count = sorted(expected.items(), key=lambda item: (-item[1], item[0]))
        assert list(counted.tally.by_count()) == by_count


@pytest.mark.parametrize("unicode", [True, False])
def test_every_machine_gives_the_same(kernel: ModuleType, unicode: bool) -> None:
    chance = random.Random(unicode)
    text = "".join(chance.choices("aaBÉzж19_.,:;'’  \n\t-日\u0301", k=200_000)).encode()
    for length in range(1, 100):
        text += b" " + b"abcdefghij" * 10 + b" " + b"x" * length + b"_Y." * (length % 7)
    answers = []
    assert kernel.MACHINES[-1] == "portable"
    for machine in kernel.MACHINES:
        table = kernel.Table(1 << 28)
        scanner = kernel.Scanner(table, unicode=unicode, machine=machine)
        assert scanner.feed(text, 0, len(text)) == len(text)
        scanner.finish()
        answers.append((list(table.by_word()), scanner.take_pieces(), scanner.take_foreign()))
    assert all(answer == answers[-1] for answer in answers)
    assert any(not word.isascii() for word, _ in answers[0][0]) == unicode


# The kernel looks into different pieces once, some tens of thousands at a time, if that pays.
@pytest.mark.parametrize("memory", [1, 1 << 28])
@pytest.mark.parametrize("times", [(1,), (4,), (1, 5, 1), (5, 1, 5)])
@pytest.mark.usefixtures("kernel")
def test_pieces_count_as_often_as_they_come(times: tuple[int, ...], memory: int) -> None:
    # Two words each; of 9, 19 and 41 bytes; one with a zero byte; and one that is no UTF-8.
    kinds = ["Сло{},во", "“Привет”{},", "очень-длинные…слова№{}", "nu\0l{},é"]
    counter = WordCounter(memory=memory)
    expected: dict[str, int] = {}
    invalid = 0
    for phase, often in enumerate(times):
        for start in range(0, 60_000, 10_000):
            pieces = [kinds[n % 4].format(n * 10 + phase) for n in range(start, start + 10_000)]
            text = (" ".join(pieces) + "\n").encode() + b"\xffbad\n"
            for _ in range(often):
                counter.feed(text)
            invalid += often
            for piece in [*pieces, "bad"]:
                for word in re.findall(r"[a-zа-яé0-9]+", piece.lower()):
                    expected[word] = expected.get(word, 0) + often
    with counter.finish() as counted:
        assert dict(counted.tally.by_word()) == expected
        assert counted.invalid == invalid


def test_other_versions_of_icu_get_all_that_is_not_ascii(
    kernel: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "Größe, naïve—yes. ÉTÉ plain".encode() * 3
    monkeypatch.setattr(engine, "_knows_this_unicode", lambda _: False)
    counter = WordCounter()
    counter.feed(text)
    expected = {"größe": 3, "naïve": 3, "yes": 3, "été": 3, "plain": 1, "plaingröße": 2}
    expected["größe"] = 1
    assert counter.finish().counts == expected
    assert "ASCII only" in engine.description()


def test_wrong_use_is_an_error(kernel: ModuleType) -> None:
    table = kernel.Table(1 << 24)
    scanner = kernel.Scanner(table, unicode=True)
    wrong: list[tuple[type[Exception], Any]] = [
        (TypeError, lambda: kernel.Cursor()),
        (ValueError, lambda: kernel.Scanner(table, unicode=True, machine="abacus")),
        (TypeError, lambda: kernel.Scanner(object(), unicode=True)),
        (TypeError, lambda: table.add([("a", 1)])),
        (TypeError, lambda: table.add(iter(["ab"]))),
        (TypeError, lambda: table.add(iter([(1, 1)]))),
        (OverflowError, lambda: table.add(iter([("a", -1)]))),
        (UnicodeEncodeError, lambda: table.add(iter([("\ud800", 1)]))),
        (ZeroDivisionError, lambda: table.add(1 // 0 for _ in "x")),
        (ValueError, lambda: scanner.feed(b"abc", 4, 4)),
        (ValueError, lambda: scanner.feed(b"abc", 2, 1)),
        (ValueError, lambda: scanner.feed(b"abc", 0, 4)),
        (ValueError, lambda: scanner.feed(b"abc", -1, 2)),
        (TypeError, lambda: scanner.feed("abc", 0, 3)),
        (ValueError, lambda: table.by_word().lines(b"::", 1)),
        (ValueError, lambda: table.by_word().lines(b":", 0)),
    ]
    for error, action in wrong:
        with pytest.raises(error):
            action()
    table.add(iter([("a", 1), ("b", 1)]))
    cursor = table.by_word()
    next(cursor)
    table.add(iter([("c", 1)]))
    with pytest.raises(RuntimeError, match="changed"):
        next(cursor)


def test_other_threads_run_while_it_counts_but_cannot_touch_its_table(kernel: ModuleType) -> None:
    table = kernel.Table(1 << 28)
    scanner = kernel.Scanner(table, unicode=True)
    text = b"a lot of words, over and over again; " * 2_000_000
    worker = threading.Thread(target=scanner.feed, args=(text, 0, len(text)))
    worker.start()
    refused = 0
    while worker.is_alive():
        try:
            len(table)
        except RuntimeError:
            refused += 1
    worker.join()
    assert refused > 0
    scanner.finish()
    assert table.total == 16_000_000


def test_the_generated_header_is_that_of_this_icu(
    kernel: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = f"{icu.ICU_VERSION.partition('.')[0]}/{icu.unicode_version()}"
    if here != kernel.UNICODE_TABLES:
        pytest.skip(f"the header is for ICU {kernel.UNICODE_TABLES}, this is {here}")
    path = KERNEL_SOURCES / "unicode" / "make_tables.py"
    spec = importlib.util.spec_from_file_location("make_tables", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # dataclasses look there
    spec.loader.exec_module(module)
    assert module.HEADER.read_text() == module.header(), f"run {path}"


def test_without_the_extension_icu_counts_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "extension", lambda: None)
    monkeypatch.delenv(engine.VARIABLE, raising=False)
    assert engine.description() == f"ICU {icu.ICU_VERSION} (no C extension: slower)"
    assert isinstance(Tally(memory=1).table, DictTable)
    monkeypatch.setenv(engine.VARIABLE, "kernel")
    with pytest.raises(UsageError, match="install a C compiler"):
        engine.kernel()
    monkeypatch.setenv(engine.VARIABLE, "rust")
    with pytest.raises(UsageError, match="rust"):
        engine.kernel()


@pytest.mark.parametrize("times", [1, 3, 1000, 2**63])
def test_a_table_with_room_for_more_words_holds_the_same(kernel: ModuleType, times: int) -> None:
    table, plain = kernel.Table(1 << 22), kernel.Table(1 << 22)
    words = [(f"{'w' * (n % 40)}{n}", n % 5 + 1) for n in range(2000)]
    for step, half in enumerate((words[:1000], words[1000:])):
        assert table.add(iter(half))
        assert plain.add(iter(half))
        held = table.by_word() if step == 0 else iter(())  # what is sorted has to be spread again
        table.expect_words(times)
        with pytest.raises(RuntimeError if step == 0 else StopIteration):
            next(held)
        assert not table.full
        assert (len(table), table.total) == (len(plain), plain.total)
    assert list(table.by_count()) == list(plain.by_count())
    with pytest.raises(ValueError, match="1 or more"):
        table.expect_words(0)


@pytest.mark.parametrize("size", [1, 1 << 20, 50 << 20, 1 << 50])
def test_what_is_said_of_a_streams_size_changes_no_count(size: int) -> None:
    text = b" ".join(b"%d-%x it is" % (n, n * n) for n in range(150_000))
    plain, sized = WordCounter(), WordCounter(memory=1 << 25, size=size)
    for start in range(0, len(text), 300_000):
        plain.feed(text[start : start + 300_000])
        sized.feed(text[start : start + 300_000])
        sized.feed(b"")
    assert dict(sized.finish().tally.by_word()) == plain.finish().counts


@pytest.mark.parametrize("part", ["file", "folder"])
def test_no_parts_of_the_kernel_include_each_other_in_a_circle(part: str) -> None:
    needs: dict[Path, set[Path]] = {}
    for path in KERNEL_SOURCES.glob("*/*.[ch]"):
        found = re.findall(r'^#include "(\w+/\w+)\.h"', path.read_text(), re.MULTILINE)
        mine = path.relative_to(KERNEL_SOURCES).with_suffix("")
        included = {Path(each) for each in found}
        if part == "folder":
            mine, included = mine.parent, {each.parent for each in included}
        needs.setdefault(mine, set()).update(included - {mine})
    assert len(needs) > 7 and any(needs.values())
    TopologicalSorter(needs).prepare()  # raises CycleError


def test_after_a_lack_of_memory_a_stream_is_refused_until_it_is_reset() -> None:
    code = """
import resource
from pathlib import Path
from wordfreq_batch.text.words import WordCounter
counter = WordCounter(memory=1 << 40)
text = " ".join(f"{n}{'x' * 9} {n}{'y' * 40}" for n in range(400_000)).encode()
counter.feed(b"a b c")
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (8 << 20), -1))
for _ in range(5):
    try:
        counter.feed(text)
    except MemoryError:
        continue
    raise SystemExit("it had enough memory")
resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
try:
    counter.finish()
except MemoryError:
    counter.reset()
counter.feed(b"one two two")
assert counter.finish().counts == {"one": 1, "two": 2}
"""
    subprocess.run([sys.executable, "-c", code], check=True)
