"""The job state machine: what happens to jobs, arrays, dependencies, retries and timeouts.

Knows nothing of HTTP or of AWS's documents. One lock guards everything; each public method is one
`step`, at whose end consequences are worked off, free capacity is filled and changes are written
to the store.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator

from wordfreq_dagster.batch_emulator import retries
from wordfreq_dagster.batch_emulator.clock import Clock, Timers, VirtualClock
from wordfreq_dagster.batch_emulator.dependencies import Dependencies
from wordfreq_dagster.batch_emulator.faults import Faults
from wordfreq_dagster.batch_emulator.launch import log_group, log_stream, task_of
from wordfreq_dagster.batch_emulator.logs import LogStore
from wordfreq_dagster.batch_emulator.model import (
    ACTIVE,
    CHILD_FAILED,
    DEPENDENCY_FAILED,
    HOST_LOST,
    TIMED_OUT,
    UNSTARTED,
    Attempt,
    ComputeEnvironment,
    Exit,
    Job,
    JobSpec,
    Run,
    Status,
)
from wordfreq_dagster.batch_emulator.runners import Runner
from wordfreq_dagster.batch_emulator.scheduler import NO_CAPACITY, Scheduler
from wordfreq_dagster.batch_emulator.store import Store
from wordfreq_dagster.batch_emulator.strikes import strike

GRACE_SECONDS = 30.0
"""From SIGTERM to SIGKILL (AWS Batch user guide, job timeouts)."""
RETENTION_SECONDS = 7 * 86_400.0
"""Finished jobs stay visible for at least this long (AWS Batch user guide, job states)."""


class Engine:
    """All jobs and what drives them."""

    def __init__(
        self,
        *,
        clock: Clock,
        runner: Runner,
        scheduler: Scheduler,
        logs: LogStore,
        faults: Faults,
        store: Store,
        submit_seconds: float = 0.0,
    ) -> None:
        self.clock = clock
        self.logs = logs
        self.faults = faults
        self.jobs: dict[str, Job] = {}
        """Plain jobs and array parents by id, in order of submission."""
        self.scheduler = scheduler
        self.on_change: list[Callable[[Job], None]] = []
        self.instance_id = f"i-{secrets.token_hex(9)[:17]}"
        self._runner = runner
        self._store = store
        self._submit_seconds = submit_seconds
        self._lock = threading.RLock()
        self._wake = threading.Condition(self._lock)
        self._wake_at: float | None = None
        self._timers = Timers()
        self._depth = 0
        self._ended: deque[Job] = deque()
        self._dirty: dict[str, Job] = {}
        self._tasks: dict[str, Job] = {}
        self._dependencies = Dependencies()
        self._seq = 0
        self._next_sweep = 0.0
        self._stopped = False
        self._thread: threading.Thread | None = None
        runner.bind(self)
        faults.changed = self.faults_changed

    # Life of the engine

    def start(self) -> None:
        """Begin to work: join the virtual clock, or start the thread that serves timers."""
        if isinstance(self.clock, VirtualClock):
            self.clock.join(self)
            return
        self._thread = threading.Thread(target=self._serve_timers, name="batch-timers", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End all attempts and stop; jobs that were under way are found lost at the next start."""
        with self._lock:
            self._stopped = True
            self._wake.notify_all()
        if isinstance(self.clock, VirtualClock):
            self.clock.leave(self)
        if self._thread is not None:
            self._thread.join(timeout=5)
        self._runner.close()

    @contextlib.contextmanager
    def step(self) -> Iterator[None]:
        """Hold the lock for a change or a consistent look; the outermost end settles everything."""
        with self._lock:
            self._depth += 1
            try:
                yield
                if self._depth == 1:
                    self._settle()
            finally:
                self._depth -= 1

    def now(self) -> float:
        """Return the clock's time in seconds."""
        return self.clock.now()

    def now_ms(self) -> int:
        """Return the clock's time in milliseconds, as AWS Batch shows times."""
        return int(self.clock.now() * 1000)

    def later(self, seconds: float, function: Callable[[], None]) -> None:
        """Call `function` under the lock once `seconds` have passed."""
        with self._lock:
            when = self.now() + seconds
            self._timers.at(when, function)
            if self._wake_at is None or when < self._wake_at:
                self._wake.notify()

    def next_due(self) -> float | None:
        """Return the time of the next timer (for `VirtualClock`)."""
        with self._lock:
            return self._timers.next_due()

    def run_due(self, now: float) -> None:
        """Run all timers that are due."""
        with self.step():
            if not self._stopped:
                self._timers.run_due(now)

    def _serve_timers(self) -> None:
        while True:
            with self._lock:
                due = self._timers.next_due()
                self._wake_at = due
                wait = None if due is None else due - self.now()
                if not self._stopped and (wait is None or wait > 0):
                    self._wake.wait(wait)
                if self._stopped:
                    return
            self.run_due(self.now())

    # What clients ask for

    def submit(self, spec: JobSpec, *, size: int | None, dependencies: list[Job]) -> Job:
        """Take a job; `dependencies` are the jobs of `spec.depends_on` that name one, in order."""
        with self.step():
            job = self._new(str(uuid.uuid4()), spec, size=size)
            if size is not None:
                job.children = [
                    self._new(f"{job.id}:{i}", spec, parent=job, index=i) for i in range(size)
                ]
                job.counts = {Status.PENDING: size}
                for child in job.children:
                    child.status = Status.PENDING
            self.jobs[job.id] = job
            self._store.add(job)
            possible = self._dependencies.link(job, dependencies)
            self.later(self._submit_seconds, lambda: self._evaluate(job, possible=possible))
            return job

    def find(self, job_id: str) -> Job | None:
        """Return a job or child by id; None if unknown, purged or lost."""
        parent_id, _, index = job_id.partition(":")
        job = self.jobs.get(parent_id)
        if job is not None and index:
            children = job.children or []
            job = children[int(index)] if index.isdecimal() and int(index) < len(children) else None
        return None if job is None or job.lost else job

    def cancel(self, job: Job, reason: str) -> None:
        """CancelJob: end what has not reached STARTING; the rest is left alone."""
        with self.step():
            if job.children is not None and not job.final:
                job.cancelled, job.end_reason = True, reason
                self._touch(job)
                for child in job.children:
                    self._cancel_one(child, reason)
            else:
                self._cancel_one(job, reason)

    def terminate(self, job: Job, reason: str) -> None:
        """TerminateJob: cancel what has not started, stop what runs, with all children."""
        with self.step():
            if job.final:
                return
            job.terminated, job.end_reason = True, reason
            self._touch(job)
            for one in job.children or [job]:
                if one.final:
                    continue
                one.terminated, one.end_reason = True, reason
                self._touch(one)
                if one.status in UNSTARTED:
                    self._end(one, Status.FAILED, reason)
                elif one.run is not None:
                    self._runner.stop(one.run.task_id, grace_seconds=GRACE_SECONDS)

    def capacity_changed(self) -> None:
        """Look again at jobs that could not be placed, after queues or environments changed."""
        with self.step():
            self.scheduler.retry_aside()

    def faults_changed(self) -> None:
        """Look again at jobs that a fault kept from starting."""
        self._next_sweep = 0.0
        self.capacity_changed()

    def touch(self, job: Job) -> None:
        """Have the job written to the store, after its tags changed."""
        with self.step():
            self._touch(job)

    def sweep(self) -> None:
        """Forget finished jobs whose time is over. Cheap: looks at most once a minute."""
        if self.now() < self._next_sweep:
            return
        with self.step():
            self._next_sweep = self.now() + 60
            keep = self.faults.seconds("retention", default=RETENTION_SECONDS)
            limit = self.now_ms() - int(keep * 1000)
            old = [j for j in self.jobs.values() if j.final and (j.stopped_at or 0) <= limit]
            for job in old:
                del self.jobs[job.id]
                group = log_group(job.spec)
                for one in job.children or [job]:
                    for attempt in one.attempts:
                        if attempt.log_stream:
                            self.logs.delete(group, attempt.log_stream)
            self._store.delete([job.id for job in old])

    def busy(self) -> bool:
        """Whether any job has not ended."""
        with self._lock:
            return any(not job.final for job in self.jobs.values())

    # What runners report

    def task_started(self, task_id: str, handle: str | None = None) -> None:
        """STARTING -> RUNNING."""
        with self.step():
            job = self._tasks.get(task_id)
            if job is None or job.run is None or job.status is not Status.STARTING:
                return
            run = job.run
            run.handle = handle
            run.log_stream = log_stream(job.spec, task_id)
            run.started_at = job.started_at = self.now_ms()
            if job.parent is not None and job.parent.started_at is None:
                job.parent.started_at = job.started_at
                self._touch(job.parent)
            self._move(job, Status.RUNNING)
            if job.spec.timeout_seconds is not None:
                self.later(job.spec.timeout_seconds, lambda: self._time_out(job, task_id))

    def task_ended(self, task_id: str, end: Exit) -> None:
        """The attempt is over: record it, then succeed, retry or fail."""
        with self.step():
            job = None if self._stopped else self._tasks.pop(task_id, None)
            if job is None or job.run is None:
                return
            run, job.run = job.run, None
            self.scheduler.release(job, run.compute_environment)
            self._record(job, run, run.override or end)

    # Transitions

    def _new(
        self,
        job_id: str,
        spec: JobSpec,
        *,
        size: int | None = None,
        parent: Job | None = None,
        index: int | None = None,
    ) -> Job:
        self._seq += 1
        return Job(
            id=job_id,
            seq=self._seq,
            spec=spec,
            created_at=self.now_ms(),
            size=size,
            parent=parent,
            index=index,
        )

    def _evaluate(self, job: Job, *, possible: bool) -> None:
        """SUBMITTED -> PENDING or RUNNABLE, or FAILED if a dependency already failed."""
        if job.final:
            return
        if not possible:
            self._fail_tree(job, DEPENDENCY_FAILED)
            return
        if job.waiting and job.status is Status.SUBMITTED:
            self._move(job, Status.PENDING)
            return
        self._release(job)

    def _release(self, job: Job) -> None:
        """All dependencies of this job are fulfilled."""
        for one in job.children or [job]:
            blocked = one.waiting or (one.parent is not None and one.parent.waiting)
            if one.status in UNSTARTED and one.status is not Status.RUNNABLE and not blocked:
                self._runnable(one)

    def _runnable(self, job: Job) -> None:
        if job.cancelled or job.terminated:
            self._end(job, Status.FAILED, job.end_reason)
            return
        self._move(job, Status.RUNNABLE)
        self.scheduler.add(job)

    def _place(self, job: Job, environment: ComputeEnvironment) -> None:
        """RUNNABLE -> STARTING in that environment, or to the fate a fault has for it."""
        number = len(job.attempts) + 1
        fault = self.faults.for_attempt(job, attempt=number)
        if fault is not None and fault.fault == "never_start":
            self.scheduler.release(job, environment.name)
            self.scheduler.set_aside(job, fault.message or NO_CAPACITY.format("optimal"))
            return
        if job.spec.start_failure is not None:
            self.scheduler.release(job, environment.name)
            self._end(job, Status.FAILED, job.spec.start_failure)
            return
        job.status_reason = None
        job.run = Run(
            task_id=uuid.uuid4().hex,
            number=number,
            compute_environment=environment.name,
            instance_id=self.instance_id,
        )
        task = task_of(job, job.run, log_group(job.spec), log_stream(job.spec, job.run.task_id))
        self._tasks[task.id] = job
        self._move(job, Status.STARTING)
        if fault is not None and strike(self, job, job.run, fault):
            return
        self.logs.create(task.log_group, task.log_stream, now=self.now_ms())
        self._runner.start(task)

    def kill(self, task_id: str, end: Exit) -> None:
        """End an attempt by force, to count as ended like this (fault injection)."""
        with self.step():
            job = self._tasks.get(task_id)
            if job is not None and job.run is not None:
                job.run.override = end
                self._runner.stop(task_id, grace_seconds=0.0)

    def _set_aside(self, job: Job) -> None:
        """Note why the job can't start; the queue may limit for how long it waits so."""
        self._touch(job)
        queue = self.scheduler.queue(job.spec.queue)
        for action in queue.document.get("jobStateTimeLimitActions", []) if queue else []:
            if (job.status_reason or "").startswith(action["reason"]):
                reason = f"Canceled by JobStateTimeLimit action due to reason: {action['reason']}"
                self.later(action["maxTimeSeconds"], lambda r=reason: self._give_up(job, r))  # type: ignore[misc]

    def _give_up(self, job: Job, reason: str) -> None:
        if job.id in self.scheduler.aside and job.status is Status.RUNNABLE:
            self._end(job, Status.FAILED, reason)

    def _time_out(self, job: Job, task_id: str) -> None:
        if job.run is not None and job.run.task_id == task_id and job.status in ACTIVE:
            job.run.stopping, job.run.final = TIMED_OUT, True
            self._runner.stop(task_id, grace_seconds=GRACE_SECONDS)

    def _record(self, job: Job, run: Run, end: Exit) -> None:
        if job.terminated and job.end_reason is not None:
            end = Exit(exit_code=end.exit_code, reason=end.reason, status_reason=job.end_reason)
        elif run.stopping is not None:
            end = Exit(exit_code=end.exit_code, reason=end.reason, status_reason=run.stopping)
        now = self.now_ms()
        group = log_group(job.spec)
        self.logs.close(group, log_stream(job.spec, run.task_id), now=now)
        attempt = Attempt(
            task_id=run.task_id,
            log_stream=run.log_stream,
            started_at=run.started_at,
            stopped_at=now,
            exit_code=end.exit_code,
            reason=end.reason,
            status_reason=end.status_reason,
        )
        job.attempts = (*job.attempts, attempt)
        stopped = job.terminated or run.stopping is not None
        if end.exit_code == 0 and not stopped:
            self._end(job, Status.SUCCEEDED, end.status_reason)
        elif (
            not job.terminated
            and not run.final
            and retries.retried(job.spec, attempt=run.number, end=end)
        ):
            self._move(job, Status.RUNNABLE)
            self.scheduler.add(job)
        else:
            self._end(job, Status.FAILED, end.status_reason)

    def _cancel_one(self, job: Job, reason: str) -> None:
        if job.status not in UNSTARTED:
            return
        job.cancelled, job.end_reason = True, reason
        self._touch(job)
        # A PENDING job is cancelled after its dependencies are completed (API ref., CancelJob).
        if not (job.waiting or (job.parent is not None and job.parent.waiting)):
            self._end(job, Status.FAILED, reason)

    def _fail_tree(self, job: Job, reason: str) -> None:
        reason = job.end_reason if job.cancelled and job.end_reason else reason
        if job.children is None:
            if job.status in UNSTARTED:
                self._end(job, Status.FAILED, reason)
            return
        job.end_reason = reason
        for child in job.children:
            if child.status in UNSTARTED:
                self._end(child, Status.FAILED, reason)

    def _end(self, job: Job, status: Status, reason: str | None) -> None:
        job.status_reason = reason
        job.stopped_at = self.now_ms()
        self.scheduler.aside.pop(job.id, None)
        self._move(job, status)
        self._ended.append(job)

    def _move(self, job: Job, status: Status) -> None:
        before, job.status = job.status, status
        self._touch(job)
        parent = job.parent
        if parent is not None and parent.counts is not None:
            parent.counts[before] -= 1
            parent.counts[status] = parent.counts.get(status, 0) + 1
            parent.counted_at = self.now_ms()
            if status is Status.RUNNABLE and parent.status is Status.SUBMITTED:
                self._move(parent, Status.PENDING)
        for listener in self.on_change:
            listener(job)

    def _touch(self, job: Job) -> None:
        self._dirty[job.id] = job

    # Consequences

    def _settle(self) -> None:
        """Work off ended jobs, fill free capacity and write everything down."""
        while True:
            while self._ended:
                self._after(self._ended.popleft())
            found = self.scheduler.take()
            if found is None:
                if not self._ended:
                    break
                continue
            self._place(*found)
        while self.scheduler.newly_aside:
            self._set_aside(self.scheduler.newly_aside.pop())
        if self._dirty:
            changed, self._dirty = list(self._dirty.values()), {}
            self._store.update(changed)

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

    # Restart

    def restore(self, jobs: list[Job]) -> None:
        """Take over the jobs of an earlier process: what was under way was lost with its host."""
        with self.step():
            for job in jobs:
                self.jobs[job.id] = job
                self._seq = max(self._seq, job.seq, *(c.seq for c in job.children or [job]))
            for job in jobs:
                if job.final:
                    continue
                others = [self.jobs[d.job_id] for d in job.spec.depends_on if d.job_id in self.jobs]
                possible = self._dependencies.link(job, others)
                for one in job.children or [job]:
                    self._restore_one(one)
                self.later(0.0, lambda j=job, p=possible: self._evaluate(j, possible=p))  # type: ignore[misc]

    def _restore_one(self, job: Job) -> None:
        if job.status is Status.RUNNABLE:
            self.scheduler.add(job)
        elif job.status in ACTIVE and job.run is not None:
            run, job.run = job.run, None
            if run.handle is not None:
                self._runner.recover(run.handle)
            reason = HOST_LOST.format(run.instance_id)
            self._record(job, run, Exit(exit_code=None, status_reason=reason))
