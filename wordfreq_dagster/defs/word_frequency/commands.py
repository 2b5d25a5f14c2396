"""The container's commands that this pipeline runs: `wordfreq plan`, `migrate`, `merge`. Pure."""

from __future__ import annotations

from collections.abc import Sequence

#: What `wordfreq merge --parts` takes at most.
MOST_PARTS = 64


def plan_command(
    *,
    source: str,
    destination: str,
    plan: str,
    pack: int,
    encoding: str = "",
    fold: bool = False,
    retry_unusable: bool = False,
) -> list[str]:
    """List the source, compare it with what is counted, write the plan."""
    return [
        *("plan", "--source", source, "--destination", destination, "--plan", plan),
        *("--pack", str(pack), "--pending"),
        *(["--encoding", encoding] if encoding else []),
        *(["--fold"] if fold else []),
        *(["--retry-unusable"] if retry_unusable else []),
    ]


def migrate_command(*, plan: str) -> list[str]:
    """Count the files of one task of the plan."""
    return ["migrate", "--plan", plan]


def merge_command(*, plan: str, output: str, options: Sequence[str], parts: int = 1) -> list[str]:
    """Add up the counts of the plan's files, or the parts that were, and rank the words."""
    parted = ["--parts", str(parts)] if parts > 1 else []
    return ["merge", "--plan", plan, "--output", output, *options, *parted]


def merge_part_command(*, plan: str, parts: int) -> list[str]:
    """Add up the words of one part of `parts`; each task is a part."""
    return ["merge", "--plan", plan, "--parts", str(parts), "--part"]


def parts_of_merge(words: int, *, words_per_part: int) -> int:
    """In how many parts so many words, each file's different ones, are merged; 1: not in parts."""
    return max(1, min(-(-words // words_per_part), MOST_PARTS))
