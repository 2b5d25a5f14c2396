"""Many keys are deleted by one request; what is wrong with one of them doesn't keep the others."""

from __future__ import annotations

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import pytest

from wordfreq_batch.errors import StorageError
from wordfreq_batch.storage.opening import open_store

DELETED: list[list[str]] = []  # by each request

Serve = Callable[[type[BaseHTTPRequestHandler]], None]


class Bucket(BaseHTTPRequestHandler):
    """Deletes all but keys with `locked`, and reads XML as it is defined."""

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            keys = [each.text or "" for each in ET.fromstring(text).iter() if "Key" in each.tag]
        except ET.ParseError:
            self._answer(400, "<Error><Code>MalformedXML</Code></Error>")
            return
        DELETED.append([key for key in keys if "locked" not in key])
        refused = "".join(
            f"<Error><Key>{key}</Key><Code>AccessDenied</Code><Message>locked</Message></Error>"
            for key in keys
            if "locked" in key
        )
        self._answer(200, f"<DeleteResult>{refused}</DeleteResult>")

    def do_DELETE(self) -> None:
        DELETED.append([unquote(self.path).removeprefix("/bucket/")])
        self._answer(204, "")

    def _answer(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(autouse=True)
def server(serve: Serve) -> None:
    DELETED.clear()
    serve(Bucket)


@pytest.mark.parametrize("odd", ["\x01", "\x0b", "\x1f", "\ufffe", "\uffff"])
def test_a_key_that_xml_cannot_hold_is_deleted_by_itself(odd: str) -> None:
    open_store("s3://bucket/in").delete(["a", f"b{odd}", "c", "tab\t"])
    together, alone = DELETED
    assert together == ["in/a", "in/c", "in/tab\t"]
    assert alone == [f"in/b{odd}"]


def test_keys_that_may_not_be_deleted_keep_no_others() -> None:
    keys = [f"{number:04}" for number in range(2500)]
    with pytest.raises(StorageError, match=r"s3://bucket/locked1 and 2 more objects: could not be"):
        open_store("s3://bucket").delete(["locked1", *keys, "locked2", "locked3", "z\x01"])
    assert [key for some in DELETED for key in some] == [*keys, "z\x01"]
