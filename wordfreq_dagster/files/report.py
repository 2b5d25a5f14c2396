"""What became of each file of a run, reported to Dagster, for the assets of both pipelines.

`FileReporter` writes one event per file, `raise_for_failed` one failure for the files that failed.
"""

import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sized
from dataclasses import replace
from functools import partial
from typing import Any

import dagster as dg

from dagster_aws_batch import BatchJobs, Job, Outcome
from dagster_aws_batch.events.partition_sets import unusable_partition_key
from dagster_aws_batch.events.partitions import (
    failed_versions,
    log_failed,
    log_materializations,
    materialized_versions,
)
from wordfreq_batch.errors import WordfreqError
from wordfreq_batch.plans.formats import ItemReceipt, Receipt
from wordfreq_batch.plans.plan import Item, Plan, Refused
from wordfreq_batch.plans.receipts import new_receipts
from wordfreq_batch.plans.reports import FileReport, join_receipts, reported_items
from wordfreq_dagster.files.places import final_receipts, listed_names, receipts_of

_REPORT_SECONDS = 5.0  # between two lines of progress in the run's log
_WRITTEN_AT_ONCE = 500  # events


def not_shown(
    instance: dg.DagsterInstance,
    key: dg.AssetKey,
    planned: Plan,
    *,
    red: Mapping[str, str],
    done: Collection[str] = (),
) -> tuple[list[Item], list[Refused]]:
    """What is so, but not shown so by Dagster.

    Args:
        instance: the Dagster instance.
        key: the partitioned asset.
        planned: what is counted, and what can't be.
        red: as `failed_versions` gives it.
        done: names of files counted since the plan was made.

    Returns:
        Files that are counted but whose partitions show another state, or none; and files that are
        bad data but whose partitions aren't red, or red for other bytes.
    """
    versions = materialized_versions(instance, key)
    counted = [
        item
        for item in planned.items
        if (item.counted is not None or item.name in done)
        and unusable_partition_key(item.name) is None
        and (versions.get(item.name) not in (item.etag, "") or item.name in red)
    ]
    unusable = [
        each
        for each in planned.unusable
        if unusable_partition_key(each.name) is None and red.get(each.name) not in (each.etag, "")
    ]
    return counted, unusable


def verdict(
    wrong: Sized,
    text: str,
    *,
    name: str | None = None,
    asset: dg.AssetKey | None = None,
    warn: bool = True,
    metadata: Mapping[str, Any],
) -> dg.AssetCheckResult:
    """A check that passes where nothing is `wrong`; `text` goes on from the number of what is."""
    level = dg.AssetCheckSeverity
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=asset,
        passed=not wrong,
        severity=level.WARN if warn else level.ERROR,
        description=f"{len(wrong):,} {text}" if wrong else None,
        metadata=metadata,
    )


def reported_check(
    instance: dg.DagsterInstance,
    key: dg.AssetKey,
    partitions: dg.DynamicPartitionsDefinition,
    planned: Plan,
    *,
    name: str,
    done: Collection[str],
    failed: Collection[str],
    job: str,
    report: str,
) -> dg.AssetCheckResult:
    """The check that Dagster shows each file as it is.

    Args:
        instance: the Dagster instance.
        key: the partitioned asset.
        partitions: its partitions.
        planned: see `not_shown`, as for `done`.
        name: of the check.
        done: names of files that were done since the plan was made.
        failed: names of files that this run has reported as failed.
        job: which job reports what is found.
        report: as `Places.report`; a `summary` leaves out the files that are done.

    Returns:
        The result.
    """
    red = failed_versions(instance, key, partitions)
    counted, unusable = not_shown(instance, key, planned, red=red, done=done)
    # A partition turns red when this run has failed, a moment after this check.
    unshown = [item.name for item in counted if report != "summary"]
    unshown += [each.name for each in unusable if each.name not in failed]
    return verdict(
        unshown,
        "files are in another state than their partitions show; the next run of the job "
        f"{job} reports it",
        name=name,
        asset=key,
        metadata={"not reported": len(unshown), "first": listed_names(unshown)},
    )


