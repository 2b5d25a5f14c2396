"""Runs jobs as processes of this machine, for laptops and tests without containers.

An image is a name for the argument list that its ENTRYPOINT would be. Memory is accounted for, not
enforced. Output goes straight to the log stream's file, so it outlives a killed emulator.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aws_batch_emulator._core.model import LOST, NOT_STARTED, Exit
from aws_batch_emulator._core.runner import Hosted, Task

logger = logging.getLogger(__name__)

CLOSE_SECONDS = 5.0


@dataclass(slots=True)
class _Running:
    task: Task
    process: subprocess.Popen[bytes] | None = None
    stop: bool = False
    """Asked to stop before the process was there."""


class SubprocessRunner(Hosted):
    """Starts each attempt as a process group of its own, watched by a thread of its own.

    `images` maps image names to argument lists, e.g. `{"shell": ["sh", "-c"]}`; the job's command
    follows. `folder` becomes the working directory (None: the emulator's). Jobs inherit this
    process's environment, less what Batch itself sets.
    """

    real = True

    def __init__(self, images: Mapping[str, Sequence[str]], *, folder: Path | None = None) -> None:
        self.images: dict[str, Sequence[str]] = dict(images)
        self._folder = folder
        self._running: dict[str, _Running] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._environment = {
            name: value for name, value in os.environ.items() if not name.startswith("AWS_BATCH")
        }

    def set_credentials(self, variables: Mapping[str, str]) -> None:
        """Replace the `AWS_*` variables that jobs inherit by these, from the next job on."""
        kept = {k: v for k, v in self._environment.items() if not k.startswith("AWS_")}
        self._environment = {**kept, **aws_variables(variables)}

    def start(self, task: Task) -> None:
        """Start the task in a thread of its own."""
        with self._lock:
            self._running[task.id] = _Running(task)
        name = f"batch-{task.job_id[:8]}-{task.index}"
        threading.Thread(target=self._run, args=(task,), name=name, daemon=True).start()

    def stop(self, task_id: str, *, grace_seconds: float) -> None:
        """SIGTERM to the process, SIGKILL to its whole group after the grace."""
        with self._lock:
            running = self._running.get(task_id)
            if running is None:
                return
            running.stop = True
            process = running.process
        if process is None:
            return
        if grace_seconds > 0:
            _signal(process.pid, signal.SIGTERM)
            self.host.later(grace_seconds, lambda: self._kill(task_id))
        else:
            self._kill(task_id)

    def recover(self, handle: str) -> None:
        """Kill what a lost emulator left running: its host counts as lost, with all on it."""
        pid, _, began = handle.partition(":")
        found = start_time(int(pid))
        if found is None or found == began:
            _kill_group(int(pid))

    def close(self) -> None:
        """End all processes: SIGTERM, and SIGKILL after five seconds."""
        self._closed.set()
        with self._lock:
            processes = [r.process for r in self._running.values() if r.process is not None]
        for process in processes:
            _signal(process.pid, signal.SIGTERM)
        for process in processes:
            try:
                process.wait(timeout=CLOSE_SECONDS)
            except subprocess.TimeoutExpired:
                pass
            finally:
                _kill_group(process.pid)

    def _kill(self, task_id: str) -> None:
        with self._lock:
            running = self._running.get(task_id)
        if running is not None and running.process is not None:
            _kill_group(running.process.pid)

    def _run(self, task: Task) -> None:
        try:
            end = self._attempt(task)
        except Exception:
            logger.exception("The process of job %s can't be watched any more", task.job_id)
            self._kill(task.id)
            end = LOST
        with self._lock:
            self._running.pop(task.id, None)
        self.host.task_ended(task.id, end)

    def _attempt(self, task: Task) -> Exit:
        host = self.host
        entrypoint = self.images.get(task.image)
        if entrypoint is not None and task.entrypoint is not None:
            entrypoint = task.entrypoint
        if entrypoint is None:
            known = ", ".join(sorted(self.images)) or "none"
            reason = (
                f"CannotPullContainerError: image {task.image} is unknown to the Batch emulator "
                f"(known: {known})"
            )
            return Exit(exit_code=None, reason=reason, status_reason=NOT_STARTED)
        path = host.logs.path(task.log_group, task.log_stream)
        try:
            with path.open("ab") as log:
                process = subprocess.Popen(
                    [*entrypoint, *task.command],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**self._environment, **task.environment},
                    cwd=self._folder,
                    start_new_session=True,
                )
        except (OSError, ValueError, TypeError, IndexError) as error:  # no words, or none at all
            reason = f"CannotStartContainerError: {error}"
            return Exit(exit_code=None, reason=reason[:255], status_reason=NOT_STARTED)
        with self._lock:
            running = self._running.get(task.id)
            stop = running is None or running.stop or self._closed.is_set()
            if running is not None:
                running.process = process
        if stop:
            _kill_group(process.pid)
        host.task_started(task.id, f"{process.pid}:{start_time(process.pid)}")
        code = process.wait()
        # As the end of a container's first process ends all others.
        _kill_group(process.pid)
        return Exit(exit_code=code if code >= 0 else 128 - code)


def checked_images(document: Any) -> dict[str, list[str]]:
    """Return the images that a JSON document holds; ValueError for what is none."""
    if not isinstance(document, dict) or not all(
        isinstance(argv, list) and all(isinstance(word, str) for word in argv)
        for argv in document.values()
    ):
        raise ValueError("`images` is a JSON object of lists of words")
    return document


def aws_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that tell where AWS is and who one is, less those that Batch sets."""
    return {
        name: value
        for name, value in environment.items()
        if name.startswith("AWS_") and not name.startswith("AWS_BATCH")
    }


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def start_time(pid: int) -> str | None:
    """Return when a process started, in whatever unit; None if there is no such process.

    Together with the pid it names a process for good, although pids are used again.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return stat.rpartition(")")[2].split()[19]
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return None
    except ProcessLookupError:
        return None
    shown = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return shown.stdout.strip().replace(" ", "_").replace(":", ".") or None
