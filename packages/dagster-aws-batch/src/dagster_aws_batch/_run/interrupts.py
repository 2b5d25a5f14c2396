"""Signals that end a run must reach it, however it was started; called before a step waits.

Dagster gives SIGTERM whatever SIGINT has. Where SIGINT is ignored from the start (a shell script's
`&`, `nohup`, some CI runners), a run would ignore SIGTERM too and leave its jobs running.
"""

import signal
import threading
from typing import Any

from dagster_aws_batch._run.state import Logger

__all__ = ["ensure_interrupts"]


def ensure_interrupts(log: Logger) -> None:
    """Where SIGTERM is ignored, let it end the process by an exception, and say so."""
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN:
        return
    signal.signal(signal.SIGTERM, _terminate)
    log.warning(
        "this process was started with SIGINT ignored, and Dagster gave SIGTERM the same: SIGTERM "
        "ends it again, and its AWS Batch jobs with it"
    )


def _terminate(number: int, _: Any) -> None:
    raise SystemExit(128 + number)