class FileReporter:
    """One event per file, once: while the containers of other files still run, or at the end.

    In a `whole` run, one that does all that there is to do, it also reports what was counted by an
    earlier run and never reached Dagster, because that run was killed meanwhile: what lies in the
    bucket is compared with the data versions that Dagster has. Of the files `confirmed`, which
    somebody asked for, it also reports those that are done already.
    """

    def __init__(
        self,
        context: dg.AssetExecutionContext,
        *,
        planned: Plan,
        stage: str,
        whole: bool,
        report: str,
        confirmed: Collection[str] | None = None,
        partitions: dg.DynamicPartitionsDefinition,
        event: Callable[[ItemReceipt], dg.AssetMaterialization],
    ) -> None:
        self._context = context
        self._planned = planned
        self._stage = stage
        self._event = event
        self._whole = whole
        self._read = final_receipts(planned, stage)
        self._seen: set[int] = set()
        # Only what somebody chose by itself, or what is shown as failed, is reported where a
        # summary has to do.
        self._silent = whole and report == "summary"
        self._red: Mapping[str, str] = {}
        self._waiting: deque[ItemReceipt] = deque()
        self._unshown: list[Refused] = []
        if whole:
            self._red = failed_versions(context.instance, context.asset_key, partitions)
            self._find_unreported()
        # Known to be bad: Dagster would take it for missing after a green run that was to make it.
        shown = {each.name for each in self._unshown}
        named = set(confirmed or ()) - shown
        self._unshown += [each for each in planned.unusable if each.name in named]
        chosen = frozenset(confirmed or ()) if report == "all" else frozenset()
        self._waiting += [
            ItemReceipt.reuse(item)
            for item in planned.items
            if item.name in chosen and item.counted is not None
        ]
        self._reported: set[str] = set()

    def run(
        self, batch: BatchJobs, job: Job, *, chosen: Collection[str] | None
    ) -> tuple[FileReport, Outcome[Receipt]]:
        """Run the plan's tasks and report the files: all pending ones, or those `chosen`."""
        outcome = batch.run(
            context=self._context,
            job=job,
            tasks=len(self._planned.tasks),
            receipts=partial(receipts_of, self._planned, self._stage),
            while_waiting=self._report_done,
        )

        def reason(task: int) -> str:
            result = outcome.tasks[task]
            # What the container printed last says more than AWS's reason.
            return ": ".join(filter(None, [result.reason, *result.log_tail[-1:]]))

        report = join_receipts(self._planned, outcome.receipts, reason=reason, chosen=chosen)
        return self._report_rest(report), outcome

    def _report_done(self, seconds: float) -> None:
        """Report files that are done by now, for so many seconds."""
        until = time.monotonic() + seconds
        self._read_receipts()
        while self._waiting and time.monotonic() < until:
            self._report_some()

    def _report_rest(self, report: FileReport) -> FileReport:
        """Report what is left when all has ended; the log says now and then how far it is.

        Returns:
            The report; files that are known to be bad have failed in it where nobody could see
            that yet: Dagster shows a partition red only if a run has failed with it.
        """
        self._waiting += report.done
        due = time.monotonic() + _REPORT_SECONDS
        while self._waiting:
            if time.monotonic() > due:
                self._context.log.info(
                    f"reported {len(self._reported):,} files to Dagster; up to "
                    f"{len(self._waiting):,} are left"
                )
                due = time.monotonic() + _REPORT_SECONDS
            self._report_some()
        failed = {**report.failed, **{each.name: each.reason for each in self._unshown}}
        log_failed(
            self._context,
            {name: why for name, why in failed.items() if unusable_partition_key(name) is None},
            versions={
                **{item.name: item.etag for item in self._planned.items},
                **{each.name: each.etag for each in self._unshown},
            },
            whole=self._whole,
        )
        return replace(report, failed=failed)

    def _find_unreported(self) -> None:
        counted, self._unshown = not_shown(
            self._context.instance, self._context.asset_key, self._planned, red=self._red
        )
        counted = [item for item in counted if not self._silent or item.name in self._red]
        self._waiting += map(ItemReceipt.reuse, counted)
        if found := len(counted) + len(self._unshown):
            self._context.log.info(
                f"the state of {found:,} files is known, but an earlier run could not report it "
                "to Dagster; it is reported now"
            )

    def _report_some(self) -> None:
        some = [self._waiting.popleft() for _ in range(min(_WRITTEN_AT_ONCE, len(self._waiting)))]
        log_materializations(
            self._context, [self._event(item) for item in some if self._is_new(item)]
        )

    def _read_receipts(self) -> None:
        try:
            receipts = new_receipts(self._planned.head, self._stage, known=self._seen)
        except WordfreqError as error:
            # Only the early report is missing: at the end all receipts are read in any case.
            self._context.log.debug(f"finished files can't be looked for now: {error}")
            return
        for number, receipt in receipts.items():
            if receipt.final:  # one that isn't may be followed by a better one
                self._read[number] = receipt
                self._seen.add(number)
            task = self._planned.task(number)
            wanted = {item.name for item in reported_items(task, whole=self._whole)}
            self._waiting += [
                item for item in receipt.items if item.name in wanted and item.error is None
            ]

    def _is_new(self, item: ItemReceipt) -> bool:
        if item.name in self._reported:
            return False
        self._reported.add(item.name)
        silent = self._silent and item.name not in self._red
        return not silent and unusable_partition_key(item.name) is None


def raise_for_failed(
    report: FileReport,
    outcome: Outcome[Receipt],
    *,
    done: str,
    job: str,
    metadata: Mapping[str, Any],
) -> None:
    """Raise `dagster.Failure` if a file failed.

    Args:
        report: what became of the files.
        outcome: what became of the AWS Batch jobs.
        done: the verb, such as `counted`.
        job: the Dagster job that tries all failed files again.
        metadata: of the run, for the failure.
    """
    if not report.failed:
        return
    raise dg.Failure(
        "\n".join(
            [
                report.explain(done),
                f"Repair or remove them. A run of the job {job} without partitions tries failed "
                "files again, but bad data only once it has changed, or the settings have.",
                *([outcome.explain()] if outcome.failed else []),
            ]
        ),
        metadata={**metadata, **outcome.failure_metadata()},
        # Containers were tried again already where that helps; a bad file stays bad.
        allow_retries=False,
    )
