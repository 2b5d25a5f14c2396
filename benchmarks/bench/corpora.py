"""The corpora: made once from `texts`, the same bytes for the same packages and sizes.

Text longer than what there is of it goes through the paragraphs again in another order. As real
text never stops bringing new words, such passes get made-up ones, with the long tail that words
have (Zipf, Heaps): about one in 80 words, of which the rarest are met once. They are written in the
script of the word whose place they take, where that is one of six.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from benchmarks.bench import texts

MB = 1_000_000
_PIECES = 50  # that a slice consists of
_VERSION = 5  # of what this module makes; raise it with every change of the bytes
_SYLLABLES = [
    c + v
    for c in [
        "b",
        "d",
        "f",
        "g",
        "h",
        "k",
        "l",
        "m",
        "n",
        "p",
        "r",
        "s",
        "t",
        "v",
        "w",
        "z",
        "br",
        "st",
        "tr",
    ]
    for v in "aeiou"
]
_LATIN = "bdfghklmnprstvwzaeiou"  # the letters of the syllables, here as other scripts have them
_SCRIPTS: dict[str, dict[int, int]] = {
    "LATIN": {},
    "CYRILLIC": str.maketrans(_LATIN, "бдфгхклмнпрствжзаеиоу"),
    "GREEK": str.maketrans(_LATIN, "βδφγχκλμνπρστξψζαεηου"),
    "ARABIC": str.maketrans(_LATIN, "بدفغهكلمنقرستوشزاعيحط"),
    "HEBREW": str.maketrans(_LATIN, "בדפגהכלמנקרסתוצזאעיחט"),
    "DEVANAGARI": str.maketrans(_LATIN, "बदफगहकलमनपरसतवयजाेिोु"),
}
_PATHS = [
    "api/v1/orders",
    "api/v1/users",
    "api/v2/carts",
    "healthz",
    "search",
    "login",
    "static/app.js",
]
_QUOTES = "‘’“”–—…"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Bytes of each corpus, and how many items the other parts work on."""

    text: int = 200 * MB
    multi: int = 120 * MB
    logs: int = 100 * MB
    small_files: int = 10_000
    huge: int = 2_000 * MB
    slice: int = 6 * MB
    merge_words: int = 20_000_000
    s3_object: int = 512 * MB
    s3_small: int = 3_000
    plan_objects: int = 1_000_000
    containers: int = 300


QUICK = Sizes(
    text=4 * MB,
    multi=2 * MB,
    logs=4 * MB,
    small_files=400,
    huge=40 * MB,
    slice=MB // 2,
    merge_words=300_000,
    s3_object=32 * MB,
    s3_small=300,
    plan_objects=50_000,
    containers=20,
)


