"""The HTTP server: one port for Batch, CloudWatch Logs and the emulator's addresses.

HTTP/1.1 with keep-alive, one thread per connection. Requests must name an allowed host; with what
`handle` demands of their headers, a web page open in a browser can't submit jobs to this machine.
"""

from __future__ import annotations

import http.server
import io
import ipaddress
import json
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from aws_batch_emulator._http.wire import Answer

logger = logging.getLogger(__name__)

Handle = Callable[[str, str, Mapping[str, str], bytes], "Answer | None"]
"""(method, target, headers, body) -> answer; None closes the connection without one."""

LOOPBACK = "127.0.0.1"
MAX_BODY = 4 * 1024 * 1024
DRAINED = 64 * 1024 * 1024
LINGER_SECONDS = 2.0
"""So much of what is refused is read, and no longer silence waited for."""
REQUEST_SECONDS = 60.0
"""From the first byte of a request to its last."""
IDLE_SECONDS = 300.0
"""For how long a connection may wait for its next request."""


class Server:
    """Listens from construction on, and answers by `handle` in threads from `start` to `close`.

    `bind` is the address to listen on; `hosts` are the names, besides those of the loopback and
    `bind` itself, by which requests may name this server.
    """

    def __init__(
        self,
        handle: Handle,
        *,
        port: int = 0,
        bind: str = LOOPBACK,
        hosts: Collection[str] = (),
    ) -> None:
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        outer, allowed = self, tuple(hosts)

        class Handler(_Handler):
            server_handle = staticmethod(handle)
            hosts = frozenset(_host(name) for name in (*allowed, bind))

            def setup(self) -> None:
                with outer._lock:
                    outer._connections.add(self.request)
                super().setup()

            def finish(self) -> None:
                with outer._lock:
                    outer._connections.discard(self.request)
                super().finish()

        self._http = _HttpServer((bind, port), Handler)
        self.port: int = self._http.server_address[1]
        reached = LOOPBACK if ipaddress.ip_address(bind).is_unspecified else bind
        self.url = f"http://{reached}:{self.port}"
        self._thread = threading.Thread(
            target=self._http.serve_forever,
            kwargs={"poll_interval": 0.05},
            name="batch-http",
            daemon=True,
        )

    def start(self) -> None:
        """Begin to answer; who has connected before has waited."""
        self._thread.start()

    def close(self) -> None:
        """Stop answering; open connections are cut, as when a process ends."""
        if self._thread.ident is not None:
            self._http.shutdown()
            self._thread.join(timeout=5)
        self._http.server_close()
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the client was first


