"""What Dagster is told of single files: one event each, and one failure for those that failed."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dagster as dg

from dagster_aws_batch import Outcome
from wordfreq_batch.errors import WordfreqError
from wordfreq_batch.plans.formats import (
    ItemReceipt,
    Plan,
    Receipt,
)
from wordfreq_dagster.files.file_report import (
    FileReport,
    reported_items,
)
from wordfreq_dagster.files.partitions import unusable_partition_key
from wordfreq_dagster.files.places import Places

_REPORT_SECONDS = 5.0


class FileEvents:
    """One event a file, told once: while the containers of other files still run, or at the end.

    Writing an event takes Dagster ten milliseconds and more, so it is done in the time that is
    spent waiting anyway, and a partition turns green when its file is done.
    """

    def __init__(
        self,
        context: dg.AssetExecutionContext,
        *,
        planned: Plan,
        stage: str,
        places: Places,
        whole: bool,
        event: Callable[[ItemReceipt], dg.AssetMaterialization],
    ) -> None:
        self._context = context
        self._planned = planned
        self._stage = stage
        self._places = places
        self._event = event
        self._whole = whole
        self._read: set[int] = set()
        self._waiting: deque[ItemReceipt] = deque()
        self._told: set[str] = set()

    def while_waiting(self, seconds: float) -> None:
        """Tell what is done by now, for so many seconds; `BatchJobs.run` calls it."""
        until = time.monotonic() + seconds
        self._look()
        while self._waiting and time.monotonic() < until:
            item = self._waiting.popleft()
            if self._is_new(item):
                self._context.log_event(self._event(item))

    def rest(self, report: FileReport) -> Iterator[dg.AssetMaterialization]:
        """The events that are left when all has ended; the log says now and then how far it is."""
        due = time.monotonic() + _REPORT_SECONDS
        for item in report.done:
            if time.monotonic() > due:
                self._context.log.info(
                    f"reported {len(self._told):,} of {len(report.done):,} files to Dagster"
                )
                due = time.monotonic() + _REPORT_SECONDS
            if self._is_new(item):
                yield self._event(item)

    def _look(self) -> None:
        try:
            receipts = self._places.read_new_receipts(self._planned, self._stage, known=self._read)
        except WordfreqError as error:
            # Only the early word is missing: at the end all receipts are read in any case.
            self._context.log.debug(f"finished files can't be looked for now: {error}")
            return
        for number, receipt in receipts.items():
            if receipt.final:  # one that isn't may be followed by a better one
                self._read.add(number)
            task = self._planned.task(number)
            wanted = {item.name for item in reported_items(task, whole=self._whole)}
            self._waiting += [
                item for item in receipt.items if item.name in wanted and item.error is None
            ]

    def _is_new(self, item: ItemReceipt) -> bool:
        if item.name in self._told:
            return False
        self._told.add(item.name)
        return unusable_partition_key(item.name) is None


def raise_for_failed(
    report: FileReport, outcome: Outcome[Receipt], *, done: str, metadata: Mapping[str, Any]
) -> None:
    """Raise `dagster.Failure` if a file failed; `done` is the verb, such as `counted`."""
    if not report.failed:
        return
    raise dg.Failure(
        "\n".join([report.explain(done), *([outcome.explain()] if outcome.failed else [])]),
        metadata={**metadata, **outcome.failure_metadata()},
        # Containers were tried again already where that helps; a bad file stays bad.
        allow_retries=False,
    )
