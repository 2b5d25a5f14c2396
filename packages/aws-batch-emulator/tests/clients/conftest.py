"""Unmodified clients of AWS Batch, each in `.venv-clients` (`make clients` installs and runs them).

Batch and its logs are the emulator's, with jobs as processes; S3 and the rest of AWS are moto's.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest

from aws_batch_emulator import EmbeddedBatch, SubprocessRunner

ROOT = Path(__file__).parents[4]
CLIENTS = ROOT / os.environ.get("CLIENTS", ".venv-clients")
LOGIN = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass
class Desk:
    """Where a client is at work: its programs, folder and environment, and Batch itself."""

    folder: Path
    environment: dict[str, str]
    batch: Any
    s3: Any
    bins: Path = field(default=CLIENTS / "bin")

    def run(
        self,
        *argv: str,
        given: str = "",
        more: Mapping[str, str] | None = None,
        fails: bool = False,
    ) -> str:
        """Run a program of the client's environment on that input; return what it says."""
        program = self.bins / argv[0]
        command: Sequence[str] = [str(program) if program.exists() else argv[0], *argv[1:]]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**self.environment, **(more or {})},
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=280,
        )
        assert (done.returncode != 0) is fails, done.stdout[-6_000:]
        return done.stdout

    def script(self, text: str, *argv: str, more: Mapping[str, str] | None = None) -> str:
        """Run Python text with the client's interpreter."""
        path = self.folder / "client_script.py"
        path.write_text(text, encoding="utf-8")
        return self.run("python", str(path), *argv, more=more)

    def define(self, name: str, image: str, **container: Any) -> None:
        self.batch.register_job_definition(
            jobDefinitionName=name,
            type="container",
            containerProperties={"image": image, "vcpus": 1, "memory": 64, **container},
        )


def needs(*names: str) -> None:
    """Leave the test out where a program of the clients is not installed."""
    for name in names:
        if not (CLIENTS / "bin" / name).exists():
            pytest.skip(f"{name} is not installed in {CLIENTS.name}: run `make clients`")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    needs("moto_server")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [CLIENTS / "bin" / "moto_server", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **LOGIN},
    )
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            try:
                urllib.request.urlopen(f"{url}/moto-api/data.json", timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.fixture
def desk(tmp_path: Path, moto: str) -> Iterator[Desk]:
    home = tmp_path / "home"
    home.mkdir()
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PYTHON"))}
    environment = {
        **kept,
        **LOGIN,
        "HOME": str(home),
        "PATH": f"{CLIENTS / 'bin'}:{os.environ['PATH']}",
        "AWS_ENDPOINT_URL": moto,
    }
    images = {
        "shell": ["sh", "-c"],
        "run": ["env"],
        "python": [str(CLIENTS / "bin" / "python")],
    }
    runner = SubprocessRunner(images, folder=tmp_path)
    runner._environment = {**environment}
    with EmbeddedBatch(state=tmp_path / "batch", runner=runner, vcpus=8) as emulator:
        environment["AWS_ENDPOINT_URL_BATCH"] = emulator.url
        environment["AWS_ENDPOINT_URL_CLOUDWATCH_LOGS"] = emulator.url
        runner._environment.update(environment)
        session = boto3.Session("local", "local", region_name="us-east-1")
        s3 = session.client("s3", endpoint_url=moto)
        yield Desk(tmp_path, environment, session.client("batch", endpoint_url=emulator.url), s3)


@pytest.fixture
def bucket(desk: Desk) -> str:
    name = f"bucket-{os.urandom(4).hex()}"
    desk.s3.create_bucket(Bucket=name)
    return name
