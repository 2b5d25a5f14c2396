"""One short text that stands for a whole listing: equal listings, equal fingerprints.

Written into every plan by `planning`, and computed by the orchestrator from a listing of its own,
to learn whether anything has changed since a plan was made. It doesn't depend on the order, so a
listing may come in pieces and from servers that sort keys in a way of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

from wordfreq_batch.storage.store import ObjectInfo

_MODULUS = 1 << 128
_TEXT = re.compile(r"(\d+)-(\d+)-([0-9a-f]{32})")


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Number of files, their bytes, and the sum modulo 2^128 of a hash of each (key, ETag, size).

    The text form is `<files>-<bytes>-<32 hexadecimal digits>`. A sum of hashes finds every change
    that happens; it isn't meant to withstand somebody who makes up thousands of files so that two
    listings collide.
    """

    files: int = 0
    size: int = 0
    total: int = 0

    def plus(self, found: Iterable[ObjectInfo]) -> Fingerprint:
        """This fingerprint with more files added; folder markers are left out, as in plans."""
        files, size, total = self.files, self.size, self.total
        for info in found:
            if is_folder_marker(info):
                continue
            files += 1
            size += info.size
            total += _hash(info)
        return Fingerprint(files, size, total % _MODULUS)

    def __str__(self) -> str:
        return f"{self.files}-{self.size}-{self.total:032x}"

    @classmethod
    def parse(cls, text: str) -> Fingerprint:
        """Read the text form; ValueError if it is none."""
        match = _TEXT.fullmatch(text)
        if not match:
            raise ValueError(f"{text!r} is no fingerprint of a listing")
        return cls(int(match[1]), int(match[2]), int(match[3], 16))


def is_folder_marker(info: ObjectInfo) -> bool:
    """Whether it only stands for a folder: no key of its own, or `…/` without bytes."""
    return info.key == "" or (info.key.endswith("/") and info.size == 0)


def _hash(info: ObjectInfo) -> int:
    # NUL can't be in an ETag or a number, so no two files give the same text.
    text = f"{info.size}\0{info.etag}\0{info.key}".encode("utf-8", "surrogateescape")
    return int.from_bytes(blake2b(text, digest_size=16, person=b"wordfreq-listing").digest(), "big")
