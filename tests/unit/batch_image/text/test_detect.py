"""What stored bytes are, by their beginning."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile

import lz4.frame
import pytest
import zstandard

from wordfreq_batch.errors import UsageError
from wordfreq_batch.text.detect import (
    BINARY,
    TEXT,
    compression,
    detect,
    guess,
    known_encoding,
)

SKIPPED = b"\x50\x2a\x4d\x18\x01\0\0\0x"  # a frame that a reader passes over
PROSE = "Ein Müller mahlt, sagt ‚Glück zu‘ und geht.\nThe quick brown fox jumps over it.\n"


def _tar(form: int) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=form) as archive:
        entry = tarfile.TarInfo("prose.txt")
        entry.size = len(PROSE.encode())
        archive.addfile(entry, io.BytesIO(PROSE.encode()))
    return target.getvalue()


def _zip(*names: str, content: str = PROSE) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name in names:
            archive.writestr(name, content)
    return target.getvalue()


@pytest.mark.parametrize(
    ("name", "packed"),
    [
        ("gzip", gzip.compress(b"text")),
        ("bzip2", bz2.compress(b"text")),
        ("bzip2", bz2.compress(b"")),
        ("xz", lzma.compress(b"text")),
        ("lz4", lz4.frame.compress(b"text")),
        ("zstd", zstandard.compress(b"text")),
        ("zstd", SKIPPED + zstandard.compress(b"text")),
        ("lz4", SKIPPED + lz4.frame.compress(b"text")),
        ("lz4", SKIPPED + b"\x5f\x2a\x4d\x18\0\0\0\0" + lz4.frame.compress(b"text")),
    ],
)
def test_compressions_are_known_by_their_magic_number(name: str, packed: bytes) -> None:
    assert compression(packed) == detect(packed).format == name


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("tar archive", _tar(tarfile.USTAR_FORMAT)),
        ("tar archive", _tar(tarfile.GNU_FORMAT)),
        ("tar archive", _tar(tarfile.USTAR_FORMAT)[:512].replace(b"ustar\x0000", b"\0" * 8)),
        ("ZIP archive", _zip("prose.txt")),
        ("ZIP archive", _zip()),
        ("Microsoft Office document", _zip("[Content_Types].xml", "word/document.xml")),
        ("OpenDocument file", _zip("mimetype", content="application/vnd.oasis.opendocument.text")),
        ("EPUB book", _zip("mimetype", content="application/epub+zip")),
        ("PDF document", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"),
        ("RTF document", b"{\\rtf1\\ansi words\\par}"),
        ("old Microsoft Office document", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500)),
        ("PNG image", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
        ("GIF image", b"GIF89a\x01\0\x01\0\0\0\0;"),
        ("Parquet file", b"PAR1\x15\x04\x15\x10"),
        ("SQLite database", b"SQLite format 3\0" + bytes(84)),
        ("ELF program", b"\x7fELF\x02\x01\x01" + bytes(50)),
        ("Windows program", b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff"),
        (BINARY, os.urandom(4096) + bytes(100)),
        (BINARY, bytes(4096)),
        (BINARY, bytes(range(1, 9)) * 100),
        (BINARY, b"".join(n.to_bytes(4, "little") for n in range(1000))),
    ],
)
def test_what_is_no_text_has_a_name(name: str, data: bytes) -> None:
    if name == "tar archive" and len(data) == 512:  # of 1979: no magic number, only a checksum
        blank = data[:148] + b" " * 8 + data[156:]
        data = data[:148] + b"%06o\0 " % sum(blank) + data[156:]
    found = detect(data)
    assert found.format == name
    assert not found.is_text


@pytest.mark.parametrize("mark", [True, False])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize(
    "text",
    [
        "hello world\n",
        "hello",
        PROSE,
        "Война и мир, том первый.\n" * 20,
        "道可道，非常道。名可名，非常名。\n一生二，二生三，三生万物。\n" * 20,
        "Fox 🦊 and 𝔘𝔫𝔦𝔠𝔬𝔡𝔢\n" * 5,
        "たかいやまから たにそこみれば\nうりやなすびの はなざかり\n",
        "กาลครั้งหนึ่งนานมาแล้ว มีหมู่บ้าน\n" * 2,
        "एक समय की बात है, एक गाँव में\n",
        "ఒక ఊరిలో ఒక రాజు\n",
        "كان يا ما كان في قديم الزمان\n",
        "Ngày xửa ngày xưa, ở một làng nọ\n",
        "一\n二\n一\n三\n" * 9,
    ],
)
def test_wide_text_is_known_with_and_without_a_mark(text: str, encoding: str, mark: bool) -> None:
    data = ("\ufeff" * mark + text).encode(encoding)
    for size in (len(data), len(data) // 2 | 1):  # also cut off inside a character
        found = detect(data[:size])
        assert (found.format, found.encoding) == (TEXT, encoding)
        assert (
            data[found.mark : size].decode(encoding, "ignore")
            == text[: len(text)][: len(data[found.mark : size].decode(encoding, "ignore"))]
        )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        PROSE,
        "07070 is the code\n",
        "070701 070702 070703\n",
        "BM, MZ and PAR1,PAR2 are abbreviations\n",
        "GIF89a is a format",
        "7z and Rar! and LZIP\n",
        "\x1b[31mred\x1b[0m\n" * 50,
        "a page\fanother\r\n\x1a",
        "x = ~{a} + ~{b}\n",
        "one NUL \0 in a line of text that is long enough for it to be an accident " * 2,
    ],
)
def test_text_is_text(text: str) -> None:
    assert detect(text.encode()) == detect(b"plain")


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
@pytest.mark.parametrize("end", ["\0", "\n\0", ""])
@pytest.mark.parametrize(
    "words",
    [["hello", "world"], ["they", "be"], ["words", "of", "any", "length"], ["Größe", "Tür"]],
)
def test_words_with_nul_between_them_are_not_in_utf_16(
    words: list[str], end: str, encoding: str
) -> None:
    data = ("\0".join(words * 100) + end).encode(encoding)
    for size in (len(data), len(data) - 1):
        assert detect(data[:size]).format == BINARY


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("iso2022_jp_2", "日本語の文章です。\n"),
        ("iso2022_kr", "안녕하세요\n"),
        ("hz", "中文文本，中文文本\n你好你好\n"),
    ],
)
def test_encodings_in_seven_bits_are_no_utf_8(encoding: str, text: str) -> None:
    assert detect(text.encode(encoding)).encoding == encoding


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "Die Größe der Übung ist für Müller schön; “naïve” café, élève, garçon. " * 5),
        ("cp1251", "Все счастливые семьи похожи друг на друга, каждая несчастлива. " * 5),
        ("iso8859-5", "Все счастливые семьи похожи друг на друга, каждая несчастлива. " * 5),
        ("koi8-r", "Все счастливые семьи похожи друг на друга, каждая несчастлива. " * 5),
        ("cp932", "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。" * 5),
        ("euc_jp", "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。" * 5),
        ("gb18030", "道可道，非常道。名可名，非常名。无名天地之始，有名万物之母。" * 5),
        ("big5", "道可道，非常道。名可名，非常名。無名天地之始，有名萬物之母。" * 5),
        ("cp949", "나는 고양이로소이다. 이름은 아직 없다. 어디서 났는지 모른다." * 5),
        ("cp1253", "Όλες οι ευτυχισμένες οικογένειες μοιάζουν μεταξύ τους. " * 5),
        ("cp1255", "כל המשפחות המאושרות דומות זו לזו, כל משפחה אומללה. " * 5),
    ],
)
def test_a_guess_reads_the_text(encoding: str, text: str) -> None:
    found = guess(text.encode(encoding))
    assert text.encode(encoding).decode(found.encoding) == text
    assert 0 < found.confidence <= 1


def test_names_of_encodings() -> None:
    assert known_encoding("Latin-1") == "iso8859-1"
    assert known_encoding("AUTO") == "auto"
    seldom = ("idna", "punycode", "utf-7", "U7", "unicode_escape", "raw-unicode-escape")
    for wrong in ("hex", "no-such", "", "utf 16\0", "undefined", *seldom):
        with pytest.raises(UsageError, match="isn't known"):
            known_encoding(wrong)


def test_a_guess_never_has_controls_where_windows_has_characters() -> None:
    line = "0,Die Größe der Tür ist natürlich schön\n1,10 € für alle\n"
    for lines in (1, 7, 40, 400):
        assert "\x80" not in (line * lines).encode("cp1252").decode(
            guess((line * lines).encode("cp1252")).encoding
        )
