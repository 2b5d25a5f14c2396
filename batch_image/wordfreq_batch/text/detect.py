"""What stored bytes are: compressed, text in an encoding, or a format that isn't text. Pure.

Magic numbers come first, then byte order marks, then the share of NUL and control characters;
nothing depends on a name. Bytes that are no text are named by their format, so that they never
become words.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from typing import Final, NamedTuple

from wordfreq_batch.errors import UsageError

SAMPLE: Final = 64 << 10
"""Bytes of the beginning that suffice for `detect` and `guess`."""

TEXT: Final = "text"
BINARY: Final = "binary data"
UTF_8: Final = "utf-8"
AUTO: Final = "auto"

# Longer than two bytes, or with bytes that no text begins with: a false alarm would lose a text.
_COMPRESSIONS: Final = (
    (b"\x1f\x8b\x08", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x04\x22\x4d\x18", "lz4"),
)
_PACKED: Final = tuple(magic for magic, _ in _COMPRESSIONS)
_BZIP2: Final = (b"1AY&SY", b"\x17rE8P\x90")  # of a block, and of no blocks

_FORMATS: Final = (
    (b"PK\x05\x06", "ZIP archive"),
    (b"PK\x07\x08", "ZIP archive"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip archive"),
    (b"Rar!\x1a\x07", "RAR archive"),
    (b"!<arch>\n", "ar archive"),
    (b"MSCF\0\0\0\0", "CAB archive"),
    (b"LZIP\x01", "lzip file"),
    (b"\x89LZO\0", "lzop file"),
    (b"\x1f\x9d", "compress (.Z) file"),
    (b"\xff\x06\0\0sNaPpY", "Snappy file"),
    (b"\x02\x21\x4c\x18", "old lz4 file"),
    (b"%PDF-", "PDF document"),
    (b"{\\rtf", "RTF document"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old Microsoft Office document"),
    (b"\x89PNG\r\n\x1a\n", "PNG image"),
    (b"\xff\xd8\xff", "JPEG image"),
    (b"II*\0", "TIFF image"),
    (b"MM\0*", "TIFF image"),
    (b"8BPS\0\x01", "Photoshop image"),
    (b"ID3\x02", "MP3 audio"),
    (b"ID3\x03", "MP3 audio"),
    (b"ID3\x04", "MP3 audio"),
    (b"fLaC\0", "FLAC audio"),
    (b"OggS\0", "Ogg media"),
    (b"\x1aE\xdf\xa3", "Matroska video"),
    (b"FLV\x01", "Flash video"),
    (b"\x7fELF", "ELF program"),
    (b"\xca\xfe\xba\xbe", "Java class"),
    (b"\xcf\xfa\xed\xfe", "Mach-O program"),
    (b"\0asm", "WebAssembly program"),
    (b"SQLite format 3\0", "SQLite database"),
    (b"PAR1\x15", "Parquet file"),
    (b"Obj\x01", "Avro file"),
    (b"ARROW1\0\0", "Arrow file"),
    (b"\x89HDF\r\n\x1a\n", "HDF5 file"),
    (b"\x93NUMPY", "NumPy array"),
    (b"wOFF\0", "font"),
    (b"wOF2\0", "font"),
    (b"OTTO\0", "font"),
    (b"\0\x01\0\0\0", "font"),
    (b"\xed\xab\xee\xdb", "RPM package"),
)
_MAGICS: Final = tuple(magic for magic, _ in _FORMATS)  # one test for all: most files are none
_INSIDE: Final = (  # what it begins with, an offset, what stands there, format
    (b"", 257, b"ustar\0", "tar archive"),
    (b"", 257, b"ustar ", "tar archive"),
    (b"\0\0", 4, b"ftyp", "MP4 or HEIF media"),
    (b"RIFF", 8, b"WEBPVP8", "WebP image"),
    (b"RIFF", 8, b"WAVEfmt ", "WAV audio"),
    (b"RIFF", 8, b"AVI LIST", "AVI video"),
)
_CPIO: Final = rb"07070[12][0-9A-Fa-f]{104}|070707[0-7]{70}"  # all of it is ASCII
_WEAK: Final = (  # valid only for what is binary anyway
    (b"MZ", "Windows program"),
    (b"BM", "BMP image"),
    (b"ORC", "ORC file"),
    (b"PAR1", "Parquet file"),
    (b"GIF8", "GIF image"),
    (b"\xff\xfb", "MP3 audio"),
    (b"\x80\x04", "Python pickle"),
    (b"\x78\x01", "zlib data"),
    (b"\x78\x9c", "zlib data"),
    (b"\x78\xda", "zlib data"),
)
_ZIPPED: Final = (  # in the first kilobytes of a ZIP archive
    (b"application/epub+zip", "EPUB book"),
    (b"application/vnd.oasis.opendocument", "OpenDocument file"),
    (b"[Content_Types].xml", "Microsoft Office document"),
    (b"META-INF/", "Java archive"),
)

# The mark of UTF-32 in little endian begins with that of UTF-16, so it comes first.
_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, UTF_8),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

# All control characters but white space and what terminals and old systems have in text: BEL, BS,
# SO and SI, the end of a DOS file, ESC.
_CONTROLS: Final = bytes({*range(32), 127} - {7, 8, *b"\t\n\v\f\r", 0x0E, 0x0F, 0x1A, 0x1B})
_MOST_CONTROLS: Final = 1 / 50  # of the beginning; random bytes have a twelfth
_LOOKED_AT: Final = 4096  # bytes in which control characters are counted

_NO_CHARACTERS: Final = frozenset(("Cc", "Cn", "Co", "Cs"))

UNSURE: Final = 0.1
"""What `guess` says of some words, and less."""

_NOT_ASCII: Final = bytes(range(128, 256))
_FEW: Final = 200  # bytes that are not ASCII; fewer of them tell little

# What contains the one that was guessed: who writes it uses the wider one without knowing.
_WIDER: Final = {
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "shift_jis": "cp932",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "tis-620": "cp874",
}

# Python's encodings of source, mail and host names: whole texts aren't stored in them.
_NOT_STORED: Final = frozenset(
    ("idna", "punycode", "raw-unicode-escape", "unicode-escape", "utf-7")
)

_WESTERN: Final = frozenset(map(chr, range(1, 128))) | frozenset(
    "ÄÖÜäöüßÀÁÂÃÅÆÇÈÉÊËÍÎÏÑÓÔÕØÚÛàáâãåæçèéêëíîïñóôõøúûœŒ€£§°’‘“”„–—…«»·¿¡º\xa0®©™"
)

# Not compiled before they are needed: a process that counts one file starts sooner.
_SHIFTED: Final = (
    (rb"\x1b\$\)C", "iso2022_kr"),
    (rb"\x1b\$[@B]|\x1b\$\([DQ]", "iso2022_jp_2"),
    (rb"(?s)~\{(?:[!-w][!-~]){2,}~\}.*~\{(?:[!-w][!-~]){2,}~\}", "hz"),
)


class Detected(NamedTuple):
    """What the beginning of stored bytes says of them.

    Attributes:
        format: `TEXT`, the name of a compression (`gzip`, `zstd`, `bzip2`, `xz`, `lz4`), or the
            name of a format that holds no plain text, `BINARY` where none is known.
        encoding: of text, as Python names it; `utf-8` is only assumed: a byte may still be wrong.
        mark: bytes of the byte order mark, to be left out.
    """

    format: str = TEXT
    encoding: str = ""
    mark: int = 0

    @property
    def is_text(self) -> bool:
        """Whether it can have words."""
        return self.format == TEXT


class Guess(NamedTuple):
    """The likely encoding (as Python names it; empty: no idea), and how sure that is, 0 to 1."""

    encoding: str = ""
    confidence: float = 0.0


_UTF_8_TEXT: Final = Detected(encoding=UTF_8)


def compression(head: bytes) -> str:
    """Name the compression that `head` is the beginning of; empty where it is none."""
    if head.startswith(_PACKED):
        return next(name for magic, name in _COMPRESSIONS if head.startswith(magic))
    if head.startswith(b"BZh") and head.startswith(_BZIP2, 4):
        return "bzip2"
    # A file may begin with frames to be skipped, which zstd and lz4 have in common.
    start = 0
    while head[start + 1 : start + 4] == b"\x2a\x4d\x18" and head[start] >> 4 == 5:
        start += 8 + int.from_bytes(head[start + 4 : start + 8], "little")
    lz4 = start and head.startswith(b"\x04\x22\x4d\x18", start)
    return "lz4" if lz4 else "zstd" if start else ""


def is_cut_off(head: bytes, kind: str) -> bool:
    """Whether these bytes are all of a file and no more than a part of the magic number."""
    magic = next((magic for magic, name in _COMPRESSIONS if name == kind), b"BZh")
    return len(head) < len(magic) and magic.startswith(head)


def detect(head: bytes) -> Detected:
    """Say what bytes are by their beginning: the first `SAMPLE` of them, or all."""
    head = head[:SAMPLE]  # so that it doesn't depend on how they came, and takes no time
    if packed := compression(head):
        return Detected(format=packed)
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return Detected(encoding=encoding, mark=len(mark))
    if name := _format(head):
        return Detected(format=name)
    looked_at = head[:_LOOKED_AT]
    controls = len(looked_at) - len(looked_at.translate(None, _CONTROLS))
    if b"\0" in head and not _is_divided_by_nul(head) and (wide := _wide(head)):
        return Detected(encoding=wide)
    if controls > len(looked_at) * _MOST_CONTROLS:
        weak = (name for magic, name in _WEAK if head.startswith(magic))
        return Detected(format=next(weak, BINARY))
    # The bytes alone first: looking for a pair takes twenty times as long.
    escaped = b"\x1b" in head and b"\x1b$" in head
    if (escaped or (b"~" in head and b"~{" in head)) and head.isascii():
        for pattern, encoding in _SHIFTED:
            if re.search(pattern, head) and _decoded(head, encoding) is not None:
                return Detected(encoding=encoding)
    return _UTF_8_TEXT


# What is said to be ISO 8859 is often a code page of Windows, with characters where the standard
# has controls that no text holds.
_WINDOWS: Final = {
    "iso8859-2": "cp1250",
    "iso8859-5": "cp1251",
    "iso8859-7": "cp1253",
}


def guess(sample: bytes) -> Guess:
    """Guess the encoding of text that isn't UTF-8, from some kilobytes with such bytes in them.

    Few bytes tell little: where all their characters are usual in Western Europe it is cp1252.
    """
    import chardet

    found = chardet.detect(sample)
    try:
        name = known_encoding(found["encoding"] or "")
    except UsageError:
        return Guess()
    few = len(sample) - len(sample.translate(None, _NOT_ASCII)) < _FEW
    if few and found["confidence"] < UNSURE and _is_western(sample):
        return Guess(encoding="cp1252", confidence=UNSURE)
    name = _WIDER.get(name, name)
    if name.startswith("iso8859") and re.search("[\x80-\x9f]", _decoded(sample, name) or ""):
        name = _WINDOWS.get(name, "cp1252")
    return Guess(encoding=name, confidence=round(found["confidence"], 3))


def _is_western(sample: bytes) -> bool:
    return set(_decoded(sample, "cp1252") or "\0") <= _WESTERN


def known_encoding(name: str) -> str:
    """The encoding as Python names it; `auto` stays.

    Raises:
        UsageError: there is none of that name, or it isn't one of text.
    """
    if name.lower() == AUTO:
        return AUTO
    try:
        codec = codecs.lookup(name)
        "a".encode(codec.name)  # refuses what is no encoding of text, such as `hex`
        if codec.name.replace("_", "-") in _NOT_STORED:
            raise LookupError
    except (LookupError, ValueError, UnicodeError):
        raise UsageError(
            f"the encoding {name!r} isn't known; write e.g. utf-8, cp1252, utf-16-le or auto"
        ) from None
    return codec.name


def _format(head: bytes) -> str:
    """The format by its magic number; empty where none is known."""
    if head.startswith(b"PK\x03\x04"):
        beginning = head[:_LOOKED_AT]
        return next((name for sign, name in _ZIPPED if sign in beginning), "ZIP archive")
    if head.startswith(_MAGICS):
        return next(name for magic, name in _FORMATS if head.startswith(magic))
    for begin, offset, magic, name in _INSIDE:
        if head.startswith(magic, offset) and head.startswith(begin):
            return name
    if head.startswith(b"0707") and re.match(_CPIO, head):
        return "cpio archive"
    return "tar archive" if _is_old_tar(head) else ""


def _is_old_tar(head: bytes) -> bool:
    """Whether it is a tar archive from before POSIX, by the checksum of its first header."""
    field = head[148:156].strip(b" \0")
    if len(head) < 512 or not field or field.strip(b"01234567"):
        return False
    return int(field, 8) == sum(head[:148]) + 8 * ord(" ") + sum(head[156:512])


def _is_divided_by_nul(head: bytes) -> bool:
    """Whether it is UTF-8, or about so, but for NUL between words, as of `find -print0`.

    Of Latin text in UTF-16 half the bytes are NUL; of other text in it every other byte is one of
    few, and without NUL little of it makes sense.
    """
    head = head[: len(head) - len(head) % 2]
    one, other = sorted((len(set(head[::2])), len(set(head[1::2]))))
    rest = head.translate(None, b"\0")
    words = rest.translate(None, bytes(range(32))).decode(errors="ignore").encode()
    return 2 * one >= other and len(rest) > 0.6 * len(head) and len(words) > 0.9 * len(rest)


def _wide(head: bytes) -> str:
    """The UTF-16 or UTF-32 that bytes without a mark are readable in; empty where in none."""
    even = head[: len(head) - len(head) % 2]
    # Text keeps to few blocks of Unicode: the bytes that name the block are the less varied.
    little = len(set(even[1::2])) <= len(set(even[::2]))
    utf_16 = ("utf-16-le", "utf-16-be") if little else ("utf-16-be", "utf-16-le")
    names = ("utf-32-le", "utf-32-be", *utf_16)
    return next((name for name in names if _readable(even, name)), "")


def _readable(data: bytes, encoding: str) -> bool:
    """Whether it is text in this encoding, to its end but for a character that is cut off."""
    text = (_decoded(data, encoding) or "")[:_LOOKED_AT]
    kinds = [unicodedata.category(each) for each in text if not each.isspace()]
    letters = sum(kind[0] in "LMN" for kind in kinds)
    # Any two bytes are a Chinese character as likely as not; but no text is without a line end, a
    # blank, a digit or a Latin letter for long.
    common = sum(each.isspace() or (each.isascii() and each.isalnum()) for each in text)
    return (
        letters * 2 > len(kinds)
        and common * 50 >= len(text)
        and not _NO_CHARACTERS.intersection(kinds)
    )


def _decoded(data: bytes, encoding: str) -> str | None:
    """The text; None where bytes are none of this encoding. A cut-off character at the end may."""
    try:
        return codecs.getincrementaldecoder(encoding)().decode(data)
    except UnicodeError:  # also for want of a mark
        return None
