"""Runs on one place follow each other, however they were started.

The run queue does that for runs that had their tag at the start. `take_turn`, called first by
assets that work on the place, gives the tag to every other run, too, and waits.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import dagster as dg

from dagster_aws_batch._alive import add_tags, is_gone, sign_of
from dagster_aws_batch.automation import check_number

__all__ = ["take_turn", "turn_tag"]


def turn_tag(tag: str) -> str:
    """The run tag of a run's turn: since when it waits (seconds), its id, and `works` if it does.

    Args:
        tag: The run tag of the place, such as `pipeline/source`.

    Returns:
        A tag beside it: `pipeline/turn`.
    """
    return f"{tag.rpartition('/')[0]}/turn"


def take_turn(
    context: dg.AssetExecutionContext,
    place: str,
    *,
    tag: str,
    poll_seconds: float = 2.0,
    patience_seconds: float = 90.0,
) -> None:
    """Wait until no other run works on this place and none waits that came before this one.

    Runs that are started as assets or partitions, or by `dg launch`, lack the tag that their job
    has, so the run queue can't order them.

    Args:
        context: Of the asset that reads the place or its results.
        place: What they work on, such as `s3://bucket/prefix`: the value of the tag.
        tag: The run tag of the place; jobs give it to their runs, too.
        poll_seconds: Between two polls of the other runs.
        patience_seconds: A run whose sign of life doesn't change for so long isn't waited for; a
            living one renews it every 20 s. One that gives none (it has no `BatchJobs` and no
            `signs_of_life`) is waited for until its run has ended.
    """
    check_number("poll_seconds", poll_seconds)
    check_number("patience_seconds", patience_seconds)
    instance, own = context.instance, context.run.run_id
    run = instance.get_run_by_id(own)
    if run is None or ((had := _turn(run, tag)) and had.works):  # an earlier step has waited
        return
    turn = _Turn(round(time.time(), 3), own)
    others = _Others(instance, {tag: place}, patience_seconds)
    add_tags(instance, own, {tag: place, turn_tag(tag): str(turn)})
    named: set[str] = set()
    while True:
        if not (ahead := others.ahead(turn)):
            # Two may come to this at once, whatever their clocks say: each says so, then looks.
            add_tags(instance, own, {turn_tag(tag): str(turn._replace(works=True))})
            if not (ahead := others.ahead(turn, only_working=True)):
                return
            add_tags(instance, own, {turn_tag(tag): str(turn)})
        for other in ahead:
            if other not in named:
                named.add(other)
                context.log.info(f"waiting for run {other[:8]}, which works on the same place")
        time.sleep(poll_seconds)


class _Turn(NamedTuple):
    since: float
    run_id: str
    works: bool = False

    def __str__(self) -> str:
        return f"{self.since} {self.run_id}{' works' if self.works else ''}"


def _turn(run: dg.DagsterRun, tag: str) -> _Turn | None:
    """The run's turn; None if it has none yet. Retries inherit the tag of another run."""
    since, _, of = run.tags.get(turn_tag(tag), "").partition(" ")
    run_id, _, works = of.partition(" ")
    return _Turn(float(since), run_id, bool(works)) if run_id == run.run_id else None


class _Others:
    """The other runs under way on a place, and when their signs of life have changed."""

    def __init__(
        self, instance: dg.DagsterInstance, place: dict[str, str], patience_seconds: float
    ) -> None:
        self._instance = instance
        self._place = place
        self._patience = patience_seconds
        self._signs: dict[str, tuple[str, float]] = {}

    def ahead(self, own: _Turn, *, only_working: bool = False) -> list[str]:
        """Living runs that work, or that wait and came before `own`."""
        started = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED], tags=self._place)
        return [
            run.run_id
            for run in self._instance.get_runs(started)
            if (turn := _turn(run, *self._place)) is not None
            and run.run_id != own.run_id
            and (turn.works or (not only_working and turn < own))
            and self._lives(run)
        ]

    def _lives(self, run: dg.DagsterRun) -> bool:
        if is_gone(run):
            return False
        if (sign := sign_of(self._instance, run)) is None:
            return True  # a step is under way, and nothing has to change, however long it takes
        now = time.monotonic()
        if self._signs.get(run.run_id, ("", 0.0))[0] != sign:
            self._signs[run.run_id] = (sign, now)
        return now - self._signs[run.run_id][1] < self._patience
