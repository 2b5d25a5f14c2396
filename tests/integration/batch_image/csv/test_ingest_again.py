"""Rejects, corrected and uploaded as they are; loads that failed for passing reasons, redriven."""

from __future__ import annotations

import json

import pytest

from tests.integration.batch_image.csv.dynamodb import HEADER, Unreliable

TITLES = "ProductId", "ProductName", "ProductDescription"


def written(rows, *, delimiter=",", header=True, encoding="utf-8", quote='"'):
    lines = [*([delimiter.join(TITLES)] if header else []), *(delimiter.join(r) for r in rows)]
    return ("\r\n".join(lines) + "\r\n").replace('"', quote).encode(encoding)


ROWS = [("1", "Größe", "a"), ("2", "short"), ("3", '"open', "b"), ("4", '"q"', "c"), ("", "x", "d")]
CORRECTED = {"1": ("Größe", "a"), "2": ("short", "new"), "3": ("open", "b"), "4": ("q", "c")}
CORRECTED["5"] = ("x", "d")


@pytest.mark.parametrize(
    ("data", "options", "form"),
    [
        (written(ROWS), [], {}),
        (
            written(ROWS, delimiter=";", encoding="cp1252"),
            ["--delimiter", "semicolon", "--encoding", "cp1252"],
            {"delimiter": ";", "encoding": "cp1252"},
        ),
        (
            b"sep=\t\r\n" + written(ROWS, delimiter="\t"),
            [],
            {"delimiter": "\t"},
        ),
        (
            written(ROWS, delimiter="|", encoding="utf-16"),
            ["--delimiter", "auto"],
            {"delimiter": "|", "encoding": "utf-16"},
        ),
        (
            written(ROWS, header=False, quote="'"),
            ["--header", ",".join(TITLES), "--set", "quote=single"],
            {"quote": "'"},
        ),
        (
            b"Statement of 2026\r\nof a bank, in CHF\r\n" + written(ROWS),
            ["--set", "skip=2"],
            {},
        ),
    ],
    ids=["plain", "Excel", "sep", "UTF-16, auto", "no header, single quotes", "lines before it"],
)
def test_rejects_are_loaded_as_they_are_once_corrected(either, data, options, form):
    table = either.table()
    first = either.load(data, table, *options, "--rejects", "out")
    assert first.code == 0, first.err
    assert "5 rows read, 2 items written" in first.out
    encoding = form.get("encoding", "utf-8")
    delimiter, quote = form.get("delimiter", ","), form.get("quote", '"')
    text = (either.wordfreq.folder / "out" / "sample.csv").read_bytes().decode(encoding)
    lines = text.splitlines()
    header = lines.index(delimiter.join(["wordfreq:line", "wordfreq:reason", *TITLES]))
    before = data.decode(encoding).splitlines().index(f"2{delimiter}short")
    assert [int(line.split(delimiter)[0]) for line in lines[header + 1 :]] == [
        before + number for number in (1, 2, 4)
    ]

    # as it is: nothing is loaded, the reasons stay
    again = either.load(text.encode(encoding), table, *options, "--rejects", "twice")
    assert again.code == 4
    assert "none of its 3 rows can be loaded" in again.err

    corrected = text.replace(f"2{delimiter}short", f"2{delimiter}short{delimiter}new")
    corrected = corrected.replace(f"{quote}open", "open")
    corrected = corrected.replace(f"{delimiter}{delimiter}x", f"{delimiter}5{delimiter}x")
    ran = either.load(corrected.encode(encoding), table, *options, "--rejects", "thrice")
    assert ran.code == 0, ran.err
    assert "3 rows read, 3 items written" in ran.out
    assert either.values(table) == CORRECTED


def test_rejects_that_are_corrected_in_part_keep_one_line_and_reason(either):
    table = either.table()
    either.load(HEADER + b"1,a\n2,b\n3,c,d\n", table, "--rejects", "out")
    text = (either.wordfreq.folder / "out" / "sample.csv").read_text()
    half = text.replace("1,a", "1,a,new")
    ran = either.load(half.encode(), table, "--rejects", "twice", name="half.csv")
    assert ran.code == 0, ran.err
    (_, left) = (either.wordfreq.folder / "twice" / "half.csv").read_text().splitlines()
    assert left.startswith("3,") and left.endswith(",2,b")
    assert left.count("header has 3") == 1
    assert either.values(table) == {"1": ("a", "new"), "3": ("c", "d")}


def test_a_line_that_was_cut_is_not_loaded_as_if_it_were_whole(either):
    table = either.table()
    long = b"9," + b"x" * (2 << 20) + b"\n"
    ran = either.load(HEADER + b"1,a,b\n" + long, table, "--rejects", "out")
    assert ran.code == 0, ran.err
    text = (either.wordfreq.folder / "out" / "sample.csv").read_bytes()
    assert b"this is its beginning" in text
    ran = either.load(text, table, name="again.csv")
    assert ran.code == 4
    assert "nothing stands behind the reason" in ran.err


def test_what_throttling_kept_out_is_redriven_and_nothing_is_doubled(either):
    table = either.table()
    inbox = either.wordfreq.folder / "in"
    inbox.mkdir()
    expected = {}
    for name in ("a", "b", "c"):
        rows = [(f"{name}{n}", "n", "d") for n in range(20)]
        (inbox / f"{name}.csv").write_bytes(written(rows))
        expected |= {row[0]: row[1:] for row in rows}
    (inbox / "bad.csv").write_bytes(b"x\n1\n")
    either.wordfreq.ok("plan", "-s", "in", "-d", "out", "-p", "p.json")
    options = ("-p", "p.json", "-t", table, "--patience", "1")
    assert either.wordfreq("ingest", *options, "-i", "0").code == 0
    with Unreliable(either.server.url, throttled=1.0) as proxy:
        ran = either.wordfreq("ingest", *options, "-i", "1", AWS_ENDPOINT_URL_DYNAMODB=proxy.url)
        assert (ran.code, "took nothing" in ran.err) == (1, True)
    assert either.wordfreq("ingest", *options, "-i", "2").code == 4  # bad.csv: not for passing
    redriven = either.wordfreq("redrive", *options)
    assert redriven.code == 0, redriven.err
    assert "2 tasks were done again" in redriven.out  # the throttled one, and one never run
    assert either.values(table) == expected
    before = either.items(table)
    assert "0 tasks were done again" in either.wordfreq.ok("redrive", *options)
    assert either.items(table) == before
    receipts = sorted((either.wordfreq.folder).rglob("ingest-*.json"))
    assert [json.loads(path.read_bytes())["ExitCode"] for path in receipts] == [0, 0, 4, 0]
