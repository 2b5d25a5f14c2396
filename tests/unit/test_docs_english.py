"""Plain English: words that only this project used don't come back, and sentences stay readable."""

import ast
import functools
import re

import pytest

from tests.unit.test_docs import PAGES, ROOT, SOURCES

#: What a review of this project's language named, each with what to write instead.
DIALECT = {
    r"\bat once\b": "immediately, or: at the same time",
    r"\b(?:tells?|told|telling) of\b": "report",
    r"\b(?:is|are) told\b": "is reported to, is given",
    r"\b(?:gone|goes|go|going|went) on with\b": "continue",
    r"\bby blanks\b": "whitespace",
    r"\bLevel, not edge\b|\bthe level decides\b": "level-triggered (glossary)",
    r"\bconcerned\b": "name what is meant",
    r"\bput together\b": "combine",
    r"\b(?:some|no|any)body\b": "name who, or use the passive",
    r"\b(?:a|two|three|one|next|first) looks?\b|\blooks of\b": "poll, check",
    r"\bstrangers?\b|\bstrikes?\b|\bearlier li(?:fe|ves)\b": "other, attempt, earlier run",
    r"\b(?:objects?|events?|partitions?|containers?|bars?|requests?|items?|tests?|jobs?|files?|"
    r"tasks?|locations?|names?|lines?|hand-overs|credits?|seconds?|ms|CSVs?|once) "
    r"an? (?:files?|CSV|item|request|run|asset|word|account|day|partition|index|vCPU|piece|second|"
    r"plan|source|object|task|job|event|stage|page)\b(?! (?:is|that|was|has|name))": "per",
}
LONGEST = 41  # words of a sentence


def _prose(text):
    """A page without code, tables and addresses."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    text = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("|"))
    return re.sub(r"\]\([^)]*\)", "]", text)


@functools.cache
def _messages():
    """Texts that a program can show: strings with blanks in them that are no docstrings."""
    return list(_strings())


def _strings():
    for path in SOURCES:
        tree = ast.parse(path.read_text("utf-8"))
        documented = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        for node in ast.walk(tree):
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and " " in text and id(node) not in documented:
                yield f"{path.relative_to(ROOT)}:{node.lineno}", text


def _texts():
    for page in PAGES:
        for number, line in enumerate(page.read_text("utf-8").splitlines(), start=1):
            yield f"{page.relative_to(ROOT)}:{number}", line
    yield from _messages()


@pytest.mark.parametrize("words", DIALECT)
def test_no_word_of_a_private_dialect_is_left(words):
    pattern = re.compile(words, re.IGNORECASE)
    found = [f"{where}: {text.strip()}" for where, text in _texts() if pattern.search(text)]
    assert not found, f"write instead: {DIALECT[words]}\n" + "\n".join(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_sentence_is_longer_than_a_reader_can_hold(page):
    paragraphs = re.split(
        r"\n\s*\n|\n\s*(?:[*-]|\d+\.) |^#.*$", _prose(page.read_text("utf-8")), flags=re.M
    )
    assert not (long := [s for p in paragraphs for s in _long(p)]), "\n\n".join(long)


def test_no_sentence_of_a_message_is_longer():
    texts = [(where, text) for where, text in _messages() if "   " not in text]  # else an example
    assert [(where, s) for where, text in texts for s in _long(text)] == []


def _long(text):
    return [s for s in re.split(r"(?<=[.!?:;])\s+", text) if len(s.split()) > LONGEST]
