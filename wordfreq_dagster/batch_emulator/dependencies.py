"""Who waits for whom: `dependsOn` with its types SEQUENTIAL and N_TO_N, as edges between jobs.

Source: AWS Batch API reference, SubmitJob, and user guide, job dependencies and array jobs.
"""

from __future__ import annotations

from collections.abc import Iterable

from wordfreq_dagster.batch_emulator.model import Job, Status


class Dependencies:
    """The edges whose origin has not ended. `Job.waiting` counts a job's open ones."""

    def __init__(self) -> None:
        self._edges: dict[str, list[Job]] = {}

    def link(self, job: Job, named: list[Job]) -> bool:
        """Add all edges of a new job; return False if one of its dependencies has already failed.

        `named` are the jobs of those entries of `dependsOn` that name one, in order. An N_TO_N
        entry binds child i to child i, SEQUENTIAL binds child i to child i-1; failed single
        children of an N_TO_N dependency that has not ended yet are noticed by `ended` like any
        other.
        """
        possible = True
        origins = iter(named)
        for dependency in job.spec.depends_on:
            if dependency.job_id is None:
                for before, child in zip(
                    job.children or [], (job.children or [])[1:], strict=False
                ):
                    possible = self._edge(before, child) and possible
                continue
            origin = next(origins, None)
            if origin is None:
                continue
            if dependency.type == "N_TO_N" and job.children and origin.children:
                for before, child in zip(origin.children, job.children, strict=True):
                    possible = self._edge(before, child) and possible
            else:
                possible = self._edge(origin, job) and possible
        return possible

    def ended(self, job: Job) -> Iterable[Job]:
        """Return those that waited for this job, each with one open edge less."""
        waiting = self._edges.pop(job.id, [])
        for other in waiting:
            other.waiting -= 1
        return waiting

    def _edge(self, origin: Job, job: Job) -> bool:
        if job.final:
            return True
        if origin.status is Status.FAILED:
            return False
        if origin.status is not Status.SUCCEEDED:
            self._edges.setdefault(origin.id, []).append(job)
            job.waiting += 1
        return True
