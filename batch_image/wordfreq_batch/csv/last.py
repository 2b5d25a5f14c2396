"""Which rows of a file are superseded: those whose key comes again further down. Pure but for disk.

Keys are kept as 16-byte hashes in parts that go to temporary files when they outgrow the memory
allowed; each part, a 256th of the keys, is then looked through on its own. Time is linear. (Two
keys of the same hash: less likely than a broken disk; the hash is keyed at random, so nobody can
make them.)
"""

from __future__ import annotations

import struct
import tempfile
from hashlib import blake2b
from secrets import token_bytes
from typing import IO

_RECORD = struct.Struct("<16sQ")
_PARTS = 256


class LastOfKey:
    """Takes the keys in row order, then says of each row whether it is the last of its key.

    `memory` bounds the bytes of keys held before they go to disk.
    """

    def __init__(self, *, memory: int = 64 << 20) -> None:
        self._memory = memory
        self._salt = token_bytes(16)
        self._parts = [bytearray() for _ in range(_PARTS)]
        self._files: list[IO[bytes]] = []
        self._held = 0
        self._superseded = bytearray()
        self.rows = 0
        """Rows added so far; the number of the next one."""
        self.superseded = 0
        """Rows whose key came again; known after `finish`."""

    def __enter__(self) -> LastOfKey:
        return self

    def __exit__(self, *exception: object) -> None:
        for file in self._files:
            file.close()

    def add(self, key: bytes) -> None:
        """The key of the next row."""
        digest = blake2b(key, digest_size=16, key=self._salt).digest()
        self._parts[digest[0]] += _RECORD.pack(digest, self.rows)
        self.rows += 1
        self._held += _RECORD.size
        if self._held > self._memory:
            self._spill()

    def _spill(self) -> None:
        if not self._files:
            self._files = [tempfile.TemporaryFile() for _ in range(_PARTS)]  # noqa: SIM115
        for part, file in zip(self._parts, self._files, strict=True):
            file.write(part)
            part.clear()
        self._held = 0

    def finish(self) -> None:
        """All keys have been added."""
        self._superseded = bytearray(self.rows // 8 + 1)
        for number, part in enumerate(self._parts):
            last: dict[bytes, int] = {}
            if self._files:
                self._files[number].seek(0)
                while block := self._files[number].read(_RECORD.size << 12):
                    self._mark(block, last)
            self._mark(part, last)
            part.clear()

    def _mark(self, records: bytes | bytearray, last: dict[bytes, int]) -> None:
        bits = self._superseded
        for digest, row in _RECORD.iter_unpack(records):
            if digest in last:
                before = last[digest]
                bits[before >> 3] |= 1 << (before & 7)
                self.superseded += 1
            last[digest] = row

    def is_last(self, row: int) -> bool:
        """Whether no row after `row` (counted from 0, as added) has its key."""
        return not self._superseded[row >> 3] >> (row & 7) & 1
