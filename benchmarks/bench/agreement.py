"""Whether results are the same, and where not, how far they overlap.

All results are read as `word TAB count`, in any order; ours have a colon there, and the last one
separates.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any


def read(path: Path, separator: bytes = b"\t") -> list[tuple[bytes, int]]:
    """The words and counts of a file, or of all `part-*` files of a folder, by word."""
    files = sorted(path.glob("part-*")) if path.is_dir() else [path]
    found = []
    for file in files:
        for line in file.read_bytes().split(b"\n"):
            if line:
                word, _, count = line.rpartition(separator)
                found.append((word, int(count)))
    found.sort()
    return found


def read_folder(path: Path, separator: bytes) -> list[tuple[bytes, int]]:
    """The sum of all counts files below a folder."""
    total: Counter[bytes] = Counter()
    for file in sorted(path.rglob("*.txt")):
        total.update(dict(read(file, separator)))
    return sorted(total.items())


def facts(counts: list[tuple[bytes, int]]) -> dict[str, Any]:
    """What is kept of a result: the digest of its sorted text, and its sums."""
    digest = hashlib.sha256()
    for start in range(0, len(counts), 1 << 16):
        digest.update(b"".join([b"%b\t%d\n" % item for item in counts[start : start + (1 << 16)]]))
    return {
        "digest": digest.hexdigest()[:16],
        "words": sum(count for _, count in counts),
        "distinct": len(counts),
    }


def overlap(ours: list[tuple[bytes, int]], theirs: list[tuple[bytes, int]]) -> float:
    """Of our words, repetitions included, the share that the other result has as well."""
    other = dict(theirs)
    words = sum(count for _, count in ours)
    common = sum(min(count, other.get(word, 0)) for word, count in ours)
    return common / words if words else 1.0
