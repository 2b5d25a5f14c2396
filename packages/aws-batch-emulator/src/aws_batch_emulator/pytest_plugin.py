"""The fixture `aws_batch` for the tests of other projects; pytest finds it by its entry point.

A test with it talks to an AWS Batch of its own: boto3, and whatever is built on it, is led there by
the environment. The marker `aws_batch` says how the emulator is set up.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from aws_batch_emulator._core.clock import VirtualClock
from aws_batch_emulator._emulator import EmbeddedBatch
from aws_batch_emulator._runners.processes import SubprocessRunner

__all__ = ["aws_batch"]

MARKER = (
    "aws_batch(images=None, **options): how the fixture `aws_batch` is set up. images: what "
    "running an image means, as for SubprocessRunner; options: those of EmbeddedBatch."
)


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, for `--strict-markers`."""
    config.addinivalue_line("markers", MARKER)


@pytest.fixture
def aws_batch(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[EmbeddedBatch]:
    """An AWS Batch of the test's own, with one queue, `local`; the environment leads boto3 to it.

    Jobs are simulated on a virtual clock (`aws_batch.clock`): give it to the code under test, or
    move it by `advance`; `aws_batch.runner.behaviour` says what a job does. With `images`, or a
    runner of processes or containers, time is real. `faults` makes things go wrong, `calls` counts
    requests.
    """
    marker = request.node.get_closest_marker("aws_batch")
    options: dict[str, Any] = dict(marker.kwargs) if marker else {}
    if (marker and marker.args) or {"images", "runner"} <= set(options):
        raise pytest.UsageError(f"not images and runner together, all by name: {MARKER}")
    if (images := options.pop("images", None)) is not None:
        options["runner"] = SubprocessRunner(images)
    if "runner" not in options or not options["runner"].real:
        options.setdefault("clock", VirtualClock())
    region = options.get("region", "us-east-1")
    with EmbeddedBatch(**options) as emulator:
        for name, value in {
            "AWS_ENDPOINT_URL_BATCH": emulator.url,
            "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": emulator.url,
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("AWS_PROFILE", raising=False)
        yield emulator
