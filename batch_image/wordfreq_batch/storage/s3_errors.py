"""What botocore's and obstore's errors mean, in words of this package. For `storage.s3` only."""

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

# What codes mean: S3 API reference, "List of error codes"; for the three digits, HTTP's own.
_REFUSALS = frozenset(
    {
        "401",
        "403",
        "AccessDenied",
        "AccountProblem",
        "AllAccessDisabled",
        "Forbidden",
        "InvalidAccessKeyId",
        "InvalidSecurity",
        "InvalidToken",
        "NotSignedUp",
        "SignatureDoesNotMatch",
    }
)
_EXPIRED = frozenset({"ExpiredToken", "TokenRefreshRequired"})
_CLOCK = frozenset({"RequestTimeTooSkewed", "RequestExpired"})
_ELSEWHERE = frozenset(
    {
        "301",
        "307",
        "308",
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
        "PermanentRedirect",
        "TemporaryRedirect",
    }
)
_MISSING = frozenset({"404", "NoSuchAccessPoint", "NoSuchKey", "NoSuchVersion", "NotFound"})
_CONDITIONS = frozenset({"412", "ConditionalRequestConflict", "PreconditionFailed"})
_FOR_GOOD = frozenset(  # the same request will get the same answer
    {
        "400",
        "405",
        "501",
        "BadDigest",
        "EntityTooLarge",
        "InvalidArgument",
        "InvalidBucketName",
        "InvalidRequest",
        "KeyTooLongError",
        "MethodNotAllowed",
        "NotImplemented",
        "TooManyBuckets",
        "UserKeyMustBeSpecified",
    }
)

_CODE = re.compile(r"<Code>([A-Za-z0-9.]{1,80})</Code>")
_MESSAGE = re.compile(r"<Message>([^<]{1,500})</Message>")
_STATUS = re.compile(r"status code: (\d{3})")  # of an answer without a reason, as to HEAD
_REDIRECT = "Received redirect without LOCATION"


def translated(error: BaseException, uri: str, bucket: str) -> WordfreqError | None:
    """The error of this package that says what a client's error means for `uri`; None: no idea."""
    if isinstance(error, botocore_errors.ClientError):
        answer = error.response.get("Error", {})
        creating = error.operation_name in ("PutObject", "CompleteMultipartUpload")
        code, message = answer.get("Code", ""), answer.get("Message", "")
        return _by_code(code, message, uri, bucket, creating=creating)
    if isinstance(error, botocore_errors.NoCredentialsError):
        return StorageError(f"{uri}: no AWS credentials were found; set AWS_PROFILE or a job role")
    if isinstance(error, botocore_errors.BotoCoreError):
        return StorageError(f"{uri}: {error}; check network and AWS environment, run this again")
    if not isinstance(error, (obstore_errors.BaseError, OSError)):
        return None
    return _of_obstore(error, uri, bucket)


def _of_obstore(error: Exception, uri: str, bucket: str) -> WordfreqError:
    """What an error of obstore means; S3's answer stands in its text, as XML."""
    text = str(error)
    found = _CODE.search(text)
    if found and found[1] not in _CONDITIONS:
        sentence = _MESSAGE.search(text)
        return _by_code(found[1], html.unescape(sentence[1]) if sentence else "", uri, bucket)
    # obstore raises the built-in FileNotFoundError for what its own NotFoundError is named after.
    if isinstance(error, (obstore_errors.NotFoundError, FileNotFoundError)):
        return _by_code("404", "", uri, bucket)
    if isinstance(error, obstore_errors.PreconditionError):
        return _by_code("412", "", uri, bucket)
    if isinstance(error, obstore_errors.AlreadyExistsError):
        return _by_code("412", "", uri, bucket, creating=True)
    if isinstance(
        error, (obstore_errors.PermissionDeniedError, obstore_errors.UnauthenticatedError)
    ):
        return _by_code("403", "", uri, bucket)
    if _REDIRECT in text:
        return _by_code("301", "", uri, bucket)
    if status := _STATUS.search(text):
        return _by_code(status[1], "", uri, bucket)
    summary = " ".join(text.partition("Debug source")[0].split())[:500]
    return StorageError(f"{uri}: {summary}; check network and AWS environment, run this again")


def _by_code(
    code: str, message: str, uri: str, bucket: str, *, creating: bool = False
) -> WordfreqError:
    """What an error code of S3 means; `message` is S3's own sentence."""
    said = f"{code}: {message}" if message else code
    if code.isdecimal():
        said = f"S3 answered {code} without a reason"
    if code == "NoSuchBucket":
        return NotFoundError(f"s3://{bucket}: there is no such bucket; check its name")
    if code in _MISSING:
        reason = f" ({said})" if message and code != "NoSuchKey" else ""
        return NotFoundError(f"{uri} doesn't exist{reason}; check the name, or plan again")
    if code in _CONDITIONS:
        # A put asks for absence, a get for sameness: one code for both.
        if creating:
            return AlreadyExistsError(f"{uri} exists already")
        return ChangedError(f"{uri} has changed since it was planned; plan again")
    if code in _REFUSALS:
        advice = "check keys and permissions"
        if "kms:" in message:
            advice = "allow this role to use the object's KMS key"
        return PermissionDeniedError(f"{uri}: access denied ({said}); {advice}")
    if code in _EXPIRED:
        return PermissionDeniedError(f"{uri}: access denied ({said}); renew the credentials")
    if code in _CLOCK:
        return StorageError(f"{uri}: {said}; set this machine's clock")
    if code == "InvalidObjectState":
        return InputError(f"{uri} is archived ({said}); restore it first")
    if code in _ELSEWHERE:
        return InputError(f"{uri}: {said}; set AWS_REGION to the region of the bucket {bucket}")
    if code.startswith("KMS."):
        return InputError(f"{uri}: {said}; the object's KMS key has to be usable first")
    if code in _FOR_GOOD:
        return InputError(f"{uri}: {said}; running this again will not help")
    return StorageError(f"{uri}: {said}; run this again")
