"""Run one command to its end and say what it and all its descendants used, as one line of JSON.

A process of its own for every measurement, and a small one: a child's peak memory can never be
below that of the process it was forked from. It adopts orphans (PR_SET_CHILD_SUBREAPER), because
PySpark's Java process is nobody's child by the time it ends. Linux only.

    python watch.py '{"command": [...], "seconds": 600, "memory": 8000000000, "output": "file"}'
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
import threading
import time

_SUBREAPER, _DEATH_SIGNAL = 36, 1  # prctl options
_EVERY = 0.05  # seconds between two looks at the memory
_GRACE = 10.0  # seconds that what outlives the command has to end by itself
_PAGE = os.sysconf("SC_PAGE_SIZE")


def _descendants() -> list[int]:
    """Process ids of all descendants of this process."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208 - every import makes this process larger
        if entry.isdigit():
            # A process may end while it is looked at; that is no error.
            with contextlib.suppress(OSError, ValueError, IndexError):
                with open(f"/proc/{entry}/stat") as file:  # noqa: PTH123
                    parent = int(file.read().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry))
    found: list[int] = []
    todo = [os.getpid()]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def _resident(pid: int) -> int:
    with contextlib.suppress(OSError, IndexError), open(f"/proc/{pid}/statm") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * _PAGE
    return 0


def _kill() -> None:
    for pid in _descendants():
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


class Watch:
    """The limits, looked after by a thread while the main thread waits."""

    def __init__(self, seconds: float, memory: int) -> None:
        self.reason = ""
        self.peak = 0
        self._deadline = time.monotonic() + seconds
        self._memory = memory
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def command_ended(self) -> None:
        """From now on only `_GRACE` is left for what the command left behind."""
        self._deadline = min(self._deadline, time.monotonic() + _GRACE)

    def stop(self) -> None:
        """Look no more."""
        self._over.set()

    def _look(self) -> None:
        pause = 0.002  # short at first: a quick command has a peak, too
        while not self._over.wait(pause):
            pause = min(2 * pause, _EVERY)
            used = sum(map(_resident, _descendants()))
            self.peak = max(self.peak, used)
            if used > self._memory:
                self.reason = f"stopped: it took more than {self._memory / 2**30:.1f} GiB"
                _kill()
            elif time.monotonic() > self._deadline:
                self.reason = self.reason or "stopped: the time limit"
                _kill()


def run(command: list[str], seconds: float, memory: int, output: str) -> dict[str, object]:
    """Run and account; what the command prints goes to the file `output`."""
    libc = ctypes.CDLL(None)
    libc.prctl(_SUBREAPER, 1, 0, 0, 0)
    libc.prctl(_DEATH_SIGNAL, signal.SIGTERM, 0, 0, 0)

    def stopped(*_: object) -> None:
        _kill()
        os._exit(130)

    signal.signal(signal.SIGTERM, stopped)
    signal.signal(signal.SIGINT, stopped)
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    began = time.perf_counter()
    main = os.posix_spawnp(
        command[0], command, os.environ, file_actions=actions, setsigdef=[signal.SIGPIPE]
    )
    watch = Watch(seconds, memory)
    wall, cpu, peak, status = 0.0, 0.0, 0, 0
    while True:
        try:
            pid, ended, used = os.wait4(-1, 0)
        except ChildProcessError:
            break
        cpu += used.ru_utime + used.ru_stime
        peak = max(peak, used.ru_maxrss * 1024)
        if pid == main:
            wall, status = time.perf_counter() - began, os.waitstatus_to_exitcode(ended)
            if not watch.reason:
                watch.command_ended()
    watch.stop()
    late = status == 0 and watch.reason == "stopped: the time limit"  # only what was left behind
    return {
        "wall": wall,
        "cpu": cpu,
        "peak": max(peak, watch.peak),
        "exit": status,
        "reason": "" if late else watch.reason,
    }


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    print(json.dumps(run(given["command"], given["seconds"], given["memory"], given["output"])))
