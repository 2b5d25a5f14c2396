"""The job state machine: what happens to jobs, arrays, dependencies, retries and timeouts.

Knows nothing of HTTP, threads, locks or files. `Engine` calls it under its lock and calls `settle`
after every change; time, timers and the runner come from outside.
"""

from __future__ import annotations

import dataclasses
import logging
import secrets
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from aws_batch_emulator._core import retries
from aws_batch_emulator._core.dependencies import Dependencies
from aws_batch_emulator._core.faults import UNSTARTABLE, Fault, Faults, end_of_attempt
from aws_batch_emulator._core.launch import (
    cannot_start,
    ended_containers,
    log_stream,
    streams,
    task_of,
)
from aws_batch_emulator._core.log_store import LogStore
from aws_batch_emulator._core.model import (
    ACTIVE,
    CHILD_FAILED,
    DEPENDENCY_FAILED,
    HOST_LOST,
    LOST,
    NOT_STARTED,
    TIMED_OUT,
    UNSTARTED,
    Attempt,
    ComputeEnvironment,
    Exit,
    Job,
    JobSpec,
    RunningAttempt,
    Status,
)
from aws_batch_emulator._core.runner import Runner
from aws_batch_emulator._core.scheduler import NO_CAPACITY, Scheduler

logger = logging.getLogger(__name__)

GRACE_SECONDS = 30.0
"""From SIGTERM to SIGKILL (AWS Batch user guide, job timeouts)."""

Later = Callable[[float, Callable[[], None]], None]
"""Calls a function after so many seconds, in a step of its own."""


