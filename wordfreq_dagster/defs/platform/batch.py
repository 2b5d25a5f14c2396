"""Which AWS Batch the stages run on: a queue of AWS, or the embedded one of this machine.

`definitions` asks for the resource; the embedded AWS Batch is started by the first run that needs
it, shared by all runs of the project, and leaves by itself when it has been idle.
"""

from __future__ import annotations

import os
import shlex
import threading
from pathlib import Path
from typing import Any, Literal

import boto3
import dagster as dg
from pydantic import Field

from aws_batch_emulator import EmulatorError, ensure_running
from dagster_aws_batch import BatchJobs, Connection, client_config
from wordfreq_dagster.files.stages import LOCAL_IMAGES
from wordfreq_dagster.settings import Settings


class EmbeddedBatchJobs(BatchJobs):
    """`BatchJobs` on the embedded AWS Batch whose state is in `folder`."""

    folder: str
    vcpus: int | None = None
    runner: str = "subprocess"
    container_arguments: list[str] = Field(default_factory=list)

    def connection(self) -> Connection:
        """Start the embedded AWS Batch where it isn't running, and connect to it."""
        url = self.running()
        with _lock:
            key = (url, os.getpid())
            if key not in _connections:
                _connections[key] = Connection.over(
                    _client("batch", url),
                    logs=_client("logs", url),
                    console_url=f"{url}/_emulator",
                    # Should it die in the middle of a run, it is started again, with its jobs.
                    renew=lambda: _client("batch", self.running()),
                )
            return _connections[key]

    def running(self) -> str:
        """Its address; it is started where it isn't running."""
        return ensure_running(
            Path(self.folder),
            images=LOCAL_IMAGES,
            vcpus=self.vcpus,
            runner=self.runner,
            container_arguments=self.container_arguments,
        ).url


def _client(service: Literal["batch", "logs"], url: str) -> Any:
    # It asks for no right; boto3 signs only with some key.
    session = boto3.Session("embedded", "embedded", region_name="us-east-1")
    return session.client(service, endpoint_url=url, config=client_config())


#: Less than the idle time after which it leaves.
_PAGES_SECONDS = 120
_connections: dict[tuple[str, int], Connection] = {}
_lock = threading.Lock()


def pages_sensor(batch: EmbeddedBatchJobs) -> dg.SensorDefinition:
    """A sensor that keeps the embedded AWS Batch reachable while somebody may open its pages.

    The metadata of runs links to pages of jobs and logs. It leaves when it is idle, with all it
    knows, and comes back at the same address: here as soon as the UI's daemon runs.

    Args:
        batch: the resource; one that was never used is not started.
    """

    @dg.sensor(
        name="embedded_batch_pages",
        target=None,
        minimum_interval_seconds=_PAGES_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Keeps the pages of the embedded AWS Batch open that runs link to.",
    )
    def embedded_batch_pages() -> dg.SkipReason:
        if not (Path(batch.folder) / "port").exists():
            return dg.SkipReason("no job has run here yet")
        try:
            return dg.SkipReason(f"the pages are at {batch.running()}/_emulator/")
        except EmulatorError as error:
            return dg.SkipReason(f"its pages can't be opened: {error}")

    return embedded_batch_pages


def container_arguments(settings: Settings) -> list[str]:
    """How containers run here: as on AWS, plus what they need to see this machine's folders."""
    words = ["--read-only", "--tmpfs", "/tmp:mode=1777", "--cap-drop", "ALL"]  # noqa: S108
    if "://" not in settings.home:
        # The folders below HOME belong to this user, who must be able to remove the results.
        words += ["--volume", f"{settings.home}:{settings.home}"]
        words += ["--user", f"{os.getuid()}:{os.getgid()}"]
    return [*words, *shlex.split(settings.local_container_arguments)]


def batch_jobs(settings: Settings) -> BatchJobs:
    """The resource `batch` for these settings."""
    of_both: dict[str, Any] = {
        "tags": dict(one.split("=", 1) for one in settings.batch_tags.split(",") if one),
        "name_prefix": "wordfreq",
        "scratch": settings.scratch,
        "price_vcpu_hour": settings.price_per_vcpu_hour,
        "price_gib_hour": settings.price_per_gb_hour,
    }
    if not settings.embedded:
        return BatchJobs(queue=settings.batch_queue, **of_both)
    return EmbeddedBatchJobs(
        queue="local",
        folder=str(settings.local_folder),
        vcpus=settings.local_vcpus,
        runner=settings.local_runner,
        container_arguments=container_arguments(settings),
        # On this machine a look costs nothing, and short jobs should be seen to end at once.
        poll_seconds=0.2,
        poll_max_seconds=2.0,
        **of_both,
    )
