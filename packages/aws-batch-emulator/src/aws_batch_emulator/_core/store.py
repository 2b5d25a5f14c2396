"""The emulator's state in SQLite, so that it survives a restart and a killed process.

Jobs are written as small JSON rows at the end of each engine step; without a path nothing is kept.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aws_batch_emulator._core.errors import EmulatorError
from aws_batch_emulator._core.model import (
    Attempt,
    Dependency,
    Document,
    ExitRule,
    Job,
    JobSpec,
    RunningAttempt,
    Status,
)

SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS specs (id INTEGER PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, top TEXT NOT NULL, seq INTEGER NOT NULL, idx INTEGER, size INTEGER,
    spec INTEGER NOT NULL, created_at INTEGER NOT NULL, document TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS jobs_top ON jobs (top);
CREATE TABLE IF NOT EXISTS resources (
    kind TEXT NOT NULL, name TEXT NOT NULL, document TEXT NOT NULL, PRIMARY KEY (kind, name));
"""


@contextlib.contextmanager
def state_folder(folder: Path) -> Iterator[None]:
    """Say what to do where the state can't be read or written: for all that starts with it."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise EmulatorError(
            f"The state folder {folder} can't be read or written: {error}. Make it writable, or "
            "name another one."
        ) from error


def replace_file(path: Path, text: str, *, mode: int = 0o666) -> None:
    """Write a file anew; whenever this is killed or fails, the old one is there in full."""
    new = path.with_name(f"{path.name}.new")
    new.touch(mode=mode)
    new.write_text(text, encoding="utf-8")
    new.replace(path)


class Store:
    """One database file, or nothing (`path` None). Used under the engine's lock only."""

    def __init__(self, path: Path | None) -> None:
        self._db: sqlite3.Connection | None = None
        if path is None:
            return
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        # WAL with NORMAL keeps every committed step when the process is killed; no fsync per step.
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, SCHEMA_VERSION):
            raise EmulatorError(
                f"{path} was written by another version of the emulator (schema {version}, needed "
                f"{SCHEMA_VERSION}). Remove the folder or name another one."
            )
        self._db.executescript(_SCHEMA)
        self._db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")

    def close(self) -> None:
        """Close the file; later calls do nothing."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def add(self, job: Job) -> None:
        """Write a new job with all its children."""
        if self._db is None:
            return
        jobs = [job, *(job.children or [])]
        rows = [
            (j.id, job.id, j.seq, j.index, j.size, j.spec.id, j.created_at, _state(j)) for j in jobs
        ]
        with self._db:
            self._db.execute("BEGIN")
            self._db.execute(
                "INSERT OR REPLACE INTO specs VALUES (?, ?)",
                (job.spec.id, json.dumps(asdict(job.spec))),
            )
            self._db.executemany("INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def update(self, jobs: Iterable[Job]) -> None:
        """Write the changeable part of these jobs."""
        if self._db is None:
            return
        rows = [(_state(job), job.id) for job in jobs]
        with self._db:
            self._db.execute("BEGIN")
            self._db.executemany("UPDATE jobs SET document = ? WHERE id = ?", rows)

    def delete(self, jobs: Iterable[Job]) -> None:
        """Remove plain jobs, and parents with their children."""
        if self._db is None:
            return
        with self._db:
            self._db.execute("BEGIN")
            for job in jobs:
                self._db.execute("DELETE FROM jobs WHERE top = ?", (job.id,))
                self._db.execute("DELETE FROM specs WHERE id = ?", (job.spec.id,))

    def put_resource(self, kind: str, name: str, document: Document) -> None:
        """Write a queue, environment, definition or policy."""
        if self._db is not None:
            self._db.execute(
                # Not REPLACE, which would give the row a new place in the order of creation.
                "INSERT INTO resources VALUES (?, ?, ?) "
                "ON CONFLICT (kind, name) DO UPDATE SET document = excluded.document",
                (kind, name, json.dumps(document)),
            )

    def delete_resource(self, kind: str, name: str) -> None:
        """Remove a resource; missing ones are ignored."""
        if self._db is not None:
            self._db.execute("DELETE FROM resources WHERE kind = ? AND name = ?", (kind, name))

    def resources(self, kind: str) -> list[tuple[str, Document]]:
        """Return all resources of a kind as (name, document), in the order of their creation."""
        if self._db is None:
            return []
        rows = self._db.execute(
            "SELECT name, document FROM resources WHERE kind = ? ORDER BY rowid", (kind,)
        )
        return [(name, json.loads(document)) for name, document in rows]

    def jobs(self) -> list[Job]:
        """Return all plain jobs and parents (with children and counts), oldest first."""
        if self._db is None:
            return []
        specs = {i: _spec(json.loads(d)) for i, d in self._db.execute("SELECT * FROM specs")}
        top: dict[str, Job] = {}
        query = "SELECT id, top, seq, idx, size, spec, created_at, document FROM jobs ORDER BY seq"
        for job_id, top_id, seq, index, size, spec, created_at, document in self._db.execute(query):
            job = Job(
                id=job_id, seq=seq, spec=specs[spec], created_at=created_at, size=size, index=index
            )
            _restore(job, json.loads(document))
            if index is None:
                top[job_id] = job
                if size is not None:
                    job.children, job.counts = [], {}
                continue
            parent = top[top_id]
            job.parent = parent
            if parent.children is not None and parent.counts is not None:
                parent.children.append(job)
                parent.counts[job.status] = parent.counts.get(job.status, 0) + 1
        return list(top.values())


_FIELDS = ("status_reason", "started_at", "stopped_at", "end_reason", "tags", "counted_at")
_FLAGS = ("cancelled", "terminated", "lost")


def _state(job: Job) -> str:
    state: dict[str, Any] = {"status": job.status.value}
    for name in (*_FIELDS, *_FLAGS):
        if (value := getattr(job, name)) not in (None, False):
            state[name] = value
    if job.attempts:
        state["attempts"] = [asdict(attempt) for attempt in job.attempts]
    if job.run is not None:
        state["run"] = {k: v for k, v in asdict(job.run).items() if k != "override"}
    return json.dumps(state)


def _restore(job: Job, state: Document) -> None:
    job.status = Status(state["status"])
    for name in (*_FIELDS, *_FLAGS):
        if name in state:
            setattr(job, name, state[name])
    job.attempts = tuple(
        Attempt(**{**a, "containers": tuple(a["containers"])}) for a in state.get("attempts", ())
    )
    if "run" in state:
        job.run = RunningAttempt(**state["run"])


def _spec(document: Document) -> JobSpec:
    document["containers"] = tuple(document["containers"])
    document["rules"] = tuple(ExitRule(**rule) for rule in document["rules"])
    document["depends_on"] = tuple(Dependency(**d) for d in document["depends_on"])
    return JobSpec(**document)
