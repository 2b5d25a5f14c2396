"""The bytes of a CSV as UTF-8, whatever their encoding; files that are no text refused by name.

A byte order mark counts most, then the setting; with `auto` a file is UTF-8 until its first byte
that can't be, and what that byte and those behind it are likely to be decides.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from wordfreq_batch.csv.reading.dialect import Dialect
from wordfreq_batch.csv.reading.hints import setting
from wordfreq_batch.errors import DataError
from wordfreq_batch.text.detect import AUTO, SAMPLE, UNSURE, detect, guess
from wordfreq_batch.text.unpack import beginning, is_archive

__all__ = ["SAMPLE", "Found", "as_utf8", "likely_encoding"]

UTF_8 = "utf-8"

_LEAST_NULS = 1 / 8  # text in UTF-8 has none, CSVs in UTF-16 have every delimiter with one


@dataclass(slots=True)
class Found:
    """How a file is really written: what `auto`, a mark or a line `sep=` say.

    `mark`: the byte order mark; `separator_line`: whether its first line is `sep=`.
    """

    delimiter: str = ","
    encoding: str = UTF_8
    mark: bytes = b""
    separator_line: bool = False


def likely_encoding(sample: bytes, *, least: float = 0.0) -> str:
    """The encoding that bytes which aren't UTF-8 are likely to have; empty where it's unclear."""
    found = guess(sample)
    return found.encoding if found.confidence >= least else ""


def as_utf8(
    chunks: Iterable[bytes], *, name: str, dialect: Dialect, found: Found
) -> Iterator[bytes]:
    """Yield the text as UTF-8; what is UTF-8 already is passed on unchecked.

    Raises:
        DataError: it is no text, or not in the encoding; the message says what it looks like.
    """
    head, iterator = beginning(chunks)
    detected = detect(head)
    if not detected.is_text:
        raise DataError(
            f"{name} is no CSV ({_advice(detected.format, name)}. Nothing of it was loaded"
        )
    wide = (
        detected.encoding != UTF_8 and not detected.mark and head.count(0) > len(head) * _LEAST_NULS
    )
    if wide and dialect.encoding not in (AUTO, detected.encoding):
        raise DataError(
            f"{name} looks like {detected.encoding} without a byte order mark; save it as UTF-8, "
            f"or {setting(encoding=detected.encoding)}Nothing of it was loaded"
        )
    found.mark = head[: detected.mark]
    # The mark of UTF-8 is left to the reader, which counts bytes.
    rest = chain([head if detected.encoding == UTF_8 else head[detected.mark :]], iterator)
    if detected.mark or wide:
        found.encoding = detected.encoding
    else:
        found.encoding = UTF_8 if dialect.encoding == AUTO else dialect.encoding
        if dialect.encoding == AUTO:
            yield from _automatic(rest, name, found)
            return
    if found.encoding == UTF_8:
        yield from rest
    else:
        yield from _decoded(rest, name, found.encoding, marked=bool(found.mark))


def _automatic(chunks: Iterator[bytes], name: str, found: Found) -> Iterator[bytes]:
    """UTF-8 until a byte that can't be; where all before is ASCII, from there on what is likely."""
    decoder = codecs.getincrementaldecoder(UTF_8)()
    ascii_only = True
    for chunk in chunks:
        pending = decoder.getstate()[0]
        try:
            decoder.decode(chunk)
        except UnicodeDecodeError:
            sample = pending + chunk
            for more in chunks:
                sample += more
                if len(sample) > SAMPLE:
                    break
            lines = [line for line in sample.splitlines(keepends=True) if not line.isascii()]
            likely = (
                likely_encoding(b"".join(lines)[: 2 * SAMPLE], least=UNSURE) if ascii_only else ""
            )
            if not likely:
                yield from chain([sample], chunks)  # its reader will name the byte
                return
            found.encoding = likely
            yield from _decoded(chain([sample], chunks), name, likely)
            return
        # The bytes of a character that is cut off wait for the next chunk.
        whole = pending + chunk
        waiting = len(decoder.getstate()[0])
        done = whole[: len(whole) - waiting]
        ascii_only = ascii_only and done.isascii()
        yield done
    yield decoder.getstate()[0]


def _decoded(
    chunks: Iterable[bytes], name: str, encoding: str, *, marked: bool = False
) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    done = 0
    try:
        for chunk in chunks:
            yield decoder.decode(chunk).encode()
            done += len(chunk)
        yield decoder.decode(b"", final=True).encode()
    except UnicodeError as error:
        advice = (
            "its byte order mark says that it is, so it is cut off or damaged: upload it again"
            if marked
            else "name its encoding (--encoding, WORDFREQ_CSV_ENCODING)"
        )
        raise DataError(
            f"{name} is not {encoding}, somewhere behind byte {done:,}: {error}; {advice}. "
            "Nothing more of it was read"
        ) from None


def _advice(format_: str, name: str) -> str:
    endings = {"gzip": ".gz", "bzip2": ".bz2", "zstd": ".zst", "xz": ".xz", "lz4": ".lz4"}
    if format_ in endings:
        twice = f"{format_} in another archive); unpack it once"
        return twice if is_archive(name) else f"{format_}); name it .csv{endings[format_]}"
    workbook = ", such as an Excel workbook" if "Office" in format_ or "ZIP" in format_ else ""
    return f"{format_}{workbook}); save it as CSV"
