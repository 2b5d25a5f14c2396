"""Faults on demand: what can go wrong in AWS, made to go wrong here.

Used as `EmbeddedBatch.faults` in tests, over HTTP (`/_emulator/faults`) and from a file. Every
fault has a name, so that all three ways describe it by the same JSON object, e.g. `{"fault":
"throttle", "operation": "SubmitJob", "rate": 0.5}`.
"""

from __future__ import annotations

import dataclasses
import random
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from aws_batch_emulator._core.model import (
    HOST_LOST,
    NOT_STARTED,
    OUT_OF_MEMORY,
    Exit,
    Job,
    RunningAttempt,
)

API_FAULTS: Final = frozenset(
    {"throttle", "error_before", "error_after", "drop_before", "drop_after", "slow"}
)
JOB_FAULTS: Final = frozenset(
    {"spot_reclaim", "out_of_memory", "image_pull", "start_failure", "never_start", "lost", "agent"}
)
SERVICE_FAULTS: Final = frozenset({"late_listing", "retention"})

_FLOATS: Final = {"rate": (0, 1), "seconds": (0, 10**9)}
_INTS: Final = {"times": (0, 10**9), "status": (400, 599), "index": (0, 9_999), "attempt": (1, 10)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault. Fields that its kind doesn't use are ignored.

    API faults: `operation` (glob), `rate` (0 to 1), `times` (None: for ever), `status` (of errors,
    400 to 599), `seconds` (of `slow`). Job faults: `job` (glob on the job's name), `index` (of an
    array child, None: any), `attempt` (from 1, None: every), `seconds` after the start, `times`,
    `message`. Service faults: `seconds`. ValueError for values outside these bounds.
    """

    fault: str
    operation: str = "*"
    rate: float = 1.0
    times: int | None = None
    status: int = 500
    seconds: float = 0.0
    job: str = "*"
    index: int | None = None
    attempt: int | None = 1
    message: str | None = None

    def __post_init__(self) -> None:
        known = API_FAULTS | JOB_FAULTS | SERVICE_FAULTS
        if self.fault not in known:
            raise ValueError(f"unknown fault {self.fault!r}; known are {', '.join(sorted(known))}")
        if not all(
            isinstance(text, str) for text in (self.operation, self.job, self.message or "")
        ):
            raise ValueError(f"fault {self.fault}: operation, job and message are texts")
        for name, (low, high) in {**_FLOATS, **_INTS}.items():
            value = getattr(self, name)
            if value is None and name in ("times", "index", "attempt"):
                continue
            # By the type itself: for `isinstance` True is an integer.
            if (
                type(value) not in (int, int if name in _INTS else float)
                or not low <= value <= high
            ):
                text = f"{name} must be from {low} to {high}"
                raise ValueError(f"fault {self.fault}: {text}, not {value!r}")

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Fault:
        """Read the JSON object of a fault; ValueError says what is wrong with it."""
        if not isinstance(document, Mapping):
            raise ValueError(f"a fault is a JSON object, not {document!r}")
        names = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(document) - names):
            raise ValueError(
                f"unknown fields {unknown} in fault {dict(document)}; known: {sorted(names)}"
            )
        try:
            return cls(**document)
        except TypeError as error:
            raise ValueError(f"bad fault {dict(document)}: {error}") from None

    def to_document(self) -> dict[str, Any]:
        """Return the JSON object that `from_document` reads."""
        return dataclasses.asdict(self)


class Faults:
    """The faults in force; random ones are repeatable. Safe for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._random = random.Random(0)  # noqa: S311 - repeatable tests, no secrets
        self._active: list[tuple[Fault, list[int | None]]] = []
        self.changed: Callable[[], None] = lambda: None
        """Called after faults were added or removed; the engine looks at waiting jobs again."""

    def add(self, *faults: Fault) -> None:
        """Put faults in force; earlier ones are asked first."""
        with self._lock:
            self._active += [(fault, [fault.times]) for fault in faults]
        self.changed()

    def clear(self) -> None:
        """Lift all faults; jobs already hit stay as they are, except never-starting ones."""
        self.load([])

    def load(self, documents: Iterable[Mapping[str, Any]]) -> None:
        """Replace all faults by those of a file or request."""
        faults = [Fault.from_document(document) for document in documents]
        with self._lock:
            self._active = [(fault, [fault.times]) for fault in faults]
        self.changed()

    def documents(self) -> list[dict[str, Any]]:
        """Return the faults in force with the number of times left."""
        with self._lock:
            return [{**f.to_document(), "times": left[0]} for f, left in self._active]

    # The usual faults by name; each returns nothing and adds one fault.

    def throttle(
        self, operation: str = "*", *, rate: float = 1.0, times: int | None = None
    ) -> None:
        """Answer 429 TooManyRequestsException."""
        self.add(Fault(fault="throttle", operation=operation, rate=rate, times=times))

    def error(
        self,
        operation: str = "*",
        *,
        after: bool,
        rate: float = 1.0,
        times: int | None = None,
        status: int = 500,
    ) -> None:
        """Answer a 5xx before doing anything, or after the work was done (`after`)."""
        kind = "error_after" if after else "error_before"
        self.add(Fault(fault=kind, operation=operation, rate=rate, times=times, status=status))

    def drop(
        self, operation: str = "*", *, after: bool, rate: float = 1.0, times: int | None = None
    ) -> None:
        """Close the connection without an answer, before or after the work was done."""
        kind = "drop_after" if after else "drop_before"
        self.add(Fault(fault=kind, operation=operation, rate=rate, times=times))

    def slow(
        self, operation: str = "*", *, seconds: float, rate: float = 1.0, times: int | None = None
    ) -> None:
        """Let `seconds` of the emulator's clock pass before the answer."""
        self.add(Fault(fault="slow", operation=operation, seconds=seconds, rate=rate, times=times))

    def job(self, fault: str, job: str = "*", **fields: Any) -> None:
        """Add a job fault by its kind, e.g. `job("spot_reclaim", "migrate*", seconds=10)`."""
        self.add(Fault(fault=fault, job=job, **fields))

    def late_listing(self, seconds: float) -> None:
        """Let ListJobs show jobs only `seconds` after they were submitted."""
        self.add(Fault(fault="late_listing", seconds=seconds))

    def retention(self, seconds: float) -> None:
        """Forget finished jobs after `seconds` (e.g. 86,400) instead of 7 days."""
        self.add(Fault(fault="retention", seconds=seconds))

    # Asked by the emulator.

    def for_call(self, operation: str) -> list[Fault]:
        """Return the API faults that hit this call, and count them."""
        with self._lock:
            return [
                fault
                for fault, left in self._active
                if fault.fault in API_FAULTS
                and fnmatchcase(operation, fault.operation)
                and self._hits(fault, left)
            ]

    def for_attempt(self, job: Job, *, attempt: int) -> Fault | None:
        """Return the first job fault that hits this attempt, and count it."""
        if not self._active:
            return None
        with self._lock:
            for fault, left in self._active:
                if (
                    fault.fault in JOB_FAULTS
                    and fnmatchcase(job.spec.name, fault.job)
                    and fault.index in (None, job.index)
                    and fault.attempt in (None, attempt)
                    and self._hits(fault, left)
                ):
                    return fault
        return None

    def seconds(self, fault: str, *, default: float) -> float:
        """Return the value of a service fault, `default` if it isn't in force."""
        with self._lock:
            values = [f.seconds for f, _ in self._active if f.fault == fault]
        return values[-1] if values else default

    def _hits(self, fault: Fault, left: list[int | None]) -> bool:
        remaining = left[0]
        if remaining == 0 or (fault.rate < 1 and self._random.random() >= fault.rate):
            return False
        if remaining is not None:
            left[0] = remaining - 1
        return True


#: Faults that keep an attempt from starting, with AWS's words for them.
UNSTARTABLE = {
    "image_pull": (
        "CannotPullContainerError: Error response from daemon: pull access denied for {image}, "
        "repository does not exist or may require 'docker login'"
    ),
    "start_failure": (
        "CannotStartContainerError: Error response from daemon: failed to create task for container"
    ),
    "agent": "DockerTimeoutError: Could not transition to created; timed out after waiting 4m0s",
}


def end_of_attempt(fault: Fault, job: Job, run: RunningAttempt) -> Exit:
    """How an attempt ends that the fault hits, in AWS's words."""
    if fault.fault in UNSTARTABLE:
        text = fault.message or UNSTARTABLE[fault.fault]
        reason = text.replace("{image}", str(job.spec.container.get("image", "")))
        return Exit(exit_code=None, reason=reason, status_reason=NOT_STARTED)
    if fault.fault == "spot_reclaim":
        reason = fault.message or HOST_LOST.format(run.instance_id)
        return Exit(exit_code=None, status_reason=reason)
    return Exit(exit_code=137, reason=fault.message or OUT_OF_MEMORY)
