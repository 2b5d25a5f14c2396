"""The words of a text are the same whatever the process has counted before."""

from __future__ import annotations

import json
import random
import subprocess
import sys

import pytest

TEXTS = [
    "\u30fc\u30b8\u30e7\u30f3",
    "\u6f22\u5b57\u305f\u3063",
    "\u3031\u3072",
    "\u30a0\uff9e\u17c2\u30fc\u309d",
    "\u3072\u30fc",
    "\ud55c\uad6d\uc5b4",
    "\u1112\ud55c",
    "\u0e20\u0e32\u0e29\u0e32\u0e44\u0e17\u0e22",
    "\u0e9e\u0eb2\u0eaa\u0eb2\u0ea5\u0eb2\u0ea7",
    "\u1797\u17b6\u179f\u17b6\u1781\u17d2\u1798\u17c2\u179a",
    "\u1019\u103c\u1014\u103a\u1019\u102c",
]
COUNT = """
import json, sys
from wordfreq_batch.text.words import WordCounter
found = {}
with_one = WordCounter()
for text in json.loads(sys.argv[1]):
    with_one.feed(text.encode())
    with with_one.finish() as counted:
        found[text] = counted.counts
    with_one.reset()
print(json.dumps(found))
"""


def counted(texts: list[str], engine: str) -> dict[str, dict[str, int]]:
    """The words of each text, counted one after the other in a process of their own."""
    ran = subprocess.run(
        [sys.executable, "-c", COUNT, json.dumps(texts)],
        env={"WORDFREQ_ENGINE": engine},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, dict[str, int]] = json.loads(ran.stdout)
    return found


@pytest.mark.parametrize("engine", ["kernel", "icu"])
def test_the_order_of_texts_changes_no_words(engine: str) -> None:
    alone: dict[str, dict[str, int]] = {}
    for text in TEXTS:
        alone |= counted([text], engine)
    for seed in range(4):
        order = random.Random(seed).sample(TEXTS, len(TEXTS))
        assert counted(order, engine) == alone
