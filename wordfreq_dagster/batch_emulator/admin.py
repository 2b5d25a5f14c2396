"""The emulator's own addresses below `/_emulator/`: health, call counts, faults, events, stop.

`GET health`, `GET calls`, `GET|PUT... faults`, `GET events?after=N`, `POST shutdown`. Changing requests need
the header `X-Batch-Emulator`, which no web page can send to another site unasked.
"""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from wordfreq_dagster.batch_emulator.faults import Fault
from wordfreq_dagster.batch_emulator.wire import Answer

if TYPE_CHECKING:
    from wordfreq_dagster.batch_emulator.emulator import EmbeddedBatch

HEADER = "X-Batch-Emulator"


class Admin:
    """Answers to requests about the emulator itself."""

    def __init__(self, emulator: EmbeddedBatch) -> None:
        self._emulator = emulator
        self.shutdown_requested = threading.Event()

    def handle(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer one request."""
        url = urlsplit(target)
        name = url.path.removeprefix("/_emulator/")
        if method != "GET" and headers.get(HEADER) is None:
            return _answer(403, {"message": f"This request needs the header {HEADER}."})
        actions: dict[tuple[str, str], Callable[[], Any]] = {
            ("GET", "health"): self._health,
            ("GET", "calls"): lambda: dict(self._emulator.calls),
            ("DELETE", "calls"): self._emulator.calls.clear,
            ("GET", "faults"): self._emulator.faults.documents,
            ("DELETE", "faults"): self._emulator.faults.clear,
            ("POST", "faults"): lambda: self._add_faults(json.loads(body)),
            ("GET", "events"): lambda: self._events(parse_qs(url.query)),
            ("POST", "shutdown"): self.shutdown_requested.set,
        }
        action = actions.get((method, name))
        if action is None:
            known = ", ".join(f"{m} /_emulator/{n}" for m, n in actions)
            return _answer(404, {"message": f"No such address; known are {known}."})
        try:
            return _answer(200, action())
        except ValueError as error:
            return _answer(400, {"message": str(error)})

    def _health(self) -> dict[str, Any]:
        with self._emulator.engine.step():
            states = Counter(job.status.value for job in self._emulator.engine.jobs.values())
        return {"status": "ok", "pid": os.getpid(), "jobs": dict(states)}

    def _add_faults(self, document: Any) -> list[dict[str, Any]]:
        documents = document if isinstance(document, list) else [document]
        self._emulator.faults.add(*[Fault.from_document(d) for d in documents])
        return self._emulator.faults.documents()

    def _events(self, query: dict[str, list[str]]) -> dict[str, Any]:
        number, events = self._emulator.events.after(int(query.get("after", ["0"])[0]))
        return {"last": number, "events": events}


def _answer(status: int, document: Any) -> Answer:
    return Answer(status, json.dumps(document).encode(), {"Content-Type": "application/json"})
