"""State-change events as Amazon EventBridge would carry them: "Batch Job State Change".

The detail is the job's description. As in AWS there is none for the submission itself.
"""

from __future__ import annotations

import datetime
import json
import logging
import threading
import uuid
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import IO

from aws_batch_emulator._api.describe import Names, detail
from aws_batch_emulator._core.engine import Engine
from aws_batch_emulator._core.model import Document, Job

KEPT = 10_000
"""So many events can be read back; the file has them all."""


logger = logging.getLogger(__name__)


class EventLog:
    """Passes state changes on to callbacks, a JSON-lines file and readers."""

    def __init__(self, *, engine: Engine, names: Names, path: Path | None, keep: bool) -> None:
        self._engine = engine
        self._names = names
        self._recent: deque[tuple[int, Document]] = deque(maxlen=KEPT)
        self._count = 0
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[Document], None]] = []
        self._file: IO[str] | None = path.open("a", encoding="utf-8") if path else None
        if keep:
            self._listen()

    def subscribe(self, callback: Callable[[Document], None]) -> None:
        """Call `callback` with every event from now on, under the emulator's lock: be brief."""
        self._callbacks.append(callback)
        self._listen()

    def after(self, number: int, *, limit: int = 1_000) -> tuple[int, list[Document]]:
        """Return (number of the last one, events) of those after event `number` (0: all kept)."""
        with self._lock:
            found = [(n, event) for n, event in self._recent if n > number][:limit]
        return (found[-1][0] if found else number), [event for _, event in found]

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _listen(self) -> None:
        # Rendering thousands of events costs time: only done once somebody wants them.
        if self._changed not in self._engine.on_change:
            self._engine.on_change.append(self._changed)

    def _changed(self, job: Job) -> None:
        now = datetime.datetime.fromtimestamp(self._engine.now(), tz=datetime.timezone.utc)
        event: Document = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Batch Job State Change",
            "source": "aws.batch",
            "account": self._names.account_id,
            "time": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": self._names.region,
            "resources": [self._names.arn("job", job.id)],
            "detail": detail(job, self._names),
        }
        with self._lock:
            self._count += 1
            self._recent.append((self._count, event))
            if self._file is not None:
                try:
                    self._file.write(json.dumps(event) + "\n")
                    self._file.flush()
                except OSError as error:  # a full disk ends no job
                    logger.warning("An event of job %s was not written: %s", job.id, error)
        for callback in self._callbacks:
            callback(event)