class Corpora:
    """Makes what is asked for below `folder`, or finds it there."""

    def __init__(self, folder: Path, environments: list[Path], sizes: Sizes) -> None:
        self.folder = folder
        self._environments = environments
        self._debian = folder.parent / "debian"
        self.sizes = sizes
        self._paragraphs: dict[str, list[str]] = {}

    def names(self) -> list[str]:
        """The corpora that are one file of text each."""
        return ["english", "quotes", "multilingual", "logs"]

    def file(self, name: str) -> Path:
        """The corpus `name`: of `names()`, `huge`, `tiny`; or `slice-…` of these."""
        if name.startswith("slice-"):
            whole = self.file(name.removeprefix("slice-"))
            return self._made(f"{whole.stem}-{self.sizes.slice}.txt", partial(self._cut, whole))
        sizes = self.sizes
        makers: dict[str, tuple[int, Callable[[int], Iterator[bytes]]]] = {
            "english": (sizes.text, self._english),
            "quotes": (sizes.text, self._quotes),
            "multilingual": (sizes.multi, self._multilingual),
            "logs": (sizes.logs, log_lines),
            "huge": (sizes.huge, self._english),
            "tiny": (1000, self._english),
        }
        size, maker = makers[name]
        return self._made(f"{name}-{size}.txt", partial(_fill, size=size, chunks=maker(size)))

    def small(self) -> Path:
        """A folder of small files, 5 to 15 KB of English each."""
        number = self.sizes.small_files
        folder = self.folder / f"v{_VERSION}-small-{number}"
        if not (folder / ".made").exists():
            _cut_small(self.file("english").read_bytes(), folder, number)
            (folder / ".made").write_text("")
        return folder

    def describe(self) -> dict[str, object]:
        """What the text was made from, with a fingerprint of it."""
        facts: dict[str, object] = {"sizes": asdict(self.sizes), "version": _VERSION}
        for kind in ("english", "translations"):
            paragraphs = self._text(kind)
            digest = hashlib.sha256("\n".join(paragraphs).encode()).hexdigest()[:12]
            facts[kind] = {
                "paragraphs": len(paragraphs),
                "bytes": sum(len(p.encode()) + 1 for p in paragraphs),
                "fingerprint": digest,
            }
        facts["debian"] = self._debian.exists()
        return facts

    def _made(self, name: str, make: Callable[[Path], None]) -> Path:
        path = self.folder / f"v{_VERSION}-{name}"
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_suffix(".part")
            make(unfinished)
            unfinished.rename(path)
        return path

    def _text(self, kind: str) -> list[str]:
        if kind not in self._paragraphs:
            enough = min(max(self.sizes.text, self.sizes.huge // 10), 64 * MB)
            name = f"paragraphs-{kind}-{enough}.json"
            path = self._made(name, lambda part: _write_json(part, self._collect(kind, enough)))
            self._paragraphs[kind] = json.loads(path.read_text())
        return self._paragraphs[kind]

    def _collect(self, kind: str, enough: int) -> list[str]:
        if kind == "english":
            return texts.english(self._environments, self._debian, enough=enough)
        return texts.translations(self._environments, self._debian)

    def _english(self, _: int) -> Iterator[bytes]:
        paragraphs = [ascii_only(each) for each in self._text("english")]
        return _passes([each for each in paragraphs if each.isascii()], seed=1)

    def _quotes(self, _: int) -> Iterator[bytes]:
        paragraphs = [typographic(each) for each in self._text("english")]
        return _passes([each for each in paragraphs if is_latin(each)], seed=2)

    def _multilingual(self, _: int) -> Iterator[bytes]:
        return _passes(self._text("translations"), seed=3)

    def _cut(self, whole: Path, part: Path) -> None:
        """Whole lines from all over the corpus: its later parts have words of their own."""
        pieces = min(_PIECES, 1 + self.sizes.slice // 10_000)
        step, size = whole.stat().st_size // pieces, self.sizes.slice // pieces
        with whole.open("rb") as file, part.open("wb") as slice_:
            for number in range(pieces):
                file.seek(number * step)
                data = file.read(size)
                # A line that the piece begins or ends in the middle of is left out.
                start = data.find(b"\n") + 1 if number else 0
                slice_.write(data[start : data.rfind(b"\n") + 1])


def ascii_only(text: str) -> str:
    """Typographic characters as a typewriter has them."""
    plain: dict[str, str | int | None] = {
        "‘": "'",
        "’": "'",
        "“": '"',
        "”": '"',
        "–": "-",
        "—": "--",
        "…": "...",
        "\xa0": " ",
    }
    return text.translate(str.maketrans(plain))


def typographic(text: str) -> str:
    """Quotes, apostrophes, dashes and dots as a typesetter writes them."""
    text = ascii_only(text).replace("--", "—").replace(" - ", " — ").replace("...", "…")
    text = re.sub(r'(^|[\s(\[—])"', r"\1“", text).replace('"', "”")
    return re.sub(r"(^|[\s(\[—“])'", r"\1‘", text).replace("'", "’")


def is_latin(text: str) -> bool:
    """Whether all is ASCII, typographic marks or small and capital Latin letters.

    With nothing else in it, a regular expression can have the very words of UAX #29.
    """
    return all(
        c.isascii() or c in _QUOTES or (c < "\u0250" and unicodedata.category(c) in ("Ll", "Lu"))
        for c in set(text)
    ) and not set(text) & {"İ", "ŉ"}


def log_lines(_: int = 0) -> Iterator[bytes]:
    """Lines of a web service's log: time, request id (UUID), user, address, path, session."""
    draw = random.Random(4)
    milliseconds = 0
    while True:
        lines = []
        for _ in range(1000):
            milliseconds += draw.randrange(40)
            seconds = milliseconds // 1000
            bits = f"{draw.getrandbits(128):032x}"
            request = "-".join((bits[:8], bits[8:12], bits[12:16], bits[16:20], bits[20:]))
            address = ".".join(str(draw.randrange(1, 255)) for _ in range(4))
            lines.append(
                f"2026-01-{1 + seconds // 86400 % 28:02}T{seconds // 3600 % 24:02}:"
                f"{seconds // 60 % 60:02}:{seconds % 60:02}.{milliseconds % 1000:03}Z "
                f"{draw.choice(('INFO', 'INFO', 'INFO', 'WARN'))} service-{draw.randrange(40)} "
                f"request={request} user=u{int(draw.paretovariate(0.7)) % 5_000_000} ip={address} "
                f'"GET /{draw.choice(_PATHS)}/{draw.randrange(3_000_000)}" '
                f"{draw.choice((200, 200, 200, 304, 404, 500))} {draw.randrange(200_000)} "
                f"{draw.randrange(5000)}us session={draw.getrandbits(40):010x}"
            )
        yield ("\n".join(lines) + "\n").encode()


def made_up(number: int) -> str:
    """The word with this number: syllables, the more the rarer."""
    word = ""
    while number or len(word) < 4:
        number, syllable = divmod(number, len(_SYLLABLES))
        word += _SYLLABLES[syllable]
    return word


def _passes(paragraphs: list[str], *, seed: int) -> Iterator[bytes]:
    """The paragraphs in ever new orders, for ever; with new words from the second pass on."""
    if not paragraphs:
        raise SystemExit("no text was found: run `make bench`, which installs what brings it")
    draw = random.Random(seed)
    paragraphs = list(paragraphs)
    first = True
    while True:
        draw.shuffle(paragraphs)
        for start in range(0, len(paragraphs), 500):
            batch = paragraphs[start : start + 500]
            if not first:
                batch = [_with_tail(each, draw) for each in batch]
            yield ("\n\n".join(batch) + "\n\n").encode()
        first = False


def _with_tail(paragraph: str, draw: random.Random) -> str:
    """Some words of a paragraph replaced by made-up ones."""
    words = paragraph.split(" ")
    for _ in range(int(len(words) / 80 + draw.random())):
        number = int(draw.paretovariate(0.15))
        place = draw.randrange(len(words))
        script = _SCRIPTS.get(_script(words[place]))
        if script is not None:
            words[place] = made_up(number % 10_000_000).translate(script)
    return " ".join(words)


def _script(word: str) -> str:
    """The script of a word's first letter, as Unicode's names of letters begin."""
    letter = next(filter(str.isalpha, word), "A")
    return unicodedata.name(letter, "").partition(" ")[0]


def _fill(path: Path, *, size: int, chunks: Iterator[bytes]) -> None:
    """Write chunks up to `size` bytes, the last one cut behind a line end or a blank."""
    written = 0
    with path.open("wb") as file:
        for chunk in chunks:
            if written + len(chunk) >= size:
                rest = chunk[: size - written]
                file.write(rest[: 1 + max(rest.rfind(b"\n"), rest.rfind(b" "))])
                return
            written += file.write(chunk)


def _cut_small(text: bytes, folder: Path, number: int) -> None:
    draw = random.Random(5)
    for index in range(number):
        size = draw.randrange(5_000, 15_000)
        start = text.find(b" ", draw.randrange(len(text) - 20_000)) + 1
        path = folder / f"{index // 1000:02}" / f"{index:05}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text[start : text.find(b" ", start + size)] + b"\n")


def _write_json(path: Path, paragraphs: list[str]) -> None:
    path.write_text(json.dumps(paragraphs))
