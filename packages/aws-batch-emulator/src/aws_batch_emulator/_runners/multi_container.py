"""Jobs of several containers (ecsProperties): starts the parts in order, makes one end of all.

Stands between the engine and any runner, which only ever sees single containers. Source: AWS Batch
user guide, multi-container jobs, and ECS's rules for essential containers and `dependsOn`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from aws_batch_emulator._core.log_store import LogStore
from aws_batch_emulator._core.model import Exit
from aws_batch_emulator._core.runner import Hosted, Runner, RunnerHost, Task

STOP_SECONDS = 30.0


@dataclass(slots=True)
class _Group:
    task: Task
    handles: list[str] = field(default_factory=list)
    started: set[str] = field(default_factory=set)
    ended: dict[str, Exit] = field(default_factory=dict)
    """By container name."""
    ending: bool = False


class MultiContainerRunner(Hosted):
    """A runner of tasks with parts; single tasks pass through. All happens under the lock."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._groups: dict[str, _Group] = {}
        self._parts: dict[str, tuple[_Group, Task]] = {}
        self.real = runner.real

    # Towards the engine

    def bind(self, host: RunnerHost) -> None:
        """Take the engine; the runner reports to this object instead."""
        super().bind(host)
        self._runner.bind(self)

    def start(self, task: Task) -> None:
        """Start a task, or those of its parts that wait for no other."""
        if not task.parts:
            self._runner.start(task)
            return
        group = self._groups[task.id] = _Group(task)
        for part in task.parts:
            self._parts[part.id] = (group, part)
        self._start_ready(group)

    def stop(self, task_id: str, *, grace_seconds: float) -> None:
        """Stop a task with all its parts."""
        group = self._groups.get(task_id)
        if group is None:
            self._runner.stop(task_id, grace_seconds=grace_seconds)
        else:
            self._stop_all(group, grace_seconds)

    def recover(self, handle: str) -> None:
        """Make sure that all parts of a lost task are gone."""
        for one in handle.split():
            self._runner.recover(one)

    def close(self) -> None:
        """End everything."""
        self._runner.close()

    # Towards the runner

    @property
    def logs(self) -> LogStore:
        """The log streams."""
        return self.host.logs

    def step(self) -> AbstractContextManager[None]:
        """Hold the emulator's lock."""
        return self.host.step()

    def now(self) -> float:
        """Return the clock's time in seconds."""
        return self.host.now()

    def later(self, seconds: float, function: Callable[[], None]) -> None:
        """Call `function` after `seconds`."""
        self.host.later(seconds, function)

    def task_started(self, task_id: str, handle: str | None = None) -> None:
        """A task or one of its parts runs."""
        with self.step():
            found = self._parts.get(task_id)
            if found is None:
                self.host.task_started(task_id, handle)
                return
            group, _ = found
            if handle is not None:
                group.handles.append(handle)
            self.host.task_started(group.task.id, " ".join(group.handles) or None)
            self._start_ready(group)

    def task_ended(self, task_id: str, end: Exit) -> None:
        """A task or one of its parts ended."""
        with self.step():
            found = self._parts.get(task_id)
            if found is None:
                self.host.task_ended(task_id, end)
                return
            group, part = found
            group.ended[_name(part)] = end
            last = part.container["essential"] and not group.task.pod
            if last or end.exit_code is None:
                self._stop_all(group, STOP_SECONDS)
            else:
                self._start_ready(group)
            self._finish_if_done(group)

    # Parts

    def _start_ready(self, group: _Group) -> None:
        for part in group.task.parts:
            if not group.ending and _name(part) not in group.started and _ready(group, part):
                group.started.add(_name(part))
                self._runner.start(part)

    def _stop_all(self, group: _Group, grace_seconds: float) -> None:
        group.ending = True
        for part in group.task.parts:
            if _name(part) in group.started and _name(part) not in group.ended:
                self._runner.stop(part.id, grace_seconds=grace_seconds)

    def _finish_if_done(self, group: _Group) -> None:
        if any(name not in group.ended for name in group.started):
            return
        for part in group.task.parts:
            self._parts.pop(part.id, None)
        if self._groups.pop(group.task.id, None) is not None:
            self.host.task_ended(group.task.id, _together(group))


def _name(part: Task) -> str:
    return str(part.container["name"])


def _ready(group: _Group, part: Task) -> bool:
    for entry in part.container.get("dependsOn", []):
        name, condition = entry["containerName"], entry.get("condition", "START")
        if condition == "START" and name not in group.started:
            return False
        if condition in ("COMPLETE", "SUCCESS") and name not in group.ended:
            return False
        if condition == "SUCCESS" and group.ended[name].exit_code != 0:
            return False
    return True


def _together(group: _Group) -> Exit:
    """Return the end of the whole: that of the first essential container not ended with 0."""
    ends = [group.ended.get(_name(part)) for part in group.task.parts]
    containers = tuple({"exitCode": e.exit_code, "reason": e.reason} if e else {} for e in ends)
    unstarted = next((e for e in ends if e is not None and e.exit_code is None), None)
    essential = [e for e, p in zip(ends, group.task.parts, strict=True) if p.container["essential"]]
    # An essential container that never got its turn (its dependency failed) is a failure too.
    failed = next((e for e in essential if e is None or e.exit_code != 0), essential[0])
    decisive = unstarted or failed or Exit(exit_code=None)
    return Exit(
        exit_code=decisive.exit_code,
        reason=decisive.reason,
        status_reason=decisive.status_reason,
        containers=containers,
    )
