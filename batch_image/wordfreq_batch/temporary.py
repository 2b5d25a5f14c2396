"""Folders that are gone afterwards, for whoever needs more room than memory has."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A new folder, and its removal, also where the signal comes while it is made or removed."""
    folder = temporary_path()
    try:
        folder.mkdir(mode=0o700)
        yield folder
    finally:
        remove_folder(folder)


def no_room(error: OSError) -> str:
    """What to say of the system's errors in the midst of work: storage and network have others."""
    return f"{error}; is the temporary folder (TMPDIR, now {tempfile.tempdir}) full?"


def temporary_path() -> Path:
    """A name for a folder, known before the folder is made, so that no signal parts the two."""
    return Path(tempfile.gettempdir(), f"wordfreq-{os.urandom(8).hex()}")


def remove_folder(folder: Path) -> None:
    """Remove it with what is in it, also where the signal comes meanwhile."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except BaseException:  # the signal, or what `rmtree` makes of it: it may close a file twice
        shutil.rmtree(folder, ignore_errors=True)  # a second signal is ignored
        raise
