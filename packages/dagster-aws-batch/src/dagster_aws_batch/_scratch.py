"""The scratch place.

A prefix in S3 or a local folder for what does not fit into a SubmitJob request. Small objects only.

What is kept there: a note of each submission, written before it (so that a new process knows what
to look for), long task lists and inputs. Nothing is deleted here: give the prefix a lifecycle rule
of some weeks.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote, unquote, urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from dagster_aws_batch._errors import ScratchError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

__all__ = ["LocalScratch", "S3Scratch", "Scratch", "open_scratch"]


class Scratch(Protocol):
    """Named small objects under one URI."""

    uri: str

    def put(self, name: str, data: bytes) -> str:
        """Write an object and return its URI, by which a container can read it."""
        ...

    def get(self, name: str) -> bytes | None:
        """An object's bytes; None if it is not there."""
        ...

    def names(self, prefix: str) -> list[str]:
        """The names that begin so, sorted."""
        ...

    def delete(self, name: str) -> None:
        """Remove an object; none there is no error."""
        ...


class LocalScratch:
    """A folder. Written through a temporary file, so a reader never sees half an object."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self.uri = "file://" + quote(self._root.as_posix())

    def put(self, name: str, data: bytes) -> str:
        """Write `<root>/<name>`, folders included."""
        path = self._root / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
            part.write_bytes(data)
            part.replace(path)
        except OSError as error:
            raise ScratchError(f"can't write scratch file {path}: {error}") from error
        return f"{self.uri}/{quote(name)}"

    def get(self, name: str) -> bytes | None:
        """Read `<root>/<name>`."""
        try:
            return (self._root / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ScratchError(f"can't read scratch file {self._root / name}: {error}") from error

    def names(self, prefix: str) -> list[str]:
        """Walk the folder that `prefix` ends in."""
        folder = (self._root / prefix).parent if not prefix.endswith("/") else self._root / prefix
        found: list[str] = []
        for where, _, files in os.walk(folder):
            for file in files:
                name = (Path(where) / file).relative_to(self._root).as_posix()
                if name.startswith(prefix) and not file.startswith("."):
                    found.append(name)
        return sorted(found)

    def delete(self, name: str) -> None:
        """Unlink `<root>/<name>`."""
        path = self._root / name
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise ScratchError(f"can't delete scratch file {path}: {error}") from error


class S3Scratch:
    """A prefix of a bucket, by boto3 with its usual retries: all these requests may be repeated."""

    def __init__(self, client: S3Client, bucket: str, prefix: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix.strip("/")
        self.uri = f"s3://{bucket}" + (f"/{self._prefix}" if self._prefix else "")

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name

    def put(self, name: str, data: bytes) -> str:
        """PutObject."""
        with self._errors("write", name):
            self._client.put_object(Bucket=self._bucket, Key=self._key(name), Body=data)
        return f"{self.uri}/{name}"

    def get(self, name: str) -> bytes | None:
        """GetObject."""
        with self._errors("read", name):
            try:
                answer = self._client.get_object(Bucket=self._bucket, Key=self._key(name))
                return answer["Body"].read()
            except self._client.exceptions.NoSuchKey:
                return None

    def names(self, prefix: str) -> list[str]:
        """ListObjectsV2, all pages."""
        cut = len(self._prefix) + 1 if self._prefix else 0
        with self._errors("list", prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._key(prefix)
            )
            items = (item for page in pages for item in page.get("Contents", []))
            return [key[cut:] for item in items if (key := item.get("Key")) is not None]

    def delete(self, name: str) -> None:
        """DeleteObject."""
        with self._errors("delete", name):
            self._client.delete_object(Bucket=self._bucket, Key=self._key(name))

    @contextmanager
    def _errors(self, verb: str, name: str) -> Generator[None]:
        try:
            yield
        except (BotoCoreError, ClientError, OSError) as error:
            raise ScratchError(f"can't {verb} scratch object {self.uri}/{name}: {error}") from error


def open_scratch(uri: str, s3: S3Client | None = None) -> Scratch:
    """`s3://bucket/prefix`, `file:///folder` or a plain path.

    Raises ScratchError for anything else.
    """
    parts = urlsplit(uri)
    if parts.scheme == "s3":
        if not parts.netloc or parts.query or parts.fragment or "?" in uri or "#" in uri:
            raise ScratchError(f"scratch is {uri!r}; use s3://bucket/prefix, without ? and #")
        if s3 is None:
            import boto3

            # Not boto3's default session, which keeps the credentials that its first user had.
            s3 = boto3.Session().client("s3")
        return S3Scratch(s3, parts.netloc, parts.path)
    if parts.scheme == "file":
        return LocalScratch(Path(unquote(parts.path)))
    if parts.scheme == "" or len(parts.scheme) == 1:
        return LocalScratch(Path(uri))
    raise ScratchError(f"scratch is {uri!r}; use s3://bucket/prefix, file:///folder or a path")
