"""HTTP as clients speak it, well and badly: hosts, bodies, sizes, slow and half requests."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
import urllib.request
from typing import Any

import pytest

from aws_batch_emulator import EmbeddedBatch
from aws_batch_emulator._http import server as http_server

SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=local"}
HEAD = "POST /v1/describejobqueues HTTP/1.1\r\nHost: localhost\r\n" + (
    "Authorization: AWS4-HMAC-SHA256 x\r\n"
)


def call(
    emulator: EmbeddedBatch,
    headers: dict[str, str],
    body: Any = "{}",
    *,
    path: str = "/v1/describejobqueues",
    method: str = "POST",
) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", emulator.port, timeout=30)
    connection.request(method, path, body=body, headers={**SIGNED, **headers})
    answer = connection.getresponse()
    data = answer.read()
    return answer.status, json.loads(data) if data else {}


def send(emulator: EmbeddedBatch, data: bytes) -> bytes:
    """Send bytes, say that no more will come, and return all that comes back."""
    with socket.create_connection(("127.0.0.1", emulator.port), timeout=30) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(65_536):
            answer += piece
        return answer


@pytest.mark.parametrize(
    "host", ["LOCALHOST:1", "localhost.", "127.0.0.2", "[::1]:80", "batch.localhost"]
)
def test_all_names_of_the_loopback_are_answered(bench: Any, host: str) -> None:
    assert call(bench.emulator, {"Host": host})[0] == 200


def test_another_host_is_refused_with_what_to_do(bench: Any) -> None:
    status, document = call(bench.emulator, {"Host": "host.docker.internal:8642"})
    assert (status, document["__type"]) == (403, "AccessDeniedException")
    assert "--allow-host host.docker.internal" in document["message"]
    foreign = "http://evil.example/v1/describejobqueues"
    assert call(bench.emulator, {"Host": "localhost"}, path=foreign)[0] == 403


def test_a_name_can_be_allowed_and_an_address_bound() -> None:
    with EmbeddedBatch(bind="127.0.0.3", allow_hosts=["Batch.example"]) as emulator:
        assert emulator.url == f"http://127.0.0.3:{emulator.port}"
        request = urllib.request.Request(
            f"{emulator.url}/_emulator/health", headers={"Host": "batch.EXAMPLE.:8642"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200
    with EmbeddedBatch(bind="0.0.0.0") as emulator:
        assert emulator.url.startswith("http://127.0.0.1:")
        assert call(emulator, {"Host": "localhost"})[0] == 200


def test_two_hosts_are_none(bench: Any) -> None:
    answer = send(bench.emulator, HEAD.encode() + b"Host: localhost\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_a_chunked_body_is_read(bench: Any) -> None:
    body = json.dumps({"jobQueues": ["nowhere"]}).encode()
    status, document = call(bench.emulator, {}, iter([body[:5], body[5:]]))
    assert (status, document) == (200, {"jobQueues": []})


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ("Transfer-Encoding: chunked\r\n", "zz\r\n{}\r\n0\r\n\r\n", 400),
        ("Transfer-Encoding: chunked\r\n", "2\r\n{}", 400),
        ("Transfer-Encoding: chunked\r\n", "-2\r\n{}\r\n0\r\n\r\n", 400),
        ("Transfer-Encoding: chunked\r\n", "fffffff\r\n{}\r\n0\r\n\r\n", 413),
        ("Transfer-Encoding: chunked\r\nContent-Length: 2\r\n", "2\r\n{}\r\n0\r\n\r\n", 400),
        ("Transfer-Encoding: gzip\r\n", "x", 501),
        ("Content-Length: -1\r\n", "{}", 400),
        ("Content-Length: two\r\n", "{}", 400),
        ("Content-Length: " + "9" * 5_000 + "\r\n", "{}", 400),
        ("Content-Length: 20\r\n", "{}", 400),
    ],
)
def test_a_body_that_is_none_is_refused_once(
    bench: Any, headers: str, body: str, status: int
) -> None:
    answer = send(bench.emulator, f"{HEAD}{headers}\r\n{body}".encode())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert answer.count(b"HTTP/1.1 ") == 1, "the body was taken for a second request"
    json.loads(answer.partition(b"\r\n\r\n")[2])
    assert "DescribeJobQueues" not in bench.emulator.calls


def test_a_post_of_http_1_0_needs_its_length(bench: Any) -> None:
    head = HEAD.replace("HTTP/1.1", "HTTP/1.0")
    assert send(bench.emulator, f"{head}\r\n".encode()).split(b" ", 2)[1] == b"411"


def test_a_body_that_is_too_long_is_answered_after_it_was_sent(bench: Any) -> None:
    status, document = call(bench.emulator, {}, b"x" * (http_server.MAX_BODY + 1))
    assert (status, document["__type"]) == (413, "RequestEntityTooLargeException")


def test_what_is_no_request_gets_json(bench: Any) -> None:
    answer = send(bench.emulator, b"GET / HTTP/1.1 and more\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert "Bad request" in json.loads(answer.partition(b"\r\n\r\n")[2])["message"]
    assert call(bench.emulator, {}, method="PUT")[0] == 404
    assert call(bench.emulator, {}, method="HEAD", path="/_emulator/health")[0] == 200


def test_a_slow_client_is_cut_off(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "REQUEST_SECONDS", 0.5)
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", bench.emulator.port), timeout=30) as connection:
        connection.sendall(HEAD.encode())

        def dribble() -> None:
            try:
                for _ in range(600):
                    connection.sendall(b"a")
                    time.sleep(0.05)
            except OSError:
                pass

        thread = threading.Thread(target=dribble)
        thread.start()
        assert connection.recv(1) == b""
        took = time.monotonic() - begun
        thread.join()
    assert took < 25, "it was cut off only when it stopped to send"
    assert call(bench.emulator, {})[0] == 200


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("faults", [5]),
        ("faults", [{"fault": "slow", "seconds": "x"}]),
        ("faults", [{"fault": "slow", "operation": 3}]),
        ("faults", 7),
        ("settings", [5]),
        ("settings", {"images": {"x": 5}}),
        ("settings", {"images": {"x": [5]}}),
        ("settings", {"environment": {"AWS_X": 1}}),
    ],
)
def test_nonsense_for_the_emulator_itself_is_answered(
    tmp_path: Any, name: str, document: object
) -> None:
    from aws_batch_emulator import SubprocessRunner

    with EmbeddedBatch(state=tmp_path, runner=SubprocessRunner({})) as emulator:
        headers = {"X-Batch-Emulator": "1"}
        body = json.dumps(document)
        status, answer = call(emulator, headers, body, path=f"/_emulator/{name}")
        assert (status, bool(answer["message"])) == (400, True)
        assert call(emulator, {}, path="/_emulator/health", method="GET")[1]["images"] == {}


def test_a_failure_below_the_emulators_own_addresses_is_answered_and_logged(
    bench: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(bench.emulator.engine, "find", lambda _: 1 / 0)
    status, document = call(bench.emulator, {}, path="/_emulator/jobs/x", method="GET")
    assert (status, "traceback" in document["message"]) == (500, True)
    assert "ZeroDivisionError" in caplog.text


def test_who_may_change_something_is_said_as_it_is(tmp_path: Any) -> None:
    path = "/_emulator/shutdown"
    for state, token, said in (
        (None, None, "the header X-Batch-Emulator with any value."),
        (tmp_path, "secret", "the token in <state>/endpoint.json."),
        (None, "secret", "start it with --state"),
    ):
        emulator = EmbeddedBatch(state=state)
        emulator.admin_token = token
        with emulator:
            status, answer = call(emulator, {}, path=path)
            assert status == 403
            assert said in answer["message"]


def test_unsigned_requests_are_refused_as_a_web_page_would_send_them(bench: Any) -> None:
    status, document = call(bench.emulator, {"Authorization": ""}, path="/v1/listjobs")
    assert (status, document["message"]) == (403, "Missing Authentication Token")


def test_unknown_addresses_and_bodies_are_reported(bench: Any) -> None:
    status, document = call(bench.emulator, {}, path="/v1/dance")
    assert (status, document["__type"]) == (404, "UnknownOperationException")
    status, document = call(bench.emulator, {}, "not json", path="/v1/listjobs")
    assert (status, document["__type"]) == (400, "SerializationException")
    status, document = call(bench.emulator, {}, path="/_emulator/dance", method="GET")
    assert status == 404
    assert "GET /_emulator/health" in document["message"]


def test_health_counts_jobs_by_status(bench: Any) -> None:
    bench.submit()
    with urllib.request.urlopen(f"{bench.emulator.url}/_emulator/health", timeout=10) as answer:
        health = json.load(answer)
    assert (health["status"], health["jobs"]) == ("ok", {"SUBMITTED": 1})
