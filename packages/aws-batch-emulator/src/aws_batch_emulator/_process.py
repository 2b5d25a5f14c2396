"""The emulator as a process of its own, shared by everyone who names the same folder.

`ensure_running` starts it if needed and returns its address; `serve` is what that process does.
There is never more than one for a folder: it holds a lock on a file there for as long as it lives.
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from aws_batch_emulator._core.errors import EmulatorError
from aws_batch_emulator._core.store import replace_file, state_folder
from aws_batch_emulator._emulator import EmbeddedBatch
from aws_batch_emulator._http.admin import HEADER
from aws_batch_emulator._runners.processes import SubprocessRunner, aws_variables

ENDPOINT = "endpoint.json"
LOG = "emulator.log"
PORT = "port"
START_LOCK = "start.lock"
SERVE_LOCK = "serve.lock"
START_SECONDS = 60.0
LEAVE_SECONDS = 20.0
_CHECK_SECONDS = 0.5
_started: list[subprocess.Popen[bytes]] = []
"""Keeps the handles of started emulators, so that they are reaped when they leave."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an emulator listens, and its process."""

    url: str
    pid: int


def ensure_running(
    folder: Path,
    *,
    images: Mapping[str, Sequence[str]],
    vcpus: int | None = None,
    idle_exit_seconds: int = 300,
    runner: str = "subprocess",
    container_arguments: Sequence[str] = (),
) -> Endpoint:
    """Return the address of the folder's emulator, which is started if it isn't running.

    The process outlives its parent and leaves by itself once it had no unfinished job and no
    request for `idle_exit_seconds`; call this again before each use. `images` (see
    `SubprocessRunner`) are added to those it knows, and jobs that start from now on get this
    process's `AWS_*` variables: the last caller's count. The others only count when it is started;
    `runner` (`subprocess`, which alone uses `images`, or `container`, which alone uses
    `container_arguments`) is that of the program. Its output is in `<folder>/emulator.log`. Raises
    `EmulatorError` if it does not start or refuses.
    """
    folder = folder.resolve()
    known = {name: list(argv) for name, argv in images.items()}
    with _locked(folder / START_LOCK):
        found = _alive(folder)
        if found is None:
            more = ["--runner", runner, "--idle-exit", str(idle_exit_seconds)]
            if runner == "container":
                more += [f"--container-argument={word}" for word in container_arguments]
            elif runner == "subprocess":
                more += ["--images", json.dumps(known)]
            if vcpus is not None:
                more += ["--vcpus", str(vcpus)]
            found = _start(folder, options=more)
        else:
            settings = {"images": known, "environment": aws_variables(os.environ)}
            _request(found, "POST", "settings", settings)
    return Endpoint(found["url"], found["pid"])


def stop_running(folder: Path, *, timeout_seconds: float = 30.0) -> bool:
    """Stop the folder's emulator if it runs; return whether it did.

    After that its jobs have ended, and nothing is written to the folder any more. Raises
    `EmulatorError` if it refuses or still runs after `timeout_seconds`.
    """
    folder = folder.resolve()
    found = _alive(folder)
    if found is None:
        return False
    _request(found, "POST", "shutdown", None)
    deadline = time.monotonic() + timeout_seconds
    while _held(folder) and (_alive(folder) or found)["pid"] == found["pid"]:
        if time.monotonic() > deadline:
            raise EmulatorError(f"The emulator {found['pid']} of {folder} does not stop; kill it.")
        time.sleep(0.05)
    return True


def _start(folder: Path, *, options: Sequence[str]) -> dict[str, Any]:
    command = [sys.executable, "-m", "aws_batch_emulator", "--state", str(folder), *options]
    log = folder / LOG
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _started.append(process)
    deadline = time.monotonic() + START_SECONDS
    while True:
        found = _alive(folder)
        if found is not None:
            return found
        # Another one, started by hand, may have been first: then ours leaves and theirs is found.
        if process.poll() is not None or time.monotonic() > deadline:
            found = _alive(folder)
            if found is not None:
                return found
            tail = log.read_text(encoding="utf-8", errors="replace")[-2000:]
            raise EmulatorError(f"The Batch emulator did not start. The end of {log}:\n{tail}")
        time.sleep(0.02)


def _alive(folder: Path) -> dict[str, Any] | None:
    """Return the endpoint document if its emulator answers, None for none or a stale one."""
    try:
        found: dict[str, Any] = json.loads((folder / ENDPOINT).read_text(encoding="utf-8"))
        health = _request(found, "GET", "health", None)
    except (OSError, ValueError, KeyError, TypeError, EmulatorError):
        return None
    same = health.get("pid") == found["pid"] and health.get("id") == found["id"]
    return found if same else None


