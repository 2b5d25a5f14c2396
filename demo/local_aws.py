"""AWS services on this machine without Docker: DynamoDB, S3, SQS, EventBridge, for demo and tests.

`with local_aws(folder) as server:` runs ministack, which lives in a virtual environment of its own
(`make emulators`), on a free port of the loopback, and ends it afterwards. What it holds is gone
then. AWS Batch isn't among them: that is `aws_batch_emulator`.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

REGION = "us-east-1"
SECRET = "local"  # noqa: S105 (of an emulator on the loopback)
ROOT = Path(__file__).resolve().parents[1]

_STARTS = 3
_READY_SECONDS = 60.0


class LocalAwsError(RuntimeError):
    """The server isn't installed or didn't come up; the message says what to do."""


@dataclass(frozen=True, slots=True)
class LocalAws:
    """A running server. `environment` is all that a client needs: endpoint, region, keys."""

    url: str
    environment: Mapping[str, str]


def executable() -> Path:
    """Where `make emulators` installs the server; `EMULATORS` names another environment."""
    folder = Path(os.environ.get("EMULATORS") or ".venv-emulators")
    return ROOT / folder / "bin" / "ministack"


@contextmanager
def local_aws(folder: Path, *, authorize: bool = False) -> Iterator[LocalAws]:
    """Run the server on a free port, with `folder` for its log.

    With `authorize` it allows only what IAM policies allow; the environment's own key may do all.

    Raises:
        LocalAwsError: it is not installed or doesn't come up.
    """
    command = executable()
    if not command.exists():
        raise LocalAwsError(f"{command} isn't there: run `make emulators`")
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "ministack.log"
    process, url = _start(command, folder, log, authorize=authorize)
    try:
        yield LocalAws(
            url,
            {
                "AWS_ENDPOINT_URL": url,
                "AWS_REGION": REGION,
                "AWS_DEFAULT_REGION": REGION,
                "AWS_ACCESS_KEY_ID": "000000000000",
                "AWS_SECRET_ACCESS_KEY": SECRET,
                "AWS_EC2_METADATA_DISABLED": "true",
            },
        )
    finally:
        _stop(process)


def _start(
    command: Path, folder: Path, log: Path, *, authorize: bool
) -> tuple[subprocess.Popen[bytes], str]:
    for _ in range(_STARTS):  # again: somebody else may have taken the port meanwhile
        port = _free_port()
        url = f"http://127.0.0.1:{port}"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(command)],
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={
                    "PATH": os.environ.get("PATH", os.defpath),
                    "HOME": str(folder),
                    "TMPDIR": str(folder),
                    "GATEWAY_PORT": str(port),
                    "BIND_HOST": "127.0.0.1",  # its default is every interface
                    "IOT_MTLS_ENABLED": "0",
                    "SFTP_ENABLED": "0",
                    "LOG_LEVEL": "WARNING",
                    **({"AUTH": "true", "AWS_SECRET_ACCESS_KEY": SECRET} if authorize else {}),
                },
                start_new_session=True,
            )
        try:
            if _wait_for(process, url):
                return process, url
        except BaseException:
            _stop(process)
            raise
        _stop(process)
    tail = log.read_text(errors="replace")[-2000:]
    raise LocalAwsError(f"ministack didn't come up on {url}; its log {log} ends:\n{tail}")


def _wait_for(process: subprocess.Popen[bytes], url: str) -> bool:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/_ministack/health", timeout=5):  # noqa: S310
                return process.poll() is None
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
