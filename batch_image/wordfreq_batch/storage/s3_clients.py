"""The clients of S3, made once per process. For `storage.s3` only.

A client of botocore costs 70 to 200 ms of CPU, more than counting 64 MiB of text, and each has
connections and credentials of its own. So all stores of a process share one session and one client,
and all stores of a bucket one client of obstore, for as long as the AWS environment stays the same.
botocore serves what obstore can't do, obstore does the rest with a tenth of the CPU.
"""

from __future__ import annotations

import os
import re
import threading
from datetime import datetime, timedelta, timezone
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import botocore
import botocore.exceptions as botocore_errors
import botocore.session
from botocore.config import Config
from botocore.utils import parse_timestamp
from obstore.store import S3Store as ObstoreS3

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

PAYER: Final = "AWS_REQUEST_PAYER"
UNSIGNED: Final = "AWS_NO_SIGN_REQUEST"

_KEPT: Final = 4  # environments; more than one at a time is for tests

_making = threading.RLock()
_made: dict[object, S3Clients] = {}


def s3_clients() -> S3Clients:
    """The clients for the AWS environment as it is now; made only if it has changed."""
    with _making:
        key = _environment()
        found = _made.pop(key, None) or S3Clients()
        _made[key] = found  # the last to go
        while len(_made) > _KEPT:
            del _made[next(iter(_made))]
        return found


ATTEMPTS: Final = 8
"""Of a request that S3 can't answer just now."""


class S3Clients:
    """One session with its clients, and one client of obstore a bucket.

    Buckets of others: `AWS_REQUEST_PAYER=requester` pays for the requests, and
    `AWS_NO_SIGN_REQUEST=YES` (or the names of buckets, with commas) asks without credentials.
    """

    def __init__(self) -> None:
        self._pays = os.environ.get(PAYER, "").lower() == "requester"
        unsigned = os.environ.get(UNSIGNED, "")
        self._all_unsigned = unsigned.lower() in ("1", "yes", "true")
        self._unsigned = frozenset(unsigned.split(","))
        self._fast: dict[str, ObstoreS3] = {}
        self._locks: dict[str, threading.Lock] = {}  # by bucket: one may not answer for long

    # From Python 3.12 on threads that ask at once would each make a client.
    def client(self, bucket: str) -> S3Client:
        """The client of botocore for a bucket.

        Raises:
            BotoCoreError, ValueError: the AWS environment is wrong.
        """
        with _making:
            return self._anonymous if self._is_unsigned(bucket) else self._client

    def _is_unsigned(self, bucket: str) -> bool:
        return self._all_unsigned or bucket in self._unsigned

    def fast(self, bucket: str) -> ObstoreS3:
        """The client of obstore for a bucket.

        Raises:
            BotoCoreError, ValueError: the AWS environment is wrong, or has no credentials.
        """
        with _making:
            meta = self.client(bucket).meta
            lock = self._locks.setdefault(bucket, threading.Lock())
        with lock:
            if bucket in self._fast:
                return self._fast[bucket]
            if not self._is_unsigned(bucket):
                self._credentials()  # obstore would call their absence "access denied"
            on_aws = re.search(r"\.amazonaws\.com(\.cn)?$", meta.endpoint_url) is not None
            # obstore doesn't follow a redirect to the bucket's region, so it must know it.
            region = self._bucket_region(bucket) if on_aws else meta.region_name
            made = self._made_fast(bucket, region or meta.region_name, on_aws=on_aws)
            if region:  # else it was only not to be had now
                self._fast[bucket] = made
            return made

    @cached_property
    def _session(self) -> botocore.session.Session:
        session = botocore.session.get_session()
        factory = session.get_component("response_parser_factory")
        factory.set_parser_defaults(timestamp_parser=_timestamp)
        return session

    @cached_property
    def _client(self) -> S3Client:
        return self._made_client()

    @cached_property
    def _anonymous(self) -> S3Client:
        return self._made_client(signature_version=botocore.UNSIGNED)

    def _made_client(self, **more: Any) -> S3Client:
        config = Config(
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            max_pool_connections=64,
            connect_timeout=10,
            read_timeout=60,
            **more,
        )
        # S3 needs a region to sign; with an endpoint of one's own often none is set.
        region = self._session.get_config_variable("region") or os.environ.get("AWS_REGION")
        client = self._session.create_client("s3", config=config, region_name=region or "us-east-1")
        if self._pays:
            client.meta.events.register("before-call.s3", _pay)
        return cast("S3Client", client)

    def _made_fast(self, bucket: str, region: str, *, on_aws: bool) -> ObstoreS3:
        endpoint = self.client(bucket).meta.endpoint_url
        config: dict[str, Any] = {
            "region": region,
            "request_payer": self._pays,
            "virtual_hosted_style_request": on_aws and "." not in bucket,
        }
        unsigned = self._is_unsigned(bucket)
        if unsigned:
            config["skip_signature"] = True
        if not on_aws:
            config["endpoint"] = config["aws_endpoint_url_s3"] = endpoint
        return ObstoreS3(
            bucket,
            config=config,  # type: ignore[arg-type]
            client_options={
                "allow_http": endpoint.startswith("http://"),
                "connect_timeout": "10s",
                "read_timeout": "60s",
                "timeout": "12h",  # of a whole streamed body; a stall ends by read_timeout
            },
            retry_config={"max_retries": ATTEMPTS, "retry_timeout": timedelta(minutes=2)},
            credential_provider=None if unsigned else self._credentials,  # type: ignore[arg-type]
        )

    def _bucket_region(self, bucket: str) -> str | None:
        """The region of a bucket; AWS tells it to those who may not look at the bucket as well."""
        try:
            return self.client(bucket).head_bucket(Bucket=bucket).get("BucketRegion")
        except botocore_errors.ClientError as error:
            headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
            return headers.get("x-amz-bucket-region")

    def _credentials(self) -> dict[str, Any]:
        found = self._session.get_credentials()
        if found is None:
            raise botocore_errors.NoCredentialsError
        frozen = found.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            # botocore renews in time by itself; asked again this often, obstore has the new ones
            "expires_at": datetime.now(timezone.utc) + timedelta(minutes=5),
        }


def _pay(params: dict[str, Any], **_: object) -> None:
    params["headers"]["x-amz-request-payer"] = "requester"


def _environment() -> object:
    """All that clients are made from; connections are a process's own."""
    variables = sorted(item for item in os.environ.items() if item[0].startswith(("AWS_", "HOME")))
    files = [
        Path(os.environ.get(variable) or default).expanduser()
        for variable, default in (
            ("AWS_CONFIG_FILE", "~/.aws/config"),
            ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
        )
    ]
    changed = tuple(path.stat().st_mtime_ns if path.exists() else 0 for path in files)
    return os.getpid(), tuple(variables), changed


def _timestamp(value: Any) -> datetime:
    """A time as `botocore` reads it; but those of listings, one per object, 100 times as fast."""
    try:
        if isinstance(value, str) and value.endswith("Z"):
            return datetime.fromisoformat(value[:-1] + "+00:00")
    except ValueError:
        pass
    return parse_timestamp(value)
