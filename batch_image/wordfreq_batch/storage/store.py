"""Buckets and folders behind one interface: list, read, write and delete objects by key.

Anybody may call this: the commands of this package and the orchestrator alike. A `Store` is one
S3 bucket or one local folder, with a prefix that all keys are relative to. Keys are S3's, all of
them; what a local folder can't hold (`a//b`, a trailing `/`) is refused by name.

URIs: `s3://bucket/prefix` (everything after `bucket/` is the key, taken literally: no
percent-decoding, no collapsing of `..`; the ARN of an access point may stand for the bucket),
`file:///dir` (percent-encoded, as RFC 8089 has it), or a plain path.
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple, Protocol
from urllib.parse import quote_from_bytes, unquote_to_bytes

from wordfreq_batch.errors import (
    UsageError,
    WordfreqError,
)

if TYPE_CHECKING:
    from concurrent.futures import Future

AT_ONCE: Final = 32
"""Small objects that are read at a time."""

_COPIED: Final = 8 << 20  # bytes of a file uploaded at a time

LOCAL_BUCKET = "file:///"
"""What stands for the bucket where a local path is split into bucket and key."""


class Unreadable(NamedTuple):
    """Why a listing already says that something can't be read: the kind, and the whole reason."""

    kind: str
    reason: str


class ObjectInfo(NamedTuple):
    """One object of a store.

    `key` is relative to the store; `size` is in bytes; `etag` is unquoted and changes whenever
    the bytes do; `last_modified` is in UTC. What its metadata say of the content is known of an
    opened object only; `unreadable` of a listed one.
    """

    key: str
    size: int
    etag: str
    last_modified: datetime
    content_type: str = ""
    content_encoding: str = ""
    unreadable: Unreadable | None = None


class ByteReader(Protocol):
    """An opened object: iterate it once, in chunks of about 1 to 8 MiB."""

    @property
    def info(self) -> ObjectInfo:
        """Size and ETag of what is being read."""
        ...

    def __iter__(self) -> Iterator[bytes]: ...


class ByteWriter(Protocol):
    """An object being written; it appears, whole, when its context ends without an error."""

    def write(self, data: bytes, /) -> int:
        """Append `data`; returns its length."""
        ...

    @property
    def etag(self) -> str:
        """The ETag of the finished object; known once the context has ended."""
        ...


class Store(ABC):
    """One bucket or one local root folder with a prefix. Instances are safe to share by threads."""

    uri: str
    """`s3://bucket/prefix/` or `file:///abs/dir/`; always ends with `/`."""

    concurrency: ClassVar[int] = 1
    """How many requests it takes at a time to be busy: more than one if they have to travel."""

    @abstractmethod
    def list(
        self, prefix: str = "", *, start_after: str = "", all_of_it: bool = True
    ) -> Iterator[ObjectInfo]:
        """Yield every object whose key starts with `prefix`, all pages, in the server's order.

        With `start_after` only the keys behind it in that order; it needn't exist any more. So a
        listing can be taken up again where an earlier one stopped.

        AWS and local folders list in key order (UTF-8 binary). Folder markers (keys ending with
        `/`) are yielded: the caller decides. In a folder, symbolic links are followed, loops are
        not; what is neither a file nor a folder is left out. Without `all_of_it` a folder that
        can't be read is yielded as such, in place of an error, and links to what is listed anyway
        are, in place of what they lead to.

        Raises:
            NotFoundError: the bucket or the local root folder doesn't exist.
        """

    @abstractmethod
    def head(self, key: str) -> ObjectInfo:
        """Say size and ETag of `key`, or raise `NotFoundError`."""

    @abstractmethod
    def get(self, key: str, *, etag: str | None = None) -> bytes:
        """Return the whole object; for small ones. With `etag`: as in `open`."""

    @abstractmethod
    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Return up to `length` bytes from byte `start` on; fewer where the object ends."""

    @abstractmethod
    def open(
        self, key: str, *, etag: str | None = None, ranges: int = 1
    ) -> AbstractContextManager[ByteReader]:
        """Open for streaming.

        `ranges` of a large object may be on their way at once, which takes 8 MiB of memory each.

        Raises:
            NotFoundError: there is no such object.
            ChangedError: `etag` was given and the object's is another, now or while being read.
        """

    @abstractmethod
    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> str:
        """Write a small object atomically and return its ETag.

        Raises:
            AlreadyExistsError: `if_absent` was asked for and the object exists.
        """

    @abstractmethod
    def writer(self, key: str) -> AbstractContextManager[ByteWriter]:
        """Write an object of any size in bounded memory; an exception leaves nothing behind."""

    @abstractmethod
    def delete(self, keys: Iterable[str]) -> None:
        """Delete the objects; one that isn't there is no error."""

    def upload(self, key: str, path: Path) -> None:
        """Write a file of this machine as the object."""
        with self.writer(key) as writer, path.open("rb") as file:
            while chunk := file.read(_COPIED):
                writer.write(chunk)

    def url(self, key: str) -> str:
        """The full URI of `key`, for messages and for `open_store`."""
        return self.uri + key

    def get_many(
        self, keys: Iterable[str], *, etags: Mapping[str, str] | None = None
    ) -> Iterator[tuple[str, bytes | WordfreqError]]:
        """Read many small objects, `AT_ONCE` of them at a time, and yield each as it arrives.

        `keys` is consumed only as fast as the results are taken, so no more objects are in memory.
        An object that can't be read yields its error in place of its bytes. Where `etags` names a
        key, its object must have that ETag (`ChangedError`).
        """

        from concurrent.futures import ThreadPoolExecutor  # imports `logging`

        def fetch(key: str) -> bytes | WordfreqError:
            try:
                return self.get(key, etag=etags.get(key) if etags else None)
            except WordfreqError as error:
                return error

        source = iter(keys)
        pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="wordfreq-get")
        running: dict[Future[bytes | WordfreqError], str] = {}
        arrived: SimpleQueue[Future[bytes | WordfreqError]] = SimpleQueue()
        try:
            while True:
                while len(running) < AT_ONCE and (key := next(source, None)) is not None:
                    future = pool.submit(fetch, key)
                    running[future] = key
                    # Not `concurrent.futures.wait`, which asks all of them each time.
                    future.add_done_callback(arrived.put)
                if not running:
                    return
                future = arrived.get()
                yield running.pop(future), future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


