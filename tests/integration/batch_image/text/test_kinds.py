"""Files of every kind in one folder: words only from text, and the true reason for the rest."""

from __future__ import annotations

import json
import zlib

import pytest

from tests.integration.batch_image.text.kinds import (
    ASIDE,
    BAD,
    COUNTS,
    NOISE,
    PACKED,
    READ,
    RUSSIAN,
    TEXT,
    UTF_8,
    main,
)

PLAN = ("-s", "in", "-d", "out", "-p", "plan.json", "--pack", "1GiB")


@pytest.fixture
def receipts(wordfreq, folder):
    def run(*options):
        """Count the folder; the receipts of its files, and what the command has said."""
        wordfreq("plan", *PLAN, *options)
        ran = wordfreq("migrate", "-p", "plan.json", "-i", "0")
        [path] = (wordfreq.folder / "plan").glob("*/migrate-00000.json")
        return ran, {item["Name"]: item for item in json.loads(path.read_text())["Items"]}

    return run


def test_forty_kinds_of_files_are_counted_or_named_with_the_true_reason(wordfreq, folder, receipts):
    folder(
        "in",
        READ | {name: each[0] for name, each in ASIDE.items()} | {n: e[0] for n, e in BAD.items()},
    )
    ran, items = receipts()
    assert ran.code == 4
    for name in READ:
        assert items[name]["Error"] is None, name
        assert (wordfreq.folder / "out" / name).read_text() == COUNTS, name
    for name, (_, kind) in ASIDE.items():
        assert (items[name]["Error"], items[name]["Aside"]) == (None, kind)
        assert (wordfreq.folder / "out" / name).read_bytes() == b""
    for name, (_, reason) in BAD.items():
        assert reason in items[name]["Error"]
        assert items[name]["ExitCode"] == 4
        assert not (wordfreq.folder / "out" / name).exists()
    refused = wordfreq("merge", "-p", "plan.json")
    assert refused.code == 3
    assert f"{len(BAD)} of {len(items)} files have no valid counts" in refused.err
    assert "mend or remove them" in refused.err
    merged = wordfreq("merge", "-p", "plan.json", "--allow-missing", "--output", "ranked")
    assert merged.code == 0
    ranking = json.loads((wordfreq.folder / "ranked" / "ranking.json").read_text())
    assert {word["Word"]: word["Count"] for word in ranking["Words"]} == dict.fromkeys(
        ("café", "größe", "naïve"), 40 * len(READ)
    )
    about = ranking["Metadata"]
    assert about["Missing"] == len(BAD)
    assert set(about["MissingNames"]) == set(BAD)
    assert sum(each["Files"] for each in about["SetAside"]) == len(ASIDE)
    assert {each["Kind"] for each in about["SetAside"]} == {kind for _, kind in ASIDE.values()}
    assert f"{len(ASIDE)} files have no words in the ranking" in merged.err


def test_an_encoding_that_is_named_is_used_for_what_is_not_utf_8(wordfreq, folder, receipts):
    folder("in", {"a.txt": UTF_8, "b.txt": TEXT.encode("cp1252"), "c.txt": PACKED["gzip"]})
    ran, items = receipts("--encoding", "latin1")
    assert ran.code == 0
    for name in items:
        assert (wordfreq.folder / "out" / name).read_text() == COUNTS
    assert [item.get("Encoding", "") for item in items.values()] == ["", "iso8859-1", ""]


@pytest.mark.parametrize("late", [b"", b"plain " * 400_000])
def test_a_guess_is_used_if_it_is_asked_for_and_says_how_sure_it_is(
    wordfreq, folder, receipts, late
):
    folder("in", {"a.txt": UTF_8, "b.txt": late + RUSSIAN.encode("koi8-r")})
    ran, items = receipts("--encoding", "auto")
    assert ran.code == 0, ran.err
    assert items["b.txt"]["Encoding"] == "koi8-r"
    assert 0 < items["b.txt"]["Confidence"] <= 1
    assert "счастливые:20\n" in (wordfreq.folder / "out" / "b.txt").read_text()


def test_counts_made_with_other_options_are_not_taken_for_these(wordfreq, folder, receipts):
    folder("in", {"a.txt": UTF_8, "b.txt": TEXT.encode("cp1252")})
    receipts("--encoding", "cp1252")
    plan = wordfreq.ok("plan", "-s", "in", "-d", "out", "-p", "other.json")
    assert "2 to count" in plan
    plan = wordfreq.ok("plan", "-s", "in", "-d", "out", "-p", "same.json", "--encoding", "CP1252")
    assert "0 to count" in plan


def test_few_wrong_bytes_are_damage_and_more_of_them_if_allowed(wordfreq, folder, receipts):
    folder("in", {"cut.txt": UTF_8[:-5] + b"\xc3", "odd.txt": b"a word\xff " * 3})
    ran, items = receipts()
    assert items["cut.txt"]["Invalid"] == 1
    assert "cut.txt: 1 of its" in ran.err
    assert "is not UTF-8: 3 of its bytes" in items["odd.txt"]["Error"]
    wordfreq("plan", *PLAN, "--most-invalid", "20%")
    ran = wordfreq("migrate", "-p", "plan.json", "-i", "0")
    assert ran.code == 0
    assert (wordfreq.folder / "out" / "odd.txt").read_text() == "a:3\nword:3\n"


def test_an_encoding_that_is_wrong_is_refused(wordfreq, folder, receipts):
    folder("in", {"a.txt": NOISE[:3000].translate(None, bytes(range(32)))})
    assert "isn't known" in wordfreq("plan", *PLAN, "--encoding", "utf-9").err
    ran, items = receipts("--encoding", "shift_jis")
    assert ran.code == 4
    assert "is not shift_jis" in items["a.txt"]["Error"]


def test_deflate_without_a_header_is_set_aside_as_what_it_is(wordfreq, folder, receipts):
    folder("in", {"a.txt": zlib.compress(NOISE)})
    _, items = receipts()
    assert items["a.txt"]["Aside"] == "zlib data"


def test_the_table_of_kinds_names_each(capsys):
    main(line=1_000_000)
    table = capsys.readouterr().out
    assert table.count("\n| `") == len(READ) + len(ASIDE) + len(BAD) + 1
    assert "| `one-line.txt` | 1,000,000 | 0 | 150,001 |  |" in table
    assert "| `a.png` | 200,008 | 0 | 0 | PNG image |" in table
    assert "| `cut.gz` | " in table
    assert "exit code 4; the ranking: " in table
