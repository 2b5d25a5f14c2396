"""Run tags, metadata keys and owners of both pipelines. Earlier runs carry them: don't rename.

`take_turn` gives every run its tag of the source, however it was started, and lets runs on one
source follow each other also where the run queue can't: it knows only tags given at the start.
"""

from __future__ import annotations

import time

import dagster as dg

from dagster_aws_batch import is_gone, sign_of

#: Run tag: the source. The run queue lets one run of each value run at a time (`dagster.yaml`).
SOURCE_TAG = "wordfreq/source"
#: Run tag: the fingerprint of the listing that the run was asked for.
LISTING_TAG = "wordfreq/listing"
#: Run tag of runs that rank what they count, so that no automation has to.
RANKS_TAG = "wordfreq/ranks"
#: Metadata: the fingerprint (`wordfreq_batch.plans.fingerprint`) of the files that a result is of.
LISTING = "source listing"
#: Metadata: the version of the counter that made the counts of a ranking.
COUNTER = "counter version"
#: Metadata: the settings' options that a result was made under, whatever its run's config said.
SETTINGS = "settings"

#: Run tag: since when (seconds) the run works on its source, or waits for others; and its id.
TURN_TAG = "wordfreq/turn"

_LOOK_SECONDS = 2.0
#: A run that gives no sign of life for so long isn't waited for: it renews one every 20 s.
_PATIENCE_SECONDS = 90.0

OWNERS = ["team:data-platform"]


def take_turn(context: dg.AssetExecutionContext, source: str) -> None:
    """Wait until no run is left that began to work on this source before this one.

    The run queue does that for runs of a job, by their tag. Those that were started as assets or
    partitions, or by `dg launch`, get the tag only here. Two runs at once give right results, but
    they may pay for the same work twice.

    Args:
        context: of the asset that reads the source or its results.
        source: the place.
    """
    instance, own = context.instance, context.run.run_id
    run = instance.get_run_by_id(own)
    if run is None or _turn(run) is not None:  # an earlier step of this run has waited
        return
    turn = round(time.time(), 3)
    instance.add_run_tags(own, {SOURCE_TAG: source, TURN_TAG: f"{turn} {own}"})
    signs: dict[str, tuple[str | None, float]] = {}
    named: set[str] = set()
    while earlier := _earlier(instance, source, own=own, turn=turn, signs=signs):
        for other in earlier:
            if other not in named:
                named.add(other)
                context.log.info(f"waiting for run {other[:8]}, which works on the same source")
        time.sleep(_LOOK_SECONDS)


def _turn(run: dg.DagsterRun) -> float | None:
    """When the run took its turn; None if it hasn't yet. Retries inherit the tag of another run."""
    when, _, of = run.tags.get(TURN_TAG, "").partition(" ")
    return float(when) if of == run.run_id else None


def _earlier(
    instance: dg.DagsterInstance,
    source: str,
    *,
    own: str,
    turn: float,
    signs: dict[str, tuple[str | None, float]],
) -> list[str]:
    """Runs under way, and alive, that took their turn on this source before."""
    started = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED], tags={SOURCE_TAG: source})
    found = []
    for run in instance.get_runs(started):
        theirs = _turn(run)
        if theirs is None or (theirs, run.run_id) >= (turn, own) or is_gone(run):
            continue
        sign = sign_of(instance, run)
        if signs.get(run.run_id, ("", 0.0))[0] != sign:
            signs[run.run_id] = (sign, time.monotonic())
        if time.monotonic() - signs[run.run_id][1] < _PATIENCE_SECONDS:
            found.append(run.run_id)
    return found
