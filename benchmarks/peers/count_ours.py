"""Our counter alone, as a library: read, count, write `word:count`. No plan, no receipt, no S3."""

from __future__ import annotations

from common import task

from wordfreq_batch.counts.counts import write_counts
from wordfreq_batch.text.words import WordCounter


def main() -> None:
    """Count."""
    given = task()
    counter = WordCounter()
    for path in given.files:
        with path.open("rb", buffering=0) as file:
            while chunk := file.read(1 << 20):
                counter.feed(chunk)
        counter.feed(b"\n")
    with counter.finish() as counted, given.output.open("wb") as output:
        output.writelines(write_counts(counted.tally.by_count()))


main()
