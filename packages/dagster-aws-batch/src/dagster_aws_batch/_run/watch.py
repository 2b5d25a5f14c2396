"""Waiting for a stage's jobs: parents only, at a growing interval, with an eye on missing and
blocked ones.

Runs in the caller's thread (Dagster raises its interrupts in the main thread only).
"""

from __future__ import annotations

from collections import Counter
from itertools import islice

from dagster_aws_batch._aws.answers import (
    child_index,
    from_summary,
)
from dagster_aws_batch._aws.calls import PAGE
from dagster_aws_batch._aws.poller import poll_interval
from dagster_aws_batch._run.state import (
    ENDED,
    Stage,
    Unit,
)
from dagster_aws_batch._run.submit import (
    HOLD_SECONDS,
    recheck,
)

__all__ = ["counts_of", "wait"]

NAMED_FAILURES = 10
HARD_MISSING_LIMIT = 20


def wait(stage: Stage) -> None:
    """Return when every submitted or adopted job of the stage has ended (or is certainly lost)."""
    clock, options = stage.connection.clock, stage.options
    started = clock.now()
    looked = started
    said: Counter[str] = Counter()
    said_at = started
    while stage.active:
        interval = poll_interval(
            clock.now() - started,
            shortest=options.poll_seconds,
            longest=options.poll_max_seconds,
        )
        ids = [unit.job_id for unit in stage.active]
        seen = stage.connection.describer.look(ids, interval=interval, not_before=looked + interval)
        looked = clock.now()
        for unit in stage.active:
            _observe(stage, unit, seen.get(unit.job_id))
        counts = progress(stage)
        finished = not stage.active
        if counts != said and (finished or looked - said_at >= options.progress_every):
            said, said_at = counts, looked
            stage.log.info(describe_progress(stage, counts, looked - started))
        if not finished and stage.while_waiting is not None:
            stage.while_waiting(interval)


def progress(stage: Stage) -> Counter[str]:
    """How many tasks are in which state of AWS Batch, over all jobs of the latest rounds."""
    counts: Counter[str] = Counter()
    for unit in stage.units:
        if not unit.lost:
            counts.update(unit.counts)
    return counts


def describe_progress(stage: Stage, counts: Counter[str], seconds: float) -> str:
    """One line for people."""
    waiting = sum(counts[state] for state in ("SUBMITTED", "PENDING", "RUNNABLE"))
    parts = [f"{counts['SUCCEEDED']:,} of {stage.total:,} done"]
    if counts["FAILED"]:
        parts.append(f"{counts['FAILED']:,} failed")
    parts.append(f"{counts['STARTING'] + counts['RUNNING']:,} running, {waiting:,} waiting")
    return f"{stage.job.name}: {', '.join(parts)} ({seconds / 60:.1f} min)"


def _observe(stage: Stage, unit: Unit, detail: object) -> None:
    now = stage.connection.clock.now()
    if detail is None:
        _missing(stage, unit, now)
        return
    unit.missing = 0
    unit.detail = detail  # type: ignore[assignment]
    assert unit.detail is not None
    status = unit.detail["status"]
    counts = counts_of(unit)
    if _moved(unit.counts) != _moved(counts):
        unit.moved_at = now
    unit.counts = counts
    if status in ENDED:
        if unit.unsure and now - unit.submitted_at < HOLD_SECONDS:
            recheck(stage, unit)
            return
        recheck(stage, unit, final=True)
        unit.ended = unit.detail is not None
        if unit.ended:
            stage.connection.describer.leave([unit.job_id])
        return
    recheck(stage, unit)
    _name_failures(stage, unit, now)
    _blocked(stage, unit, now)


def counts_of(unit: Unit) -> dict[str, int]:
    """Tasks by state, from the last description."""
    assert unit.detail is not None
    if not unit.is_array:
        return {unit.detail["status"]: 1}
    summary = unit.detail.get("arrayProperties", {}).get("statusSummary", {})
    return {str(state): int(number) for state, number in summary.items() if number}


