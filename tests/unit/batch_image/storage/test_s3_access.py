"""Buckets of others: requester pays, no credentials, access points."""

from __future__ import annotations

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

import pytest

from wordfreq_batch.plans.plan import Location
from wordfreq_batch.storage.opening import open_store
from wordfreq_batch.storage.store import split_uri

ASKED: list[tuple[str, dict[str, str]]] = []

Serve = Callable[[type[BaseHTTPRequestHandler]], None]


class Open(BaseHTTPRequestHandler):
    """Answers a listing, and any object with some words; remembers the headers."""

    def do_GET(self) -> None:
        ASKED.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        listing = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
        body = listing if "list-type" in self.path else b"words"
        self.send_response(200)
        self.send_header("ETag", '"e"')
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(serve: Serve) -> None:
    ASKED.clear()
    serve(Open)


def _ask(bucket: str) -> None:
    store = open_store(f"s3://{bucket}")
    assert list(store.list()) == []
    for key in ("a.txt", "odd//a.txt"):
        assert store.get(key) == b"words"
        with store.open(key) as reader:
            assert b"".join(reader) == b"words"


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("payer", ["requester", ""])
def test_the_requester_pays_if_it_says_so(payer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REQUEST_PAYER", payer)
    _ask("bucket")
    assert len(ASKED) == 5
    for _, headers in ASKED:
        assert headers.get("x-amz-request-payer") == (payer or None)
        assert "authorization" in headers


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    ("value", "signed"), [("YES", False), ("other,public", False), ("other", True), ("", True)]
)
def test_a_public_bucket_is_read_without_credentials(
    value: str, signed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_NO_SIGN_REQUEST", value)
    if value == "YES":
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    _ask("public")
    assert len(ASKED) == 5
    assert all(("authorization" in headers) == signed for _, headers in ASKED)


POINT = "arn:aws:s3:eu-central-1:123456789012:accesspoint/mine"


@pytest.mark.parametrize(
    ("uri", "bucket", "key"),
    [
        (f"s3://{POINT}/in/a.txt", POINT, "in/a.txt"),
        (f"s3://{POINT}", POINT, ""),
        (f"s3://{POINT.replace('t/m', 't:m')}/a", POINT.replace("t/m", "t:m"), "a"),
        (
            "s3://arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-1/accesspoint/mine/a",
            "arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-1/accesspoint/mine",
            "a",
        ),
    ],
)
def test_the_arn_of_an_access_point_stands_for_a_bucket(uri: str, bucket: str, key: str) -> None:
    assert split_uri(uri) == (f"s3://{bucket}/", key)
    assert Location.parse(uri) == (bucket, key)
    assert Location.parse(Location.parse(uri).uri) == (bucket, key)


@pytest.mark.parametrize(
    ("environment", "region"),
    [
        ({"AWS_REGION": "eu-west-3"}, "eu-west-3"),
        ({"AWS_REGION": "eu-west-3", "AWS_DEFAULT_REGION": "sa-east-1"}, "sa-east-1"),
        ({}, "us-east-1"),
    ],
)
def test_the_region_is_that_of_the_environment(
    environment: dict[str, str], region: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/none")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert open_store("s3://bucket")._client.meta.region_name == region  # type: ignore[attr-defined]


def test_an_access_point_is_asked_by_its_own_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    store = open_store(f"s3://{POINT}/in")
    asked = []

    class AnswerError(Exception):
        pass

    def seen(request: object, **_: object) -> None:
        asked.append(request.url)  # type: ignore[attr-defined]
        raise AnswerError

    store._client.meta.events.register("before-send.s3", seen)  # type: ignore[attr-defined]
    for ask in (lambda: list(store.list()), lambda: store.get("a.txt")):
        with pytest.raises(AnswerError):
            ask()
    host = "https://mine-123456789012.s3-accesspoint.eu-central-1.amazonaws.com/"
    assert [url[: len(host)] for url in asked] == [host, host]
    assert asked[1] == f"{host}in/a.txt"
