"""Log streams as CloudWatch Logs would show them, kept as plain files, one per stream.

Runners write (or let a subprocess write) the bytes; this module turns them into events on request,
so that a stream costs nothing until somebody reads it. Line times are interpolated from marks of
(size, time).
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

MAX_EVENTS = 10_000
MAX_BYTES = 1_048_576
"""One answer of GetLogEvents holds at most 1 MB or 10,000 events (Logs API reference)."""
MAX_LINE = 262_144 - 26
"""Longer lines are cut into several events, as the awslogs driver does (256 KB less 26 bytes)."""


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One line; `start` and `end` are its byte range in the stream, `end` after the line break."""

    timestamp: int
    message: str
    start: int
    end: int


class LogStore:
    """All streams of all groups below one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._marks: dict[Path, list[tuple[int, int]]] = {}
        self._known: dict[str, set[str]] = {}
        self._open: set[Path] = set()
        self._lock = threading.Lock()

    def path(self, group: str, stream: str) -> Path:
        """Return the file of a stream; its names are readable and safe, whatever they stand for."""
        return self._folder / _bounded(_file_name(group)) / _bounded(_file_name(stream))

    def create(self, group: str, stream: str, *, now: int) -> Path:
        """Make the stream known (an empty one is listed too) and return where its bytes go."""
        path = self.path(group, stream)
        with self._lock:
            if group not in self._known:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._known[group] = set()
            self._known[group].add(stream)
            self._marks[path] = [(0, now)]
            self._open.add(path)
        return path

    def close(self, group: str, stream: str, *, now: int) -> None:
        """Say that nothing more will be written: a last line without line break now counts."""
        self.mark(group, stream, now=now)
        with self._lock:
            self._open.discard(self.path(group, stream))

    def append(self, group: str, stream: str, lines: Iterable[str], *, now: int) -> None:
        """Add finished lines, all at one time."""
        data = "".join(f"{line}\n" for line in lines).encode()
        if not data:
            return
        path = self.path(group, stream)
        with path.open("ab") as file:
            file.write(data)
        self.mark(group, stream, now=now)

    def mark(self, group: str, stream: str, *, now: int) -> None:
        """Note how much the stream holds at this time (milliseconds)."""
        path = self.path(group, stream)
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            return
        with self._lock:
            marks = self._marks.setdefault(path, [])
            if not marks or size > marks[-1][0]:
                marks.append((size, now))

    def exists(self, group: str, stream: str) -> bool:
        """Whether the stream was ever created."""
        return stream in self._known.get(group, ()) or self.path(group, stream).exists()

    def group_exists(self, group: str) -> bool:
        """Whether any stream of the group was ever created."""
        return group in self._known or (self._folder / _file_name(group)).is_dir()

    def delete(self, group: str, stream: str) -> None:
        """Forget a stream; missing ones are ignored."""
        path = self.path(group, stream)
        with self._lock:
            self._known.get(group, set()).discard(stream)
            self._marks.pop(path, None)
            self._open.discard(path)
        path.unlink(missing_ok=True)

    def size(self, group: str, stream: str) -> int:
        """Return the stream's length in bytes, 0 if nothing was written."""
        try:
            return self.path(group, stream).stat().st_size
        except FileNotFoundError:
            return 0

    def streams(self, group: str) -> list[str]:
        """Return the names of the group's streams, sorted; those made since this process began."""
        with self._lock:
            return sorted(self._known.get(group, ()))

    def forward(self, group: str, stream: str, *, start: int, limit: int) -> list[LogEvent]:
        """Return up to `limit` events from byte `start` on, whole lines only, at most 1 MB."""
        data = self._read(group, stream, start, MAX_BYTES + MAX_LINE)
        return self._events(group, stream, start, data)[:limit]

    def backward(self, group: str, stream: str, *, end: int, limit: int) -> list[LogEvent]:
        """Return the last `limit` events before byte `end`, at most 1 MB."""
        start = max(0, end - MAX_BYTES)
        data = self._read(group, stream, start, end - start)
        if start:
            cut = data.find(b"\n") + 1
            data, start = data[cut:], start + cut
        events = self._events(group, stream, start, data, all_=True)
        # The newest count: the limits of an answer cut off the oldest.
        first, total = len(events), 0
        while first and len(events) - first < min(limit, MAX_EVENTS) and total < MAX_BYTES:
            first -= 1
            total += len(events[first].message) + 26
        return events[first:]

    def _read(self, group: str, stream: str, start: int, length: int) -> bytes:
        try:
            with self.path(group, stream).open("rb") as file:
                file.seek(start)
                return file.read(length)
        except FileNotFoundError:
            return b""

    def _events(
        self, group: str, stream: str, start: int, data: bytes, *, all_: bool = False
    ) -> list[LogEvent]:
        path = self.path(group, stream)
        with self._lock:
            marks: Sequence[tuple[int, int]] = tuple(self._marks.get(path, ()))
        last = self._changed(path)
        events: list[LogEvent] = []
        total, position = 0, 0
        for line in data.splitlines(keepends=True) if b"\r" not in data else _lines(data):
            if path in self._open and not line.endswith(b"\n"):
                break  # the rest of the line is still to come
            begin, position = position, position + len(line)
            body = line.rstrip(b"\r\n")
            # The awslogs driver makes no event of an empty line.
            if not body:
                continue
            when = next((t for size, t in marks if size >= start + position), last)
            for piece in range(0, len(body), MAX_LINE):
                text = body[piece : piece + MAX_LINE].decode("utf-8", "replace")
                total += len(text) + 26
                events.append(LogEvent(when, text, start + begin, start + position))
            if not all_ and (total >= MAX_BYTES or len(events) >= MAX_EVENTS):
                break
        return events

    def _changed(self, path: Path) -> int:
        try:
            return int(path.stat().st_mtime * 1000)
        except FileNotFoundError:
            return 0


def _file_name(text: str) -> str:
    # Of the names that `quote` leaves alone, two are no files: `.` and `..`.
    name = quote(text, safe="")
    return name.replace(".", "%2E") if name in (".", "..") else name


def _lines(data: bytes) -> list[bytes]:
    """Split at line feeds only: a progress bar's carriage returns stay inside one event."""
    parts = data.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def _bounded(name: str) -> str:
    """The name, or its beginning and a digest where a file system would refuse its length."""
    if len(name) <= 200:
        return name
    return name[:150] + hashlib.sha256(name.encode()).hexdigest()[:32]
