"""DynamoDB: the client, whether a table fits a schema, and what its errors mean here.

Endpoint, region and credentials come from the standard AWS environment (`AWS_ENDPOINT_URL_DYNAMODB`
among it).
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import botocore.exceptions as botocore_errors
import botocore.session
from botocore.config import Config

from wordfreq_batch.csv.items import check_type
from wordfreq_batch.csv.reading.hints import setting
from wordfreq_batch.csv.schema import ADDED, Column, Schema
from wordfreq_batch.errors import (
    NotFoundError,
    PermissionDeniedError,
    StorageError,
    UsageError,
    WordfreqError,
)

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient

# DynamoDB developer guide, "Error handling": answers that mean "later".
THROTTLED = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
    }
)
PASSING = THROTTLED | {
    "InternalServerError",
    "InternalFailure",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "RequestTimeout",
    "LimitExceededException",
    "ReplicatedWriteConflictException",
    "TransactionInProgressException",
}
_REFUSALS = frozenset(
    {
        "AccessDeniedException",
        "AccessDenied",
        "UnrecognizedClientException",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "MissingAuthenticationTokenException",
        "MissingAuthenticationToken",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table that fits; `indexed`: attributes that its indexes have as keys, with S, N or B."""

    name: str
    indexed: Mapping[str, str] = field(default_factory=dict)


def connect(*, connections: int) -> DynamoDBClient:
    """A client for `connections` threads; repeating requests is left to the caller.

    Raises:
        StorageError: the AWS environment can't be used.
    """
    config = Config(
        # One attempt: `dynamo_writer` repeats, within its own time, and counts what was refused.
        retries={"mode": "standard", "total_max_attempts": 1},
        max_pool_connections=connections,
        connect_timeout=5,
        read_timeout=20,
        # Items are built by our own code, 25 times as many as requests.
        parameter_validation=False,
    )
    try:
        session = botocore.session.get_session()
        region = session.get_config_variable("region") or os.environ.get("AWS_REGION")
        made = session.create_client("dynamodb", config=config, region_name=region or "us-east-1")
        # An endpoint of one's own needs a region only to sign.
        if not region and ".amazonaws.com" in made.meta.endpoint_url:
            raise StorageError("DynamoDB: no region is set; set AWS_REGION to that of the table")
        return cast("DynamoDBClient", made)
    except (botocore_errors.BotoCoreError, ValueError) as error:
        raise StorageError(f"DynamoDB: {error}; check the AWS environment") from error


def check_table(
    client: DynamoDBClient, name: str, schemas: Sequence[Schema], *, patience: float
) -> Table:
    """Compare the table with all schemas (of one key), before anything is written.

    Without the right to describe tables nothing is checked; the first write will say. An answer
    that may be another one later is asked for again, up to `patience` seconds.

    Raises:
        NotFoundError: there is no such table.
        UsageError: its key is not the schema's, or an indexed attribute is of another type.
        WordfreqError: it can't be asked.
    """
    try:
        described = patiently(client.describe_table, patience=patience, TableName=name)["Table"]
    except (botocore_errors.ClientError, botocore_errors.BotoCoreError) as error:
        if code_of(error) == "AccessDeniedException":
            return Table(name=name)
        raise table_error(error, name, client) from error
    status = described.get("TableStatus", "ACTIVE")
    if status not in ("ACTIVE", "UPDATING"):
        raise StorageError(f"table {name} is {status}; run this again when it is ACTIVE")
    types = {a["AttributeName"]: a["AttributeType"] for a in described["AttributeDefinitions"]}
    keys = {key["KeyType"]: key["AttributeName"] for key in described["KeySchema"]}
    there = [keys[kind] for kind in ("HASH", "RANGE") if kind in keys]
    schema = schemas[0]
    if there != list(schema.keys):
        raise UsageError(
            f"table {name} has the key {_keys(there)}, the settings say {_keys(schema.keys)}: "
            f"{setting(**dict(zip(('key', 'sort_key'), there, strict=False)))}Or name another table"
        )
    indexes = [
        *described.get("GlobalSecondaryIndexes", []),
        *described.get("LocalSecondaryIndexes", []),
    ]
    indexed = {
        key["AttributeName"]: types[key["AttributeName"]]
        for index in indexes
        for key in index["KeySchema"]
        if key["AttributeName"] not in there
    }
    for each in schemas:
        for column in (*each.columns, *each.made, *map(Column, ADDED)):
            check_type(column, types.get(column.name))
    return Table(name=name, indexed=indexed)


def patiently(
    operation: Callable[..., Mapping[str, Any]], *, patience: float, **parameters: Any
) -> Mapping[str, Any]:
    """The answer of a request that changes nothing, repeated while it may succeed later.

    Raises:
        botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError: what the last one said.
    """
    deadline = time.monotonic() + patience
    pause = 0.1
    while True:
        try:
            return operation(**parameters)
        except (botocore_errors.ClientError, botocore_errors.BotoCoreError) as error:
            if not passing(error) or time.monotonic() + pause > deadline:
                raise
            time.sleep(random.uniform(0, pause))  # noqa: S311 - no secret
            pause = min(2 * pause, 10.0)


def _keys(names: list[str] | tuple[str, ...]) -> str:
    return f"{names[0]!r} with the sort key {names[1]!r}" if len(names) > 1 else repr(names[0])


def code_of(error: BaseException) -> str:
    """The API's error code; empty where there was no answer."""
    if isinstance(error, botocore_errors.ClientError):
        return str(error.response.get("Error", {}).get("Code", ""))
    return ""


def passing(error: BaseException) -> bool:
    """Whether the same request may succeed a little later."""
    if isinstance(error, botocore_errors.ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return code_of(error) in PASSING or status >= 500
    return isinstance(error, (botocore_errors.HTTPClientError, botocore_errors.ConnectionError))


def table_error(error: Exception, table: str, client: DynamoDBClient) -> WordfreqError:
    """The error of this package that says what a client's error means for `table`."""
    where = f"table {table} ({client.meta.region_name})"
    code = code_of(error)
    if not code:
        if isinstance(error, botocore_errors.NoCredentialsError):
            return StorageError(
                f"{where}: no AWS credentials were found; set AWS_PROFILE or a job role"
            )
        if not isinstance(error, botocore_errors.BotoCoreError):
            return StorageError(f"{where}: {error!r}; please report this")
        return StorageError(f"{where}: {error}; check network and AWS environment, run this again")
    assert isinstance(error, botocore_errors.ClientError)
    message = " ".join(str(error.response["Error"].get("Message", "")).split())[:500]
    if code == "ResourceNotFoundException":
        return NotFoundError(f"{where} doesn't exist; check name, region and account, or create it")
    if code in _REFUSALS:
        return PermissionDeniedError(
            f"{where}: access denied ({code}: {message}); the role needs dynamodb:PutItem, "
            "dynamodb:BatchWriteItem and dynamodb:DescribeTable on it, mirroring dynamodb:Scan and "
            "dynamodb:DeleteItem"
        )
    if code == "ValidationException":
        return UsageError(f"{where} refuses the items: {message}; check key and column types")
    if code == "ItemCollectionSizeLimitExceededException":
        return UsageError(
            f"{where}: {message}; with a local index the items of one partition key can't exceed "
            "10 GB: spread them over more keys, or use a table without local indexes"
        )
    return StorageError(f"{where}: {code}: {message}; run this again")
