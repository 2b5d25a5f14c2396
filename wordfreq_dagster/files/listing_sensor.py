"""A sensor that lists a place and asks for a run when the result isn't of what lies there."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone

import dagster as dg

from dagster_aws_batch.automation import UNFINISHED
from dagster_aws_batch.automation.sqs_sensor import sqs_sensor
from dagster_aws_batch.events.partitions import unevaluated_checks
from wordfreq_batch.errors import NotFoundError, WordfreqError
from wordfreq_batch.storage.fingerprint import Fingerprint
from wordfreq_batch.storage.opening import open_store
from wordfreq_batch.storage.scan import Scan, advance
from wordfreq_batch.storage.store import ObjectInfo
from wordfreq_dagster.files.plans import observed
from wordfreq_dagster.files.tags import LISTING_TAG, SOURCE_TAG

# No `from __future__ import annotations` here: Dagster reads the annotations of sensor functions.

_RUNS_LOOKED_AT = 30
_KEYS_PER_TICK = 1_000_000
_SECONDS_PER_TICK = 20.0  # well below Dagster's 60 s for one evaluation
_SETTLE = 2.0  # seconds: a local file written less than that long ago may still be growing
_PAUSE = 120.0  # seconds after a first run that didn't help; it doubles up to the longest
_LONGEST_PAUSE = 6 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """Which job makes what from a source.

    `made_from` says of which listing the latest `result` is, see `plans.made_from`,
    `name` is what the result is called in messages.
    `observes` is the source's asset, whose observation a finished listing is.
    `checks` are evaluated by each run of the job.
    """

    job: str
    result: dg.AssetKey
    made_from: Callable[[dg.DagsterInstance], str]
    name: str
    observes: dg.AssetKey
    checks: tuple[dg.AssetCheckKey, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A run that a sensor asked for because of a listing; `ended` is None while it is under way."""

    listing: str
    ended: float | None
    run: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether to ask for a run now; `reason` says why or why not. `attempt` counts from 0."""

    run: bool
    reason: str
    attempt: int = 0


def decide(
    *,
    listing: Fingerprint,
    made_from: str,
    attempts: list[Attempt],
    now: float,
    result: str,
    unchecked: bool = False,
) -> Decision:
    """Compare a finished listing with the one that the result was made from.

    The level decides, no event: whatever was lost, doubled or came out of order, a run is asked
    for exactly while the two differ. Where that doesn't help (a file that can't be counted, one
    that is rewritten all the time), the pause doubles each time.

    Args:
        listing: what the source holds.
        made_from: as `Watched.made_from` says.
        attempts: runs asked for before, the latest first.
        now: seconds since the epoch, as are `Attempt.ended`.
        result: what the runs make, for messages.
        unchecked: a run ended before it had checked the result.
    """
    files = f"{listing.files:,} files, {listing.size:,} bytes"
    same = str(listing) == made_from
    if same and not unchecked:
        return Decision(run=False, reason=f"nothing has changed: {files}")
    if not listing.files and not made_from:
        return Decision(run=False, reason="the source is empty")
    tried = 0
    ended = 0.0
    for attempt in attempts:
        if attempt.ended is None:
            return Decision(run=False, reason="a run is under way; the next listing judges it")
        if attempt.listing != str(listing):
            break  # something else was tried in between, so this state of the source is news
        ended = max(ended, attempt.ended)
        tried += 1
    if tried:
        wait = min(_PAUSE * 2 ** (tried - 1), _LONGEST_PAUSE)
        if now < ended + wait:
            return Decision(
                run=False,
                reason=f"{tried} run(s) for these {files} did not bring {result} up to date; "
                f"the next one in {ended + wait - now:,.0f} s (their logs say what is wrong)",
            )
    changed = "settings have" if made_from.startswith(str(listing)) else "source has"
    why = f"a run ended before it had checked {result}" if same else f"the {changed} changed"
    return Decision(run=True, reason=f"{why}: {files}", attempt=tried)


def arrival_sensors(
    watched: Watched,
    *,
    source: str,
    names: tuple[str, str],
    states: tuple[str, str],
    queue_url: str,
    interval: int,
) -> list[dg.SensorDefinition]:
    """The sensor that lists a source and, where it has a queue, that of S3's messages.

    Args:
        watched: which job makes what from the source.
        source: `s3://bucket/prefix` or a folder.
        names: of the two sensors.
        states: `RUNNING` or `STOPPED`, of each.
        queue_url: the SQS queue; `''`: there is none.
        interval: least seconds between two ticks.
    """
    listing, messages = map(dg.DefaultSensorStatus, states)

    @dg.sensor(
        name=names[0],
        job_name=watched.job,
        minimum_interval_seconds=interval,
        default_status=listing,
        description=(
            "Lists the source, over several ticks where it is large, and asks for a run of "
            f"`{watched.job}` whenever it isn't what {watched.name} was made from."
        ),
    )
    def listing_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        return tick(context, source=source, watched=watched)

    if not queue_url:
        return [listing_sensor]
    queue = sqs_sensor(
        name=names[1],
        job=watched.job,
        source=source,
        tag=SOURCE_TAG,
        queue_url=queue_url,
        interval=interval,
        status=messages,
    )
    return [listing_sensor, queue]


def tick(context: dg.SensorEvaluationContext, *, source: str, watched: Watched) -> dg.SensorResult:
    """One tick: list a piece more; at the end of a listing compare it with the result's."""
    attempts = attempts_of(context.instance, source, job=watched.job)
    waits = next((attempt for attempt in attempts if attempt.ended is None), None)
    if waits is not None:
        # Whatever it misses, the listing after it will show.
        return _skip(
            f"run {waits.run[:8]} is under way; the source is listed again when it has ended"
        )
    scan = Scan.resume(context.cursor, source=source)
    try:
        scan, complete = advance(
            scan,
            lambda after: _listing(source, after),
            seconds=_SECONDS_PER_TICK,
            keys=_KEYS_PER_TICK,
        )
    except NotFoundError as error:
        return _skip(f"there is nothing to list: {error}")
    except WordfreqError as error:
        # Named in the tick and tried again; what has been listed so far is kept.
        raise dg.Failure(f"the source can't be listed: {error}") from error
    if not complete:
        return _skip(
            f"listed {scan.fingerprint.files:,} files so far, in {scan.ticks} ticks",
            cursor=scan.cursor,
        )
    if not source.startswith("s3://") and _growing(scan):
        return _skip("a file was written just now; waiting until it is whole")
    decision = decide(
        listing=scan.fingerprint,
        made_from=watched.made_from(context.instance),
        attempts=attempts,
        now=time.time(),
        result=watched.name,
        unchecked=bool(unevaluated_checks(context.instance, watched.checks)),
    )
    context.log.info(f"{decision.reason} (listed in {scan.ticks} ticks)")
    listing = str(scan.fingerprint)
    seen = observed(context.instance, watched.observes, listing=listing, source=source)
    return dg.SensorResult(
        run_requests=[_request(context, scan, decision, watched)] if decision.run else [],
        skip_reason=None if decision.run else decision.reason,
        asset_events=seen,
        cursor="",
    )


