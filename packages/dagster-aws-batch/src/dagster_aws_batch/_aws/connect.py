"""One connection per process and endpoint: clients without blind retries, and rate budgets.

The resource makes one; a project with clients of its own builds it by `Connection.over`.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import DeferredRefreshableCredentials
from botocore.exceptions import ProfileNotFound

from dagster_aws_batch._aws.calls import BatchApi, checked_rates
from dagster_aws_batch._aws.clock import Clock, SystemClock
from dagster_aws_batch._aws.console import Console, is_aws
from dagster_aws_batch._aws.job_definitions import Definitions
from dagster_aws_batch._aws.logs import LOG_RATE, LogReader
from dagster_aws_batch._errors import BatchError, InvalidJobError

if TYPE_CHECKING:
    from types_boto3_batch import BatchClient
    from types_boto3_logs import CloudWatchLogsClient
    from types_boto3_s3 import S3Client

__all__ = ["Connection", "Endpoint", "client_config", "connect", "given"]


def client_config(*, read_timeout: float = 30.0) -> Config:
    """The boto3 configuration for clients of AWS Batch and CloudWatch Logs given to `Connection`.

    Without retries by the SDK: this library makes them, where a repeat is harmless.

    Args:
        read_timeout: Seconds to wait for an answer.
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
    """All that is needed to talk to one AWS Batch endpoint; shared by what runs in a process."""

    api: BatchApi
    clock: Clock
    definitions: Definitions
    logs: LogReader
    console: Console
    s3: S3Client | None = None
    profile: str | None = None

    @property
    def address_options(self) -> str:
        """The options by which the command line reaches the same AWS Batch."""
        meta = self.api.client.meta
        text = f" --region {meta.region_name}"
        if not self.console.aws:
            text += f" --endpoint-url {meta.endpoint_url}"
        return text + (f" --profile {self.profile}" if self.profile else "")

    @classmethod
    def over(
        cls,
        batch: BatchClient,
        *,
        logs: CloudWatchLogsClient | None = None,
        s3: S3Client | None = None,
        clock: Clock | None = None,
        rates: Mapping[str, float] | None = None,
        console_url: str | None = None,
        seed: int | None = None,
        renew: Callable[[], BatchClient] | None = None,
        profile: str | None = None,
    ) -> Connection:
        """Build one over clients made by the caller (give them `client_config()`).

        Args:
            batch: The boto3 client of AWS Batch.
            logs: The boto3 client of CloudWatch Logs; without one, failures have no log tail.
            s3: The boto3 client of S3, for a scratch place there.
            clock: Another clock than the machine's, for tests.
            rates: Calls a second at most, by AWS operation.
            console_url: Where links lead instead of the AWS console.
            seed: Of the jitter of pauses, for tests.
            renew: Makes a new client of AWS Batch: called when credentials or the way there failed.
            profile: Name of the AWS profile behind the clients, for the commands in messages.

        Raises:
            InvalidJobError: A rate has an unknown name or is not above 0; or the client repeats
                requests by itself: a SubmitJob that is repeated blindly starts the work twice.
        """
        if (getattr(batch.meta.config, "retries", None) or {}).get("total_max_attempts") != 1:
            raise InvalidJobError(
                "the client of AWS Batch repeats requests by itself, so a job could be submitted "
                "twice; make it with "
                'boto3.client("batch", config=dagster_aws_batch.client_config())'
            )
        clock = clock or SystemClock()
        rng = random.Random(seed)  # noqa: S311  (jitter, no secret)
        chosen = checked_rates(rates or {})
        log_rate = chosen.pop("GetLogEvents", LOG_RATE)
        api = BatchApi(batch, clock=clock, rng=rng, rates=chosen, renew=renew)
        return cls(
            api=api,
            clock=clock,
            definitions=Definitions(api),
            logs=LogReader(logs, clock=clock, rate=log_rate),
            console=Console(
                region=batch.meta.region_name,
                base=console_url.rstrip("/") if console_url else None,
                aws=is_aws(batch.meta.endpoint_url),
            ),
            s3=s3,
            profile=profile,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where AWS Batch is. None: as boto3 finds it in the environment and the profile."""

    region: str | None = None
    profile: str | None = None
    batch_url: str | None = None
    logs_url: str | None = None
    s3_url: str | None = None
    console_url: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    role_arn: str | None = None
    verify: str | None = None
    rates: tuple[tuple[str, float], ...] = ()


# What boto3 reads from the environment: a process that changes it wants another connection.
_ENVIRONMENT = (
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_BATCH",
    "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS",
    "AWS_ENDPOINT_URL_S3",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_PROFILE",
    "AWS_ACCESS_KEY_ID",
    "AWS_SESSION_TOKEN",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
)

_connections: dict[tuple[object, ...], Connection] = {}
_lock = threading.Lock()


def connect(endpoint: Endpoint) -> Connection:
    """The process's connection to this endpoint; made at the first call.

    A forked process and a changed environment get their own.
    """
    key = (endpoint, os.getpid(), *(os.environ.get(name) for name in _ENVIRONMENT))
    with _lock:
        if key not in _connections:
            try:
                _connections[key] = _connect(endpoint)
            except ProfileNotFound as error:
                raise BatchError(
                    f"{error}. Correct profile_name or AWS_PROFILE, or configure that profile "
                    "(`aws configure list-profiles` names those that are there)"
                ) from error
        return _connections[key]


def given(
    batch: BatchClient,
    *,
    logs: CloudWatchLogsClient | None,
    clock: Clock | None,
    s3_url: str | None,
    console_url: str | None,
    rates: Mapping[str, float],
) -> Connection:
    """The process's connection over a client of the caller's.

    Raises:
        InvalidJobError: As `Connection.over`.
    """
    key = (batch, logs, clock, s3_url, console_url, *sorted(rates.items()))
    with _lock:
        if key not in _connections:
            s3 = boto3.Session(region_name=batch.meta.region_name).client("s3", endpoint_url=s3_url)
            _connections[key] = Connection.over(
                batch, logs=logs, s3=s3, clock=clock, rates=rates, console_url=console_url
            )
        return _connections[key]


def _connect(endpoint: Endpoint) -> Connection:
    batch, logs, s3 = _clients(endpoint)

    def renew() -> BatchClient:
        batch, connection.logs.client, _ = _clients(endpoint)
        return batch

    connection = Connection.over(
        batch,
        logs=logs,
        s3=s3,
        rates=dict(endpoint.rates),
        console_url=endpoint.console_url,
        renew=renew,
        profile=endpoint.profile,
    )
    return connection


def _clients(endpoint: Endpoint) -> tuple[BatchClient, CloudWatchLogsClient, S3Client]:
    session = _session(endpoint)
    url = endpoint.batch_url
    url = url or os.environ.get("AWS_ENDPOINT_URL_BATCH") or os.environ.get("AWS_ENDPOINT_URL")
    # An emulator on this machine takes any credentials; asking for real ones could wait for a
    # metadata service that is not there.
    local = url is not None and urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
    keys: dict[str, Any] = (
        {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
        if local and endpoint.access_key_id is None
        else {}
    )
    common: dict[str, Any] = {"config": client_config(), "verify": endpoint.verify, **keys}
    batch = session.client("batch", endpoint_url=endpoint.batch_url, **common)
    logs_url = endpoint.logs_url
    if (
        logs_url is None
        and not os.environ.get("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS")
        and not is_aws(batch.meta.endpoint_url)
    ):
        # An emulator of AWS Batch keeps the logs of its jobs itself.
        logs_url = batch.meta.endpoint_url
    logs = session.client("logs", endpoint_url=logs_url, **common)
    return batch, logs, session.client("s3", endpoint_url=endpoint.s3_url, verify=endpoint.verify)


def _session(endpoint: Endpoint) -> boto3.Session:
    session = boto3.Session(
        profile_name=endpoint.profile,
        region_name=_region(endpoint),
        aws_access_key_id=endpoint.access_key_id,
        aws_secret_access_key=endpoint.secret_access_key,
        aws_session_token=endpoint.session_token,
    )
    if endpoint.role_arn is None:
        return session
    sts = session.client("sts", verify=endpoint.verify)

    def assume() -> dict[str, str]:
        answer = sts.assume_role(RoleArn=endpoint.role_arn, RoleSessionName="dagster-aws-batch")
        keys = answer["Credentials"]
        return {
            "access_key": keys["AccessKeyId"],
            "secret_key": keys["SecretAccessKey"],
            "token": keys["SessionToken"],
            "expiry_time": keys["Expiration"].isoformat(),
        }

    # Renewed by botocore itself before it expires: a wait may last longer than a session.
    core = botocore.session.get_session()
    credentials = DeferredRefreshableCredentials(assume, "assume-role")
    # botocore has no public way to give a session credentials that renew themselves.
    cast("Any", core)._credentials = credentials
    return boto3.Session(botocore_session=core, region_name=session.region_name)


def _region(endpoint: Endpoint) -> str:
    """As boto3 finds it, and by AWS_REGION, which AWS's other SDKs read too."""
    if endpoint.region:
        return endpoint.region
    known: str | None = boto3.Session(profile_name=endpoint.profile).region_name
    known = known or os.environ.get("AWS_REGION")
    if not known:
        raise BatchError(
            "no AWS Region is set: give the resource a region_name, or set AWS_REGION "
            "in the environment"
        )
    return known
