"""Any stored text as UTF-8: archives read through, byte order marks obeyed, damage named.

For `counts.migrate`, which gives the result to `text.words.WordCounter`. Everything works on
chunks, and what one step holds is bounded whatever the input claims: a decompression bomb costs
time, not memory.
"""

from __future__ import annotations

import bz2
import codecs
import threading
import zlib
from collections.abc import Iterable, Iterator
from typing import Final

from wordfreq_batch.errors import DataError

CHUNK: Final = 1 << 20
"""Bytes that one decompression step may yield."""

# The UTF-32 mark for little endian begins with the UTF-16 one, so it is looked for first.
_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LONGEST_MARK: Final = 4

_STEP: Final = 1 << 17  # bytes of an archive looked at together

# A zstd block of 4 bytes can stand for 128 KiB, and the library has no limit on the output of one
# call: 512 bytes at a time yield 16 MiB at most.
_ZSTD_STEP: Final = 512
_ENOUGH: Final = 1 << 18  # bytes worth passing on
_ZSTD_WINDOW: Final = 128 << 20  # what `zstd -d` accepts without --long, too

_replaced = threading.local()


def _replace(error: UnicodeError) -> tuple[str, int]:
    """Do what errors="replace" does and note how many bytes went."""
    assert isinstance(error, UnicodeDecodeError)
    _replaced.bytes += error.end - error.start
    return "\ufffd", error.end


_ERRORS: Final = "wordfreq.replace"
codecs.register_error(_ERRORS, _replace)


def decode(data: bytes | bytearray, *, final: bool = True) -> tuple[str, int, int]:
    """Decode UTF-8; each maximal subpart of an ill-formed sequence becomes one U+FFFD.

    That is the practice which the Unicode Standard recommends (3.9, "U+FFFD Substitution of Maximal
    Subparts"). Returns the text, the number of bytes replaced and the number of bytes used: with
    `final=False` a character that is cut off at the end isn't.
    """
    _replaced.bytes = 0
    text, used = codecs.utf_8_decode(data, _ERRORS, final)
    return text, _replaced.bytes, used


class Utf8Text:
    """Iterates the text of a stored object as chunks of UTF-8, without byte order mark.

    `chunks` are the object's bytes, cut anywhere; `name` is its URI: its ending `.gz`, `.zst` or
    `.bz2` says that it is an archive, and messages name it. Bytes without a mark of UTF-16 or
    UTF-32 are passed on as they are. Raises `DataError` if an archive is damaged or cut off.
    """

    def __init__(self, chunks: Iterable[bytes], *, name: str) -> None:
        self._chunks = decompressed(chunks, name=name)
        self.invalid = 0
        """Bytes of UTF-16 or UTF-32 replaced by U+FFFD so far (UTF-8 is checked by its reader)."""

    def __iter__(self) -> Iterator[bytes]:
        head = b""
        for chunk in self._chunks:
            head += chunk
            if len(head) >= _LONGEST_MARK:
                break
        encoding = "utf-8"
        for mark, marked in _MARKS:
            if head.startswith(mark):
                head, encoding = head[len(mark) :], marked
                break
        if encoding == "utf-8":
            yield head
            yield from self._chunks
        else:
            yield from self._converted(head, encoding)

    def _converted(self, head: bytes, encoding: str) -> Iterator[bytes]:
        decoder = codecs.getincrementaldecoder(encoding)(_ERRORS)
        _replaced.bytes = 0
        yield decoder.decode(head).encode()
        self.invalid += _replaced.bytes
        for chunk in self._chunks:
            _replaced.bytes = 0
            yield decoder.decode(chunk).encode()
            self.invalid += _replaced.bytes
        _replaced.bytes = 0
        yield decoder.decode(b"", final=True).encode()
        self.invalid += _replaced.bytes


def is_archive(name: str) -> bool:
    """Whether the ending of `name` says that it is an archive."""
    return name.endswith((".gz", ".bz2", ".zst"))


def decompressed(
    chunks: Iterable[bytes], *, name: str, suffix: str | None = None
) -> Iterator[bytes]:
    """Yield the content of an archive, or the chunks themselves if it is none.

    What it is tells the ending of `name`, or `suffix` if given. Messages name `name`.
    """
    ending = name if suffix is None else suffix
    for known, opened in ((".gz", _gunzipped), (".bz2", _bunzipped), (".zst", _unzstandard)):
        if ending.endswith(known):
            return opened(chunks, name)
    return iter(chunks)


def _damaged(name: str, kind: str, reason: object) -> DataError:
    return DataError(f"{name} is no intact {kind} archive ({reason}): store it again")


def _cut_off(name: str, kind: str) -> DataError:
    return _damaged(name, kind, "it ends too early")


def _steps(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes, few at a time: what a step leaves is copied for the next one."""
    for chunk in chunks:
        for start in range(0, len(chunk), _STEP):
            yield chunk[start : start + _STEP]


def _gunzipped(chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
    """RFC 1952: members one after the other; zero bytes after a member are padding."""
    member = zlib.decompressobj(wbits=31)
    for step in _steps(chunks):
        data = step
        while data:
            if member.eof:
                data = data.lstrip(b"\0")
                if not data:
                    break
                member = zlib.decompressobj(wbits=31)
            try:
                yield member.decompress(data, CHUNK)
            except zlib.error as error:
                raise _damaged(name, "gzip", error) from error
            data = member.unused_data if member.eof else member.unconsumed_tail
    # Output may wait for room when the input is all taken.
    while not member.eof and (rest := member.decompress(b"", CHUNK)):
        yield rest
    if not member.eof:
        raise _cut_off(name, "gzip")


def _bunzipped(chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Streams one after the other."""
    stream = bz2.BZ2Decompressor()
    for step in _steps(chunks):
        data = step
        while data or not (stream.eof or stream.needs_input):
            if stream.eof:
                stream = bz2.BZ2Decompressor()
            try:
                yield stream.decompress(data, CHUNK)
            except OSError as error:
                raise _damaged(name, "bzip2", error) from error
            data = stream.unused_data if stream.eof else b""
    if not stream.eof:
        raise _cut_off(name, "bzip2")


def _unzstandard(chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
    """RFC 8878: frames one after the other, skippable ones among them."""
    import zstandard

    context = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    frame = context.decompressobj()
    found: list[bytes] = []
    size = 0
    for chunk in chunks:
        for start in range(0, len(chunk), _ZSTD_STEP):
            data = chunk[start : start + _ZSTD_STEP]
            while data:
                if frame.eof:
                    frame = context.decompressobj()
                try:
                    found.append(frame.decompress(data))
                except zstandard.ZstdError as error:
                    raise _damaged(name, "zstd", error) from error
                data = frame.unused_data if frame.eof else b""
                size += len(found[-1])
                if size >= _ENOUGH:
                    yield b"".join(found)
                    found.clear()
                    size = 0
    yield b"".join(found)
    if not frame.eof:
        raise _cut_off(name, "zstd")
