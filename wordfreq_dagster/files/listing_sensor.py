"""The sensor `new_files`: it lists the source and asks for a run when the ranking isn't of it."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone

import dagster as dg

from wordfreq_batch.errors import (
    NotFoundError,
    WordfreqError,
)
from wordfreq_batch.storage.opening import open_store
from wordfreq_batch.storage.store import ObjectInfo
from wordfreq_dagster.defs.word_frequency.jobs import (
    SOURCE_TAG,
    WORD_FREQUENCY,
)
from wordfreq_dagster.defs.word_frequency.ranking import (
    ranked_listing,
    ranking,
)
from wordfreq_dagster.files.listing import (
    Attempt,
    Decision,
    Scan,
    advance,
    decide,
)
from wordfreq_dagster.files.places import Locations

# No `from __future__ import annotations` here: Dagster reads the annotations of sensor functions.

#: Run tag: the fingerprint of the listing that the run was asked for.
LISTING_TAG = "wordfreq/listing"

UNFINISHED = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
_RUNS_LOOKED_AT = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often and how long a sensor looks, all in seconds but `keys_per_tick`.

    `seconds_per_tick` must stay well below Dagster's 60 s for one evaluation. `settle`: a local
    file written less than that long ago may still be growing. `pause` follows a first run that
    didn't help; it doubles up to `longest_pause`.
    """

    interval: int = 30
    seconds_per_tick: float = 20.0
    keys_per_tick: int = 1_000_000
    settle: float = 2.0
    pause: float = 120.0
    longest_pause: float = 6 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """Which job makes what from a source.

    `made_from` says of which listing the latest `result` is (`''`: of none or not of all of it),
    `name` is what the result is called in messages.
    """

    job: str
    result: dg.AssetKey
    made_from: Callable[[dg.DagsterInstance], str]
    name: str


RANKED = Watched(
    job=WORD_FREQUENCY, result=ranking.key, made_from=ranked_listing, name="the ranking"
)


def new_files_sensor(
    *, pace: Pace, status: dg.DefaultSensorStatus = dg.DefaultSensorStatus.RUNNING
) -> dg.SensorDefinition:
    """The sensor; it asks for the job `word_frequency`."""

    @dg.sensor(
        name="new_files",
        job_name=WORD_FREQUENCY,
        minimum_interval_seconds=pace.interval,
        default_status=status,
        description=(
            "Lists the source, over several ticks where it is large, and asks for a run of "
            "`word_frequency` whenever it isn't what the latest ranking was made from."
        ),
    )
    def new_files(context: dg.SensorEvaluationContext, locations: Locations) -> dg.SensorResult:
        return look(context, source=locations.source, pace=pace)

    return new_files


def look(
    context: dg.SensorEvaluationContext, *, source: str, pace: Pace, watched: Watched = RANKED
) -> dg.SensorResult:
    """One tick: list a piece more; at the end of a listing compare it with the result's."""
    attempts = attempts_of(context.instance, source, job=watched.job)
    if any(attempt.ended is None for attempt in attempts):
        # Whatever it misses, the listing after it will show.
        return _skip("a run is under way; the source is listed again when it has ended")
    scan = Scan.resume(context.cursor, source=source)
    try:
        scan, complete = advance(
            scan,
            lambda after: _listing(source, after),
            seconds=pace.seconds_per_tick,
            keys=pace.keys_per_tick,
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
    if not source.startswith("s3://") and _growing(scan, pace.settle):
        return _skip("a file was written just now; waiting until it is whole")
    decision = decide(
        listing=scan.fingerprint,
        ranked=watched.made_from(context.instance),
        attempts=attempts,
        now=time.time(),
        pause=pace.pause,
        longest_pause=pace.longest_pause,
        result=watched.name,
    )
    context.log.info(f"{decision.reason} (listed in {scan.ticks} ticks)")
    if not decision.run:
        return _skip(decision.reason)
    return dg.SensorResult(
        run_requests=[_request(context, scan, decision, watched)],
        cursor="",
    )


def attempts_of(
    instance: dg.DagsterInstance, source: str, *, job: str = WORD_FREQUENCY
) -> list[Attempt]:
    """The latest runs on this source: those under way, and those that a listing asked for."""
    records = instance.get_run_records(
        filters=dg.RunsFilter(job_name=job, tags={SOURCE_TAG: source}),
        limit=_RUNS_LOOKED_AT,
    )
    found = []
    for record in records:
        run = record.dagster_run
        if run.status in UNFINISHED:
            found.append(Attempt(listing="", ended=None))
        elif listing := run.tags.get(LISTING_TAG):
            ended = record.end_time or record.update_timestamp.timestamp()
            found.append(Attempt(listing=listing, ended=ended))
    return found


def _listing(source: str, after: str) -> Iterator[ObjectInfo]:
    return open_store(source).list(start_after=after)


def _growing(scan: Scan, settle: float) -> bool:
    age = (datetime.now(timezone.utc) - scan.newest).total_seconds()
    return 0 <= age < settle  # a time in the future is a clock's fault, and no reason to wait


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
