"""Which files share one task. Pure; for `plans.planning`.

Files are grouped in name order, so that a group is a range. Where groups end must hardly depend on
the other files, or one new file would shift every group behind it and spoil all their partials. So
every boundary between two neighbours has a priority, a hash of the name before it, and a range too
big for one group is cut at its strongest boundary, and so on down. What that means: adding or
removing one file changes only groups next to it, of no more than twice the target in all.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

MAX_GROUPS = 10_000
"""The most children an AWS Batch array job may have."""

FILE_COST = 16 * 1024
"""Bytes that one more file counts for besides its own: requests take time too."""


def pack(
    names: Sequence[str],
    sizes: Sequence[int],
    *,
    target: int,
    max_items: int | None = None,
    max_groups: int = MAX_GROUPS,
) -> tuple[int, ...]:
    """Return the index of the first item of each group.

    No group of more than one file holds more than `target` bytes (with `FILE_COST` a file) or
    more than `max_items` files. Where that would give more than `max_groups` groups, both limits
    are doubled until it doesn't: by doubling, so that they rarely change as a bucket grows.

    >>> pack(["a", "b", "c"], [10, 10, 10], target=100_000)
    (0,)
    """
    if not names:
        return ()
    costs = [0]
    for size in sizes:
        costs.append(costs[-1] + size + FILE_COST)
    spans = _spans(names)
    limit, most = max(target, 1), max_items or len(names)
    while True:
        cuts = [
            boundary + 1
            for boundary, (first, last) in enumerate(spans)
            if costs[last + 1] - costs[first] > limit or last + 1 - first > most
        ]
        if len(cuts) < max_groups:
            return (0, *cuts)
        limit, most = limit * 2, most * 2


def _spans(names: Sequence[str]) -> list[tuple[int, int]]:
    """For each boundary the range of items, first and last, that it is the strongest in.

    Boundary `i` is the one behind item `i`. Cutting ranges at their strongest boundary, each
    boundary gets its turn in exactly the range between the nearest stronger ones on its two sides;
    so those (found with a stack, in linear time) are all there is to know.
    """
    strength = [
        blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest()
        for name in names[:-1]
    ]
    firsts = [0] * len(strength)
    lasts = [len(names) - 1] * len(strength)
    stack: list[int] = []
    for boundary, own in enumerate(strength):
        while stack and strength[stack[-1]] < own:
            lasts[stack.pop()] = boundary
        if stack:
            firsts[boundary] = stack[-1] + 1
        stack.append(boundary)
    return list(zip(firsts, lasts, strict=True))
