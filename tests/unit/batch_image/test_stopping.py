"""A signal at whichever call: it is what ends the program, and no temporary file outlives it."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import os, signal, sys, tempfile
from pathlib import Path
from wordfreq_batch.storage.local import LocalStore
from wordfreq_batch.stopping import Stopped, raise_on_signals, stop_before_errors
from wordfreq_batch.tables.runs import Folder
from wordfreq_batch.temporary import temporary_folder

def folder(_):
    with temporary_folder() as made:
        (made / "inner").mkdir()
        (made / "inner/file").write_bytes(b"x")

def runs(_):
    folder = Folder()
    try:
        folder.run([b"a\\t1\\n"])
    finally:
        folder.close()

def write(base):
    with LocalStore(str(base)).writer("sub/key") as writer:
        writer.write(b"x")

def imports(_):
    import colorsys

def interrupted_at(number, work, base):
    def count(_frame, event, _argument):
        nonlocal number
        number -= event == "c_return"
        if number == 0:
            sys.setprofile(None)
            signal.raise_signal(signal.SIGINT)

    raise_on_signals()
    try:
        with stop_before_errors():
            sys.setprofile(count)
            work(base)
            sys.setprofile(None)
            # The stop may have come where Python drops exceptions: then it comes once more.
            while number <= 0:
                signal.pause()
    except Stopped as stopped:
        return stopped.exit_code
    return 0

work, root = globals()[sys.argv[1]], Path(sys.argv[2])
for number in range(1, 2000):
    base = root / str(number)
    base.mkdir()
    tempfile.tempdir = str(base)
    child = os.fork()
    if not child:
        sys.exit(interrupted_at(number, work, base))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    left = [str(path) for path in base.rglob("*wordfreq-*")]
    if code == 0:
        print("whole", number)
        break
    if code != 130 or left:
        print(number, code, left)
"""


@pytest.mark.parametrize("work", ["folder", "runs", "write", "imports"])
def test_a_signal_at_any_call_is_the_stop_and_leaves_nothing(tmp_path, work):
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, work, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert ran.stderr == ""
    (line,) = ran.stdout.splitlines()
    verdict, calls = line.split()
    assert verdict == "whole"
    assert int(calls) > 20
