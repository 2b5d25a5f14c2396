"""Forty kinds of input and more, and what becomes of each. `make kinds` prints it as a table."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import random
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import lz4.frame
import zstandard

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
    **{
        f"{encoding}.txt": ((text * 20).encode(encoding), f"--encoding {hint}")
        for encoding, text, hint in (
            ("gb18030", "我们的目的是让每个人都能读书。", "gb18030"),
            ("big5", "我們的目的是讓每個人都能讀書。", "big5"),
            ("euc_jp", "吾輩は猫である。名前はまだ無い。", "euc_jp"),
            ("cp949", "모든 국민은 법 앞에 평등하다. ", "cp949"),
            ("cp1250", "Zażółć gęślą jaźń, pójdź kińże tę chmurność. ", "cp1250"),
            ("iso8859-7", "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι. ", "iso8859-7"),
            ("cp1254", "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğar. ", "cp1254"),
            ("cp1255", "כל בני אדם נולדו בני חורין ושווים. ", "cp1255"),
            ("cp1256", "يولد جميع الناس أحرارا متساوين في الكرامة. ", "cp1256"),
            ("cp874", "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกัน ", "cp874"),
        )
    },
    "late.txt": (b"ascii " * 400_000 + "Käse mit Öl".encode("latin-1") * 9, "is not UTF-8: 18 of"),
}


def main(line: int = 1_000_000_000) -> None:
    """Count all of them, and a line of so many bytes without an end; print what came of each."""
    with tempfile.TemporaryDirectory() as place:
        source = Path(place) / "in"
        source.mkdir()
        files = READ | {name: each[0] for name, each in (ASIDE | BAD).items()}
        for name, content in files.items():
            (source / name).write_bytes(content)
        with (source / "one-line.txt").open("wb") as file:
            for _ in range(line // 10_000):
                file.write(b"lorem ipsum dolor 12" * 500)
        command = [sys.executable, "-m", "wordfreq_batch", "count", "in", "-o", "out", "--json"]
        ran = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
        found = json.loads(ran.stdout)
        failed = {each["Name"]: each for each in found["Failed"]}
        print("| input | bytes | exit code | words counted | said |\n|---|---|---|---|---|")
        for path in sorted(source.iterdir()):
            counts = Path(place) / "out/counts" / path.name
            words = 0
            if counts.exists():
                words = sum(int(row.rpartition(":")[2]) for row in counts.read_text().splitlines())
            said = ASIDE.get(path.name, ("", ""))[1]
            if path.name in failed:
                said = failed[path.name]["Error"].replace(source.as_uri() + "/", "")
            code = failed.get(path.name, {}).get("ExitCode", 0)
            print(f"| `{path.name}` | {path.stat().st_size:,} | {code} | {words:,} | {said} |")
        ranked = ", ".join(f"{each['Word']} {each['Count']:,}" for each in found["Words"])
        print(f"\nexit code {ran.returncode}; the ranking: {ranked}")


if __name__ == "__main__":
    main()
