"""Running `wordfreq` as a container would: a process with arguments and an environment."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.integration.batch_image.csv.dynamodb import Database, Moto


@dataclass(frozen=True)
class Ran:
    """A finished process."""

    code: int
    out: str
    err: str


@dataclass
class Wordfreq:
    """The program. Nothing of AWS Batch is in its environment unless a test says so."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def popen(
        self,
        *arguments: str | Path,
        preexec_fn: Callable[[], None] | None = None,
        **environment: str,
    ) -> subprocess.Popen[str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "BATCH_"))}
        return subprocess.Popen(
            [sys.executable, "-m", "wordfreq_batch", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.folder,
            env={**clean, **self.environment, **environment},
            encoding="utf-8",
            errors="backslashreplace",
            preexec_fn=preexec_fn,
        )

    def __call__(self, *arguments: str | Path, **environment: str) -> Ran:
        process = self.popen(*arguments, **environment)
        out, err = process.communicate(timeout=120)
        return Ran(process.returncode, out, err)

    def within_file_size(self, size: int, *arguments: str | Path) -> Ran:
        """Run it where no file can have more bytes, as on a disk that is full."""

        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

        process = self.popen(*arguments, preexec_fn=limit)
        out, err = process.communicate(timeout=120)
        return Ran(process.returncode, out, err)

    def ok(self, *arguments: str | Path, **environment: str) -> str:
        """Run it, insist on exit code 0, return what it printed."""
        ran = self(*arguments, **environment)
        assert ran.code == 0, ran.err
        return ran.out

    def count_all(self, plan: str | Path) -> list[Ran]:
        """Run all tasks of a plan, one after the other."""
        from wordfreq_batch.plans.plan_store import load_head

        with _set(self.environment):
            total = load_head(str(plan)).total_tasks
        return [self("migrate", "-p", plan, "-i", str(task)) for task in range(total)]


def _set(environment: dict[str, str]) -> Any:
    from unittest import mock

    return mock.patch.dict(os.environ, environment)


@pytest.fixture
def wordfreq(tmp_path: Path) -> Wordfreq:
    """The program in a folder of its own."""
    return Wordfreq(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Make a folder of files: `folder("name", {"a/b.txt": "text"})`."""

    def make(name: str, files: dict[str, str | bytes]) -> Path:
        for key, content in files.items():
            path = tmp_path / name / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return tmp_path / name

    return make


@pytest.fixture
def plan_reads(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Run a command in this process: how it reads its plan, the argument behind `-p`."""
    from wordfreq_batch.cli.main import main
    from wordfreq_batch.storage.local import LocalStore

    monkeypatch.setattr("wordfreq_batch.cli.main.raise_on_signals", lambda: None)
    reads: list[tuple[str, str]] = []
    for kind in ("get", "get_range"):
        real = getattr(LocalStore, kind)

        def read(store: LocalStore, key: str, *more: Any, kind=kind, real=real, **others: Any):
            reads.append((kind, key))
            return real(store, key, *more, **others)

        monkeypatch.setattr(LocalStore, kind, read)

    def run(*arguments: str) -> list[str]:
        reads.clear()
        assert main(arguments) == 0
        plan = Path(arguments[arguments.index("-p") + 1]).name
        return [kind for kind, key in reads if key == plan]

    return run


@pytest.fixture
def receipts() -> Callable[[Path], Iterator[dict[str, Any]]]:
    """All migrate receipts below a folder, in task order."""

    def read(root: Path) -> Iterator[dict[str, Any]]:
        for path in sorted(root.rglob("migrate-*.json")):
            yield json.loads(path.read_bytes())

    return read


@pytest.fixture
def database(ministack, wordfreq):
    return Database(ministack, wordfreq)


@pytest.fixture(params=["ministack", "moto"])
def either(request, wordfreq):
    """The same on two emulators."""
    return Database(request.getfixturevalue(request.param), wordfreq)


@pytest.fixture(scope="session")
def moto():
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield Moto("http://{}:{}".format(*server.get_host_and_port()))
    server.stop()
