"""S3's own code and sentence reach the user, whichever client has asked.

`pytest -s` on this file prints the table: code, request, client, exit code, requests sent, words.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from wordfreq_batch.errors import (
    InputError,
    NotFoundError,
    PermissionDeniedError,
    StorageError,
    WordfreqError,
)
from wordfreq_batch.storage import s3_clients
from wordfreq_batch.storage.opening import open_store
from wordfreq_batch.storage.store import Store

Kind = type[WordfreqError]

ANSWERS: list[tuple[int, str, str, Kind, str]] = [
    (403, "AccessDenied", "not authorized to perform: kms:Decrypt", PermissionDeniedError, "KMS"),
    *(
        (403, code, f"The sentence of {code}.", PermissionDeniedError, "check keys")
        for code in (
            "AccountProblem",
            "AllAccessDisabled",
            "InvalidAccessKeyId",
            "InvalidSecurity",
            "NotSignedUp",
            "SignatureDoesNotMatch",
        )
    ),
    (400, "InvalidToken", "The provided token is malformed.", PermissionDeniedError, "check keys"),
    (400, "ExpiredToken", "The provided token has expired.", PermissionDeniedError, "renew"),
    (400, "TokenRefreshRequired", "The token must be refreshed.", PermissionDeniedError, "renew"),
    (403, "RequestTimeTooSkewed", "The difference is too large.", StorageError, "clock"),
    (403, "RequestExpired", "The request has expired.", StorageError, "clock"),
    (403, "InvalidObjectState", "The operation is not valid.", InputError, "restore it first"),
    (301, "PermanentRedirect", "Use another endpoint.", InputError, "AWS_REGION"),
    (307, "TemporaryRedirect", "Use another endpoint.", InputError, "AWS_REGION"),
    (400, "AuthorizationHeaderMalformed", "Expecting eu-west-9.", InputError, "AWS_REGION"),
    (400, "IllegalLocationConstraintException", "Wrong region.", InputError, "AWS_REGION"),
    (400, "KMS.DisabledException", "The key is disabled.", InputError, "KMS key"),
    (400, "KMS.NotFoundException", "There is no such key.", InputError, "KMS key"),
    (404, "NoSuchBucket", "There is none.", NotFoundError, "no such bucket"),
    (404, "NoSuchKey", "There is none.", NotFoundError, "doesn't exist"),
    (404, "NoSuchVersion", "There is none.", NotFoundError, "doesn't exist"),
    (404, "NoSuchAccessPoint", "There is none.", NotFoundError, "doesn't exist"),
    *(
        (status, code, f"The sentence of {code}.", InputError, "will not help")
        for status, code in (
            (400, "BadDigest"),
            (400, "EntityTooLarge"),
            (400, "InvalidArgument"),
            (400, "InvalidBucketName"),
            (400, "InvalidRequest"),
            (400, "KeyTooLongError"),
            (400, "TooManyBuckets"),
            (400, "UserKeyMustBeSpecified"),
            (405, "MethodNotAllowed"),
        )
    ),
    (409, "OperationAborted", "A conflicting operation is on.", StorageError, "run this again"),
    *(
        (status, code, f"The sentence of {code}.", StorageError, "run this again")
        for status, code in (
            (500, "InternalError"),
            (503, "ServiceUnavailable"),
            (503, "SlowDown"),
            (400, "RequestTimeout"),
            (502, "502"),  # of a proxy: no S3 answers so
            (504, "504"),
        )
    ),
    (412, "PreconditionFailed", "One did not hold.", WordfreqError, ""),
]

ATTEMPTS = 2
SENT: Counter[str] = Counter()


class Refusing(BaseHTTPRequestHandler):
    """A server that answers everything with the error of its bucket."""

    def do_GET(self) -> None:
        SENT[self.path.split("/")[1].partition("?")[0]] += 1
        status, code, message, _, _ = ANSWERS[int(self.path.split("/")[1][6:].partition("?")[0])]
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
        body = b"" if code.isdecimal() else body
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("x-amz-bucket-region", "eu-west-9")  # else botocore asks for it for ever
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_PUT = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def refusing() -> Iterator[None]:
    """One server for all, so that all have the same environment and share clients."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "k")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "s")
        patch.setattr(s3_clients, "ATTEMPTS", ATTEMPTS)  # else waiting takes half a minute each
        yield
    server.shutdown()
    server.server_close()


ASK: dict[str, Callable[[Store, str], object]] = {
    "list": lambda store, _: list(store.list()),
    "head": lambda store, key: store.head(key),
    "get": lambda store, key: store.get(key),
    "put": lambda store, key: store.put(key, b"data"),
}


@pytest.mark.usefixtures("refusing")
@pytest.mark.parametrize("key", ["a.txt", "odd//a.txt"], ids=["obstore", "botocore"])
@pytest.mark.parametrize("ask", ASK)
@pytest.mark.parametrize("number", range(len(ANSWERS)), ids=[answer[1] for answer in ANSWERS])
def test_the_reason_is_shown(number: int, ask: str, key: str) -> None:
    status, code, message, kind, advice = ANSWERS[number]
    SENT.clear()
    with pytest.raises(WordfreqError) as caught:
        ASK[ask](open_store(f"s3://bucket{number}"), key)
    shown = str(caught.value)
    sent = SENT[f"bucket{number}"]
    print(f"\n{code:36}{ask:6}{key:12}{caught.value.exit_code:2}{sent:3}  {shown}")
    # where the answer names another region, it is asked there once; a HEAD has no code that tells
    hinted = status in (301, 307) or code.startswith("IllegalLocation")
    if status >= 500:
        assert sent > 1
    elif hinted or code == "RequestTimeout" or (ask == "head" and status == 400):
        assert sent <= 2
    else:
        assert sent == 1
    for debug in ("Debug source", "Error>", "Generic", "performing", "http:"):
        assert debug not in shown
    if ask == "head":  # has no body, so there is nothing but the status
        return
    redirected = status in (301, 307)  # obstore keeps the status only
    assert isinstance(caught.value, kind), caught.value
    assert advice in shown
    if code not in ("NoSuchKey", "NoSuchBucket", "PreconditionFailed") and not redirected:
        assert code in shown
        assert message in shown or code.isdecimal()
