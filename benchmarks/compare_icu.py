"""Compare our words with those of another build of ICU, Node's: `make compare-icu`.

It takes folders of texts: what packages of Debian and npm bring in many languages. Compressed files
are read through; files that aren't UTF-8 are left out, as they are compared with nothing. The exit
code is 1 if a single word of a single file differs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from wordfreq_batch.errors import DataError
from wordfreq_batch.tables.engine import description
from wordfreq_batch.text.text import Utf8Text
from wordfreq_batch.text.words import WordCounter

_SHOWN = 10  # files with differences, and words of each


def texts(folder: Path) -> Iterator[tuple[str, bytes]]:
    """The UTF-8 texts below a folder, by name."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.is_symlink():
            continue
        text = Utf8Text([path.read_bytes()], name=str(path))
        try:
            content = b"".join(text)
            content.decode()
        except (DataError, UnicodeDecodeError):
            continue
        if content and not text.aside:
            yield str(path.relative_to(folder)), content


def ours(content: bytes) -> dict[str, int]:
    """The words of a text, by this project."""
    counter = WordCounter()
    counter.feed(content)
    with counter.finish() as counted:
        return counted.counts


def compare(folder: Path) -> int:
    """Compare the files of a folder, print a row of figures, return how many files differ."""
    with tempfile.TemporaryDirectory() as place:
        files: dict[str, tuple[str, bytes]] = {}
        for number, (name, content) in enumerate(texts(folder)):
            path = Path(place) / str(number)
            path.write_bytes(content)
            files[str(path)] = name, content
        node = subprocess.run(
            ["node", str(Path(__file__).with_suffix(".mjs"))],
            input="\n".join(files),
            capture_output=True,
            encoding="utf-8",
            check=True,
        )
        about, *rows = map(json.loads, node.stdout.splitlines())
    words = different = 0
    for path, pairs in rows:
        name, content = files[path]
        mine, theirs = ours(content), dict(pairs)
        words += sum(mine.values())
        if mine != theirs:
            different += 1
            if different <= _SHOWN:
                odd = sorted(mine.items() ^ theirs.items())[:_SHOWN]
                print(f"{name}: {odd}", file=sys.stderr)
    print(
        f"| {folder.name} | {len(rows):,} | {words:,} | {different:,} | "
        f"Node {about['node']}, ICU {about['icu']}, Unicode {about['unicode']} |",
        flush=True,
    )
    return different


def main() -> int:
    """Compare the folders that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    folders = parser.parse_args().folders
    print(f"ours: {description()}\n\n| texts | files | words | files that differ | other |")
    print("|---|---|---|---|---|")
    return 1 if sum(map(compare, folders)) else 0


if __name__ == "__main__":
    sys.exit(main())
