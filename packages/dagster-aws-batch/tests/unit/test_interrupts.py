"""A run that was started with signals ignored can still be ended."""

from __future__ import annotations

import signal
import subprocess
import sys

SCRIPT = """\
import logging, os, signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
from dagster_aws_batch._run.interrupts import ensure_interrupts
ensure_interrupts(logging.getLogger("run"))
try:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)
finally:
    print("jobs ended")
"""


def test_sigterm_ends_what_was_started_with_signals_ignored():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False, timeout=50
    )
    assert done.returncode == 128 + signal.SIGTERM
    assert done.stdout == "jobs ended\n"
    assert "SIGTERM ends it again" in done.stderr
