"""Compressed bytes read through, whatever a file is called; damage is named.

Everything works on chunks, and what one step holds is bounded whatever the input claims: a
decompression bomb costs time, not memory.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, Final

from wordfreq_batch.errors import DataError, is_out_of_memory
from wordfreq_batch.text.detect import SAMPLE, compression, detect, is_cut_off

CHUNK: Final = 1 << 20
"""Bytes that one decompression step may yield."""

_STEP: Final = 1 << 17  # compressed bytes looked at together

# A zstd block of 4 bytes can stand for 128 KiB, and the library has no limit on the output of one
# call: 512 bytes at a time yield 16 MiB at most.
_ZSTD_STEP: Final = 512
_ENOUGH: Final = 1 << 18  # bytes worth passing on
_ZSTD_WINDOW: Final = 128 << 20  # what `zstd -d` accepts without --long, too
_XZ_MEMORY: Final = 256 << 20  # `xz -9` needs 65 MiB
_LAYERS: Final = 3  # of compression in each other; more is a bomb or a mistake

_ENDINGS: Final = (
    (".gz", "gzip"),
    (".bz2", "bzip2"),
    (".zst", "zstd"),
    (".xz", "xz"),
    (".lz4", "lz4"),
)


def beginning(chunks: Iterable[bytes], *, size: int = SAMPLE) -> tuple[bytes, Iterator[bytes]]:
    """The first chunks, put together until they are `size` bytes, and the chunks behind them."""
    rest = iter(chunks)
    found: list[bytes] = []
    length = 0
    for chunk in rest:
        found.append(chunk)
        length += len(chunk)
        if length >= size:
            break
    return found[0] if len(found) == 1 else b"".join(found), rest


def is_archive(name: str) -> bool:
    """Whether the ending of `name` says that it is compressed; the bytes may say otherwise."""
    return name.endswith(tuple(ending for ending, _ in _ENDINGS))


def unpacked(
    chunks: Iterable[bytes], *, name: str, content_encoding: str = ""
) -> tuple[bytes, Iterator[bytes]]:
    """The beginning of what is in stored bytes, at least `SAMPLE` of it or all, and the rest.

    They are read through every compression that their magic numbers tell. The ending of `name`,
    which messages give, counts only where the bytes are neither compressed nor text: then they are
    a damaged archive. `content_encoding` is the object's, for the one that has no magic number.

    Raises:
        DataError: an archive is damaged or cut off, or there are too many in each other.
    """
    head, rest = beginning(chunks)
    layers = 0
    while kind := compression(head):
        layers += 1
        if layers > _LAYERS:
            raise DataError(f"{name} is compressed more than {_LAYERS} times over; unpack it")
        head, rest = beginning(_OPENED[kind](chain((head,), rest), name))
    if layers == 0:
        deflated = content_encoding.strip().lower() == "deflate"
        if deflated and not detect(head).is_text:
            return beginning(_inflated(chain((head,), rest), name))
        claimed = next((kind for ending, kind in _ENDINGS if name.endswith(ending)), None)
        if claimed and is_cut_off(head, claimed):
            raise _cut_off(name, claimed)
        if claimed and not detect(head).is_text:
            raise _damaged(name, claimed, "it doesn't begin as one")
    return head, rest


def decompressed(
    chunks: Iterable[bytes], *, name: str, suffix: str | None = None
) -> Iterator[bytes]:
    """Yield the content of an archive, or the chunks themselves if it is none.

    What it is tells the ending of `name`, or `suffix` if given. Messages name `name`.
    """
    ending = name if suffix is None else suffix
    for known, kind in _ENDINGS:
        if ending.endswith(known):
            return _OPENED[kind](chunks, name)
    return iter(chunks)


def _damaged(name: str, kind: str, reason: object) -> DataError:
    if isinstance(reason, Exception) and is_out_of_memory(reason):
        raise MemoryError from reason
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
    import bz2

    return _streams(chunks, name, "bzip2", bz2.BZ2Decompressor, OSError)


def _unxz(chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
    import lzma

    def stream() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)

    return _streams(chunks, name, "xz", stream, lzma.LZMAError)


def _unlz4(chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
    import lz4.frame

    return _streams(chunks, name, "lz4", lz4.frame.LZ4FrameDecompressor, RuntimeError)


def _streams(
    chunks: Iterable[bytes],
    name: str,
    kind: str,
    new: Callable[[], Any],
    broken: type[Exception],
) -> Iterator[bytes]:
    """Streams one after the other, by an object such as `bz2.BZ2Decompressor`."""
    stream = new()
    for step in _steps(chunks):
        data = step
        while data or not (stream.eof or stream.needs_input):
            if stream.eof:
                data = data.lstrip(b"\0") if kind == "xz" else data  # xz pads its streams
                if not data:
                    break
                stream = new()
            try:
                yield stream.decompress(data, CHUNK)
            except (broken, EOFError) as error:
                raise _damaged(name, kind, error) from error
            data = (stream.unused_data or b"") if stream.eof else b""
    if not stream.eof:
        raise _cut_off(name, kind)


def _inflated(chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
    """RFC 1950, the Content-Encoding `deflate`."""
    stream = zlib.decompressobj()
    for step in _steps(chunks):
        data = step
        while data and not stream.eof:
            try:
                yield stream.decompress(data, CHUNK)
            except zlib.error as error:
                raise _damaged(name, "deflate", error) from error
            data = stream.unconsumed_tail
    if not stream.eof:
        raise _cut_off(name, "deflate")


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


_OPENED: Final[dict[str, Callable[[Iterable[bytes], str], Iterator[bytes]]]] = {
    "gzip": _gunzipped,
    "bzip2": _bunzipped,
    "zstd": _unzstandard,
    "xz": _unxz,
    "lz4": _unlz4,
}
