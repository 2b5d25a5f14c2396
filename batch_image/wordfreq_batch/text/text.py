"""Any stored object as UTF-8 text, or the reason why it holds none.

What an object is, its bytes say (`text.detect`): compressed ones are read through (`text.unpack`),
marks are obeyed, what is no text is set aside. UTF-8 is assumed where nothing else is known, and
`Utf8Text.check_damage` says in the end whether it was: a few wrong bytes are damage, more than that
is another encoding.
"""

from __future__ import annotations

import codecs
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Final

from wordfreq_batch.errors import DataError
from wordfreq_batch.text.detect import AUTO, UTF_8, Guess, detect, guess
from wordfreq_batch.text.folding import fold_chunks
from wordfreq_batch.text.options import TextOptions, charset_of
from wordfreq_batch.text.unpack import unpacked

_SURE: Final = 1.0
_GUESSED_FROM: Final = 16 << 10  # bytes
_NOT_ASCII: Final = bytes(range(128, 256))
_MISTAKEN: Final = 100  # of so many bytes one may be wrong in text that is UTF-8 by all the others
_CUT_OFF: Final = 3  # bytes of a character whose last is missing
_BESIDE: Final = 10  # right bytes that are not ASCII for each wrong one: then it is UTF-8

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


class OtherEncodingError(Exception):
    """The text is none in UTF-8, and it is known in which encoding it is to be read again."""

    def __init__(self, found: Guess) -> None:
        super().__init__(found.encoding)
        self.found = found


class Utf8Text:
    """Iterates the text of a stored object as chunks of UTF-8, without byte order mark.

    Nothing comes of an object that holds no text: then `aside` is the name of its format.

    Attributes:
        aside: the format of what is no text; empty: it is text. Known once the iteration began.
        encoding: that of the text, as Python names it.
        confidence: how sure that is, from 0 to 1.
        invalid: bytes of another encoding replaced by U+FFFD so far (UTF-8 is checked by its
            reader).
    """

    def __init__(
        self,
        chunks: Iterable[bytes],
        *,
        name: str,
        content_encoding: str = "",
        known: Guess | None = None,
        fold: bool = False,
    ) -> None:
        """Make it of an object's bytes, cut anywhere.

        Args:
            chunks: the bytes.
            name: the object's URI, for messages.
            content_encoding: as its metadata say.
            known: the encoding where it isn't UTF-8 and has no mark.
            fold: see `text.folding`.
        """
        self._chunks = chunks
        self._name = name
        self._content_encoding = content_encoding
        self._known = known
        self._fold = fold
        self.aside = ""
        self.encoding = UTF_8
        self.confidence = _SURE
        self.invalid = 0

    def __iter__(self) -> Iterator[bytes]:
        return fold_chunks(self._utf_8()) if self._fold else self._utf_8()

    def _utf_8(self) -> Iterator[bytes]:
        head, rest = unpacked(
            self._chunks, name=self._name, content_encoding=self._content_encoding
        )
        found = detect(head)
        if not found.is_text:
            brotli = self._content_encoding.strip().lower() == "br"
            self.aside = "Brotli data" if brotli else found.format
            return
        if self._known is not None and not found.mark:
            self.encoding, self.confidence = self._known.encoding, self._known.confidence
        else:
            self.encoding = found.encoding
        head = head[found.mark :] if found.mark else head
        if self.encoding == UTF_8:
            yield head
            yield from rest
            return
        decoder = codecs.getincrementaldecoder(self.encoding)(_ERRORS)
        yield self._converted(decoder, head)
        for chunk in rest:
            yield self._converted(decoder, chunk)
        yield self._converted(decoder, b"", final=True)

    def _converted(
        self, decoder: codecs.IncrementalDecoder, chunk: bytes, *, final: bool = False
    ) -> bytes:
        _replaced.bytes = 0
        try:
            text = decoder.decode(chunk, final).encode()
        except UnicodeError as error:
            raise DataError(
                f"{self._name} is not {self.encoding} ({error}); count it with another --encoding"
            ) from None
        self.invalid += _replaced.bytes
        return text

    def check_damage(
        self,
        *,
        size: int,
        invalid: int,
        options: TextOptions,
        content_type: str,
        again: Callable[[], Iterable[bytes]],
    ) -> None:
        """When all was read: refuse it if what couldn't be read is more than damage.

        Args:
            size: bytes of the text as UTF-8.
            invalid: how many of the stored ones had no meaning in `encoding`.
            options: what the plan says of such texts.
            content_type: as the object's metadata say.
            again: the object's bytes once more, to look at those that are wrong.

        Raises:
            OtherEncodingError: it is to be read again, in another encoding.
            DataError: it is no text in the encoding that is known of.
        """
        if invalid <= options.most_invalid * size:
            return
        few = invalid <= max(_CUT_OFF, size // _MISTAKEN)
        share = f"{invalid:,} of its bytes ({invalid / max(size, 1):.2%}) are not"
        if self.encoding != UTF_8:
            if few:
                return
            raise DataError(
                f"{self._name} is not {self.encoding}: {share}; count it with another --encoding"
            )
        wrong = _wrong_part(
            unpacked(again(), name=self._name, content_encoding=self._content_encoding)
        )
        if few and _is_damaged_utf_8(wrong):
            return
        likely = guess(wrong)
        if self._known is None and (chosen := _chosen(options, content_type, likely)):
            raise OtherEncodingError(chosen)
        advice = "convert it, or use --encoding and its name"
        if likely.encoding and likely.encoding != UTF_8:
            advice = (
                f"it may be {likely.encoding} ({likely.confidence:.0%} sure): use "
                f"--encoding {likely.encoding} or --encoding {AUTO}, or convert it"
            )
        raise DataError(f"{self._name} is not UTF-8: {share}; {advice}")


def _chosen(options: TextOptions, content_type: str, likely: Guess) -> Guess | None:
    """The encoding to read it in again; None: nobody has said, or could."""
    if options.encoding == AUTO:
        return likely if likely.encoding not in ("", UTF_8) else None
    name = options.encoding or charset_of(content_type)
    return Guess(encoding=name, confidence=_SURE) if name else None


def _wrong_part(opened: tuple[bytes, Iterator[bytes]]) -> bytes:
    """Some kilobytes from the line on that has the first bytes which are no UTF-8."""
    decoder = codecs.getincrementaldecoder(UTF_8)()
    head, rest = opened
    chunks = chain((head,), rest)
    last = b""
    for chunk in chunks:
        try:
            decoder.decode(chunk)
        except UnicodeDecodeError as error:
            where = min(error.start, len(chunk))
            start = max(chunk.rfind(b"\n", 0, where) + 1, where - _GUESSED_FROM // 16)
            found = chunk[start : start + _GUESSED_FROM]
            return found + next(chunks, b"")[: _GUESSED_FROM - len(found)]
        last = chunk or last
    return last[-_GUESSED_FROM:]


def _is_damaged_utf_8(sample: bytes) -> bool:
    """Whether most of what is not ASCII is right all the same."""
    invalid = decode(sample)[1]
    return len(sample) - len(sample.translate(None, _NOT_ASCII)) >= (1 + _BESIDE) * invalid
