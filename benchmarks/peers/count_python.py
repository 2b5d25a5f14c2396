"""Pure Python: translate and split bytes, and a Counter; or `re` for the words of UAX #29."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from common import TABLE, python_letter, recut, task, write


def pieces(path: Path, size: int) -> Iterator[bytes]:
    """The file in pieces that end behind a line end."""
    rest = b""
    with path.open("rb") as file:
        while chunk := file.read(size):
            cut = chunk.rfind(b"\n") + 1
            yield rest + chunk[:cut]
            rest = chunk[cut:]
    yield rest


def main() -> None:
    """Count."""
    given = task()
    if given.exact:
        find, words = python_letter().findall, Counter[str]()
        for path in given.files:
            for piece in pieces(path, 1 << 20):
                words.update(find(piece.decode().lower()))
        write(given.output, words)
        return
    runs: Counter[bytes] = Counter()
    for path in given.files:
        for piece in pieces(path, 1 << 19):
            runs.update(piece.translate(TABLE).split())
    given.output.write_bytes(recut(b"".join([b"%b\t%d\n" % item for item in runs.items()])))


main()
