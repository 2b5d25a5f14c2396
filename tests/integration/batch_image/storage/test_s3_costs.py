"""What a task costs on S3: clients made, and requests as the server sees them."""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import botocore.session
import pytest

from wordfreq_batch.counts.migrate import run_task
from wordfreq_batch.job import JobInfo
from wordfreq_batch.plans.plan_store import write_plan
from wordfreq_batch.plans.planning import build_plan
from wordfreq_batch.storage import s3_clients
from wordfreq_batch.storage.opening import open_store
from wordfreq_batch.text.words import COUNTER_VERSION

FILES = 40

pytestmark = pytest.mark.s3


@pytest.fixture
def requests(s3_server, monkeypatch) -> Iterator[list[str]]:
    """Method and path of each request, which go to the real server by a proxy from now on."""
    seen: list[str] = []
    server = urlsplit(s3_server.url).netloc

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_request(self) -> None:
            seen.append(f"{self.command} {self.path}")
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            connection = http.client.HTTPConnection(server)
            connection.putrequest(
                self.command, self.path, skip_host=True, skip_accept_encoding=True
            )
            for name, value in self.headers.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            content = answer.read()
            self.send_response_only(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                    self.send_header(name, value)
            length = answer.getheader("Content-Length") if self.command == "HEAD" else len(content)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(content)
            connection.close()

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = handle_request

        def log_message(self, *_: object) -> None:
            pass

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    thread = threading.Thread(target=proxy.serve_forever, daemon=True)
    thread.start()
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.server_port}")
    yield seen
    proxy.shutdown()
    proxy.server_close()
    thread.join()


@pytest.fixture
def clients(monkeypatch) -> list[str]:
    """What each client was made for, from now on."""
    made: list[str] = []
    create, fast = botocore.session.Session.create_client, s3_clients.ObstoreS3

    def create_client(session, service, *arguments, **options):
        made.append(f"botocore {service}")
        return create(session, service, *arguments, **options)

    def obstore_client(bucket, **options):
        made.append(f"obstore {bucket}")
        return fast(bucket, **options)

    monkeypatch.setattr(s3_clients, "_made", {})  # those of other tests
    monkeypatch.setattr(botocore.session.Session, "create_client", create_client)
    monkeypatch.setattr(s3_clients, "ObstoreS3", obstore_client)
    return made


def test_a_task_makes_one_client_of_each_kind_and_asks_for_nothing_twice(
    s3_server, requests, clients
) -> None:
    bucket = s3_server.bucket()
    clients.clear()  # the server's own
    source = open_store(f"s3://{bucket}/in")
    for number in range(FILES):
        source.put(f"{number}.txt", b"some words and more words")
    plan = build_plan(
        source=f"s3://{bucket}/in",
        destination=f"s3://{bucket}/out",
        plan=f"s3://{bucket}/plans/p.json",
        counter_version=COUNTER_VERSION,
        pack=1 << 30,
    )
    write_plan(plan)
    requests.clear()
    run = partial(run_task, plan.head.plan.uri, 0, memory=1 << 28, threads=1, progress=print)
    outcome = run(job=JobInfo("job", 1, "token"))
    assert outcome.receipt is not None
    assert outcome.receipt.exit_code == 0
    assert sorted(clients) == ["botocore s3", f"obstore {bucket}"]  # the plan's included
    asked = Counter(
        (request.split()[0], request.split("?")[0].split(f"/{bucket}/")[1].split("/")[0])
        for request in requests
    )
    assert asked == {
        ("GET", "plans"): 3,  # the plan's head, the task's slice, and whether there is a receipt
        ("PUT", "plans"): 2,  # lease and receipt
        ("GET", "in"): FILES,
        ("PUT", "out"): FILES + 2,  # counts, partial and ledger
    }
    requests.clear()
    assert run(job=JobInfo("job", 2, "token")).earlier
    assert len(requests) == 5  # the holder of the lease is asked for
    assert len(clients) == 2


def test_another_environment_gets_clients_of_its_own(s3_server, requests, clients, monkeypatch):
    bucket = s3_server.bucket()
    clients.clear()  # the server's own
    open_store(f"s3://{bucket}/").put("a", b"1")
    assert len(clients) == 2
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.url)
    requests.clear()
    assert open_store(f"s3://{bucket}/").get("a") == b"1"
    assert not requests
    assert len(clients) == 4
