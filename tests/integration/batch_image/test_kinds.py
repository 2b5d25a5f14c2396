"""Files of every kind in one folder: words only from text, and the true reason for the rest."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import random
import tarfile
import zipfile
import zlib

import lz4.frame
import pytest
import zstandard

PLAN = ("-s", "in", "-d", "out", "-p", "plan.json", "--pack", "1GiB")

TEXT = "Größe naïve café " * 40 + "\n"
COUNTS = "café:40\ngröße:40\nnaïve:40\n"
RUSSIAN = "Все счастливые семьи похожи друг на друга, " * 20
NOISE = random.Random(15).randbytes(200_000)


def _tar() -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        entry = tarfile.TarInfo("text.txt")
        entry.size = len(TEXT.encode())
        archive.addfile(entry, io.BytesIO(TEXT.encode()))
    return target.getvalue()


def _zip(*names: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name in names:
            archive.writestr(name, TEXT)
    return target.getvalue()


UTF_8 = TEXT.encode()
PACKED = {
    "gzip": gzip.compress(UTF_8),
    "bzip2": bz2.compress(UTF_8),
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress(UTF_8),
    "xz": lzma.compress(UTF_8),
    "lz4": lz4.frame.compress(UTF_8),
    "gzip.bzip2": bz2.compress(gzip.compress(UTF_8)),
    "two-members": gzip.compress(UTF_8[:99]) + gzip.compress(UTF_8[99:]),
    "padded": gzip.compress(UTF_8) + bytes(512),
}

READ = {  # name -> bytes whose words are those of TEXT
    "plain.txt": UTF_8,
    "marked.txt": b"\xef\xbb\xbf" + UTF_8,
    "text.gz": UTF_8,
    **{f"{kind}-by-bytes": data for kind, data in PACKED.items()},
    "gzip.TXT.GZ": PACKED["gzip"],
    "zstd.gz": PACKED["zstd"],
    **{
        f"{encoding}{mark}.txt": ("\ufeff" * bool(mark) + TEXT).encode(encoding)
        for encoding in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
        for mark in ("", "-marked")
    },
}
ASIDE = {
    "a.tar": (_tar(), "tar archive"),
    "a.tar.gz": (gzip.compress(_tar()), "tar archive"),
    "a.zip": (_zip("text.txt"), "ZIP archive"),
    "a.docx": (_zip("[Content_Types].xml", "word/document.xml"), "Microsoft Office document"),
    "a.pdf": (b"%PDF-1.7\nwords in it", "PDF document"),
    "a.doc": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(999), "old Microsoft Office document"),
    "a.png": (b"\x89PNG\r\n\x1a\n" + NOISE, "PNG image"),
    "a.parquet": (b"PAR1\x15\x04" + NOISE, "Parquet file"),
    "a.sqlite": (b"SQLite format 3\0" + bytes(999), "SQLite database"),
    "a.bin": (NOISE, "binary data"),
    "nothing-but-nul": (bytes(1 << 20), "binary data"),
    "bomb.gz": (gzip.compress(bytes(64 << 20)), "binary data"),
}
BAD = {
    "cut.gz": (PACKED["gzip"][:-9], "is no intact gzip archive (it ends too early)"),
    "damaged.zst": (PACKED["zstd"][:20] + b"\xff" + PACKED["zstd"][21:], "no intact zstd archive"),
    "binary.xz": (b"\0\1\2\3" * 99, "no intact xz archive (it doesn't begin as one)"),
    "empty.bz2": (b"", "is no intact bzip2 archive (it ends too early)"),
    "latin.txt": (TEXT.encode("latin-1"), "--encoding cp1252"),
    "koi8.txt": (RUSSIAN.encode("koi8-r"), "--encoding koi8-r"),
    "cp1251.txt": (RUSSIAN.encode("cp1251"), "--encoding cp1251"),
    "shift.txt": (
        ("吾輩は猫である。名前はまだ無い。" * 20).encode("shift_jis"),
        "--encoding cp932",
    ),
    "late.txt": (b"ascii " * 400_000 + "Käse mit Öl".encode("latin-1") * 9, "is not UTF-8: 18 of"),
}


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
