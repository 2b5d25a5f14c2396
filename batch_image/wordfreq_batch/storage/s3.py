"""An S3 bucket prefix as a `Store`. Opened by `storage.opening` only.

botocore lists (obstore fails on a listing that holds an odd key) and serves the keys that obstore
would change; obstore, with a tenth of the CPU, serves all others. Both take their credentials
from botocore's chain and their endpoint and region from the standard AWS environment
(`storage.s3_clients`). boto3 would add nothing but time to start.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import botocore.exceptions as botocore_errors
import obstore

from wordfreq_batch.errors import (
    ChangedError,
    NotFoundError,
    PermissionDeniedError,
    RefusedNameError,
    StorageError,
)
from wordfreq_batch.storage.s3_clients import s3_clients
from wordfreq_batch.storage.s3_errors import translated
from wordfreq_batch.storage.s3_reader import S3Reader
from wordfreq_batch.storage.store import (
    ObjectInfo,
    Store,
    Unreadable,
)

if TYPE_CHECKING:
    from obstore.store import S3Store as ObstoreS3
    from types_boto3_s3.client import S3Client

CHUNK = 4 << 20
PART = 8 << 20
MAX_KEY = 1024

# Keys that obstore passes on unchanged (tried one by one); anything else goes by botocore.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]|(?:^|/)(?:\.{0,2})(?:/|$)")

# XML 1.0, 2.2 "Characters": all others but surrogates.
_NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")

# S3 user guide, "Amazon S3 storage classes": what has to be restored before it can be read. (Of an
# object in INTELLIGENT_TIERING the listing doesn't say.)
_ARCHIVES = frozenset(("GLACIER", "DEEP_ARCHIVE"))

_T = TypeVar("_T")


def unsuitable(key: str) -> str | None:
    """Say why S3 can't hold `key` (the full one, prefix included), or None where it can.

    Source: S3 user guide, "Naming Amazon S3 objects": UTF-8, at most 1,024 bytes.
    """
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        return "it is not valid UTF-8"
    return f"it is longer than {MAX_KEY} bytes" if length > MAX_KEY else None


class S3Writer:
    """An upload: one request for a small object, else multipart. Used through `S3Store.writer`."""

    def __init__(self, client: S3Client, bucket: str, key: str) -> None:
        self._client = client
        self._where: dict[str, Any] = {"Bucket": bucket, "Key": key}
        self._buffer = bytearray()
        self._upload_id: str | None = None
        self._parts: list[dict[str, Any]] = []
        self.etag = ""

    def write(self, data: bytes, /) -> int:
        """Append `data`; sends a part when enough has come together."""
        self._buffer += data
        # Parts grow with the object, so that 10,000 of them hold S3's 5 TB.
        size = PART << (len(self._parts) // 1000)
        while len(self._buffer) >= size:
            self._send(bytes(self._buffer[:size]))
            del self._buffer[:size]
        return len(data)

    def _send(self, part: bytes) -> None:
        if self._upload_id is None:
            self._upload_id = self._client.create_multipart_upload(**self._where)["UploadId"]
        number = len(self._parts) + 1
        answer = self._client.upload_part(
            **self._where, UploadId=self._upload_id, PartNumber=number, Body=part
        )
        self._parts.append({"ETag": answer["ETag"], "PartNumber": number})

    def finish(self) -> None:
        """Make the object appear."""
        if self._upload_id is None:
            answer = self._client.put_object(**self._where, Body=bytes(self._buffer))
            self.etag = answer["ETag"].strip('"')
            return
        if self._buffer:
            self._send(bytes(self._buffer))
        done = self._client.complete_multipart_upload(
            **self._where,
            UploadId=self._upload_id,
            MultipartUpload={"Parts": self._parts},  # type: ignore[typeddict-item]
        )
        self.etag = done["ETag"].strip('"')

    def abort(self) -> None:
        """Drop the parts sent so far."""
        if self._upload_id is not None:
            self._client.abort_multipart_upload(**self._where, UploadId=self._upload_id)


class S3Store(Store):
    """The objects of one bucket below one prefix (`''` or ending with `/`)."""

    concurrency = 32

    def __init__(self, bucket: str, prefix: str) -> None:
        self.bucket = bucket
        self.prefix = prefix
        self.uri = f"s3://{bucket}/{prefix}"
        self._clients = s3_clients()

    @property
    def _client(self) -> S3Client:
        try:
            return self._clients.client(self.bucket)
        except (botocore_errors.BotoCoreError, ValueError) as error:
            raise StorageError(f"{self.uri}: {error}; check the AWS environment") from error

    @property
    def _fast(self) -> ObstoreS3:
        _ = self._client  # what is wrong with the environment is said here
        return self._clients.fast(self.bucket)

    def _by_botocore(self, full: str) -> bool:
        """Whether obstore would change the key, or knows no such bucket."""
        return self.bucket.startswith("arn:") or _UNSAFE.search(full) is not None

    def _key(self, key: str) -> str:
        full = self.prefix + key
        if reason := unsuitable(full):
            raise RefusedNameError(f"{key!r} can't be a key in {self.uri}: {reason}; rename it")
        return full

    def _call(self, key: str, action: Callable[[], _T]) -> _T:
        """Do one request; its failure becomes an error of this package that names the object."""
        try:
            return action()
        except Exception as error:
            known = translated(error, self.url(key), self.bucket)
            if known is None:
                raise
            raise known from error

    def list(
        self,
        prefix: str = "",
        *,
        start_after: str = "",
        all_of_it: bool = True,  # noqa: ARG002 - a prefix may be read or not
    ) -> Iterator[ObjectInfo]:
        """List all pages by botocore."""
        after: dict[str, Any] = {"StartAfter": self._key(start_after)} if start_after else {}
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket,
            Prefix=self._key(prefix),
            OptionalObjectAttributes=["RestoreStatus"],
            **after,
        )
        cut = len(self.prefix)
        iterator = iter(pages)
        while (page := self._call(prefix, lambda: next(iterator, None))) is not None:
            for entry in page.get("Contents", []):
                yield ObjectInfo(
                    key=entry["Key"][cut:],
                    size=entry["Size"],
                    etag=entry["ETag"].strip('"'),
                    last_modified=entry["LastModified"],
                    unreadable=_archived(entry) if entry.get("StorageClass") in _ARCHIVES else None,
                )

    def head(self, key: str) -> ObjectInfo:
        """Ask for the object's metadata."""
        full = self._key(key)
        if self._by_botocore(full):
            answer = self._call(key, lambda: self._client.head_object(Bucket=self.bucket, Key=full))
            size, etag = answer["ContentLength"], answer["ETag"].strip('"')
            return ObjectInfo(key, size, etag, answer["LastModified"])
        meta = self._call(key, lambda: obstore.head(self._fast, full))
        return ObjectInfo(key, meta["size"], _unquoted(meta["e_tag"]), meta["last_modified"])

    def get(self, key: str, *, etag: str | None = None) -> bytes:
        """Fetch the whole object."""

        def whole() -> bytes:
            full = self._key(key)
            if self._by_botocore(full):
                return b"".join(self._stream(key, etag=etag, start=0)[1])
            asked: Any = {"if_match": f'"{etag}"'} if etag else {}
            return bytes(obstore.get(self._fast, full, options=asked).bytes())

        return self._call(key, whole)

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Fetch a part of the object."""
        full = self._key(key)
        if length <= 0:
            return b""
        try:
            if self._by_botocore(full):
                return self._call(
                    key,
                    lambda: self._client.get_object(
                        Bucket=self.bucket, Key=full, Range=f"bytes={start}-{start + length - 1}"
                    )["Body"].read(),
                )
            return self._call(
                key, lambda: bytes(obstore.get_range(self._fast, full, start=start, length=length))
            )
        except (NotFoundError, PermissionDeniedError):
            raise
        except StorageError:
            # Servers answer a range from the end on with an error; callers expect nothing there.
            if start >= self.head(key).size:
                return b""
            raise

    def _stream(
        self,
        key: str,
        *,
        etag: str | None,
        start: int,
        end: int | None = None,
        version: str | None = None,
    ) -> tuple[ObjectInfo, Iterator[bytes]]:
        """Start reading at byte `start`, up to `end` or all; of a version if it isn't the latest.

        The size in the info is the whole object's (of no use if `end` is given).
        """
        full = self._key(key)
        if self._by_botocore(full):
            options: dict[str, Any] = {"IfMatch": f'"{etag}"'} if etag else {}
            if start or end:
                options["Range"] = f"bytes={start}-{end - 1 if end else ''}"
            if version:
                options["VersionId"] = version
            answer = self._call(
                key, lambda: self._client.get_object(Bucket=self.bucket, Key=full, **options)
            )
            size = start + answer["ContentLength"]
            info = ObjectInfo(
                key=key,
                size=size,
                etag=answer["ETag"].strip('"'),
                last_modified=answer["LastModified"],
                content_type=answer.get("ContentType", ""),
                content_encoding=answer.get("ContentEncoding", ""),
            )
            return info, answer["Body"].iter_chunks(CHUNK)
        asked: dict[str, Any] = {"if_match": f'"{etag}"'} if etag else {}
        if end:
            asked["range"] = (start, end)
        elif start:
            asked["range"] = {"offset": start}
        if version:
            asked["version"] = version
        result = self._call(
            key,
            lambda: obstore.get(self._fast, full, options=asked),  # type: ignore[arg-type]
        )
        meta, attributes = result.meta, result.attributes
        info = ObjectInfo(
            key=key,
            size=meta["size"],
            etag=_unquoted(meta["e_tag"]),
            last_modified=meta["last_modified"],
            content_type=attributes.get("Content-Type", ""),
            content_encoding=attributes.get("Content-Encoding", ""),
        )
        # A part in one piece, which then isn't copied to be joined.
        return info, (bytes(chunk) for chunk in result.stream(end - start if end else CHUNK))

    @contextmanager
    def open(self, key: str, *, etag: str | None = None, ranges: int = 1) -> Iterator[S3Reader]:
        """Start streaming; the ETag is checked by the server (If-Match), with every request.

        Of a versioned bucket the version with the ETag is read, also if it isn't the latest.
        """
        version = None
        try:
            info, chunks = self._stream(key, etag=etag, start=0)
        except (ChangedError, NotFoundError):
            version = self._version(key, etag) if etag else None
            if version is None:
                raise
            info, chunks = self._stream(key, etag=etag, start=0, version=version)
        stream = partial(self._stream, key, etag=info.etag, version=version)
        with closing(S3Reader(self.url(key), info, chunks, stream, ranges)) as reader:
            del chunks  # the reader lets go of them
            yield reader

    def _version(self, key: str, etag: str) -> str | None:
        """The version of an object that has the ETag; None if there is none, or nobody says."""
        full = self._key(key)
        with suppress(botocore_errors.BotoCoreError, botocore_errors.ClientError):
            pages = self._client.get_paginator("list_object_versions").paginate(
                Bucket=self.bucket, Prefix=full
            )
            for page in pages:
                for entry in page.get("Versions", []):
                    if entry["Key"] > full:
                        return None
                    if (entry["Key"], entry["ETag"].strip('"')) == (full, etag):
                        version = entry["VersionId"]
                        return None if version == "null" and entry["IsLatest"] else version
        return None

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> str:
        """Write in one request; `if_absent` is checked by the server (If-None-Match: *)."""
        full = self._key(key)
        if self._by_botocore(full):
            condition: dict[str, Any] = {"IfNoneMatch": "*"} if if_absent else {}
            answer = self._call(
                key,
                lambda: self._client.put_object(
                    Bucket=self.bucket, Key=full, Body=data, **condition
                ),
            )
            return answer["ETag"].strip('"')
        result = self._call(
            key,
            lambda: obstore.put(
                self._fast,
                full,
                data,
                mode="create" if if_absent else "overwrite",
                use_multipart=False,
            ),
        )
        return _unquoted(result["e_tag"])

    @contextmanager
    def writer(self, key: str) -> Iterator[S3Writer]:
        """Upload as a stream; whatever goes wrong, the multipart upload is aborted."""
        upload = S3Writer(self._client, self.bucket, self._key(key))
        try:
            yield upload
            upload.finish()
        except BaseException as error:
            with suppress(botocore_errors.BotoCoreError, botocore_errors.ClientError):
                upload.abort()
            known = translated(error, self.url(key), self.bucket)
            if known is None:
                raise
            raise known from error

    def delete(self, keys: Iterable[str]) -> None:
        """Delete by the thousand; keys that the XML for it can't hold, one by one."""
        todo: list[str] = []
        odd: list[str] = []
        for full in map(self._key, keys):
            (odd if _NOT_IN_XML.search(full) else todo).append(full)
        errors: list[Any] = []
        for start in range(0, len(todo), 1000):
            batch: list[Any] = [{"Key": key} for key in todo[start : start + 1000]]
            answer = self._call(
                "",
                lambda batch=batch: self._client.delete_objects(  # type: ignore[misc]
                    Bucket=self.bucket, Delete={"Objects": batch, "Quiet": True}
                ),
            )
            errors += answer.get("Errors", [])
        for full in odd:
            self._call(
                full.removeprefix(self.prefix),
                lambda full=full: self._client.delete_object(  # type: ignore[misc]
                    Bucket=self.bucket, Key=full
                ),
            )
        if errors:
            first, others = errors[0], len(errors) - 1
            more = f" and {others:,} more objects" if others else ""
            raise StorageError(
                f"s3://{self.bucket}/{first.get('Key')}{more}: could not be deleted "
                f"({first.get('Code')}: {first.get('Message')}); check the permissions"
            )


def _archived(entry: Mapping[str, Any]) -> Unreadable | None:
    """Why a listed object of an archived class can't be read; None if it was restored."""
    status = entry.get("RestoreStatus", {})
    if status.get("RestoreExpiryDate") and not status.get("IsRestoreInProgress"):
        return None
    doing = "is being restored" if status.get("IsRestoreInProgress") else "must be restored first"
    return Unreadable("archived", f"it is in the storage class {entry['StorageClass']} and {doing}")


def _unquoted(etag: str | None) -> str:
    return (etag or "").strip('"')