# A path may hold anything, but what begins like this was meant for a bucket: a folder made of it
# would hold the results in a container that is gone a minute later.
_MISTYPED: Final = re.compile(r"(?:s3[an]?|file|gs|https?|ftp):|arn:|s3//", re.IGNORECASE)


# S3 user guide, "Access points": what stands for a bucket, with a slash (or a colon) of its own.
_ACCESS_POINT: Final = re.compile(
    r"arn:[^/:]+:s3[^/:]*:[^/:]*:[^/:]*:(?:accesspoint|outpost[/:][^/:]+[/:]accesspoint)[/:][^/:]+(?:/|$)"
)


def split_uri(uri: str) -> tuple[str, str]:
    """Split a URI into its container and key: `('s3://bucket/', 'a/b')` or `('file:///', 'tmp/x')`.

    The key is literal: for local paths it is the absolute path without its leading `/` and
    without percent-encoding. A trailing `/` is kept.

    Raises:
        UsageError: no bucket, an unknown scheme, or nothing at all.
    """
    if not uri.strip():
        raise UsageError("an empty location was given: name s3://bucket/prefix or a folder")
    scheme, separator, rest = uri.partition("://")
    scheme = scheme.lower()
    if separator and scheme == "s3":
        point = _ACCESS_POINT.match(rest)
        bucket, _, key = (
            (point[0].rstrip("/"), "", rest[point.end() :]) if point else rest.partition("/")
        )
        if not bucket:
            raise UsageError(f"{uri}: no bucket is named; write s3://bucket/prefix")
        return f"s3://{bucket}/", key
    if separator and scheme == "file":
        host, _, path = rest.partition("/")
        if host not in ("", "localhost"):
            raise UsageError(f"{uri}: write file:///{rest} (three slashes) or a plain path")
        local = os.fsdecode(unquote_to_bytes("/" + path))
    elif separator and scheme.isalnum() and "/" not in scheme:
        raise UsageError(f"{uri}: unknown scheme {scheme}://; use s3://, file:/// or a plain path")
    elif mistake := _MISTYPED.match(uri):
        raise UsageError(
            f"{uri}: {mistake[0]} begins no location; write s3://bucket/prefix, file:///folder, "
            f"or ./{uri} for a folder of that name"
        )
    else:
        local = uri
    if "\0" in local:
        raise UsageError(f"{uri!r}: a path can't contain a NUL character")
    path = os.path.normpath(Path.cwd() / local).lstrip("/")
    slash = "/" if path and local.endswith(("/", "/.", "/..")) else ""
    return LOCAL_BUCKET, path + slash


def join_uri(container: str, key: str) -> str:
    """The reverse of `split_uri`: `s3://bucket/key`, or `file:///…` with percent-encoding."""
    if container == LOCAL_BUCKET:
        return LOCAL_BUCKET + quote_from_bytes(os.fsencode(key), safe="/~+,=@:!$&'()*;")
    return container + key
