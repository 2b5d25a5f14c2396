"""Dependencies: `dependsOn` with its types SEQUENTIAL and N_TO_N, as edges between jobs.

Source: AWS Batch API reference, SubmitJob, and user guide, job dependencies and array jobs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping

from aws_batch_emulator._core.model import Job, Status


class Dependencies:
    """The edges whose origin has not ended. `Job.waiting` counts a job's open ones."""

    def __init__(self) -> None:
        self._edges: dict[str, list[Job]] = {}

    def link(self, job: Job, origins: Mapping[str, Job]) -> list[Job]:
        """Add all edges of a job; return those jobs or children whose origin has already failed.

        `origins` are the jobs that its `dependsOn` names. An N_TO_N entry binds child i to child i,
        SEQUENTIAL binds child i to child i-1. Unknown origins, long purged, count as fulfilled.
        """
        impossible: list[Job] = []
        job.waiting = 0
        for origin, waiter in _edges(job, origins):
            if waiter.final or origin.status is Status.SUCCEEDED:
                continue
            if origin.status is Status.FAILED:
                impossible.append(waiter)
                continue
            self._edges.setdefault(origin.id, []).append(waiter)
            waiter.waiting += 1
        return impossible

    def ended(self, job: Job) -> Iterable[Job]:
        """Return those that waited for this job, each with one open edge less."""
        waiting = self._edges.pop(job.id, [])
        for other in waiting:
            other.waiting -= 1
        return waiting


def _edges(job: Job, origins: Mapping[str, Job]) -> Iterator[tuple[Job, Job]]:
    children = job.children or []
    for dependency in job.spec.depends_on:
        if dependency.job_id is None:
            yield from itertools.pairwise(children)
            continue
        origin = origins.get(dependency.job_id)
        if origin is None:
            continue
        if dependency.type == "N_TO_N" and job.children and origin.children:
            yield from zip(origin.children, children, strict=True)
        else:
            yield origin, job
