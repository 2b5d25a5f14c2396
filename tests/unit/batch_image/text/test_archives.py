"""Stored text in every encoding and archive, whole, damaged and hostile."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator

import lz4.frame
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from wordfreq_batch.errors import DataError
from wordfreq_batch.text.detect import Guess
from wordfreq_batch.text.text import Utf8Text, decode
from wordfreq_batch.text.unpack import CHUNK

TEXT = "Straße, ΟΔΟΣ 𝒜 漢字\r\nend"
ENCODINGS = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}
PACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".zst": zstandard.compress,
    ".xz": lzma.compress,
    ".lz4": lz4.frame.compress,
}


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


def read(chunks: list[bytes], name: str = "s3://b/a.txt") -> tuple[bytes, int]:
    text = Utf8Text(chunks, name=name)
    return b"".join(text), text.invalid


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_byte_order_mark_tells_the_encoding(encoding: str, size: int) -> None:
    data = ENCODINGS[encoding] + TEXT.encode(encoding)
    assert read(cut(data, size)) == (TEXT.encode(), 0)


@pytest.mark.parametrize("data", [b"", b"a", b"\xef\xbb", b"\xff", b"plain text", b"\xff\xfe"])
def test_without_a_mark_bytes_pass_as_they_are(data: bytes) -> None:
    expected = b"" if data == codecs.BOM_UTF16_LE else data
    assert read(cut(data, 1)) == (expected, 0)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([e for e in ENCODINGS if e != "utf-8"]), st.binary(max_size=40))
def test_bad_units_become_u_fffd_and_are_counted(encoding: str, data: bytes) -> None:
    expected = data.decode(encoding, "replace")
    if data.startswith(b"\0\0") and encoding == "utf-16-le":
        return  # then the mark is UTF-32's
    for size in (1, 1000):
        found, invalid = read(cut(ENCODINGS[encoding] + data, size))
        assert found.decode() == expected
        assert bool(invalid) == ("\ufffd" in expected and "\ufffd".encode(encoding) not in data)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=30))
def test_utf8_is_decoded_as_unicode_recommends(data: bytes) -> None:
    text, invalid, used = decode(data)
    assert text == data.decode("utf-8", "replace")
    assert used == len(data)
    assert invalid == sum(
        0xDC80 <= ord(c) <= 0xDCFF for c in data.decode("utf-8", "surrogateescape")
    )


def test_maximal_subparts_are_those_of_the_standard() -> None:
    # The Unicode Standard, table 3-11.
    text, invalid, _ = decode(bytes.fromhex("E1 80 E2 F0 91 92 F1 BF 41"))
    assert (text, invalid) == ("\ufffd" * 4 + "A", 8)


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize("ending", PACK)
def test_archives_of_several_members_are_read_through(ending: str, size: int) -> None:
    first, second = TEXT.encode() * 50_000, b"second\n"
    data = PACK[ending](first) + PACK[ending](b"") + PACK[ending](second)
    assert read(cut(data, size), f"s3://b/x{ending}") == (first + second, 0)


@pytest.mark.parametrize("ending", PACK)
def test_an_archive_may_hold_utf16(ending: str) -> None:
    data = PACK[ending](codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"))
    assert read([data], f"file:///d/x{ending}") == (TEXT.encode(), 0)


@pytest.mark.parametrize("ending", PACK)
def test_a_truncated_archive_is_an_error_that_names_it(ending: str) -> None:
    whole = PACK[ending](TEXT.encode() * 1000)
    for length in (0, 1, len(whole) // 2, len(whole) - 1):
        with pytest.raises(DataError, match=rf"s3://b/x\{ending} is no intact .* archive") as error:
            read(cut(whole[:length], 10), f"s3://b/x{ending}")
        assert error.value.exit_code == 4


@pytest.mark.parametrize("ending", PACK)
def test_a_damaged_archive_is_an_error_that_names_it(ending: str) -> None:
    whole = bytearray(PACK[ending](bytes(range(256)) * 1000))
    whole[3] ^= 0xFF
    for data in (bytes(whole), b"\0\1no archive", PACK[ending](b"x") + b"garbage"):
        with pytest.raises(DataError, match=rf"s3://b/x\{ending} is no intact"):
            read([data], f"s3://b/x{ending}")


@pytest.mark.parametrize("pack", PACK.values())
def test_compressed_text_is_read_whatever_its_name_and_however_often(
    pack: Callable[[bytes], bytes],
) -> None:
    for name in ("s3://b/a.txt", "s3://b/A.TXT.GZ", "s3://b/none", "s3://b/wrong.zst"):
        for data in (pack(TEXT.encode()), pack(gzip.compress(TEXT.encode()))):
            assert read([data], name) == (TEXT.encode(), 0)
    data = TEXT.encode()
    for _ in range(4):
        data = pack(data)
    with pytest.raises(DataError, match="compressed more than 3 times over"):
        read([data])


@pytest.mark.parametrize("ending", PACK)
def test_text_that_is_named_as_an_archive_is_text(ending: str) -> None:
    assert read([TEXT.encode()], f"s3://b/x{ending}") == (TEXT.encode(), 0)


def test_the_content_encoding_counts_where_there_is_no_magic_number() -> None:
    packed = zlib.compress(TEXT.encode() * 100)
    text = Utf8Text(cut(packed, 7), name="s3://b/x", content_encoding="deflate")
    assert b"".join(text) == TEXT.encode() * 100
    # Bytes that are plain text are that, whatever somebody has noted.
    text = Utf8Text([TEXT.encode()], name="s3://b/x", content_encoding="gzip")
    assert b"".join(text) == TEXT.encode()
    with pytest.raises(DataError, match="no intact deflate"):
        list(Utf8Text([packed[:-9]], name="s3://b/x", content_encoding="deflate"))


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("ZIP archive", b"PK\x03\x04" + bytes(30)),
        ("binary data", bytes(99)),
        ("PDF document", b"%PDF-1.4"),
    ],
)
@pytest.mark.parametrize("pack", [bytes, *PACK.values()])
def test_what_is_no_text_is_set_aside(
    kind: str, data: bytes, pack: Callable[[bytes], bytes]
) -> None:
    text = Utf8Text([pack(data)], name="s3://b/x")
    assert list(text) == []
    assert text.aside == kind


@pytest.mark.parametrize("ending", [".zst", ".lz4"])
@pytest.mark.parametrize("size", [1 << 10, 5])
def test_frames_to_be_skipped_are_passed_over(ending: str, size: int) -> None:
    skipped = b"\x5a\x2a\x4d\x18" + (99).to_bytes(4, "little") + bytes(99)
    data = skipped * 2 + PACK[ending](TEXT.encode()) + skipped + PACK[ending](b" more")
    assert read(cut(data, size), "s3://b/x") == (TEXT.encode() + b" more", 0)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_text_without_the_mark_that_its_encoding_asks_for_is_bad_data(encoding: str) -> None:
    data = "Größe ".encode("cp1252") * 9
    text = Utf8Text([data], name="s3://b/x", known=Guess(encoding=encoding, confidence=1.0))
    with pytest.raises(DataError, match=rf"s3://b/x is not {encoding} \(.*another --encoding"):
        list(text)
    wide = "Größe ".encode(encoding)
    text = Utf8Text([wide], name="s3://b/x", known=Guess(encoding=encoding, confidence=1.0))
    assert b"".join(text) == "Größe ".encode()


def test_zero_padding_after_a_gzip_member_is_ignored() -> None:
    assert read([gzip.compress(b"a") + b"\0" * 10, b"\0\0"], "x.gz") == (b"a", 0)


def bomb(ending: str) -> bytes:
    if ending == ".gz":
        packer = zlib.compressobj(9, wbits=31)
        return b"".join([*(packer.compress(b"a " * (1 << 19)) for _ in range(64)), packer.flush()])
    return PACK[ending](b"a " * (32 << 20))


@pytest.mark.parametrize("ending", PACK)
def test_a_bomb_is_read_in_small_steps(ending: str) -> None:
    chunks: Iterator[bytes] = iter(Utf8Text([bomb(ending)], name=f"x{ending}"))
    sizes = [len(chunk) for chunk in chunks]
    assert sum(sizes) == 64 << 20
    assert max(sizes) <= (16 * CHUNK if ending == ".zst" else CHUNK + 16)


def test_a_zstd_frame_that_wants_a_huge_window_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=30)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    data = packer.compress(b"x" * 100) + packer.flush()
    with pytest.raises(DataError, match=r"x\.zst is no intact zstd archive"):
        read([data], "x.zst")
