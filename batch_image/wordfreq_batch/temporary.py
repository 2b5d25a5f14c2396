"""Folders that are gone afterwards, for whoever needs more room than memory has."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wordfreq_batch.stopping import Stopped


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A new folder, and its removal, also where the signal comes while it is made or removed."""
    folder = Path(tempfile.gettempdir(), f"wordfreq-{os.urandom(8).hex()}")
    try:
        folder.mkdir(mode=0o700)
        yield folder
    finally:
        try:
            shutil.rmtree(folder, ignore_errors=True)
        except Stopped:
            shutil.rmtree(folder, ignore_errors=True)
            raise
