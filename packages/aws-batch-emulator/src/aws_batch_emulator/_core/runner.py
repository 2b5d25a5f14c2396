"""What runs a job's attempts: the interface of runners, and `SimulatedRunner`, which only pretends.

A runner starts a task without blocking and tells its host (the engine) when it began and how it
ended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from aws_batch_emulator._core.log_store import LogStore
from aws_batch_emulator._core.model import EXITED, NOT_STARTED, Exit


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One attempt to be run."""

    id: str
    job_id: str
    job_name: str
    queue: str
    index: int | None
    attempt: int
    image: str
    command: Sequence[str]
    entrypoint: Sequence[str] | None
    """What replaces the image's ENTRYPOINT (jobs on Amazon EKS)."""
    environment: Mapping[str, str]
    """The job's own variables and those that Batch sets, not the emulator's environment."""
    vcpus: float
    memory_mib: int
    log_group: str
    log_stream: str
    container: Mapping[str, Any] = field(default_factory=dict)
    """The container properties in full, in AWS's shape."""
    parts: tuple[Task, ...] = ()
    """The containers of a job of several; the rest then is the first one's. Runners never see
    such a task: `MultiContainerRunner` starts the parts.
    """
    pod: bool = False
    """Whether all parts run to their end, as in a pod, whatever becomes of the others."""


class RunnerHost(Protocol):
    """What the engine offers to its runner; every method may be called from any thread."""

    @property
    def logs(self) -> LogStore:
        """The log streams."""
        ...

    def step(self) -> AbstractContextManager[None]:
        """Hold the emulator's lock."""
        ...

    def now(self) -> float:
        """Return the clock's time in seconds."""
        ...

    def later(self, seconds: float, function: Callable[[], None]) -> None:
        """Call `function` after `seconds` by the emulator's clock."""
        ...

    def task_started(self, task_id: str, handle: str | None = None) -> None:
        """Say that the container runs; `handle` is kept across restarts for `Runner.recover`."""
        ...

    def task_ended(self, task_id: str, end: Exit) -> None:
        """Say how the task ended; unknown or already ended tasks are ignored."""
        ...


class Runner(Protocol):
    """Runs tasks. The engine calls it under its lock: no method may block."""

    real: bool
    """Whether tasks take real time, so that the clock must be the system's."""

    def bind(self, host: RunnerHost) -> None:
        """Take the engine to which the ends of tasks are reported."""
        ...

    def start(self, task: Task) -> None:
        """Start the task; success and failure alike are reported to the host."""
        ...

    def stop(self, task_id: str, *, grace_seconds: float) -> None:
        """Ask the task to end (SIGTERM) and kill it after the grace; unknown ones are ignored."""
        ...

    def recover(self, handle: str) -> None:
        """Make sure that a task of an earlier, lost emulator process is gone."""
        ...

    def close(self) -> None:
        """End all tasks and free everything. May block for some seconds."""
        ...


class Hosted:
    """What each runner has of its engine; a base class."""

    _host: RunnerHost | None = None

    def bind(self, host: RunnerHost) -> None:
        """Take the engine that is to hear about tasks."""
        self._host = host

    @property
    def host(self) -> RunnerHost:
        """The engine."""
        if self._host is None:
            raise RuntimeError("bind() comes before start()")
        return self._host


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedJob:
    """What a behaviour is asked about: one attempt of one plain job or array child."""

    id: str
    name: str
    queue: str
    index: int | None
    attempt: int
    command: Sequence[str]
    environment: Mapping[str, str]
    vcpus: float
    memory_mib: int
    image: str = ""
    container: str | None = None
    """The container's name, for jobs of ecsProperties or eksProperties."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedRun:
    """How that attempt goes: time in STARTING, time in RUNNING, and its end.

    An `exit_code` of None needs a `status_reason` (e.g. "Task failed to start"). With
    `starts=False` the attempt ends without having been RUNNING. `on_exit` is called at the natural
    end, for effects such as writing an output; it must not call the emulator.
    """

    seconds: float = 0.0
    start_seconds: float = 0.0
    exit_code: int | None = 0
    reason: str | None = None
    status_reason: str | None = None
    starts: bool = True
    log: Sequence[str] = ()
    ignores_sigterm: bool = False
    on_exit: Callable[[], None] | None = None


Behaviour = Callable[[SimulatedJob], SimulatedRun]


def _succeed(_: SimulatedJob) -> SimulatedRun:
    return SimulatedRun()


class SimulatedRunner(Hosted):
    """Runs nothing: `behaviour` says how each attempt goes, the clock's timers make it happen."""

    real = False

    def __init__(self, behaviour: Behaviour = _succeed) -> None:
        self.behaviour = behaviour
        self._running: dict[str, SimulatedRun] = {}

    def start(self, task: Task) -> None:
        """Ask the behaviour and plan the attempt."""
        job = SimulatedJob(
            id=task.job_id,
            name=task.job_name,
            queue=task.queue,
            index=task.index,
            attempt=task.attempt,
            command=task.command,
            environment=task.environment,
            vcpus=task.vcpus,
            memory_mib=task.memory_mib,
            image=task.image,
            container=task.container.get("name"),
        )
        run = self.behaviour(job)
        self._running[task.id] = run
        self.host.later(run.start_seconds, lambda: self._begin(task, run))

    def stop(self, task_id: str, *, grace_seconds: float) -> None:
        """End the attempt at once with 143, or with 137 after the grace if it ignores SIGTERM."""
        run = self._running.get(task_id)
        if run is None:
            return
        code = 137 if run.ignores_sigterm else 143
        delay = grace_seconds if run.ignores_sigterm else 0.0
        self.host.later(delay, lambda: self._end(task_id, Exit(exit_code=code)))

    def recover(self, handle: str) -> None:
        """Nothing outlives the process."""

    def close(self) -> None:
        """Forget all attempts."""
        self._running.clear()

    def _begin(self, task: Task, run: SimulatedRun) -> None:
        if task.id not in self._running:
            return
        host = self.host
        if not run.starts:
            self._end(task.id, self._exit(run))
            return
        host.task_started(task.id)
        if run.log:
            now = int(host.now() * 1000)
            host.logs.append(task.log_group, task.log_stream, run.log, now=now)
        host.later(run.seconds, lambda: self._finish(task, run))

    def _finish(self, task: Task, run: SimulatedRun) -> None:
        if task.id not in self._running:
            return
        if run.on_exit is not None:
            run.on_exit()
        self._end(task.id, self._exit(run))

    def _end(self, task_id: str, end: Exit) -> None:
        if self._running.pop(task_id, None) is not None:
            self.host.task_ended(task_id, end)

    @staticmethod
    def _exit(run: SimulatedRun) -> Exit:
        default = EXITED if run.starts else NOT_STARTED
        return Exit(
            exit_code=run.exit_code if run.starts else None,
            reason=run.reason,
            status_reason=run.status_reason or default,
        )
