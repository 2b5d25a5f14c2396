"""Submissions whose answer never came, kept in the scratch place until they are resolved.

Written when a run is cancelled while a job of it may exist that no listing shows yet; read by the
next execution and by the reaper, which end the job when it appears.
"""

from __future__ import annotations

import json
import logging
import time

from dagster_aws_batch._aws.answers import is_live
from dagster_aws_batch._aws.calls import BatchApi
from dagster_aws_batch._errors import CallRefusedError
from dagster_aws_batch._scratch import Scratch

__all__ = ["end_unresolved", "note_unresolved"]

_log = logging.getLogger(__name__)

FOLDER = "unresolved/"
# Much longer than any listing was seen to lag behind.
KEEP_SECONDS = 6 * 3600


def note_unresolved(scratch: Scratch, name: str, queue: str) -> None:
    """Note that a job of this name may still appear in this queue."""
    note = {"queue": queue, "noted_at": time.time()}
    scratch.put(f"{FOLDER}{name}", json.dumps(note).encode())


def end_unresolved(api: BatchApi, scratch: Scratch, *, stem: str = "") -> list[str]:
    """End the noted jobs that have appeared. Returns their ids.

    `stem`: the beginning of the names of an execution that goes on with its own.
    """
    ended: list[str] = []
    for entry in scratch.names(FOLDER):
        name = entry.removeprefix(FOLDER)
        if stem and name.startswith(stem):
            scratch.delete(entry)
            continue
        note = json.loads(scratch.get(entry) or b"{}")
        if not note:
            continue
        try:
            live = [row["jobId"] for row in api.by_name(note["queue"], name) if is_live(row)]
        except CallRefusedError as error:
            # The queue may be gone; it must not hinder who only tidies up after another.
            _log.warning("job %s of a cancelled run was not looked for: %s", name, error)
            live = []
        if live:
            errors = api.terminate(live, "its run was cancelled before it was listed")
            ended += [job_id for job_id in live if job_id not in errors]
        elif time.time() - note["noted_at"] > KEEP_SECONDS:
            scratch.delete(entry)
    return ended
