"""Runs jobs as containers through the docker or podman command, on the host's network.

Memory is limited for real. A container that was killed is reported as out of memory where the
engine says so; else it has exit code 137 and no reason, as on AWS.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from aws_batch_emulator._core.errors import EmulatorError
from aws_batch_emulator._core.model import LOST, NOT_STARTED, OUT_OF_MEMORY, Exit
from aws_batch_emulator._core.runner import Hosted, Task
from aws_batch_emulator._runners.processes import aws_variables

logger = logging.getLogger(__name__)

_REASON_LENGTH = 255
#: They name files of this machine, which a container doesn't have.
_FILES = frozenset({"AWS_CA_BUNDLE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"})
_UNSTARTED = ("created", "configured", "initialized")
_PULL_SIGNS = (
    "image not known",
    "no such image",
    "pull access denied",
    "manifest unknown",
    "unable to find image",
    "unauthorized",
    "short-name",
    "initializing source",
    "pinging container registry",
    "not found: manifest",
)


class ContainerRunner(Hosted):
    """Starts each attempt as a container.

    `command`: `podman` or `docker` (default: the first one found). `pull`: `missing`, `never` or
    `always`. `arguments` are added to `create`, e.g. `["--volume", "/data:/data"]`. Variables of
    this process whose names begin with `AWS_` (not `AWS_BATCH`) are passed on, as a job role would
    give them, less those that name a file of this machine.
    """

    real = True

    def __init__(
        self,
        *,
        command: str | None = None,
        pull: str = "missing",
        arguments: Sequence[str] = (),
    ) -> None:
        found = command or next((c for c in ("podman", "docker") if shutil.which(c)), None)
        if found is None:
            raise EmulatorError(
                "Neither podman nor docker is installed; use the subprocess runner."
            )
        self._command = found
        self._pull = pull
        self._arguments = tuple(arguments)
        self._credentials = aws_variables(os.environ)
        self._stopped: set[str] = set()
        self._running: set[str] = set()
        self._lock = threading.Lock()

    def set_credentials(self, environment: Mapping[str, str]) -> None:
        """Let containers that start from now on have these `AWS_*` variables."""
        self._credentials = aws_variables(environment)

    def start(self, task: Task) -> None:
        """Start the container in a thread of its own."""
        with self._lock:
            self._running.add(task.id)
        threading.Thread(
            target=self._run, args=(task,), name=f"batch-{task.id[:8]}", daemon=True
        ).start()

    def stop(self, task_id: str, *, grace_seconds: float) -> None:
        """`stop -t <grace>`: SIGTERM, then SIGKILL."""
        with self._lock:
            if task_id not in self._running:
                return
            self._stopped.add(task_id)
        threading.Thread(target=self._stop, args=(task_id, int(grace_seconds)), daemon=True).start()

    def _stop(self, task_id: str, grace: int) -> None:
        # Between `create` and `start` it succeeds and stops nothing: until the task has ended.
        while True:
            self._call("stop", "-t", str(grace), _name(task_id))
            with self._lock:
                if task_id not in self._running:
                    return
            time.sleep(1)

    def recover(self, handle: str) -> None:
        """Remove the container that a lost emulator left."""
        arguments = ("rm", "-f", "-v", handle)
        threading.Thread(target=self._call, args=arguments, daemon=True).start()

    def close(self) -> None:
        """Remove all containers."""
        with self._lock:
            names = [_name(task_id) for task_id in self._running]
        if names:
            self._call("stop", "-t", "5", *names)
            self._call("rm", "-f", "-v", *names)

    def _call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._command, *arguments],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def _run(self, task: Task) -> None:
        try:
            end = self._attempt(task)
        except OSError as error:
            end = _unstarted("DockerTimeoutError", str(error))
        except Exception:
            logger.exception("The container of job %s can't be watched any more", task.job_id)
            end = LOST
        with self._lock:
            self._running.discard(task.id)
            self._stopped.discard(task.id)
        self.host.task_ended(task.id, end)

    def _attempt(self, task: Task) -> Exit:
        host, name = self.host, _name(task.id)
        more = (task.entrypoint or ())[1:]
        created = self._call(
            "create", "--name", name, *self._options(task), task.image, *more, *task.command
        )
        if created.returncode != 0:
            text = created.stderr.strip()
            pull = any(sign in text.lower() for sign in _PULL_SIGNS)
            kind = "CannotPullContainerError" if pull else "CannotCreateContainerError"
            return _unstarted(kind, text)
        try:
            with self._lock:
                if task.id in self._stopped:
                    return Exit(exit_code=137)
            host.task_started(task.id, name)
            path = host.logs.path(task.log_group, task.log_stream)
            with path.open("ab") as log, tempfile.TemporaryDirectory() as scratch:
                subprocess.run(
                    [self._command, "start", "--attach", name],
                    cwd=scratch,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                    check=False,
                )
                # Podman's monitor leaves this in its working folder; podman 4.3 doesn't read it.
                oom = Path(scratch, "oom").exists()
            return self._outcome(name, path, oom=oom)
        finally:
            self._call("rm", "-f", "-v", name)

    def _outcome(self, name: str, path: Path, *, oom: bool) -> Exit:
        form = "{{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}}"
        state = self._call("inspect", "--format", form, name).stdout.split()
        if len(state) != 3:
            return _unstarted("CannotInspectContainerError", "the container is gone")
        status, code, oom = state[0], int(state[1]), oom or state[2] == "true"
        if status not in (*_UNSTARTED, "exited", "stopped", "dead"):
            return LOST  # what watched it was killed; it is removed, however it would have ended
        if status in _UNSTARTED:
            tail = path.read_text(encoding="utf-8", errors="replace").strip()[-200:]
            return _unstarted("CannotStartContainerError", tail)
        return Exit(exit_code=code, reason=OUT_OF_MEMORY if oom and code else None)

    def _options(self, task: Task) -> list[str]:
        container = task.container
        options = ["--network", "host", "--memory", f"{task.memory_mib}m", "--pull", self._pull]
        options += ["--cpu-shares", str(max(2, int(task.vcpus * 1024)))]
        passed = {n: v for n, v in self._credentials.items() if n not in _FILES}
        for name, value in {**passed, **task.environment}.items():
            options += ["--env", f"{name}={value}"]
        if task.entrypoint:
            options += ["--entrypoint", task.entrypoint[0]]
        if user := container.get("user"):
            options += ["--user", user]
        if container.get("readonlyRootFilesystem"):
            options.append("--read-only")
        if container.get("privileged"):
            options.append("--privileged")
        sources = {
            v["name"]: v.get("host", {}).get("sourcePath") for v in container.get("volumes", [])
        }
        for mount in container.get("mountPoints", []):
            if source := sources.get(mount["sourceVolume"]):
                mode = ":ro" if mount.get("readOnly") else ""
                options += ["--volume", f"{source}:{mount['containerPath']}{mode}"]
        for limit in container.get("ulimits", []):
            options += ["--ulimit", f"{limit['name']}={limit['softLimit']}:{limit['hardLimit']}"]
        return [*options, *self._arguments]


def _name(task_id: str) -> str:
    return f"batch-{task_id}"


def _unstarted(kind: str, text: str) -> Exit:
    reason = f"{kind}: {' '.join(text.split())}"[:_REASON_LENGTH]
    return Exit(exit_code=None, reason=reason, status_reason=NOT_STARTED)
