"""`EmbeddedBatch`: the whole emulator in this process, for tests and as the core of the program."""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import os
import secrets
import signal
import sqlite3
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aws_batch_emulator._api import limits
from aws_batch_emulator._api.describe import Names
from aws_batch_emulator._api.jobs import JobsApi
from aws_batch_emulator._api.logs import LogsApi
from aws_batch_emulator._api.resources import Resources
from aws_batch_emulator._core.clock import Clock, SystemClock, VirtualClock
from aws_batch_emulator._core.engine import Engine
from aws_batch_emulator._core.errors import ApiError, EmulatorError, unsupported
from aws_batch_emulator._core.faults import Fault, Faults
from aws_batch_emulator._core.log_store import LogStore
from aws_batch_emulator._core.model import Job
from aws_batch_emulator._core.runner import Runner, SimulatedRunner
from aws_batch_emulator._core.scheduler import Capacity, Scheduler
from aws_batch_emulator._core.store import Store, state_folder
from aws_batch_emulator._events import EventLog
from aws_batch_emulator._http import wire
from aws_batch_emulator._http.admin import Admin
from aws_batch_emulator._http.server import LOOPBACK, Server
from aws_batch_emulator._runners.multi_container import MultiContainerRunner
from aws_batch_emulator._runners.processes import SubprocessRunner

logger = logging.getLogger(__name__)

DEFAULT_NAME = "local"
UNLIMITED_VCPUS = 1_000_000
BOUNDS: Final[dict[str, tuple[float, float]]] = {
    "port": (0, 65_535),
    "vcpus": (0.25, 10**9),  # the smallest job has this, and 4 MiB
    "memory_mib": (4, 10**9),
    "idle_exit_seconds": (0.0, 10**9),
}
"""The least and the most of a setting."""