def attempts_of(instance: dg.DagsterInstance, source: str, *, job: str) -> list[Attempt]:
    """The latest runs on this source: those under way, and those that a listing asked for."""
    records = instance.get_run_records(
        filters=dg.RunsFilter(job_name=job, tags={SOURCE_TAG: source}),
        limit=_RUNS_LOOKED_AT,
    )
    found = []
    for record in records:
        run = record.dagster_run
        if run.status in UNFINISHED:
            found.append(Attempt(listing="", ended=None, run=run.run_id))
        elif listing := run.tags.get(LISTING_TAG):
            ended = record.end_time or record.update_timestamp.timestamp()
            found.append(Attempt(listing=listing, ended=ended))
    return found


def _listing(source: str, after: str) -> Iterator[ObjectInfo]:
    return open_store(source).list(start_after=after, all_of_it=False)


def _growing(scan: Scan) -> bool:
    age = (datetime.now(timezone.utc) - scan.newest).total_seconds()
    return 0 <= age < _SETTLE  # a time in the future is a clock's fault, and no reason to wait


def _request(
    context: dg.SensorEvaluationContext, scan: Scan, decision: Decision, watched: Watched
) -> dg.RunRequest:
    # The run key names the state, the result it is compared with and the attempt: the same state
    # coming back later (A, B, A) has another result before it, and so asks again.
    latest = context.instance.get_latest_materialization_event(watched.result)
    before = f"{latest.timestamp:.3f}" if latest else "none"
    listing = str(scan.fingerprint)
    return dg.RunRequest(
        run_key=f"{listing}/after-{before}/{decision.attempt}",
        tags={LISTING_TAG: listing},
    )


def _skip(reason: str, *, cursor: str = "") -> dg.SensorResult:
    return dg.SensorResult(skip_reason=reason, cursor=cursor)
