"""One connection a process, Region and endpoint: clients without blind retries, rate budgets, the
shared snapshot.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

from dagster_aws_batch._aws.calls import BatchApi
from dagster_aws_batch._aws.clock import (
    Clock,
    SystemClock,
)
from dagster_aws_batch._aws.console import Console
from dagster_aws_batch._aws.job_definitions import Definitions
from dagster_aws_batch._aws.logs import LogReader
from dagster_aws_batch._aws.poller import Describer
from dagster_aws_batch._errors import BatchError

if TYPE_CHECKING:
    from types_boto3_batch import BatchClient
    from types_boto3_logs import CloudWatchLogsClient
    from types_boto3_s3 import S3Client

__all__ = ["Connection", "Endpoint", "client_config", "connect"]


def client_config(*, read_timeout: float = 30.0) -> Config:
    """The boto3 configuration for Batch and Logs: no retries by the SDK, they are made in
    `api.py`.
    """
    return Config(
        retries={"total_max_attempts": 1, "mode": "standard"},
        connect_timeout=10,
        read_timeout=read_timeout,
        max_pool_connections=20,
        user_agent_extra="dagster-batch",
    )


@dataclass(frozen=True, slots=True)
class Connection:
    """All that a stage needs to talk to one AWS Batch endpoint. Shared by the stages of a
    process.
    """

    api: BatchApi
    clock: Clock
    describer: Describer
    definitions: Definitions
    logs: LogReader
    console: Console
    rng: random.Random
    s3: S3Client | None = None

    @classmethod
    def over(
        cls,
        batch: BatchClient,
        *,
        logs: CloudWatchLogsClient | None = None,
        s3: S3Client | None = None,
        clock: Clock | None = None,
        rates: Mapping[str, float] | None = None,
        log_rate: float = 5.0,
        console_url: str | None = None,
        seed: int | None = None,
    ) -> Connection:
        """Build one over clients made by the caller (give them `client_config()`)."""
        clock = clock or SystemClock()
        rng = random.Random(seed)  # noqa: S311  (jitter, no secret)
        api = BatchApi(batch, clock=clock, rng=rng, rates=rates)
        return cls(
            api=api,
            clock=clock,
            describer=Describer(api, clock, rng),
            definitions=Definitions(api),
            logs=LogReader(logs, clock=clock, rate=log_rate),
            console=Console(
                region=batch.meta.region_name,
                base=console_url.rstrip("/") if console_url else None,
                aws=is_aws(batch.meta.endpoint_url),
            ),
            rng=rng,
            s3=s3,
        )


def is_aws(endpoint: str) -> bool:
    """Whether an endpoint belongs to AWS itself (a VPC endpoint included)."""
    host = urlsplit(endpoint).hostname or ""
    return host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".api.aws"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where AWS Batch is. None: as boto3 finds it in the environment and the profile."""

    region: str | None = None
    profile: str | None = None
    batch_url: str | None = None
    logs_url: str | None = None
    s3_url: str | None = None
    console_url: str | None = None
    rates: tuple[tuple[str, float], ...] = ()


_connections: dict[tuple[Endpoint, int], Connection] = {}
_lock = threading.Lock()


def connect(endpoint: Endpoint) -> Connection:
    """The process's connection to this endpoint; made at the first call. A forked process makes its
    own.
    """
    key = (endpoint, os.getpid())
    with _lock:
        if key not in _connections:
            _connections[key] = _connect(endpoint)
        return _connections[key]


def _connect(endpoint: Endpoint) -> Connection:
    session = boto3.Session(profile_name=endpoint.profile, region_name=_region(endpoint))
    url = endpoint.batch_url
    url = url or os.environ.get("AWS_ENDPOINT_URL_BATCH") or os.environ.get("AWS_ENDPOINT_URL")
    # An emulator on this machine takes any credentials; asking for real ones could wait for a
    # metadata service that is not there.
    local = url is not None and urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
    keys: dict[str, Any] = (
        {"aws_access_key_id": "local", "aws_secret_access_key": "local"} if local else {}
    )
    batch = session.client("batch", endpoint_url=endpoint.batch_url, config=client_config(), **keys)
    logs_url = endpoint.logs_url
    if (
        logs_url is None
        and not os.environ.get("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS")
        and not is_aws(batch.meta.endpoint_url)
    ):
        # An emulator of AWS Batch keeps the logs of its jobs itself.
        logs_url = batch.meta.endpoint_url
    logs = session.client("logs", endpoint_url=logs_url, config=client_config(), **keys)
    rates: dict[str, Any] = dict(endpoint.rates)
    return Connection.over(
        batch,
        logs=logs,
        s3=session.client("s3", endpoint_url=endpoint.s3_url),
        log_rate=rates.pop("GetLogEvents", 5.0),
        rates=rates,
        console_url=endpoint.console_url,
    )


def _region(endpoint: Endpoint) -> str:
    """boto3 reads AWS_DEFAULT_REGION and profiles; AWS_REGION, as AWS's other SDKs do, is read
    too.
    """
    if endpoint.region:
        return endpoint.region
    known: str | None = boto3.Session(profile_name=endpoint.profile).region_name
    known = known or os.environ.get("AWS_REGION")
    if not known:
        raise BatchError(
            "no AWS Region is set: give the resource a region, or set AWS_REGION in the environment"
        )
    return known
