"""`make demo` as a user runs it, with the ranking checked by a count of its own."""

import re
import subprocess
import sys
import unicodedata
from collections import Counter
from pathlib import Path

import pytest
from icu4py.breakers import WordBreaker

from wordfreq_batch.merge.ranking import stop_words

ROOT = Path(__file__).resolve().parents[2]
FILES = 120


def words(text):
    """The words of a text by ICU alone, whose positions are UTF-16 code units."""
    units = text.encode("utf-16-le")
    for start, end in WordBreaker(text, "root").segments():
        segment = units[2 * start : 2 * end].decode("utf-16-le")
        if any(unicodedata.category(character)[0] in "LN" for character in segment):
            yield unicodedata.normalize("NFC", segment.strip().lower())


def demo(home):
    done = subprocess.run(
        [sys.executable, "-m", "demo.word_frequency", "--files", str(FILES)],
        cwd=ROOT,
        env=home.environment,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counted = re.search(r"([\d,]+) in the source; ([\d,]+) counted in this run", done.stdout)
    return int(counted[1].replace(",", "")), int(counted[2].replace(",", "")), done.stdout


@pytest.mark.timeout(900)
def test_the_demo_its_second_run_a_changed_and_a_removed_file(home):
    home.source.rmdir()  # the demo gathers its text itself
    files, counted, shown = demo(home)
    assert files == counted == FILES
    assert "plan: start" in shown and "ranking: start" in shown

    texts = {p: p.read_text("utf-8") for p in home.source.rglob("*") if p.is_file()}
    ours = Counter(word for text in texts.values() for word in words(text))
    ranked = ((w, n) for w, n in ours.items() if len(w) > 2 and n >= 3)
    english = stop_words(["en"])  # the demo leaves them out: they come first in every text
    expected = sorted((e for e in ranked if e[0] not in english), key=lambda e: (-e[1], e[0]))[:100]
    assert list(home.ranking.items()) == expected
    assert f"│ {expected[0][0]}" in shown

    changed, removed, *_ = sorted(texts)
    changed.write_text(texts[changed] + "\n" + "zebra " * 10_000, "utf-8")
    removed.unlink()
    assert demo(home)[:2] == (FILES - 1, 1)
    assert next(iter(home.ranking.items())) == ("zebra", 10_000)