class Machine:
    """All jobs and the rules by which they change; `changed` collects what is to be written."""

    def __init__(
        self,
        *,
        now: Callable[[], float],
        later: Later,
        runner: Runner,
        scheduler: Scheduler,
        logs: LogStore,
        faults: Faults,
    ) -> None:
        self.jobs: dict[str, Job] = {}
        """Plain jobs and array parents by id, in order of submission."""
        self.changed: dict[str, Job] = {}
        self.on_change: list[Callable[[Job], None]] = []
        self.scheduler = scheduler
        self.instance_id = _new_instance()
        self._now = now
        self._later = later
        self._runner = runner
        self._logs = logs
        self._faults = faults
        self._dependencies = Dependencies()
        self._ended: deque[Job] = deque()
        self._tasks: dict[str, Job] = {}
        self._seq = 0

    def now_ms(self) -> int:
        """Return the time in milliseconds, as AWS Batch shows times."""
        return int(self._now() * 1000)

    # What clients ask for

    def submit(self, spec: JobSpec, *, size: int | None, origins: Mapping[str, Job]) -> Job:
        """Take a job; `origins` are the jobs that `spec.depends_on` names, by id."""
        job = self._new(str(uuid.uuid4()), spec, size=size)
        if size is not None:
            job.children = [
                self._new(f"{job.id}:{i}", spec, parent=job, index=i) for i in range(size)
            ]
            job.counts = {Status.PENDING: size}
            for child in job.children:
                child.status = Status.PENDING
        self.jobs[job.id] = job
        impossible = self._dependencies.link(job, origins)
        self._later(0.0, lambda: self._evaluate(job, impossible))
        return job

    def withdraw(self, job: Job) -> None:
        """Undo `submit` in the same step: the job could not be written down."""
        del self.jobs[job.id]
        for one in (job, *(job.children or [])):
            one.status = Status.FAILED
            self.changed.pop(one.id, None)

    def cancel(self, job: Job, reason: str) -> None:
        """CancelJob: end what has not reached STARTING; the rest is left alone."""
        if job.children is None:
            self._cancel_one(job, reason)
        elif not job.final:
            job.cancelled, job.end_reason = True, reason
            self.touch(job)
            for child in job.children:
                self._cancel_one(child, reason)

    def terminate(self, job: Job, reason: str) -> None:
        """TerminateJob: cancel what has not started, stop what runs, with all children."""
        if job.final:
            return
        job.terminated, job.end_reason = True, reason
        self.touch(job)
        for one in job.children or [job]:
            if one.final:
                continue
            one.terminated, one.end_reason = True, reason
            self.touch(one)
            if one.status in UNSTARTED:
                self._end(one, Status.FAILED, reason)
            elif one.run is not None:
                self._runner.stop(one.run.task_id, grace_seconds=GRACE_SECONDS)

    def touch(self, job: Job) -> None:
        """Have the job written down at the end of the step."""
        self.changed[job.id] = job

    # What runners report

    def task_started(self, task_id: str, handle: str | None) -> None:
        """STARTING -> RUNNING."""
        job = self._tasks.get(task_id)
        if job is None or job.run is None:
            return
        run = job.run
        run.handle = handle
        self.touch(job)
        if job.status is not Status.STARTING:
            return  # one more container of the same attempt
        run.log_stream = log_stream(job.spec, job.spec.container, task_id)
        run.started_at = job.started_at = self.now_ms()
        if job.parent is not None and job.parent.started_at is None:
            job.parent.started_at = job.started_at
            self.touch(job.parent)
        self._move(job, Status.RUNNING)
        if job.spec.timeout_seconds is not None:
            self._later(job.spec.timeout_seconds, lambda: self._time_out(job, task_id))
        if job.terminated:
            self._runner.stop(task_id, grace_seconds=GRACE_SECONDS)

    def task_ended(self, task_id: str, end: Exit) -> None:
        """The attempt is over: record it, then succeed, retry or fail."""
        job = self._tasks.pop(task_id, None)
        if job is None or job.run is None:
            return
        run, job.run = job.run, None
        self.scheduler.release(job, run.compute_environment)
        self._record(job, run, run.override or end)

    def kill(self, task_id: str, end: Exit) -> None:
        """End an attempt by force, to count as ended like this (fault injection)."""
        job = self._tasks.get(task_id)
        if job is not None and job.run is not None:
            job.run.override = end
            self._runner.stop(task_id, grace_seconds=0.0)

    # Transitions

    def _new(self, job_id: str, spec: JobSpec, **place: Any) -> Job:
        """Make a job; `place` is its size, or its parent and index."""
        self._seq += 1
        return Job(id=job_id, seq=self._seq, spec=spec, created_at=self.now_ms(), **place)

    def _evaluate(self, job: Job, impossible: list[Job]) -> None:
        """SUBMITTED -> PENDING or RUNNABLE; what depends on something that failed -> FAILED."""
        for one in impossible:
            self._fail_tree(one, DEPENDENCY_FAILED)
        if job.final:
            return
        if job.waiting and job.status is Status.SUBMITTED:
            self._move(job, Status.PENDING)
        else:
            self._release(job)

    def _release(self, job: Job) -> None:
        """All dependencies of this job are fulfilled."""
        for one in job.children or [job]:
            blocked = one.waiting or (one.parent is not None and one.parent.waiting)
            if one.status in (Status.SUBMITTED, Status.PENDING) and not blocked:
                self._runnable(one)

    def _runnable(self, job: Job) -> None:
        if job.cancelled or job.terminated:
            self._end(job, Status.FAILED, job.end_reason)
            return
        self._move(job, Status.RUNNABLE)
        self.scheduler.add(job)

    def _place(self, job: Job, environment: ComputeEnvironment) -> None:
        """RUNNABLE -> STARTING in that environment, or what a fault makes of it."""
        number = len(job.attempts) + 1
        if job.spec.start_failure is not None:
            self.scheduler.release(job, environment.name)
            self._end(job, Status.FAILED, job.spec.start_failure)
            return
        fault = self._faults.for_attempt(job, attempt=number)
        if fault is not None and fault.fault == "never_start":
            self.scheduler.release(job, environment.name)
            self.scheduler.set_aside(job, fault.message or NO_CAPACITY.format("optimal"))
            return
        job.status_reason = None
        run = job.run = RunningAttempt(
            task_id=uuid.uuid4().hex,
            number=number,
            compute_environment=environment.name,
            instance_id=self.instance_id,
        )
        task = task_of(job, run)
        self._tasks[task.id] = job
        self._move(job, Status.STARTING)
        if fault is not None and self._apply(job, run, fault):
            return
        try:
            for group, stream in streams(job.spec, run.task_id):
                self._logs.create(group, stream, now=self.now_ms())
            self._runner.start(task)
        except Exception as error:
            logger.exception("Attempt %s of job %s could not be started", number, job.id)
            end = cannot_start(error)
            self._later(0.0, lambda: self.task_ended(run.task_id, end))

    def _apply(self, job: Job, run: RunningAttempt, fault: Fault) -> bool:
        """Apply a job fault; return whether the attempt is not to be started at all."""
        if fault.fault == "spot_reclaim":
            self.instance_id = _new_instance()  # the next attempt is elsewhere
        if fault.fault == "lost":
            self._later(fault.seconds, lambda: self._lose(job))
            return False
        end = end_of_attempt(fault, job, run)
        if fault.fault in UNSTARTABLE:
            self._later(fault.seconds, lambda: self.task_ended(run.task_id, end))
            return True
        self._later(fault.seconds, lambda: self.kill(run.task_id, end))
        return False

    def _lose(self, job: Job) -> None:
        job.lost = True
        self.touch(job)

    def _time_out(self, job: Job, task_id: str) -> None:
        if job.run is not None and job.run.task_id == task_id and job.status in ACTIVE:
            job.run.stopping, job.run.final = TIMED_OUT, True
            self._runner.stop(task_id, grace_seconds=GRACE_SECONDS)

    def _record(self, job: Job, run: RunningAttempt, end: Exit) -> None:
        stopping = job.end_reason if job.terminated else run.stopping
        if stopping is not None:
            end = dataclasses.replace(end, status_reason=stopping)
        elif end.status_reason == HOST_LOST:
            end = dataclasses.replace(end, status_reason=HOST_LOST.format(run.instance_id))
        now = self.now_ms()
        for group, stream in streams(job.spec, run.task_id):
            self._logs.close(group, stream, now=now)
        attempt = Attempt(
            task_id=run.task_id,
            log_stream=run.log_stream,
            started_at=run.started_at,
            stopped_at=now,
            exit_code=end.exit_code,
            reason=end.reason,
            status_reason=end.status_reason,
            containers=ended_containers(job, run, end),
        )
        job.attempts = (*job.attempts, attempt)
        again = not (job.terminated or run.final)
        if end.exit_code == 0 and stopping is None:
            self._end(job, Status.SUCCEEDED, end.status_reason)
        elif again and retries.retried(job.spec, attempt=run.number, end=end):
            self._move(job, Status.RUNNABLE)
            self.scheduler.add(job)
        else:
            self._end(job, Status.FAILED, end.status_reason)

    def _cancel_one(self, job: Job, reason: str) -> None:
        if job.status not in UNSTARTED:
            return
        job.cancelled, job.end_reason = True, reason
        self.touch(job)
        # A PENDING job is cancelled after its dependencies are completed (API ref., CancelJob).
        if not (job.waiting or (job.parent is not None and job.parent.waiting)):
            self._end(job, Status.FAILED, reason)

    def _fail_tree(self, job: Job, reason: str) -> None:
        reason = job.end_reason if job.cancelled and job.end_reason else reason
        if job.children is not None:
            job.end_reason = reason
        for one in job.children or [job]:
            if one.status in UNSTARTED:
                self._end(one, Status.FAILED, reason)

    def _end(self, job: Job, status: Status, reason: str | None) -> None:
        job.status_reason = reason
        job.stopped_at = self.now_ms()
        self.scheduler.forget(job)
        self._move(job, status)
        self._ended.append(job)

    def _move(self, job: Job, status: Status) -> None:
        before, job.status = job.status, status
        self.touch(job)
        parent = job.parent
        if parent is not None and parent.counts is not None:
            parent.counts[before] -= 1
            parent.counts[status] = parent.counts.get(status, 0) + 1
            parent.counted_at = self.now_ms()
            if status is Status.RUNNABLE and parent.status is Status.SUBMITTED:
                self._move(parent, Status.PENDING)
        for listener in self.on_change:
            listener(job)

    # Consequences

    def settle(self) -> None:
        """Work off what ended, fill free capacity and note why jobs can't start."""
        while True:
            while self._ended:
                self._after(self._ended.popleft())
            found = self.scheduler.take()
            if found is not None:
                self._place(*found)
            elif not self._ended:
                break
        for job in self.scheduler.take_newly_aside():
            self._set_aside(job)

    def _after(self, job: Job) -> None:
        parent = job.parent
        if parent is not None and not parent.final and parent.counts is not None:
            failed = parent.counts.get(Status.FAILED, 0)
            if failed + parent.counts.get(Status.SUCCEEDED, 0) == parent.size:
                if failed:
                    self._end(parent, Status.FAILED, parent.end_reason or CHILD_FAILED)
                else:
                    self._end(parent, Status.SUCCEEDED, None)
        for waiting in self._dependencies.ended(job):
            if waiting.final:
                continue
            if job.status is Status.FAILED:
                self._fail_tree(waiting, DEPENDENCY_FAILED)
            elif not waiting.waiting:
                self._release(waiting)

    def _set_aside(self, job: Job) -> None:
        """Note why the job can't start; the queue may limit for how long it waits so."""
        self.touch(job)
        queue = self.scheduler.queue(job.spec.queue)
        for action in queue.document.get("jobStateTimeLimitActions", []) if queue else []:
            if (job.status_reason or "").startswith(action["reason"]):
                reason = f"Canceled by JobStateTimeLimit action due to reason: {action['reason']}"
                self._later(action["maxTimeSeconds"], lambda r=reason: self._give_up(job, r))  # type: ignore[misc]

    def _give_up(self, job: Job, reason: str) -> None:
        if job.id in self.scheduler.aside and job.status is Status.RUNNABLE:
            self._end(job, Status.FAILED, reason)

    # Restart

    def restore(self, jobs: list[Job], find: Callable[[str], Job | None]) -> None:
        """Take over the jobs of an earlier process: what was under way was lost with its host."""
        for job in jobs:
            self.jobs[job.id] = job
            self._seq = max(self._seq, job.seq, *(c.seq for c in job.children or [job]))
        for job in jobs:
            if job.final:
                continue
            named = [d.job_id for d in job.spec.depends_on if d.job_id is not None]
            origins = {job_id: origin for job_id in named if (origin := find(job_id)) is not None}
            impossible = self._dependencies.link(job, origins)
            for one in job.children or [job]:
                try:
                    self._restore_one(one)
                except Exception:  # one record never keeps the emulator from starting
                    logger.exception("Job %s could not be restored", one.id)
                    self._end(one, Status.FAILED, NOT_STARTED)
            self._later(0.0, lambda j=job, i=impossible: self._evaluate(j, i))  # type: ignore[misc]

    def _restore_one(self, job: Job) -> None:
        if job.status is Status.RUNNABLE:
            self.scheduler.add(job)
        elif job.status in ACTIVE and job.run is not None:
            run, job.run = job.run, None
            if run.handle is not None:
                self._runner.recover(run.handle)
            self._record(job, run, LOST)


def _new_instance() -> str:
    return f"i-{secrets.token_hex(9)[:17]}"
