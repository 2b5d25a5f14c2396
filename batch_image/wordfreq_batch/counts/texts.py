"""A source's files as texts: opened, judged when they are read, and their receipts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from wordfreq_batch.plans.formats import Figures, ItemReceipt
from wordfreq_batch.plans.plan import Item
from wordfreq_batch.storage.store import ObjectInfo, Store
from wordfreq_batch.text.detect import UTF_8, Guess
from wordfreq_batch.text.options import TextOptions
from wordfreq_batch.text.text import Utf8Text
from wordfreq_batch.text.words import Counted


class Texts(NamedTuple):
    """The files of a source, and what a plan says of them.

    `read` gets the name and a number of bytes whenever some of a file have been read.
    """

    source: Store
    options: TextOptions
    read: Callable[[str, int], None]

    def text(
        self, item: Item, info: ObjectInfo, chunks: Iterable[bytes], known: Guess | None
    ) -> Utf8Text:
        """The text in an object's bytes; `known` is its encoding if that was found out."""
        return Utf8Text(
            self._metered(item.name, chunks),
            name=self.source.url(item.name),
            content_encoding=info.content_encoding,
            known=known,
            fold=self.options.fold,
        )

    def _metered(self, name: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self.read(name, len(chunk))
            yield chunk

    def check_damage(self, item: Item, info: ObjectInfo, text: Utf8Text, counted: Counted) -> None:
        """Refuse what turned out to be no text in the encoding that it was read in.

        Raises:
            DataError, OtherEncodingError: see `Utf8Text.check_damage`.
        """

        def again() -> Iterator[bytes]:
            with self.source.open(item.name, etag=info.etag) as reader:
                yield from reader

        text.check_damage(
            size=counted.bytes,
            invalid=counted.invalid,
            options=self.options,
            content_type=info.content_type,
            again=again,
        )


class TinyText(NamedTuple):
    """A tiny file that was read."""

    item: Item
    info: ObjectInfo
    text: Utf8Text
    content: bytes
    started: float


def is_utf_8(content: bytes) -> bool:
    """Whether all of it is."""
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def receipt_of(
    item: Item,
    info: ObjectInfo,
    text: Utf8Text,
    counted: Counted | Figures,
    started: float,
    counts_etag: str,
) -> ItemReceipt:
    """What a task's receipt says of a file that was counted."""
    figures = Figures(counted.bytes, counted.words, counted.distinct, counted.invalid)
    seconds = time.monotonic() - started
    receipt = ItemReceipt.done(item, info, figures, seconds=seconds, counts_etag=counts_etag)
    encoding = "" if text.encoding == UTF_8 else text.encoding
    return receipt._replace(aside=text.aside, encoding=encoding, confidence=text.confidence)