class EmbeddedBatch:
    """AWS Batch and its CloudWatch logs on one port, as a context manager.

    `state`: folder for jobs and logs, which then survive a restart; None keeps nothing. `clock`: a
    `VirtualClock` needs a runner that only simulates (the default). `vcpus` and `memory_mib` limit
    what runs at once (default: this machine's, without limit if simulated). `port` 0 takes a free
    one. `bind` is the address to listen on (default: the loopback), `allow_hosts` the further names
    by which clients may call it.

    A new emulator has one compute environment and one queue, both named `local`. `calls` counts
    requests by operation, refused ones included; `faults` makes things go wrong; `events` has the
    state changes, if `events=True` (which with `state` also writes them to `events.jsonl` there)
    or from its first `subscribe` on.
    """

    def __init__(
        self,
        *,
        state: Path | None = None,
        clock: Clock | None = None,
        runner: Runner | None = None,
        vcpus: float | None = None,
        memory_mib: int | None = None,
        region: str = "us-east-1",
        account_id: str = "000000000000",
        port: int = 0,
        bind: str = LOOPBACK,
        allow_hosts: Collection[str] = (),
        events: bool = False,
    ) -> None:
        self.clock: Clock = clock or SystemClock()
        self.runner: Runner = runner or SimulatedRunner()
        if self.runner.real and isinstance(self.clock, VirtualClock):
            raise EmulatorError("Processes take real time: a VirtualClock needs a SimulatedRunner.")
        for name, value in (("port", port), ("vcpus", vcpus), ("memory_mib", memory_mib)):
            low, high = BOUNDS[name]
            if value is not None and not low <= value <= high:
                raise EmulatorError(f"{name} must be from {low} to {high}, not {value}.")
        self.calls: Counter[str] = Counter()
        self._calls_lock = threading.Lock()
        self.faults = Faults()
        self._opened = contextlib.ExitStack()
        self._folder = state
        self._vcpus, self._memory_mib = vcpus, memory_mib
        if self.runner.real:
            self._vcpus = vcpus or os.cpu_count() or 1
            self._memory_mib = memory_mib or _machine_memory_mib()
        self._names = Names(region=region, account_id=account_id)
        self._port = port
        self._bind, self._allow_hosts = bind, allow_hosts
        self.id = secrets.token_hex(8)
        """Names this emulator, so that a stale address can't be mistaken for it."""
        self.admin_token: str | None = None
        """What changing requests to `/_emulator/` must send; None: anything."""
        self.shutdown_requested = False
        self.last_activity = time.monotonic()
        self._keep_events = events
        self._preferred_port = 0
        self._server: Server | None = None

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Say what is missing where something is asked of an emulator that isn't started."""
            if name in ("engine", "events", "logs"):
                raise EmulatorError("The emulator is not started; use it as a context manager.")
            raise AttributeError(name)

    def __enter__(self) -> EmbeddedBatch:
        """Start and return the emulator."""
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop the emulator."""
        self.stop()

    @property
    def url(self) -> str:
        """The address for AWS_ENDPOINT_URL_BATCH and AWS_ENDPOINT_URL_CLOUDWATCH_LOGS."""
        if self._server is None:
            raise EmulatorError("The emulator is not started; use it as a context manager.")
        return self._server.url

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.url.rpartition(":")[2])

    def start(self) -> None:
        """Load the state, listen, begin to work and answer; a start that fails leaves nothing."""
        _let_children_be_signalled()
        with contextlib.ExitStack() as opened:
            if (folder := self._folder) is None:
                temporary = tempfile.TemporaryDirectory(prefix="batch-emulator-")
                folder = Path(opened.enter_context(temporary))
            with state_folder(folder):
                jobs = self._load(folder, opened)
            self._wire = wire.Wire()
            self._admin = Admin(
                id=self.id,
                token=self.admin_token,
                kept=self._folder is not None,
                engine=self.engine,
                logs=self.logs,
                events=self.events,
                calls=self.calls,
                faults=self.faults,
                runner=self.runner,
                add_images=self.add_images,
                shut_down=self._ask_to_stop,
            )
            # Before the first job starts: the port may be taken, or the address not be ours.
            server = self._listen(self._port or self._preferred_port)
            opened.callback(server.close)
            self.engine.restore(jobs)
            self._resources.changed = self.engine.capacity_changed
            self.engine.start()
            if self.runner.real:
                self.logs.watch(self.engine.now_ms)
            server.start()
            self._server = server
            self._opened = opened.pop_all()

    def _load(self, folder: Path, opened: contextlib.ExitStack) -> list[Job]:
        """Take over what the folder holds of an earlier emulator; return its jobs."""
        folder.mkdir(parents=True, exist_ok=True)
        self._store = Store(folder / "state.sqlite" if self._folder is not None else None)
        opened.callback(self._store.close)
        self.logs = LogStore(folder / "logs")
        opened.callback(self.logs.shut)
        self._resources = Resources(names=self._names, store=self._store)
        scheduler = Scheduler(
            self._resources.queues,
            self._resources.environments,
            Capacity(
                vcpus=self._vcpus,
                memory_mib=self._memory_mib,
                gpus=0 if self.runner.real else None,
            ),
            self._resources.policies.weight,
        )
        self.engine = Engine(
            clock=self.clock,
            runner=MultiContainerRunner(self.runner),
            scheduler=scheduler,
            logs=self.logs,
            faults=self.faults,
            store=self._store,
        )
        self.events = EventLog(
            engine=self.engine,
            names=self._names,
            path=folder / "events.jsonl" if self._keep_events and self._folder else None,
            keep=self._keep_events,
        )
        opened.callback(self.events.close)
        opened.callback(self.engine.stop)
        self._resources.end_jobs = self._end_jobs
        self._create_defaults()
        self._restore_images()
        jobs = self._store.jobs()
        first = max((job.spec.id for job in jobs), default=0) + 1
        self._api = JobsApi(
            engine=self.engine, resources=self._resources, names=self._names, first_spec=first
        )
        self._operations = {
            **self._resources.operations(),
            **self._api.operations(),
            **LogsApi(logs=self.logs, names=self._names).operations(),
        }
        return jobs

    def add_images(self, images: Mapping[str, Sequence[str]]) -> None:
        """Make images known to the subprocess runner, also after a restart."""
        if isinstance(self.runner, SubprocessRunner):
            self.runner.images = {**self.runner.images, **images}
            with self.engine.step():
                for name, argv in images.items():
                    self._store.put_resource("image", name, {"argv": list(argv)})

    def _ask_to_stop(self) -> None:
        self.shutdown_requested = True

    def _restore_images(self) -> None:
        if isinstance(self.runner, SubprocessRunner):
            stored = {name: d["argv"] for name, d in self._store.resources("image")}
            # What is named now counts more than what an earlier process was given.
            self.add_images({**stored, **self.runner.images})

    def prefer_port(self, port: int) -> None:
        """Listen on this port if none was asked for and it is free; before `start`."""
        self._preferred_port = port

    def _listen(self, port: int) -> Server:
        try:
            return Server(self._handle, port=port, bind=self._bind, hosts=self._allow_hosts)
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            if taken and port != self._port:
                return self._listen(self._port)  # the other one was only preferred
            why = "it is in use; choose another, or 0" if taken else error
            raise EmulatorError(f"Can't listen on port {port} of {self._bind}: {why}.") from error

    def stop(self) -> None:
        """Stop listening, end running jobs and close the state; they are lost with their host."""
        self._server = None
        self._opened.close()

    def _create_defaults(self) -> None:
        if self._resources.environments or self._resources.queues:
            return
        self._resources.create_environment(
            {
                "computeEnvironmentName": DEFAULT_NAME,
                "type": "MANAGED",
                "computeResources": {
                    "type": "EC2",
                    "minvCpus": 0,
                    "maxvCpus": math.ceil(self._vcpus or UNLIMITED_VCPUS),
                    "instanceTypes": ["optimal"],
                    "instanceRole": "ecsInstanceRole",
                    "subnets": ["subnet-local"],
                    "securityGroupIds": ["sg-local"],
                },
            }
        )
        order = [{"order": 1, "computeEnvironment": DEFAULT_NAME}]
        self._resources.create_queue(
            {"jobQueueName": DEFAULT_NAME, "priority": 1, "computeEnvironmentOrder": order}
        )

    def _end_jobs(self, queue: str) -> None:
        for job in list(self.engine.jobs.values()):
            if job.spec.queue == queue:
                self.engine.terminate(job, "JobQueue deleted")

    def _handle(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> wire.Answer | None:
        """Answer one HTTP request; None: close the connection without an answer."""
        self.last_activity = time.monotonic()
        if target.startswith("/_emulator/"):
            return self._admin.handle(method, target, headers, body)
        request_id = wire.new_request_id()
        try:
            if "AWS4-HMAC-SHA256" not in (headers.get("Authorization") or ""):
                raise ApiError(
                    "MissingAuthenticationTokenException",
                    "Missing Authentication Token",
                    status=403,
                )
            call = self._wire.call(method, target, headers, body)
            with self._calls_lock:
                self.calls[call.operation] += 1
            faults = self.faults.for_call(call.operation)
            if (answer := self._before(faults)) is not None:
                raise answer
            if any(fault.fault == "drop_before" for fault in faults):
                return None
            result = self._perform(call)
            if any(fault.fault == "drop_after" for fault in faults):
                return None
            for fault in faults:
                if fault.fault == "error_after":
                    raise _server_error(fault)
            return wire.success(call, result, request_id)
        except ApiError as error:
            return wire.failure(error, request_id)
        except (OSError, sqlite3.Error) as error:
            logger.warning("The Batch emulator can't read or write its state: %s", error)
            text = f"The Batch emulator can't read or write its state: {error}"
        except Exception:
            logger.exception("The Batch emulator failed at %s %s", method, target)
            text = "The Batch emulator failed; its log has the traceback."
        return wire.failure(ApiError("ServerException", text, status=500), request_id)

    def _before(self, faults: list[Fault]) -> ApiError | None:
        for fault in faults:
            if fault.fault == "slow":
                self.clock.sleep(fault.seconds)
            elif fault.fault == "throttle":
                return ApiError("TooManyRequestsException", "Too Many Requests", status=429)
            elif fault.fault == "error_before":
                return _server_error(fault)
        return None

    def _perform(self, call: wire.Call) -> dict[str, Any]:
        if call.service == "logs" and call.operation in self._operations:
            return self._operations[call.operation](call.request)  # files only: no lock
        self.engine.sweep()
        with self.engine.step(answers=True):
            if call.operation == "SubmitJob":
                return self._api.submit(call.request, size=call.size)
            if call.operation == "RegisterJobDefinition":
                limits.definition_payload(call.size)
            operation = self._operations.get(call.operation)
            if operation is None:
                raise unsupported(f"the operation {call.operation}")
            return operation(call.request)


def _server_error(fault: Fault) -> ApiError:
    return ApiError(
        "ServerException", fault.message or "Internal server error", status=fault.status
    )


def _machine_memory_mib() -> int:
    try:
        return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20)
    except (ValueError, OSError, AttributeError):
        return 8_192


def _let_children_be_signalled() -> None:
    """See that jobs can be ended by SIGTERM and SIGINT although this process ignores them.

    A process inherits what its parent ignores (POSIX, `exec`), so under `nohup` or a shell's `&` a
    job would only end by SIGKILL. What a handler catches is reset for it; so a handler that does
    nothing replaces the ignoring. Only the main thread can set one.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
