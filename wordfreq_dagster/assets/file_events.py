"""What Dagster is told of single files: one event each, and one failure for those that failed."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
from wordfreq.formats import ItemReceipt, Receipt

from wordfreq_dagster.assets.file_report import FileReport
from wordfreq_dagster.assets.partitions import unusable_partition_key
from wordfreq_dagster.batch import Outcome

_REPORT_SECONDS = 5.0


def told(
    context: dg.AssetExecutionContext,
    done: Sequence[ItemReceipt],
    event: Callable[[ItemReceipt], dg.AssetMaterialization],
) -> Iterator[dg.AssetMaterialization]:
    """One event a file; writing them takes Dagster some milliseconds each, so say how far it is."""
    due = time.monotonic() + _REPORT_SECONDS
    for number, item in enumerate(done):
        if time.monotonic() > due:
            context.log.info(f"reported {number:,} of {len(done):,} files to Dagster")
            due = time.monotonic() + _REPORT_SECONDS
        if unusable_partition_key(item.name) is None:
            yield event(item)


def raise_for_failed(
    report: FileReport, outcome: Outcome[Receipt], *, done: str, metadata: Mapping[str, Any]
) -> None:
    """Raise `dagster.Failure` if a file failed; `done` is the verb, such as `counted`."""
    if not report.failed:
        return
    raise dg.Failure(
        "\n".join([report.explain(done), *([outcome.explain()] if outcome.failed else [])]),
        metadata=metadata,
        # Containers were tried again already where that helps; a bad file stays bad.
        allow_retries=False,
    )
