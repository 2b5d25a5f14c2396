"""What boto3's and obstore's errors mean, in words of this package. For `storage_s3` only."""

from __future__ import annotations

import botocore.exceptions as botocore_errors
import obstore.exceptions as obstore_errors

from wordfreq_batch.errors import (
    AlreadyExistsError,
    ChangedError,
    NotFoundError,
    PermissionDeniedError,
    StorageError,
    WordfreqError,
)

# Answers that mean "not you", by code of the S3 API reference, "List of error codes".
_REFUSALS = frozenset(
    {
        "401",
        "403",
        "AccessDenied",
        "AccountProblem",
        "AllAccessDisabled",
        "ExpiredToken",
        "Forbidden",
        "InvalidAccessKeyId",
        "InvalidToken",
        "SignatureDoesNotMatch",
    }
)


def translated(error: BaseException, uri: str, bucket: str) -> WordfreqError | None:
    """The error of this package that says what a client's error means for `uri`; None: no idea."""
    if isinstance(error, botocore_errors.ClientError):
        return _by_code(error, uri, bucket)
    if isinstance(error, botocore_errors.NoCredentialsError):
        return StorageError(f"{uri}: no AWS credentials were found; set AWS_PROFILE or a job role")
    # obstore raises the built-in FileNotFoundError for what its own NotFoundError is named after.
    if isinstance(error, (obstore_errors.NotFoundError, FileNotFoundError)):
        if "NoSuchBucket" in str(error):
            return NotFoundError(f"s3://{bucket}: there is no such bucket; check its name")
        return NotFoundError(f"{uri} doesn't exist; check the name, or plan again")
    if isinstance(error, (botocore_errors.BotoCoreError, OSError)):
        return StorageError(f"{uri}: {error}; check network and AWS environment, run this again")
    if not isinstance(error, obstore_errors.BaseError):
        return None
    if isinstance(error, obstore_errors.PreconditionError):
        return ChangedError(f"{uri} has changed since it was planned; plan again")
    if isinstance(error, obstore_errors.AlreadyExistsError):
        return AlreadyExistsError(f"{uri} exists already")
    if isinstance(
        error, (obstore_errors.PermissionDeniedError, obstore_errors.UnauthenticatedError)
    ):
        return PermissionDeniedError(f"{uri}: access denied; check keys and permissions")
    summary = " ".join(str(error).split())[:500]
    return StorageError(f"{uri}: {summary}; check network and AWS environment, run this again")


def _by_code(error: botocore_errors.ClientError, uri: str, bucket: str) -> WordfreqError:
    code = error.response.get("Error", {}).get("Code", "")
    message = error.response.get("Error", {}).get("Message", "")
    if code == "NoSuchBucket":
        return NotFoundError(f"s3://{bucket}: there is no such bucket; check its name")
    if code in ("NoSuchKey", "NotFound", "404"):
        return NotFoundError(f"{uri} doesn't exist; check the name, or plan again")
    if code in _REFUSALS:
        return PermissionDeniedError(f"{uri}: access denied ({code}); check keys and permissions")
    if code in ("PreconditionFailed", "412", "ConditionalRequestConflict"):
        # A put asks for absence, a get for sameness: one code for both.
        if error.operation_name in ("PutObject", "CompleteMultipartUpload"):
            return AlreadyExistsError(f"{uri} exists already")
        return ChangedError(f"{uri} has changed since it was planned; plan again")
    if code == "InvalidObjectState":
        return StorageError(f"{uri} is archived (Glacier); restore it first")
    return StorageError(f"{uri}: {code}: {message}; run this again")