class _HttpServer(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Log what should not happen; a client that goes away is no event."""
        if not isinstance(sys.exc_info()[1], OSError):
            logger.exception("The Batch emulator failed to answer %s", client_address)


class _RefusedError(Exception):
    """A request that is answered without being handled; the connection is closed."""

    def __init__(self, message: str, status: int = 400, code: str = "BadRequest") -> None:
        super().__init__(message)
        body = json.dumps({"__type": code, "message": message}).encode()
        self.answer = Answer(
            status, body, {"Content-Type": "application/json", "x-amzn-ErrorType": code}
        )


class _Timed(io.RawIOBase):
    """What a connection sends, within `REQUEST_SECONDS` from the first byte of each request."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._until: float | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        wait = IDLE_SECONDS if self._until is None else self._until - time.monotonic()
        if wait <= 0:
            raise TimeoutError("the request took too long")
        self._connection.settimeout(wait)
        count = self._connection.recv_into(buffer)
        if self._until is None:
            self._until = time.monotonic() + REQUEST_SECONDS
        return count

    def request_is_complete(self) -> None:
        """Start the clock anew; answers may take as long as idle connections may wait."""
        self._until = None
        self._connection.settimeout(IDLE_SECONDS)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = IDLE_SECONDS
    server_handle: Handle
    hosts: frozenset[str]

    def setup(self) -> None:
        super().setup()
        self._timed = _Timed(self.connection)
        self.rfile = io.BufferedReader(self._timed)

    def _serve(self) -> None:
        try:
            self._check_host()
            body = self._body()
        except _RefusedError as refused:
            self._refuse(refused)
            return
        self._timed.request_is_complete()
        answer = type(self).server_handle(self.command, self.path, self.headers, body)  # type: ignore[arg-type]
        if answer is None:
            self.close_connection = True
            self.connection.close()
            return
        self._send(answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _serve  # noqa: N815

    def _check_host(self) -> None:
        given = self.headers.get_all("Host") or []
        if len(given) != 1:
            raise _RefusedError(f"A request has one Host, not {len(given)}.")
        target = urlsplit(self.path)
        for netloc in (given[0], target.netloc):
            name = _host(urlsplit(f"//{netloc}").hostname or "")
            if netloc and not _is_loopback(name) and name not in self.hosts:
                raise _RefusedError(
                    f"The Batch emulator does not answer requests for the host {name}, so that no "
                    f"web page can reach it. If that is its name, start it with "
                    f"--allow-host {name}.",
                    403,
                    "AccessDeniedException",
                )

    def _body(self) -> bytes:
        encoding = self.headers.get("Transfer-Encoding")
        length = self.headers.get("Content-Length")
        if encoding is not None:
            if encoding.strip().lower() != "chunked":
                text = f"Transfer-Encoding {encoding} is unknown."
                raise _RefusedError(text, 501, "NotImplemented")
            if length is not None:
                raise _RefusedError("Content-Length and Transfer-Encoding together.")
            return self._chunks()
        if length is None:
            if self.command == "POST" and self.request_version == "HTTP/1.0":
                text = "The request needs a Content-Length."
                raise _RefusedError(text, 411, "MissingContentLength")
            return b""
        if not (length.isascii() and length.isdecimal()) or len(length) > 18:
            raise _RefusedError(f"The Content-Length {length[:40]} is no length.")
        if int(length) > MAX_BODY:
            raise _too_long()
        return self._exactly(int(length))

    def _chunks(self) -> bytes:
        body = bytearray()
        while True:
            line = self.rfile.readline(1_024)
            size = line.partition(b";")[0].strip()
            try:
                length = int(size, 16) if size.isalnum() and len(size) <= 15 else -1
            except ValueError:
                length = -1
            if length < 0 or not line.endswith(b"\n"):
                raise _RefusedError("The chunked body is malformed.")
            if length == 0:
                break
            if len(body) + length > MAX_BODY:
                raise _too_long()
            body += self._exactly(length)
            if self.rfile.readline(3).strip():
                raise _RefusedError("The chunked body is malformed.")
        while self.rfile.readline(65_537).strip():  # trailers
            pass
        return bytes(body)

    def _exactly(self, length: int) -> bytes:
        body = self.rfile.read(length)
        if len(body) < length:
            # The client is gone or was cut off: what it did not finish is not done.
            raise _RefusedError(f"{len(body)} of {length} bytes of the body came.")
        return body

    def _refuse(self, refused: _RefusedError) -> None:
        """Answer and close, once the client has sent what it was sending: else the answer is lost.

        (Closing with bytes unread resets the connection, RFC 9112, 9.6.)
        """
        self.close_connection = True
        self._send(refused.answer)
        self.connection.shutdown(socket.SHUT_WR)
        self.connection.settimeout(LINGER_SECONDS)
        left = DRAINED
        while left > 0 and (piece := self.connection.recv(65_536)):
            left -= len(piece)

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for key, value in answer.headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(answer.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        # Head and body in one packet.
        body = b"" if self.command == "HEAD" else answer.body
        self._headers_buffer.append(b"\r\n" + body)  # type: ignore[attr-defined]
        self.flush_headers()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Answer what is no request at all, as the base class found."""
        self.request_version = self.protocol_version  # not yet known where the first line is bad
        self._refuse(_RefusedError(message or "no HTTP request", code))

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet: the emulator counts calls itself."""


def _too_long() -> _RefusedError:
    text = f"The body is longer than {MAX_BODY:,} bytes."
    return _RefusedError(text, 413, "RequestEntityTooLargeException")


def _host(name: str) -> str:
    """The name as host names are compared: without case and without the root's dot."""
    return name.lower().removesuffix(".")


def _is_loopback(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
