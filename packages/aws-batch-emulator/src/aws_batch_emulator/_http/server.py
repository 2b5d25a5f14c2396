"""The HTTP server: one loopback port for Batch, CloudWatch Logs and the emulator's addresses.

HTTP/1.1 with keep-alive, one thread per connection. Requests must carry an AWS signature header
and a loopback Host (it is not verified): so a web page open in a browser can't submit jobs to this
machine.
"""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

from aws_batch_emulator._http.wire import Answer

Handle = Callable[[str, str, Mapping[str, str], bytes], "Answer | None"]
"""(method, target, headers, body) -> answer; None closes the connection without one."""

MAX_BODY = 4 * 1024 * 1024
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class Server:
    """Serves `handle` on a loopback port in background threads from construction to `close`."""

    def __init__(self, handle: Handle, *, port: int = 0) -> None:
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        outer = self

        class Handler(_Handler):
            server_handle = staticmethod(handle)

            def setup(self) -> None:
                with outer._lock:
                    outer._connections.add(self.request)
                super().setup()

            def finish(self) -> None:
                with outer._lock:
                    outer._connections.discard(self.request)
                super().finish()

        self._http = _HttpServer(("127.0.0.1", port), Handler)
        self.port: int = self._http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(
            target=self._http.serve_forever,
            kwargs={"poll_interval": 0.05},
            name="batch-http",
            daemon=True,
        )
        self._thread.start()

    def close(self) -> None:
        """Stop answering; open connections are cut, as when a process ends."""
        self._http.shutdown()
        self._http.server_close()
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the client was first
        self._thread.join(timeout=5)


class _HttpServer(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that goes away is no event."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 300
    server_handle: Handle

    def _serve(self) -> None:
        host = (self.headers.get("Host") or "").rpartition(":")[0] or self.headers.get("Host", "")
        length = self.headers.get("Content-Length", "0")
        if host not in _LOOPBACK or not length.isdecimal() or int(length) > MAX_BODY:
            self.close_connection = True
            self._send(Answer(403, b'{"message":"refused"}', {"Content-Type": "application/json"}))
            return
        body = self.rfile.read(int(length))
        answer = type(self).server_handle(self.command, self.path, self.headers, body)  # type: ignore[arg-type]
        if answer is None:
            self.close_connection = True
            self.connection.close()
            return
        self._send(answer)

    do_GET = do_POST = do_DELETE = _serve  # noqa: N815

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for key, value in answer.headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(answer.body)))
        # Head and body in one packet.
        self._headers_buffer.append(b"\r\n" + answer.body)  # type: ignore[attr-defined]
        self.flush_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet: the emulator counts calls itself."""
