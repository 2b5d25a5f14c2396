"""S3's own code and sentence reach the user, whichever client has asked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from wordfreq_batch.errors import InputError, PermissionDeniedError, StorageError, WordfreqError
from wordfreq_batch.storage.opening import open_store

ANSWERS = [
    (403, "AccessDenied", "not authorized to perform: kms:Decrypt", PermissionDeniedError),
    (403, "RequestTimeTooSkewed", "The difference is too large.", StorageError),
    (403, "InvalidObjectState", "The operation is not valid.", InputError),
    (400, "ExpiredToken", "The provided token has expired.", PermissionDeniedError),
    (400, "InvalidToken", "The provided token is malformed.", PermissionDeniedError),
    (400, "KMS.DisabledException", "The key is disabled.", StorageError),
]


class Refusing(BaseHTTPRequestHandler):
    """A server that answers everything with the error of its bucket."""

    def do_GET(self) -> None:
        status, code, message, _ = ANSWERS[int(self.path.split("/")[1][6:].partition("?")[0])]
        body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    yield
    server.shutdown()
    server.server_close()


@pytest.mark.usefixtures("refusing")
@pytest.mark.parametrize("key", ["a.txt", "odd//a.txt"], ids=["obstore", "botocore"])
@pytest.mark.parametrize("number", range(len(ANSWERS)), ids=[answer[1] for answer in ANSWERS])
def test_the_reason_is_shown(number: int, key: str) -> None:
    _, code, message, kind = ANSWERS[number]
    with pytest.raises(WordfreqError) as caught:
        open_store(f"s3://bucket{number}").get(key)
    shown = str(caught.value)
    assert isinstance(caught.value, kind), caught.value
    assert code in shown
    assert message in shown
    assert "Debug source" not in shown
    assert "Error>" not in shown
