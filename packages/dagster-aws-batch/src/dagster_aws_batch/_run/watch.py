"""Waiting for the jobs of one or more executions: parents only, at a growing interval.

Each execution says when it wants to go on and which jobs it wants described (`Poll`); `drive` lets
several share one wait and one call. A failed poll says nothing about the jobs, so it is repeated as
long as they may live. All in the caller's thread: Dagster raises its interrupts in the main thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

from dagster_aws_batch._aws.answers import WAITING, child_index, from_summary
from dagster_aws_batch._aws.calls import PAGE
from dagster_aws_batch._results import ENDED
from dagster_aws_batch._run.cancel import end_beside
from dagster_aws_batch._run.follow import follow_logs
from dagster_aws_batch._run.settle import read_receipts
from dagster_aws_batch._run.state import Execution, SubmittedJob
from dagster_aws_batch._run.submit import HOLD_SECONDS, HOLD_UNRECEIPTED_SECONDS, recheck

__all__ = ["Poll", "Steps", "counts_of", "describe_progress", "drive", "poll_interval", "wait"]

NAMED_FAILURES = 10
PROGRESS_EVERY_SECONDS = 30.0
FAILURES_EVERY_SECONDS = 55.0
# A job that AWS does not know is waited for so long, and then for so many more polls.
MISSING_GRACE_SECONDS = 60.0
MISSING_POLLS = 3
HARD_MISSING_LIMIT = 20


def poll_interval(elapsed: float, *, shortest: float, longest: float) -> float:
    """Seconds to the next poll, after `elapsed` of waiting: a third of that, within bounds.

    A short execution is seen to end soon, a long one costs few calls; after an hour twice `longest`
    is allowed.
    """
    ceiling = longest * 2 if elapsed > 3600 else longest
    return max(shortest, min(ceiling, elapsed / 3))


@dataclass(frozen=True, slots=True)
class Poll:
    """When an execution goes on, and the jobs that it then wants described."""

    at: float
    job_ids: Sequence[str] = ()


#: An execution under way: gives what it waits for, takes the descriptions by job id.
Steps = Generator[Poll, Mapping[str, Any], None]


def drive(executions: Sequence[tuple[Execution, Steps]]) -> None:
    """Run executions side by side until all are done, with one description for all that are due."""
    waiting: list[tuple[Execution, Steps, Poll]] = []
    for execution, steps in executions:
        _advance(waiting, execution, steps, None)
    while waiting:
        clock = waiting[0][0].connection.clock
        clock.sleep(max(0.0, min(poll.at for _, _, poll in waiting) - clock.now()))
        now = clock.now()
        due = [one for one in waiting if one[2].at <= now]
        waiting = [one for one in waiting if one[2].at > now]
        ids = [job_id for _, _, poll in due for job_id in poll.job_ids]
        polling = [execution.watch_api for execution, _, poll in due if poll.job_ids]
        seen = max(polling, key=lambda api: api.patience.deadline).describe(ids) if polling else {}
        for execution, steps, _ in due:
            _advance(waiting, execution, steps, seen)


def _advance(
    waiting: list[tuple[Execution, Steps, Poll]],
    execution: Execution,
    steps: Steps,
    seen: Mapping[str, Any] | None,
) -> None:
    try:
        poll = next(steps) if seen is None else steps.send(seen)
    except StopIteration:
        return
    waiting.append((execution, steps, poll))


def wait(execution: Execution) -> Steps:
    """End when every submitted or resumed job has ended (or is certainly lost)."""
    clock, options = execution.connection.clock, execution.options
    started = polled = clock.now()
    before = progress(execution)
    reported: Counter[str] = Counter()
    reported_at = started
    while execution.active:
        interval = poll_interval(
            clock.now() - started, shortest=options.poll_seconds, longest=options.poll_max_seconds
        )
        ids = [one.job_id for one in execution.active]
        seen = yield Poll(polled + interval, ids)
        polled = clock.now()
        for submitted in execution.active:
            _observe(execution, submitted, seen.get(submitted.job_id))
            if execution.follow != frozenset():
                follow_logs(execution, submitted)
            # While a second job of its name may turn up, it is not known which one speaks.
            if execution.on_poll is not None and submitted.detail and not submitted.unsure:
                execution.on_poll(cast("Mapping[str, Any]", submitted.detail))
        end_beside(execution, {})
        counts = progress(execution)
        finished = not execution.active
        now = clock.now()
        if counts != reported and (finished or now - reported_at >= PROGRESS_EVERY_SECONDS):
            reported, reported_at = counts, now
            execution.log.info(describe_progress(execution, counts, before, now - started))
        if not finished and execution.while_waiting is not None:
            execution.while_waiting(interval)


def progress(execution: Execution) -> Counter[str]:
    """How many tasks are in which state; a failed one that runs again counts as that only."""
    counts: Counter[str] = Counter()
    for submitted in execution.jobs:
        if not submitted.lost:
            counts.update(submitted.counts)
    again = sum(execution.runs.values()) - len(execution.runs)
    counts["FAILED"] = max(0, counts["FAILED"] - again)
    return +counts


def describe_progress(
    execution: Execution, counts: Mapping[str, int], before: Mapping[str, int], seconds: float
) -> str:
    """One line for people: how much is done, and about how long the rest takes."""
    number = Counter(counts)
    done, total = number["SUCCEEDED"], execution.total
    waiting = sum(number[state] for state in WAITING)
    parts = [f"{done:,} of {total:,} done ({done / total:.0%})"]
    if number["FAILED"]:
        parts.append(f"{number['FAILED']:,} failed")
    parts.append(f"{number['STARTING'] + number['RUNNING']:,} running, {waiting:,} waiting")
    text = f"{execution.job.name}: {', '.join(parts)} ({seconds / 60:.1f} min"
    fresh = done - before.get("SUCCEEDED", 0)
    left = total - done - number["FAILED"]
    if fresh > 0 and left > 0:
        text += f", about {seconds * left / fresh / 60:.0f} min left"
    return f"{text})"


def _observe(execution: Execution, submitted: SubmittedJob, detail: object) -> None:
    now = execution.connection.clock.now()
    if detail is None:
        _missing(execution, submitted, now)
        return
    submitted.missing = 0
    submitted.detail = cast("Any", detail)
    assert submitted.detail is not None
    status = submitted.detail["status"]
    counts = counts_of(submitted)
    if _moved(submitted.counts) != _moved(counts):
        submitted.moved_at = now
    submitted.counts = counts
    if status in ENDED:
        if submitted.unsure and now - submitted.submitted_at < _hold(execution, submitted):
            recheck(execution, submitted)
            return
        recheck(execution, submitted, final=True)
        submitted.ended = submitted.detail is not None
        return
    recheck(execution, submitted)
    _name_failures(execution, submitted, now)
    _blocked(execution, submitted, now)


def _hold(execution: Execution, submitted: SubmittedJob) -> float:
    """How long after its submission the end of an unsure job decides nothing."""
    if execution.receipts_of is None:
        return HOLD_SECONDS
    found = read_receipts(execution, submitted.tasks)
    return HOLD_SECONDS if len(found) == len(submitted.tasks) else HOLD_UNRECEIPTED_SECONDS


def counts_of(submitted: SubmittedJob) -> dict[str, int]:
    """Tasks by state, from the last description."""
    assert submitted.detail is not None
    if not submitted.is_array:
        return {submitted.detail["status"]: 1}
    summary = submitted.detail.get("arrayProperties", {}).get("statusSummary", {})
    return {str(state): int(number) for state, number in summary.items() if number}


def _moved(counts: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(counts.get(state, 0) for state in ("STARTING", "RUNNING", "SUCCEEDED", "FAILED"))


def _missing(execution: Execution, submitted: SubmittedJob, now: float) -> None:
    """AWS does not know the id: just submitted, or purged, or lost; never taken for a success."""
    if now - submitted.submitted_at < MISSING_GRACE_SECONDS:
        return
    submitted.missing += 1
    if submitted.missing < MISSING_POLLS:
        return
    if submitted.missing < HARD_MISSING_LIMIT:
        rows = execution.watch_api.by_name(submitted.queue, submitted.name)
        listed = [row for row in rows if row["jobId"] == submitted.job_id]
        if listed and listed[0].get("status") not in ENDED:
            return
    execution.log.warning(
        f"{execution.job.name}: AWS Batch no longer knows job {submitted.job_id}; the receipts of "
        "its tasks decide"
    )
    submitted.lost = submitted.ended = True


def _name_failures(execution: Execution, submitted: SubmittedJob, now: float) -> None:
    """List failed children when their number has grown, but at most once in a while."""
    failed = submitted.counts.get("FAILED", 0)
    if not submitted.is_array or failed <= submitted.failed_listed:
        return
    if now - submitted.failed_listed_at < FAILURES_EVERY_SECONDS:
        return
    submitted.failed_listed, submitted.failed_listed_at = failed, now
    fresh = []
    for row in execution.watch_api.children(submitted.job_id, "FAILED"):
        index = child_index(row)
        if 0 <= index < len(submitted.tasks) and index not in submitted.named:
            submitted.named.add(index)
            fresh.append((submitted.tasks[index], from_summary(row)))
    for task, failure in fresh[:NAMED_FAILURES]:
        code = "" if failure.evidence.exit_code is None else f", exit {failure.evidence.exit_code}"
        execution.log.warning(
            f"{execution.job.name}: task {task} failed: {failure.cause.value}{code}: "
            f"{failure.evidence.text or 'no reason given'} "
            f"{execution.connection.console.job(failure.job_id) or failure.job_id}"
        )
    if len(fresh) > NAMED_FAILURES:
        execution.log.warning(
            f"{execution.job.name}: and {len(fresh) - NAMED_FAILURES:,} more tasks failed"
        )


def _blocked(execution: Execution, submitted: SubmittedJob, now: float) -> None:
    """Say why nothing of a job runs, once it has waited longer than a normal scale-up takes."""
    counts, limit = submitted.counts, execution.options.blocked_after_seconds
    states = [state for state in _USUAL_REASONS if counts.get(state)]
    if counts.get("RUNNING") or not states:
        return
    if now - submitted.moved_at < limit or now - submitted.warned_at < limit:
        return
    submitted.warned_at = now
    reason = _blocked_reason(execution, submitted, states[0])
    minutes = (now - submitted.moved_at) / 60
    text = (
        f"nothing has started for {minutes:.0f} min on queue {submitted.queue} ({states[0]}): "
        f"{reason or _USUAL_REASONS[states[0]]}"
    )
    execution.log.warning(f"{execution.job.name}: {text}")
    if execution.options.blocked_action == "terminate":
        # Kept first: ending the job overwrites AWS's reason.
        submitted.blocked_reason = reason or text
        end_beside(execution, {submitted.job_id: f"blocked: {reason or states[0]}"})


_USUAL_REASONS = {
    "STARTING": "AWS Batch gives no reason (the host may be slow to pull the image)",
    "RUNNABLE": "AWS Batch gives no reason (the queue may have no free capacity)",
    "PENDING": "it waits for the jobs that it depends on",
    "SUBMITTED": "AWS Batch has not looked at it yet",
}


def _blocked_reason(execution: Execution, submitted: SubmittedJob, state: str) -> str:
    assert submitted.detail is not None
    if not submitted.is_array:
        return submitted.detail.get("statusReason") or ""
    rows = execution.watch_api.children(submitted.job_id, cast(Any, state))
    reasons = (row.get("statusReason") or "" for row in islice(rows, PAGE))
    return next((reason for reason in reasons if reason), "")
