"""How figures are shown in Dagster: what an AWS Batch job has used.

For the assets of both pipelines. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

#: Numbers of `Outcome.metadata()` that are worth a plot where a stage is one job.
_PLOTTED = ("batch/seconds", "batch/cost_")


def one_job(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a stage that is one job, as one table instead of a plot per figure.

    Args:
        metadata: `Outcome.metadata()`.

    Returns:
        The same, with most of the numbers in the table `batch/figures`.
    """
    grouped = {
        name: value
        for name, value in metadata.items()
        if isinstance(value, int | float) and not name.startswith(_PLOTTED)
    }
    rows = [
        f"| {name.removeprefix('batch/').replace('_', ' ')} | {value:,} |"
        for name, value in grouped.items()
    ]
    table = dg.MetadataValue.md("\n".join(["| figure | value |", "|---|---:|", *rows]))
    kept = {name: value for name, value in metadata.items() if name not in grouped}
    return kept | ({"batch/figures": table} if rows else {})
