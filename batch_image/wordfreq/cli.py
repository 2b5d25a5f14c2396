"""The command line."""

from __future__ import annotations


def main() -> int:
    """Skeleton, filled in next."""
    return 0
