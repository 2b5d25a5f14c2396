"""SIGTERM and SIGINT as an exception, with a deadline. For `cli.main` only.

AWS Batch sends SIGTERM and, 30 seconds later, SIGKILL. The exception unwinds the work, so that
temporary files go and uploads are aborted; a watcher thread ends the process should that take
longer than `GRACE` seconds, as it does when the main thread waits for a network that is silent.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

GRACE = 7.0
_AGAIN = 0.02
"""Seconds in which Python leaves the place where it had to drop the exception."""


class Stopped(BaseException):
    """The process was told to stop. Not an `Exception`: nobody else handles it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        self.exit_code = 128 + number
        self.name = signal.Signals(number).name


def raise_on_signals() -> None:
    """Install the handlers and the watcher; call it once, in the main thread.

    Whoever started the process may have ignored or blocked these signals, as a shell does in the
    background: a program that AWS Batch must be able to stop doesn't inherit that.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    # The C-level handler writes here at once, even while the main thread is busy elsewhere.
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reading,), daemon=True, name="wordfreq-stop").start()
    sys.unraisablehook = _stop_again
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))


@contextmanager
def stop_before_errors() -> Iterator[None]:
    """Raise the stop instead of an error that its coming made, as of a file closed twice."""
    try:
        yield
    except Exception as error:
        behind: BaseException = error
        while not isinstance(behind, Stopped):
            if behind.__context__ is None:
                raise
            behind = behind.__context__
        raise behind from error


def _stop(number: int, _frame: FrameType | None) -> None:
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)  # a second one must not interrupt the tidying
    raise Stopped(number)


def _stop_again(dropped: sys.UnraisableHookArgs) -> None:
    """Where Python has to drop an exception, as in a callback of an import, the stop isn't lost."""
    if isinstance(dropped.exc_value, Stopped):
        signal.signal(dropped.exc_value.number, _stop)
        to = (threading.get_ident(), dropped.exc_value.number)
        again = threading.Timer(_AGAIN, signal.pthread_kill, to)
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(dropped)


def _watch(reading: int) -> None:
    while True:
        number = os.read(reading, 1)[0]
        if number in (signal.SIGTERM, signal.SIGINT):
            time.sleep(GRACE)
            os._exit(128 + number)
