"""Runs on one place follow each other, however they were started.

The run queue does that for runs that had their tag at the start. `take_turn`, called first by
assets that work on the place, gives the tag to every other run, too, and waits.
"""

from __future__ import annotations

import time

import dagster as dg

from dagster_aws_batch._alive import is_gone, sign_of

__all__ = ["take_turn", "turn_tag"]


def turn_tag(tag: str) -> str:
    """The run tag that holds since when (seconds) a run works on its place, or waits; and its id.

    Args:
        tag: The run tag of the place, such as `pipeline/source`.

    Returns:
        A tag beside it: `pipeline/turn`.
    """
    return f"{tag.rpartition('/')[0]}/turn"


def take_turn(
    context: dg.AssetExecutionContext,
    source: str,
    *,
    tag: str,
    poll_seconds: float = 2.0,
    patience_seconds: float = 90.0,
) -> None:
    """Wait until no run is left that began to work on this source before this one.

    Runs that are started as assets or partitions, or by `dg launch`, lack the tag that their job
    has, so the run queue can't order them.

    Args:
        context: Of the asset that reads the source or its results.
        source: The place.
        tag: The run tag of the place; jobs give it to their runs, too.
        poll_seconds: Between two polls of the other runs.
        patience_seconds: A run that gives no sign of life for so long isn't waited for; a living
            one renews it every 20 s.
    """
    instance, own = context.instance, context.run.run_id
    run = instance.get_run_by_id(own)
    if run is None or _turn(run, tag) is not None:  # an earlier step of this run has waited
        return
    turn = round(time.time(), 3)
    instance.add_run_tags(own, {tag: source, turn_tag(tag): f"{turn} {own}"})
    signs: dict[str, tuple[str | None, float]] = {}
    named: set[str] = set()
    while earlier := _earlier(instance, {tag: source}, before=(turn, own), signs=signs):
        alive = [run for run in earlier if time.monotonic() - signs[run][1] < patience_seconds]
        if not alive:
            return
        for other in alive:
            if other not in named:
                named.add(other)
                context.log.info(f"waiting for run {other[:8]}, which works on the same source")
        time.sleep(poll_seconds)


def _turn(run: dg.DagsterRun, tag: str) -> float | None:
    """When the run took its turn; None if it hasn't yet. Retries inherit the tag of another run."""
    when, _, of = run.tags.get(turn_tag(tag), "").partition(" ")
    return float(when) if of == run.run_id else None


def _earlier(
    instance: dg.DagsterInstance,
    place: dict[str, str],
    *,
    before: tuple[float, str],
    signs: dict[str, tuple[str | None, float]],
) -> list[str]:
    """Runs under way that took their turn on this place before; notes when their signs changed."""
    started = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED], tags=place)
    found = []
    for run in instance.get_runs(started):
        turn = _turn(run, *place)
        if turn is None or (turn, run.run_id) >= before or is_gone(run):
            continue
        sign = sign_of(instance, run)
        if signs.get(run.run_id, ("", 0.0))[0] != sign:
            signs[run.run_id] = (sign, time.monotonic())
        found.append(run.run_id)
    return found
