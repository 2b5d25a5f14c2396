"""Drives the state machine: one lock, one list of timers, steps that end with all written down.

Every public method is one `step`, safe to call from any thread. With the system's clock a
background thread serves the timers; a `VirtualClock` calls `run_due` itself.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping

from aws_batch_emulator._core.clock import Clock, Timers, VirtualClock
from aws_batch_emulator._core.faults import Faults
from aws_batch_emulator._core.launch import streams
from aws_batch_emulator._core.log_store import LogStore
from aws_batch_emulator._core.machine import Machine
from aws_batch_emulator._core.model import Exit, Job, JobSpec
from aws_batch_emulator._core.runner import Runner
from aws_batch_emulator._core.scheduler import Scheduler
from aws_batch_emulator._core.store import Store

logger = logging.getLogger(__name__)

RETENTION_SECONDS = 7 * 86_400.0
"""Finished jobs stay visible for at least this long (AWS Batch user guide, job states)."""
KEPT_JOBS = 200_000
"""Beyond so many jobs and children the oldest finished ones go earlier: bounded memory."""
SWEEP_SECONDS = 60.0
LONGEST_WAIT_SECONDS = 3_600.0
"""However late the next timer is: a lock can't be waited for as long as a number may say."""
RETRY_SECONDS = 1.0
"""After this the state is written again if it could not be."""


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
    ) -> None:
        self.clock = clock
        self.logs = logs
        self.faults = faults
        self.scheduler = scheduler
        self.machine = Machine(
            now=clock.now,
            later=self.later,
            runner=runner,
            scheduler=scheduler,
            logs=logs,
            faults=faults,
        )
        self.jobs = self.machine.jobs
        self.on_change = self.machine.on_change
        self._runner = runner
        self._store = store
        self._lock = threading.RLock()
        self._wake = threading.Condition(self._lock)
        self._wake_at: float | None = None
        self._timers = Timers()
        self._depth = 0
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
        """End all attempts, then close the store: what was under way is lost at the next start."""
        with self._lock:
            self._stopped = True
            self._wake.notify_all()
        if isinstance(self.clock, VirtualClock):
            self.clock.leave(self)
        if self._thread is not None:
            self._thread.join(timeout=5)
        self._runner.close()
        with self._lock:
            self._store.close()

    @contextlib.contextmanager
    def step(self, *, answers: bool = False) -> Iterator[None]:
        """Hold the lock for a change or a consistent look; the outermost end settles everything.

        What `answers` a client is written down first, or raises; what a runner or timer reports is
        kept and written by a later step if it can't be (a full disk): no job gets stuck by that.
        """
        with self._lock:
            self._depth += 1
            try:
                yield
                if self._depth == 1 and not self._stopped:
                    self._settle(answers=answers)
            finally:
                self._depth -= 1

    def _settle(self, *, answers: bool) -> None:
        self.machine.settle()
        if not self.machine.changed:
            return
        try:
            self._store.update(list(self.machine.changed.values()))
        except (OSError, sqlite3.Error) as error:
            if answers:
                raise
            logger.warning("The state could not be written, which is tried again: %s", error)
            self.later(RETRY_SECONDS, lambda: None)
            return
        self.machine.changed.clear()

    # Time

    def now(self) -> float:
        """Return the clock's time in seconds."""
        return self.clock.now()

    def now_ms(self) -> int:
        """Return the clock's time in milliseconds, as AWS Batch shows times."""
        return self.machine.now_ms()

    def later(self, seconds: float, function: Callable[[], None]) -> None:
        """Call `function` as part of a step once `seconds` have passed."""
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
                wait = LONGEST_WAIT_SECONDS if due is None else due - self.now()
                if not self._stopped and wait > 0:
                    self._wake.wait(min(wait, LONGEST_WAIT_SECONDS))
                if self._stopped:
                    return
            try:
                self.run_due(self.now())
            except Exception:
                # The thread must go on: without it no job would ever progress again.
                logger.exception("A timer of the Batch emulator failed")

    # What clients ask for

    def submit(self, spec: JobSpec, *, size: int | None, origins: Mapping[str, Job]) -> Job:
        """Take a job; it is written down before this returns."""
        with self.step():
            job = self.machine.submit(spec, size=size, origins=origins)
            try:
                self._store.add(job)
            except BaseException:
                self.machine.withdraw(job)  # the client is answered that it was not taken
                raise
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
        """CancelJob."""
        with self.step():
            self.machine.cancel(job, reason)

    def terminate(self, job: Job, reason: str) -> None:
        """TerminateJob."""
        with self.step():
            self.machine.terminate(job, reason)

    def retag(self, job: Job, tags: dict[str, str]) -> None:
        """Give the job these tags."""
        with self.step():
            job.tags = tags
            self.machine.touch(job)

    def capacity_changed(self) -> None:
        """Look again at jobs that could not be placed, after queues or environments changed."""
        with self.step():
            self.scheduler.retry_aside()

    def faults_changed(self) -> None:
        """Look again at jobs that a fault kept from starting, and at what is kept."""
        self._next_sweep = 0.0
        self.capacity_changed()

    def busy(self) -> bool:
        """Whether any job has not ended."""
        with self._lock:
            return any(not job.final for job in self.jobs.values())

    # What runners report

    def task_started(self, task_id: str, handle: str | None = None) -> None:
        """The container runs; `handle` is kept across restarts."""
        with self.step():
            if not self._stopped:
                self.machine.task_started(task_id, handle)

    def task_ended(self, task_id: str, end: Exit) -> None:
        """The attempt is over."""
        with self.step():
            if not self._stopped:
                self.machine.task_ended(task_id, end)

    # What is kept

    def restore(self, jobs: list[Job]) -> None:
        """Take over the jobs of an earlier process: what was under way was lost with its host."""
        with self.step():
            self.machine.restore(jobs, self.find)

    def sweep(self) -> None:
        """Forget finished jobs whose time is over; looks at most once per minute."""
        if self.now() < self._next_sweep:
            return
        old: list[Job] = []
        with self.step():
            self._next_sweep = self.now() + SWEEP_SECONDS
            keep = self.faults.seconds("retention", default=RETENTION_SECONDS)
            limit = self.now_ms() - int(keep * 1000)
            surplus = sum(1 + (job.size or 0) for job in self.jobs.values()) - KEPT_JOBS
            for job in self.jobs.values():
                if job.final and (surplus > 0 or (job.stopped_at or 0) <= limit):
                    old.append(job)
                    surplus -= 1 + (job.size or 0)
            for job in old:
                del self.jobs[job.id]
        if not old:
            return
        # Without the lock, for there may be thousands; and before the records of the jobs go, by
        # which the emulator that comes after a killed one finds what is left to delete.
        attempts = [(j, a) for j in old for one in j.children or [j] for a in one.attempts]
        self.logs.delete([s for job, a in attempts for s in streams(job.spec, a.task_id)])
        with self.step():
            self._store.delete(old)
