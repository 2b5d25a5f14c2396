"""What boto3's and obstore's errors mean, in words of this package. For `storage_s3` only."""

from __future__ import annotations

import html
import re

import botocore.exceptions as botocore_errors
import obstore.exceptions as obstore_errors

from wordfreq_batch.errors import (
    AlreadyExistsError,
    ChangedError,
    InputError,
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

_CODE = re.compile(r"<Code>([A-Za-z0-9.]{1,80})</Code>")
_MESSAGE = re.compile(r"<Message>([^<]{1,500})</Message>")


def translated(error: BaseException, uri: str, bucket: str) -> WordfreqError | None:
    """The error of this package that says what a client's error means for `uri`; None: no idea."""
    if isinstance(error, botocore_errors.ClientError):
        answer = error.response.get("Error", {})
        creating = error.operation_name in ("PutObject", "CompleteMultipartUpload")
        code, message = answer.get("Code", ""), answer.get("Message", "")
        return _by_code(code, message, uri, bucket, creating=creating)
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
    # S3's answer stands in the text of obstore's error, as XML.
    if code_element := _CODE.search(str(error)):
        sentence = _MESSAGE.search(str(error))
        message = html.unescape(sentence[1]) if sentence else ""
        return _by_code(code_element[1], message, uri, bucket)
    if isinstance(
        error, (obstore_errors.PermissionDeniedError, obstore_errors.UnauthenticatedError)
    ):
        return PermissionDeniedError(f"{uri}: access denied; check keys and permissions")
    summary = " ".join(str(error).split())[:500]
    return StorageError(f"{uri}: {summary}; check network and AWS environment, run this again")


def _by_code(
    code: str, message: str, uri: str, bucket: str, *, creating: bool = False
) -> WordfreqError:
    """What an error code of S3 means; `message` is S3's own sentence."""
    said = f"{code}: {message}" if message else code
    if code == "NoSuchBucket":
        return NotFoundError(f"s3://{bucket}: there is no such bucket; check its name")
    if code in ("NoSuchKey", "NotFound", "404"):
        return NotFoundError(f"{uri} doesn't exist; check the name, or plan again")
    if code in _REFUSALS:
        return PermissionDeniedError(f"{uri}: access denied ({said}); check keys and permissions")
    if code in ("PreconditionFailed", "412", "ConditionalRequestConflict"):
        # A put asks for absence, a get for sameness: one code for both.
        if creating:
            return AlreadyExistsError(f"{uri} exists already")
        return ChangedError(f"{uri} has changed since it was planned; plan again")
    if code == "InvalidObjectState":
        return InputError(f"{uri} is archived ({said}); restore it first")
    if code == "RequestTimeTooSkewed":
        return StorageError(f"{uri}: {said}; set this machine's clock")
    return StorageError(f"{uri}: {said}; run this again")
