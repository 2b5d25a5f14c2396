"""Two runs at the same time on one source, in processes that ask no run queue."""

import re
from collections import Counter

import dagster as dg

TEXT = "The cat saw the dog. The dog saw the cat; the bird saw both.\n"
FILES = 16


def test_two_commands_at_once_on_the_same_source(home):
    """Neither asks the run queue, as in CI: the formats alone keep them from harm."""
    for n in range(FILES):
        (home.source / f"{n}.txt").write_text(TEXT * (n + 1))
    with dg.DagsterInstance.from_config(home.environment["DAGSTER_HOME"]) as instance:
        instance.get_runs(limit=1)  # Dagster can't make the tables of a new SQLite instance twice
    both = [
        home.start("dg", "launch", "--job", "word_frequency", WORDFREQ_PACK="1KiB")
        for _ in range(2)
    ]
    for process in both:
        output, _ = process.communicate(timeout=280)
        assert process.returncode == 0, output[-3000:]
    times = sum(range(1, FILES + 1))
    words = Counter(re.findall(r"[a-z]+", TEXT.lower()))
    assert home.ranking == {word: number * times for word, number in words.items()}
    with dg.DagsterInstance.from_config(home.environment["DAGSTER_HOME"]) as instance:
        green = instance.get_materialized_partitions(dg.AssetKey("word_counts"))
        assert green == {f"{n}.txt" for n in range(FILES)}
    again = home.run("dg", "launch", "--job", "word_frequency", WORDFREQ_PACK="1KiB")
    assert again.returncode == 0
    assert home.figures["files unchanged"] == FILES  # what either left behind is whole