def _request(found: dict[str, Any], method: str, name: str, document: Any) -> dict[str, Any]:
    data = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(  # noqa: S310 - always http on loopback
        f"{found['url']}/_emulator/{name}",
        data=data,
        method=method,
        headers={HEADER: found["token"]},
    )
    # Proxies named in the environment are not for loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as answer:
            result = json.load(answer)
    except (OSError, ValueError, http.client.HTTPException) as error:
        said = error.read(1_000) if isinstance(error, urllib.error.HTTPError) else repr(error)
        raise EmulatorError(f"{method} {request.full_url} failed: {said!r}") from error
    return result if isinstance(result, dict) else {}


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with state_folder(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _held(folder: Path) -> bool:
    try:
        with (folder / SERVE_LOCK).open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:  # somebody has deleted the folder
        return False
    return False


@contextlib.contextmanager
def _serving(folder: Path) -> Iterator[None]:
    """Hold the folder; one that is just leaving is waited for, a healthy one is an error."""
    deadline = time.monotonic() + LEAVE_SECONDS
    with (folder / SERVE_LOCK).open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                other = _alive(folder)
                if other is not None or time.monotonic() > deadline:
                    where = f" ({other['url']}, pid {other['pid']})" if other else ""
                    raise EmulatorError(f"Another emulator uses {folder}{where}.") from None
                time.sleep(0.05)
        yield


def serve(
    emulator: EmbeddedBatch,
    *,
    folder: Path | None,
    idle_exit_seconds: float | None = None,
    faults_file: Path | None = None,
) -> None:
    """Run the emulator until a signal, a shutdown request or idleness ends it; for the program."""
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    with contextlib.ExitStack() as stack:
        if folder is not None:
            with state_folder(folder):
                folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(_serving(folder))
            emulator.prefer_port(_last_port(folder))
        emulator.admin_token = secrets.token_hex(16)
        stack.enter_context(emulator)
        if folder is not None:
            with state_folder(folder):
                _write_endpoint(folder, emulator)
            stack.callback(_remove_endpoint, folder, emulator)
        _announce(emulator, folder)
        _watch(
            emulator,
            stop,
            folder=folder,
            idle_exit_seconds=idle_exit_seconds,
            faults_file=faults_file,
        )
        print("Batch emulator: stopping", flush=True)  # noqa: T201 - the program's output


def _last_port(folder: Path) -> int:
    """The port of the folder's last emulator: links to its pages are to work again."""
    try:
        return int((folder / PORT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0


def _write_endpoint(folder: Path, emulator: EmbeddedBatch) -> None:
    document = {
        "url": emulator.url,
        "pid": os.getpid(),
        "id": emulator.id,
        "token": emulator.admin_token,
    }
    replace_file(folder / ENDPOINT, json.dumps(document), mode=0o600)
    replace_file(folder / PORT, f"{emulator.port}\n")


def _is_published(folder: Path, emulator: EmbeddedBatch) -> bool:
    """Whether the folder still names this emulator: it may have been deleted, and made anew."""
    try:
        document = json.loads((folder / ENDPOINT).read_text(encoding="utf-8"))
        return bool(document["id"] == emulator.id)
    except (OSError, ValueError, KeyError):
        return False


def _remove_endpoint(folder: Path, emulator: EmbeddedBatch) -> None:
    # One that can't be removed is found stale by whoever reads it.
    with contextlib.suppress(OSError):
        if _is_published(folder, emulator):
            (folder / ENDPOINT).unlink(missing_ok=True)


def _announce(emulator: EmbeddedBatch, folder: Path | None) -> None:
    kept = f"state in {folder}" if folder else "nothing is kept"
    images = emulator.runner.images if isinstance(emulator.runner, SubprocessRunner) else None
    lines = [
        f"Batch emulator: listening on {emulator.url} (pid {os.getpid()}; {kept})",
        f"  export AWS_ENDPOINT_URL_BATCH={emulator.url}",
        f"  export AWS_ENDPOINT_URL_CLOUDWATCH_LOGS={emulator.url}",
    ]
    if images is not None:
        lines.append(f"  images: {', '.join(images) or 'none (name some with --image)'}")
    print("\n".join(lines), flush=True)  # noqa: T201 - the program's output


def _watch(
    emulator: EmbeddedBatch,
    stop: threading.Event,
    *,
    folder: Path | None,
    idle_exit_seconds: float | None,
    faults_file: Path | None,
) -> None:
    changed: float | None = None
    while not stop.wait(_CHECK_SECONDS) and not emulator.shutdown_requested:
        if faults_file is not None:
            changed = _load_faults(emulator, faults_file, changed)
        if folder is not None and not _is_published(folder, emulator):
            print(f"Batch emulator: {folder} is gone or another's", flush=True)  # noqa: T201
            return
        if idle_exit_seconds is not None and _idle(emulator, idle_exit_seconds):
            # Under the lock of `ensure_running`, so that nobody is given an address that dies.
            with _locked(folder / START_LOCK) if folder else contextlib.nullcontext():
                if not _idle(emulator, idle_exit_seconds):
                    continue
                if folder is not None:
                    _remove_endpoint(folder, emulator)
            print(f"Batch emulator: idle for {idle_exit_seconds:g} s", flush=True)  # noqa: T201
            return


def _idle(emulator: EmbeddedBatch, seconds: float) -> bool:
    return time.monotonic() - emulator.last_activity > seconds and not emulator.engine.busy()


def _load_faults(emulator: EmbeddedBatch, path: Path, changed: float | None) -> float | None:
    """Take over the file's faults when it changed; a missing file means none."""
    try:
        found: float | None = path.stat().st_mtime
    except FileNotFoundError:
        found = None
    if found == changed:
        return changed
    try:
        documents = json.loads(path.read_text(encoding="utf-8")) if found is not None else []
        emulator.faults.load(documents)
        print(f"Batch emulator: {len(documents)} faults from {path}", flush=True)  # noqa: T201
    except (ValueError, TypeError, OSError) as error:
        print(f"Batch emulator: {path} is not used: {error}", flush=True)  # noqa: T201
    return found
