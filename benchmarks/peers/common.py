r"""What the peers' programs share: what a word is for them, and where input and result lie.

Every program is `PROGRAM INPUT OUTPUT THREADS RULE`. INPUT is a file or a folder of `.txt` files;
OUTPUT gets lines `word TAB count` in any order. RULE is one of

* `runs`: a word is a run of letters, marks and digits, in small letters. Nothing is simpler or, for
  the peers, faster. `don't` is two words, and so is `3.14`; Thai and Chinese aren't divided.
* `uax29`: the words of Unicode's UAX #29, the ones that ICU gives, as one regular expression. It
  holds for text in Latin letters with typographic quotes and dashes: enough for three of the
  corpora.

Engines that work on bytes count runs of ASCII letters, ASCII digits and whatever isn't ASCII;
`recut` then divides only the *different* runs that aren't ASCII. That is exact, as an ASCII
character between runs is a boundary under this rule, and it is what makes these engines fast.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

RUN = r"[\p{L}\p{M}\p{N}]+"
NO_RUN = r"[^\p{L}\p{M}\p{N}]+"


def uax29(letter: str) -> str:
    """The regular expression; `letter` is what the engine at hand writes for a letter."""
    # WB5, WB6, WB7, WB13a; WB8, WB11, WB12; WB9, WB10. At least one letter or digit.
    letters = f"{letter}+(?:[.:'‘’]{letter}+)*"
    digits = "[0-9]+(?:[.,;'‘’][0-9]+)*"
    return f"_*(?:(?:{letters}|{digits})_*)+"


UAX29 = uax29(r"\p{L}")

#: ASCII characters that are no letters and digits, and as many blanks.
PUNCTUATION = "".join(chr(c) for c in range(128) if not chr(c).isalnum() and chr(c) not in "\n\0")
BLANKS = " " * len(PUNCTUATION)

#: For `bytes.translate`: letters lowered, the rest of ASCII but the digits made blank.
TABLE = bytes(
    b if b >= 128 else ord(chr(b).lower()) if chr(b).isalnum() else 32 for b in range(256)
)


@dataclass(frozen=True)
class Task:
    """The command line."""

    source: Path
    output: Path
    threads: int
    exact: bool

    @property
    def files(self) -> list[Path]:
        """The files one by one."""
        if self.source.is_dir():
            return sorted(self.source.glob("**/*.txt"))
        return [self.source]

    @property
    def glob(self) -> str:
        """The files as engines that open them take them."""
        return f"{self.source}/**/*.txt" if self.source.is_dir() else str(self.source)


def task() -> Task:
    """Read the command line."""
    source, output, threads, rule = sys.argv[1:]
    return Task(Path(source), Path(output), int(threads), rule == "uax29")


def write(output: Path, counts: dict[str, int]) -> None:
    """Write a dictionary of words."""
    output.write_text("".join([f"{word}\t{count}\n" for word, count in counts.items()]))


def recut(lines: bytes) -> bytes:
    """Divide the runs that hold more than ASCII; `lines` are `run TAB count`."""
    if lines.isascii():
        return lines
    import regex

    words = regex.compile(RUN).findall
    counts: Counter[str] = Counter()
    for line in lines.decode("utf-8", "replace").splitlines():
        run, _, count = line.rpartition("\t")
        if run.isascii():
            counts[run] += int(count)
        else:
            for word in words(run.lower()):
                counts[word] += int(count)
    return "".join([f"{word}\t{count}\n" for word, count in counts.items()]).encode()


def python_letter() -> re.Pattern[str]:
    """`uax29` for Python's own `re`."""
    return re.compile(uax29(r"[^\W\d_]"))
