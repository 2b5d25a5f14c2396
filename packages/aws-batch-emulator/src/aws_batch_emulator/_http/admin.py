"""The emulator's own addresses below `/_emulator/`: health, call counts, faults, events, stop.

`GET health`, `GET|DELETE calls`, `GET|POST|DELETE faults`, `GET events?after=N`, `POST settings`,
`POST shutdown`; pages for people: `GET jobs`, `jobs/<id>`, `logs?group=…&stream=…`. Changing
requests need the header `X-Batch-Emulator`, which no web page can send to another site unasked.
"""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aws_batch_emulator._core.engine import Engine
from aws_batch_emulator._core.faults import Fault, Faults
from aws_batch_emulator._core.log_store import LogStore
from aws_batch_emulator._core.runner import Runner
from aws_batch_emulator._events import EventLog
from aws_batch_emulator._http.pages import Pages
from aws_batch_emulator._http.wire import Answer
from aws_batch_emulator._runners.containers import ContainerRunner
from aws_batch_emulator._runners.processes import SubprocessRunner, checked_images

logger = logging.getLogger(__name__)

HEADER = "X-Batch-Emulator"


class Admin:
    """Answers to requests about the emulator itself."""

    def __init__(
        self,
        *,
        id: str,
        token: str | None,
        kept: bool,
        engine: Engine,
        logs: LogStore,
        events: EventLog,
        calls: Counter[str],
        faults: Faults,
        runner: Runner,
        add_images: Callable[[Mapping[str, Sequence[str]]], None],
        shut_down: Callable[[], None],
    ) -> None:
        self._id, self._token, self._kept = id, token, kept
        self._engine, self._event_log = engine, events
        self._calls, self._faults = calls, faults
        self._runner, self._add_images = runner, add_images
        self._shut_down = shut_down
        self._pages = Pages(engine=engine, logs=logs)

    def handle(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer one request."""
        method = "GET" if method == "HEAD" else method
        url = urlsplit(target)
        name = url.path.removeprefix("/_emulator/")
        given, token = headers.get(HEADER), self._token
        if method != "GET" and (given is None or (token is not None and given != token)):
            value = "the token in <state>/endpoint.json" if token is not None else "any value"
            if token is not None and not self._kept:
                value += "; this emulator has no folder, so start it with --state"
            message = f"This request needs the header {HEADER} with {value}."
            return _answer(403, {"message": message})
        actions: dict[tuple[str, str], Callable[[], Any]] = {
            ("GET", "health"): self._health,
            ("GET", "calls"): lambda: dict(self._calls),
            ("DELETE", "calls"): self._calls.clear,
            ("GET", "faults"): self._faults.documents,
            ("DELETE", "faults"): self._faults.clear,
            ("POST", "faults"): lambda: self._add_faults(json.loads(body)),
            ("GET", "events"): lambda: self._events(parse_qs(url.query)),
            ("POST", "shutdown"): self._shut_down,
            ("POST", "settings"): lambda: self._change_settings(json.loads(body)),
        }
        try:
            if method == "GET" and (page := self._pages.page(name, url.query)) is not None:
                return page
            action = actions.get((method, name))
            if action is None:
                known = ", ".join(f"{m} /_emulator/{n}" for m, n in actions)
                return _answer(404, {"message": f"No such address; known are {known}."})
            return _answer(200, action())
        except ValueError as error:
            return _answer(400, {"message": str(error)})
        except Exception:
            logger.exception("The Batch emulator failed at %s %s", method, target)
            text = "The Batch emulator failed; its log has the traceback."
            return _answer(500, {"message": text})

    def _health(self) -> dict[str, Any]:
        with self._engine.step():
            states = Counter(job.status.value for job in self._engine.jobs.values())
        return {
            "status": "ok",
            "pid": os.getpid(),
            "id": self._id,
            "jobs": dict(states),
            "images": self._images(),
        }

    def _images(self) -> dict[str, list[str]]:
        runner = self._runner
        images = runner.images if isinstance(runner, SubprocessRunner) else {}
        return {name: list(argv) for name, argv in images.items()}

    def _change_settings(self, document: Any) -> dict[str, list[str]]:
        """Take over what a further user of a shared emulator brings: images and AWS_* variables."""
        runner = self._runner
        if not isinstance(runner, (SubprocessRunner, ContainerRunner)):
            raise ValueError("a simulated runner has no settings")
        images, environment = _settings(document)
        if isinstance(runner, SubprocessRunner):
            self._add_images(images)
        if environment is not None:
            runner.set_credentials(environment)
        return self._images()

    def _add_faults(self, document: Any) -> list[dict[str, Any]]:
        documents = document if isinstance(document, list) else [document]
        self._faults.add(*[Fault.from_document(d) for d in documents])
        return self._faults.documents()

    def _events(self, query: dict[str, list[str]]) -> dict[str, Any]:
        number, events = self._event_log.after(int(query.get("after", ["0"])[0]))
        return {"last": number, "events": events}


def _settings(document: Any) -> tuple[dict[str, list[str]], dict[str, str] | None]:
    """Return images and variables of a settings request; all are checked before one is taken."""
    if not isinstance(document, dict):
        raise ValueError("settings are a JSON object of `images` and `environment`")
    images = checked_images(document.get("images", {}))
    environment = document.get("environment")
    if environment is not None and not (
        isinstance(environment, dict) and all(isinstance(v, str) for v in environment.values())
    ):
        raise ValueError("`environment` is a JSON object of texts")
    return images, environment


def _answer(status: int, document: Any) -> Answer:
    return Answer(status, json.dumps(document).encode(), {"Content-Type": "application/json"})
