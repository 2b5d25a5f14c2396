"""Real text that installed packages bring: nothing is downloaded, and the pins say what there is.

* English: the documentation inside botocore, the AWS command line and every Python package of the
  project's environments (docstrings, READMEs); also Debian documentation, where `make bench-texts`
  unpacked it.
* Many languages: the translations of Django and Plone, about a hundred languages; the lists of
  stopwordsiso; also Debian's.

Each is a list of different paragraphs, in an order that depends on nothing but the packages.
"""

from __future__ import annotations

import gzip
import html
import json
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

_TAG = re.compile(r"<(script|style)\b.*?</\1>|<[^>]{0,300}>", re.DOTALL | re.IGNORECASE)
_DOCSTRING = re.compile(r'"""(.{200,20000}?)"""', re.DOTALL)
_BLANK_LINE = re.compile(r"\n[ \t]*\n")
_SPACES = re.compile(r"\s+")
_CODE = re.compile(r"[{}<>=|\\]|>>>|::|__")
_PO_ENTRY = re.compile(r'^msgstr(?:\[\d\])? ((?:".*"\s*)+)', re.MULTILINE)
_PO_STRING = re.compile(r'"(.*)"')
_PLACEHOLDER = re.compile(r"%\(\w+\)\w|\$\{\w*\}|%\w|\{\w*\}")
_OPTION = re.compile(r"\s--?[a-z][a-z-]*\b")


def english(environments: list[Path], debian: Path, *, enough: int) -> list[str]:
    """English paragraphs, at least `enough` bytes if there are so many."""
    packages = [
        folder for each in environments for folder in sorted(each.glob("lib/*/site-packages"))
    ]
    sources = chain(
        _from_markup(sorted(debian.glob("**/anarchism/**/*.html"))),
        _from_markup(sorted(debian.glob("**/html/en-US/*.html"))),
        *(_interleaved(folder) for folder in packages),
    )
    return _different(filter(_is_prose, sources), enough)


def translations(environments: list[Path], debian: Path) -> list[str]:
    """Messages and manuals in all the languages that there are."""
    found: list[str] = []
    for environment in environments:
        for path in sorted(environment.glob("lib/*/site-packages/**/*.po")):
            found += _messages(path)
        for path in sorted(environment.glob("lib/*/site-packages/stopwordsiso/*.json")):
            found += _word_lists(path)
    handbooks = debian.glob("**/debian-handbook/html/*/*.html")
    pages = [path for path in sorted(handbooks) if path.parent.name != "en-US"]
    pages += sorted(debian.glob("**/libreoffice/help/*/text/**/*.html"))
    return _different(chain(found, _from_markup(pages)), 1 << 62)


def _interleaved(folder: Path) -> Iterator[str]:
    """Prose of one environment: botocore's and the other packages' in turn, as far as they go."""
    parts = [_from_botocore(folder), _from_python(folder), _from_documents(folder)]
    while parts:
        for part in list(parts):
            for _ in range(40):
                paragraph = next(part, None)
                if paragraph is None:
                    parts.remove(part)
                    break
                yield paragraph


def _from_botocore(folder: Path) -> Iterator[str]:
    for path in sorted(folder.glob("botocore/data/*/*/service-2.json.gz")):
        for text in _documentation(json.loads(gzip.decompress(path.read_bytes()))):
            yield from _paragraphs(html.unescape(_TAG.sub(" ", text.replace("</p>", "\n\n"))))


def _documentation(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "documentation" and isinstance(value, str):
                yield value
            else:
                yield from _documentation(value)
    elif isinstance(node, list):
        for value in node:
            yield from _documentation(value)


def _from_python(folder: Path) -> Iterator[str]:
    for path in sorted(folder.glob("**/*.py")):
        for docstring in _DOCSTRING.findall(path.read_text("utf-8", "ignore")):
            yield from _paragraphs(docstring)


def _from_documents(folder: Path) -> Iterator[str]:
    endings = ("*.rst", "*.md", "METADATA", "LICENSE*")
    for path in sorted(
        {p for ending in endings for p in folder.glob(f"**/{ending}") if p.is_file()}
    ):
        yield from _paragraphs(path.read_text("utf-8", "ignore"))


def _from_markup(paths: list[Path]) -> Iterator[str]:
    for path in paths:
        text = path.read_text("utf-8", "ignore")
        yield from _paragraphs(html.unescape(_TAG.sub(" ", text.replace("</p>", "\n\n"))))


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in _BLANK_LINE.split(text):
        if len(folded := _SPACES.sub(" ", paragraph).strip()) >= 60:
            yield folded


def _is_prose(paragraph: str) -> bool:
    """Whether it reads like sentences: no code, no table, mostly small letters."""
    small = sum(map(str.islower, paragraph))
    return small > 0.7 * len(paragraph) and " the " in paragraph and not _CODE.search(paragraph)


def _messages(path: Path) -> Iterator[str]:
    for entry in _PO_ENTRY.findall(path.read_text("utf-8", "ignore")):
        text = "".join(_PO_STRING.findall(entry)).replace("\\n", " ").replace('\\"', '"')
        text = html.unescape(_TAG.sub(" ", _PLACEHOLDER.sub(" ", text)))
        if folded := _SPACES.sub(" ", _OPTION.sub(" ", text)).strip():
            yield folded


def _word_lists(path: Path) -> Iterator[str]:
    """The most used words of some sixty languages, a few at a time."""
    for words in json.loads(path.read_text("utf-8")).values():
        for start in range(0, len(words), 12):
            yield " ".join(words[start : start + 12])


def _different(paragraphs: Iterator[str], enough: int) -> list[str]:
    found: dict[str, None] = {}
    size = 0
    for paragraph in paragraphs:
        if paragraph not in found:
            found[paragraph] = None
            size += len(paragraph) + 1
            if size >= enough:
                break
    return list(found)
