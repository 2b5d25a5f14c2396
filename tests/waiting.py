"""The one way in which tests wait: for a condition, bounded in time, never for a fixed while."""

from __future__ import annotations

import subprocess
import time
import urllib.request
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def until(
    condition: Callable[[], T],
    *,
    seconds: float = 240,
    process: subprocess.Popen[Any] | None = None,
    what: str | Callable[[], object] = "the condition",
) -> T:
    """Poll until `condition` is true, and return what it gave.

    `process` must live meanwhile: what it printed is shown if it has ended. `what` (a text, or a
    function that gives the state seen) is named when the time is over. A condition that costs
    something, such as a query of the UI, is asked in a tenth of the time: it would slow down what
    it waits for.
    """
    end = (begin := time.monotonic()) + seconds
    while not (found := condition()):
        cost = time.monotonic() - begin
        if process is not None and process.poll() is not None:
            shown = process.communicate() if process.stdout or process.stderr else ""
            raise AssertionError(f"ended with {process.returncode} before {_text(what)}: {shown}")
        assert time.monotonic() < end, f"{_text(what)}: not within {seconds} s"
        time.sleep(min(max(0.02, 9 * cost), 1))
        begin = time.monotonic()
    return found


def answers(url: str) -> bool:
    """Whether something answers a GET of `url` with success."""
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except OSError:
        return False
    return True


def _text(what: str | Callable[[], object]) -> str:
    return what if isinstance(what, str) else f"seen so far: {what()}"


def next_second() -> None:
    """Wait until the clock shows another second: S3 gives times of uploads by the second."""
    begin = int(time.time())
    until(lambda: int(time.time()) > begin, seconds=5, what="another second")
