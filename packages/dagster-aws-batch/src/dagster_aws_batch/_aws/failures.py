"""What a failed call to AWS says about that call, for every module that makes one.

It never says anything about the jobs. `ask` makes one request, and lets whatever goes wrong in it
be one of botocore's exceptions; `classify_call` sorts these by what they mean for a repeat.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

from botocore import exceptions as botocore_errors
from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from dagster_aws_batch._errors import DOCTOR

__all__ = ["CallError", "advice_for", "ask", "classify_call", "error_code", "is_hopeless"]

# Without these an answer is not one of AWS: a proxy or a login page has answered with status 200.
_NEEDED: Mapping[str, str] = {
    "DescribeJobDefinitions": "jobDefinitions",
    "DescribeJobs": "jobs",
    "GetLogEvents": "events",
    "ListJobs": "jobSummaryList",
    "RegisterJobDefinition": "jobDefinitionArn",
    "SubmitJob": "jobId",
}


def ask(client: Any, operation: str, **request: Any) -> Any:
    """Make one request.

    Raises:
        ClientError, BotoCoreError: It failed. What is none of these (an answer that can't be read,
            an error in a source of credentials) comes as HTTPClientError.
    """
    call = getattr(client, xform_name(operation))
    try:
        answer = call(**request)
    except (ClientError, BotoCoreError):
        raise
    except Exception as error:
        raise HTTPClientError(error=error) from error
    needed = _NEEDED.get(operation)
    if needed and needed not in answer:
        text = f"the answer to {operation} has no {needed}: it does not come from AWS"
        raise HTTPClientError(error=text)
    return answer


_THROTTLE_CODES = frozenset(
    {
        "TooManyRequestsException",
        "ThrottlingException",
        "Throttling",
        "ThrottledException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "SlowDown",
    }
)
# "Common errors" of AWS's API references, those of STS, and what signing and clocks bring.
_CREDENTIAL_CODES = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "InvalidToken",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "OptInRequired",
        "RequestExpired",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
        "UnauthorizedException",
        "UnrecognizedClientException",
    }
)
# What botocore finds wrong with the request itself, before it is sent.
_INVALID = (
    botocore_errors.ParamValidationError,
    botocore_errors.MissingParametersError,
    botocore_errors.ValidationError,
)
_UNSENT = (
    botocore_errors.ConnectTimeoutError,
    botocore_errors.EndpointConnectionError,
    botocore_errors.ProxyConnectionError,
)


class CallError(Enum):
    """What an exception of a call means for a repeat of it."""

    THROTTLED = "refused for its rate: nothing was done"
    UNSENT = "never reached AWS: nothing was done"
    UNAUTHENTICATED = "not let in: nothing was done"
    UNCERTAIN = "may have been done"
    REFUSED = "refused for what it says: a repeat is refused too"


ADVICE: Mapping[CallError, str] = {
    CallError.THROTTLED: "Lower the request rates of whatever else uses this account",
    CallError.UNSENT: "Check network, DNS, proxy and the endpoint's address",
    CallError.UNAUTHENTICATED: "Renew the credentials (they are read again at each try), and "
    "check this machine's clock",
    CallError.UNCERTAIN: "Check the network and the AWS Health Dashboard",
    CallError.REFUSED: f"Check permissions and names; `{DOCTOR}` tries listing and describing",
}


_NO_CREDENTIALS = (
    "Set AWS_PROFILE (after `aws sso login`, where it needs one) or AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY for the process that runs the step, or give its machine or task a role"
)
_NO_ADDRESS = "Check the Region's name (AWS_REGION, region_name), endpoint_url, DNS and network"
_NOTHING_LISTENS = (
    "Nothing listens there: start it, or correct endpoint_url, AWS_ENDPOINT_URL or the proxy"
)
_ABSENT_CREDENTIALS = (
    botocore_errors.NoCredentialsError,
    botocore_errors.PartialCredentialsError,
    botocore_errors.NoAuthTokenError,
)
#: Names that don't exist, rather than a name service that can't be asked at the moment.
_UNKNOWN_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


def is_hopeless(error: Exception, operation: str = "") -> bool:
    """Whether somebody must do something first: to wait and repeat the call alone won't help."""
    kind = classify_call(error, operation)
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return kind is CallError.UNAUTHENTICATED and status < 500
    if kind is CallError.UNSENT:
        return _is_handshake(error) or any(
            isinstance(cause, ConnectionRefusedError)
            or (isinstance(cause, socket.gaierror) and cause.errno in _UNKNOWN_NAME)
            for cause in _causes(error)
        )
    # Not CredentialRetrievalError: a source of credentials that is there may answer later.
    sso = any("SSO" in one.__name__ for one in type(error).__mro__)
    return isinstance(error, _ABSENT_CREDENTIALS) or sso


def advice_for(error: Exception, operation: str = "") -> str:
    """What its reader should do about a failed call."""
    if isinstance(error, _ABSENT_CREDENTIALS):
        return _NO_CREDENTIALS
    for cause in _causes(error):
        if isinstance(cause, socket.gaierror):
            return _NO_ADDRESS
        if isinstance(cause, ConnectionRefusedError):
            return _NOTHING_LISTENS
    return ADVICE[classify_call(error, operation)]


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    # An exception that is raised again can come to stand in its own chain.
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        yield error
        error = error.__cause__ or error.__context__


def error_code(error: Exception) -> str:
    """AWS's error code, or the name of botocore's exception."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", ""))
    return type(error).__name__


def classify_call(error: Exception, operation: str = "") -> CallError:
    """Sort an exception of botocore. `operation`: the call in which it was raised."""
    if isinstance(error, ClientError):
        code = error_code(error)
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        # Another service's refusal, in the middle of a call, is one of the credentials' source.
        foreign = bool(operation) and error.operation_name != operation
        if status == 429 or code in _THROTTLE_CODES:
            return CallError.THROTTLED
        if foreign or status == 401 or code in _CREDENTIAL_CODES:
            return CallError.UNAUTHENTICATED
        # AWS's own codes are words; a number is the status of something between here and AWS.
        foreign = code.isdigit() and status not in (404, 405)
        return CallError.UNCERTAIN if status >= 500 or foreign else CallError.REFUSED
    if isinstance(error, _INVALID):
        return CallError.REFUSED
    if isinstance(error, _UNSENT) or _is_handshake(error):
        return CallError.UNSENT
    if isinstance(error, botocore_errors.HTTPClientError):
        return CallError.UNCERTAIN
    names = {one.__name__ for one in type(error).__mro__}
    if names & {"NoAuthTokenError"} or any("Credential" in one or "SSO" in one for one in names):
        return CallError.UNAUTHENTICATED
    return CallError.UNCERTAIN


def _is_handshake(error: Exception) -> bool:
    """TLS also breaks while an answer is read, after the work was done: only these came before."""
    text = str(error).lower()
    words = ("certificate", "handshake", "wrong_version_number", "hostname")
    return isinstance(error, botocore_errors.SSLError) and any(word in text for word in words)