def _moved(counts: dict[str, int]) -> tuple[int, ...]:
    return tuple(counts.get(state, 0) for state in ("STARTING", "RUNNING", "SUCCEEDED", "FAILED"))


def _missing(stage: Stage, unit: Unit, now: float) -> None:
    """AWS does not know the id: just submitted, or purged, or lost. Never for ever, never taken for
    a success.
    """
    if now - unit.submitted_at < stage.options.missing_grace:
        return
    unit.missing += 1
    if unit.missing < stage.options.missing_polls:
        return
    if unit.missing < HARD_MISSING_LIMIT:
        rows = stage.connection.api.by_name(unit.queue, unit.name)
        listed = [row for row in rows if row["jobId"] == unit.job_id]
        if listed and listed[0].get("status") not in ENDED:
            return
    stage.log.warning(
        f"{stage.job.name}: AWS Batch no longer knows job {unit.job_id}; what its tasks left "
        f"behind decides"
    )
    unit.lost = unit.ended = True
    stage.connection.describer.leave([unit.job_id])


def _name_failures(stage: Stage, unit: Unit, now: float) -> None:
    """List failed children when their number has grown, but not at every look: names within a
    minute.
    """
    failed = unit.counts.get("FAILED", 0)
    if not unit.is_array or failed <= unit.failed_listed:
        return
    if now - unit.failed_listed_at < stage.options.failures_every:
        return
    unit.failed_listed, unit.failed_listed_at = failed, now
    fresh = []
    for row in stage.connection.api.children(unit.job_id, "FAILED"):
        index = child_index(row)
        if 0 <= index < len(unit.tasks) and index not in unit.named:
            unit.named.add(index)
            fresh.append((unit.tasks[index], from_summary(row)))
    for task, failure in fresh[:NAMED_FAILURES]:
        code = "" if failure.evidence.exit_code is None else f", exit {failure.evidence.exit_code}"
        stage.log.warning(
            f"{stage.job.name}: task {task} failed: {failure.cause.value}{code}: "
            f"{failure.evidence.text or 'no reason given'} "
            f"{stage.connection.console.job(failure.job_id) or failure.job_id}"
        )
    if len(fresh) > NAMED_FAILURES:
        stage.log.warning(
            f"{stage.job.name}: and {len(fresh) - NAMED_FAILURES:,} more tasks failed"
        )


def _blocked(stage: Stage, unit: Unit, now: float) -> None:
    """Say why a job cannot start, once it has waited long enough for a normal scale-up to be
    over.
    """
    counts, limit = unit.counts, stage.options.blocked_after
    if not counts.get("RUNNABLE") or counts.get("RUNNING") or counts.get("STARTING"):
        return
    if now - unit.moved_at < limit or now - unit.warned_at < limit:
        return
    unit.warned_at = now
    reason = _blocked_reason(stage, unit)
    minutes = (now - unit.moved_at) / 60
    if not reason:
        stage.log.warning(
            f"{stage.job.name}: nothing has started for {minutes:.0f} min; AWS Batch gives no "
            f"reason "
            f"(queue {unit.queue} may have no free capacity)"
        )
        return
    stage.log.warning(
        f"{stage.job.name}: nothing has started for {minutes:.0f} min on queue {unit.queue}: "
        f"{reason}"
    )
    if stage.options.blocked_action == "terminate":
        # Kept first: ending the job overwrites AWS's reason.
        unit.blocked_reason = reason
        stage.connection.api.terminate([unit.job_id], f"blocked: {reason}")


def _blocked_reason(stage: Stage, unit: Unit) -> str:
    assert unit.detail is not None
    if not unit.is_array:
        return unit.detail.get("statusReason") or ""
    rows = stage.connection.api.children(unit.job_id, "RUNNABLE")
    return next(
        (row.get("statusReason") or "" for row in islice(rows, PAGE) if row.get("statusReason")), ""
    )
