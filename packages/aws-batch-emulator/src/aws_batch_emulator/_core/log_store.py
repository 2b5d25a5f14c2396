"""Log streams as CloudWatch Logs would show them, kept as plain files, one per stream.

Runners write (or let a subprocess write) the bytes; this module turns them into events on request,
so that a stream costs nothing until somebody reads it. A line's time comes from marks of (size,
time), which `watch` takes often while a real job writes.
"""

from __future__ import annotations

import bisect
import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from aws_batch_emulator._core.store import replace_file

MAX_EVENTS = 10_000
MAX_BYTES = 1_048_576
"""One answer of GetLogEvents holds at most 1 MB or 10,000 events (Logs API reference)."""
MAX_LINE = 262_144 - 26
"""Longer lines are cut into several events, as the awslogs driver does (256 KB less 26 bytes)."""
KEPT_MARKS = 200
"""So many times of a stream outlive the process."""
MAX_MARKS = 20_000
"""So many times of a stream are in memory at most; then every second one is dropped."""
WATCH_SECONDS = 0.05
"""How often open streams are measured: the precision of their lines' times. Less often where
measuring all would take more than a twentieth of one core."""
IDLE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One line; `start` and `end` are its byte range in the stream, `end` after the line break."""

    timestamp: int
    message: str
    start: int
    end: int


@dataclass(slots=True)
class _Stream:
    created: int
    path: Path
    marks: list[tuple[int, int]] = field(default_factory=list)
    """(size, time): what the stream held when; both only grow."""
    open: bool = True

    def grew(self, *, now: int) -> bool:
        """Note what a process has written since the last mark, with the time of its last write."""
        size, written = _measured(self.path)
        return self.add_mark(size, min(written, now))

    def add_mark(self, size: int, when: int) -> bool:
        """Note a greater size; return whether it was one."""
        before = self.marks[-1] if self.marks else (0, self.created)
        if size <= before[0]:
            return False
        self.marks.append((size, max(when, before[1])))
        if len(self.marks) > MAX_MARKS:
            self.marks = [*self.marks[:2], *self.marks[2:-1:2], self.marks[-1]]
        return True


@dataclass(frozen=True, slots=True)
class StreamTimes:
    """When a stream was made and when its first and last lines were written (milliseconds)."""

    created: int
    first: int | None
    last: int | None


class LogStore:
    """All streams of all groups below one folder; an index there keeps their names and times."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._index = folder / "index.jsonl"
        self._known: dict[str, dict[str, _Stream]] = {}
        self._open: dict[tuple[str, str], _Stream] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        folder.mkdir(parents=True, exist_ok=True)
        self._load()
        self._notes = self._index.open("a", encoding="utf-8")

    def path(self, group: str, stream: str) -> Path:
        """Return the file of a stream; its names are readable and safe, whatever they stand for."""
        return self._folder / _bounded(_file_name(group)) / _bounded(_file_name(stream))

    def create(self, group: str, stream: str, *, now: int) -> Path:
        """Make the stream known (an empty one is listed too) and return where its bytes go."""
        path = self.path(group, stream)
        with self._lock:
            if group not in self._known:
                path.parent.mkdir(parents=True, exist_ok=True)
            found = _Stream(created=now, path=path, marks=[(0, now)])
            self._known.setdefault(group, {})[stream] = found
            self._open[group, stream] = found
            self._note(group, stream, found)
        return path

    def watch(self, now: Callable[[], int]) -> None:
        """Measure open streams from now on, until `shut`; `now` returns milliseconds."""
        thread = threading.Thread(target=self._watch, args=(now,), name="batch-log-times")
        thread.daemon = True
        thread.start()

    def shut(self) -> None:
        """End what `watch` began, and close the index."""
        self._closed.set()
        with self._lock, contextlib.suppress(OSError):
            self._notes.close()

    def _watch(self, now: Callable[[], int]) -> None:
        pause = IDLE_SECONDS
        while not self._closed.wait(pause):
            began = time.monotonic()
            with self._lock:
                streams = list(self._open)
            for group, stream in streams:
                self.mark(group, stream, now=now())
            spent = time.monotonic() - began
            pause = max(WATCH_SECONDS, 20 * spent) if streams else IDLE_SECONDS

    def close(self, group: str, stream: str, *, now: int) -> None:
        """Say that nothing more will be written: a last line without line break now counts."""
        with self._lock:
            if (found := self._find(group, stream)) is None:
                return
            if found.grew(now=now) or found.open:
                found.open = False
                self._open.pop((group, stream), None)
                self._note(group, stream, found)

    def append(self, group: str, stream: str, lines: Iterable[str], *, now: int) -> None:
        """Add finished lines, all at one time."""
        data = "".join(f"{line}\n" for line in lines).encode()
        if not data:
            return
        path = self.path(group, stream)
        with path.open("ab") as file:
            file.write(data)
        with self._lock:
            if (found := self._find(group, stream)) is not None:
                found.add_mark(_measured(path)[0], now)

    def mark(self, group: str, stream: str, *, now: int) -> None:
        """Note how much an open stream holds at this time (milliseconds)."""
        with self._lock:
            if (found := self._find(group, stream)) is not None and found.open:
                found.grew(now=now)

    def exists(self, group: str, stream: str) -> bool:
        """Whether the stream was ever created."""
        return stream in self._known.get(group, ())

    def groups(self) -> list[str]:
        """Return the names of all groups in which a stream was ever created, sorted."""
        with self._lock:
            return sorted(self._known)

    def delete(self, streams: Sequence[tuple[str, str]]) -> None:
        """Forget streams; missing ones are ignored."""
        with self._lock:
            for group, stream in streams:
                self._known.get(group, {}).pop(stream, None)
                self._open.pop((group, stream), None)
        for group, stream in streams:
            self.path(group, stream).unlink(missing_ok=True)

    def size(self, group: str, stream: str) -> int:
        """Return the stream's length in bytes, 0 if nothing was written."""
        return _measured(self.path(group, stream))[0]

    def streams(self, group: str) -> list[str]:
        """Return the names of the group's streams, sorted."""
        with self._lock:
            return sorted(self._known.get(group, ()))

    def times(self, group: str, stream: str | None = None) -> StreamTimes:
        """Return the times of a stream, or of a group as a whole."""
        with self._lock:
            streams = self._known.get(group, {})
            found = [streams[stream]] if stream is not None else list(streams.values())
        marks = [[mark for mark in one.marks if mark[0]] for one in found]
        return StreamTimes(
            created=min((one.created for one in found), default=0),
            first=min((m[0][1] for m in marks if m), default=None),
            last=max((m[-1][1] for m in marks if m), default=None),
        )

    def position(self, group: str, stream: str, *, time: int) -> int:
        """Return a byte of the stream before which all lines are older than `time`."""
        with self._lock:
            found = self._find(group, stream)
            older = [size for size, when in found.marks if when < time] if found else []
        return older[-1] if older else 0

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
        size, last = _measured(path)
        # A line's time is what it was when it was first seen.
        self.mark(group, stream, now=last)
        with self._lock:
            known = self._find(group, stream)
            marks: Sequence[tuple[int, int]] = tuple(known.marks) if known else ()
            if marks:
                last = marks[-1][1]  # what is written after the job's end is no later than that
            still_open = known is not None and known.open
        events: list[LogEvent] = []
        total, position = 0, 0
        for line in data.splitlines(keepends=True) if b"\r" not in data else _lines(data):
            if still_open and start + position + len(line) >= size and not line.endswith(b"\n"):
                break  # the rest of the line is still to come
            begin, position = position, position + len(line)
            body = line.rstrip(b"\r\n")
            # The awslogs driver makes no event of an empty line.
            if not body:
                continue
            place = bisect.bisect_left(marks, (start + position,))
            when = marks[place][1] if place < len(marks) else last
            for piece in range(0, len(body), MAX_LINE):
                text = body[piece : piece + MAX_LINE].decode("utf-8", "replace")
                total += len(text) + 26
                first, after = start + begin + piece, start + begin + piece + MAX_LINE
                more = piece + MAX_LINE < len(body)
                events.append(LogEvent(when, text, first, after if more else start + position))
            if not all_ and (total >= MAX_BYTES or len(events) >= MAX_EVENTS):
                break
        return events

    def _find(self, group: str, stream: str) -> _Stream | None:
        return self._known.get(group, {}).get(stream)

    def _note(self, group: str, stream: str, found: _Stream) -> None:
        # On a full disk the stream is there as long as this process is; its jobs go on. What was
        # not written is, with the next one, once there is room.
        with contextlib.suppress(OSError):
            self._notes.write(_noted(group, stream, found))
            self._notes.flush()

    def _load(self) -> None:
        """Read the index of an earlier process, and replace it by one without what is gone."""
        try:
            lines = self._index.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return
        for line in lines:
            try:
                group, stream, created, marks, _ = json.loads(line)
                path = self.path(group, stream)
                found = _Stream(created, path, [(int(s), int(t)) for s, t in marks], open=False)
            except (ValueError, TypeError):
                continue  # the last line of a killed process
            self._known.setdefault(group, {})[stream] = found
        kept: list[str] = []
        for group, streams in self._known.items():
            there = {name: found for name, found in streams.items() if found.path.exists()}
            self._known[group] = there
            kept += [_noted(group, name, found) for name, found in there.items()]
        replace_file(self._index, "".join(kept))


def _noted(group: str, stream: str, found: _Stream) -> str:
    """The stream's line in the index."""
    step = len(found.marks) // KEPT_MARKS + 1
    kept = [*found.marks[:-1:step], *found.marks[-1:]]
    return json.dumps([group, stream, found.created, kept, found.open]) + "\n"


def _measured(path: Path) -> tuple[int, int]:
    """Return a file's size and when it was last written to (milliseconds)."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns // 1_000_000


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
