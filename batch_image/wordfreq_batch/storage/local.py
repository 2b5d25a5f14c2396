"""A local folder as a `Store`: real file names, atomic writes.

Writes go to a temporary file in the target's own folder and are renamed (or, to create only,
linked) into place; a temporary file left by a killed process is never listed. A file's ETag is
made of its modification time, size and inode, so it changes when the file is rewritten.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from random import getrandbits

from wordfreq_batch.errors import (
    AlreadyExistsError,
    ChangedError,
    NotFoundError,
    PermissionDeniedError,
    RefusedNameError,
    StorageError,
    WordfreqError,
)
from wordfreq_batch.storage.links import Links
from wordfreq_batch.storage.store import (
    LOCAL_BUCKET,
    ObjectInfo,
    Store,
    Unreadable,
    join_uri,
)

CHUNK = 1 << 20
MAX_SEGMENT = 255
MAX_PATH = 4095
TEMPORARY = ".wordfreq-tmp-"


def unsuitable(key: str) -> str | None:
    """Say why a local folder can't hold `key`, or None where it can. Pure: looks at the name only.

    Source of the limits: POSIX pathname resolution; NAME_MAX and PATH_MAX of Linux.
    """
    if "\0" in key:
        return "it contains a NUL character"
    for segment in key.split("/"):
        if segment == "":
            return "it has an empty segment (a leading, trailing or doubled '/')"
        if segment in (".", ".."):
            return f"it has the segment '{segment}'"
        if _encoded_length(segment) > MAX_SEGMENT:
            return f"it has a segment longer than {MAX_SEGMENT} bytes"
        if segment.startswith(TEMPORARY):
            return f"names starting with '{TEMPORARY}' are kept for files being written"
    return None


def _encoded_length(name: str) -> int:
    return len(name) if name.isascii() else len(os.fsencode(name))


# Reader and writer are contexts themselves, and use functions of `os` and no Path objects: of small
# files there are very many.


class LocalReader:
    """Chunks of an open file; complains when the file turns out to be another than expected."""

    def __init__(self, store: LocalStore, info: ObjectInfo, descriptor: int) -> None:
        self._store = store
        self._descriptor = descriptor
        self.info = info

    def __enter__(self) -> LocalReader:
        return self

    def __exit__(self, *exception: object) -> None:
        os.close(self._descriptor)

    def __iter__(self) -> Iterator[bytes]:
        left = self.info.size
        try:
            # No further than its size, or a file growing as fast as we read would never end; but
            # asked for one byte more, so that less than that is its end without another read.
            while left >= 0:
                asked = min(CHUNK, left + 1)
                chunk = os.read(self._descriptor, asked)
                left -= len(chunk)
                if chunk:
                    yield chunk
                if not chunk or (left == 0 and len(chunk) < asked):
                    break
            after = os.fstat(self._descriptor)
        except OSError as error:
            raise translated(error, self._store.url(self.info.key)) from error
        if left or _etag(after) != self.info.etag:
            uri = self._store.url(self.info.key)
            raise ChangedError(f"{uri} was written to while being read; plan again")


class LocalWriter:
    """A temporary file on its way to its name, where it is when the context has ended."""

    def __init__(
        self, store: LocalStore, key: str, path: str, *, if_absent: bool, sync: bool
    ) -> None:
        self._store = store
        self._key = key
        self._path = path
        self._if_absent = if_absent
        self._sync = sync
        folder = path.rpartition("/")[0]
        # Nobody has to be kept from foreseeing the name: a file that exists isn't opened.
        self._temporary = f"{folder}/{TEMPORARY}{getrandbits(64):016x}"
        self.etag = ""

    def __enter__(self) -> LocalWriter:
        try:
            self._descriptor = _created(self._temporary)
        except BaseException as error:
            self._remove()
            if isinstance(error, OSError):
                raise self._meaning(error) from error
            raise
        return self

    def write(self, data: bytes, /) -> int:
        """Append `data`."""
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError as error:
            raise translated(error, self._store.url(self._key)) from error
        return len(data)

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        moved = False
        try:
            moved = self._end(whole=error is None)
        except OSError as failure:
            raise self._meaning(failure) from failure
        finally:
            if not moved:
                self._remove()
        if isinstance(error, OSError):
            raise self._meaning(error) from error

    def _end(self, *, whole: bool) -> bool:
        """Close the file and give it its name if it is whole; whether it has lost its own."""
        try:
            if whole:
                if self._sync:
                    os.fsync(self._descriptor)
                self.etag = _etag(os.fstat(self._descriptor))
        finally:
            os.close(self._descriptor)
        if whole and self._if_absent:
            os.link(self._temporary, self._path)
        elif whole:
            os.replace(self._temporary, self._path)  # noqa: PTH105
        return whole and not self._if_absent

    def _meaning(self, error: OSError) -> WordfreqError:
        url = self._store.url(self._key)
        if isinstance(error, FileExistsError) and self._if_absent and Path(self._path).is_file():
            return AlreadyExistsError(f"{url} exists already")
        return translated(error, url)

    def _remove(self) -> None:
        with suppress(OSError):
            os.unlink(self._temporary)  # noqa: PTH108


class LocalStore(Store):
    """The files below one folder."""

    def __init__(self, root: str) -> None:
        self.root = root if root.endswith("/") else root + "/"
        self.uri = join_uri(LOCAL_BUCKET, self.root.lstrip("/"))

    def url(self, key: str) -> str:
        """The `file:///` URI of `key`."""
        return join_uri(LOCAL_BUCKET, (self.root + key).lstrip("/"))

    def list(
        self, prefix: str = "", *, start_after: str = "", all_of_it: bool = True
    ) -> Iterator[ObjectInfo]:
        """Walk the folder in key order; folders that lie before `start_after` aren't read."""
        try:
            os.stat(self.root)  # noqa: PTH116 - ends with '/', so it has to be a folder
        except NotADirectoryError as error:
            raise NotFoundError(f"{self.uri} is no folder; check the name") from error
        except OSError as error:
            raise translated(error, self.uri) from error
        folder = prefix.rpartition("/")[0]
        start = folder + "/" if folder else ""
        if start and unsuitable(folder):
            return
        try:
            top = os.stat(self.root + start)  # noqa: PTH116
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise translated(error, self.url(start)) from error
        if stat.S_ISDIR(top.st_mode):
            after = os.fsencode(start_after)
            links = None if all_of_it else Links(self.root)
            yield from self._walk(start, prefix, after, ((top.st_dev, top.st_ino),), links)

    def _walk(
        self,
        folder: str,
        prefix: str,
        after: bytes,
        ancestors: tuple[tuple[int, int], ...],
        links: Links | None,
    ) -> Iterator[ObjectInfo]:
        # Folders sort as if their name ended with '/': this gives the byte order of whole keys.
        found: list[tuple[bytes, str, os.stat_result]] = []
        try:
            with os.scandir(self.root + folder) as entries:
                for entry in entries:
                    if not self._could_match(folder + entry.name, prefix):
                        continue
                    status = _status(entry)
                    if status is None or entry.name.startswith(TEMPORARY):
                        continue
                    slash = b"/" if stat.S_ISDIR(status.st_mode) else b""
                    found.append((os.fsencode(entry.name) + slash, entry.name, status))
        except FileNotFoundError:
            return  # removed while we walked
        except OSError as error:
            if links is None or not folder:
                raise translated(error, self.url(folder)) from error
            reason = f"the folder can't be read ({error.strerror})"
            yield _EMPTY._replace(key=folder, unreadable=Unreadable("unreadable folder", reason))
            return
        found.sort(key=lambda item: item[0])
        base = os.fsencode(folder)
        for sorting, name, status in found:
            whole = base + sorting
            why = links and links.unreadable(self.root + folder + name, status)
            if why and stat.S_ISDIR(status.st_mode):
                if whole > after and (folder + name).startswith(prefix):
                    yield _EMPTY._replace(key=f"{folder}{name}/", unreadable=why)
                continue
            if not stat.S_ISDIR(status.st_mode):
                if whole > after and (folder + name).startswith(prefix):
                    info = _info(folder + name, status)
                    yield info._replace(unreadable=why) if why else info
                continue
            if whole < after and not after.startswith(whole):
                continue
            identity = (status.st_dev, status.st_ino)
            if identity not in ancestors:  # else a symbolic link leads back to where we are
                inside = (*ancestors, identity)
                yield from self._walk(f"{folder}{name}/", prefix, after, inside, links)

    @staticmethod
    def _could_match(key: str, prefix: str) -> bool:
        return key.startswith(prefix) or prefix.startswith(key)

    def _path(self, key: str) -> str:
        if reason := unsuitable(key):
            raise RefusedNameError(
                f"{key!r} can't be a file in {self.uri}: {reason}; use S3 or rename the object"
            )
        path = self.root + key
        if _encoded_length(path) > MAX_PATH:
            raise RefusedNameError(f"{key!r} is too long a path in {self.uri}; rename the object")
        return path

    def head(self, key: str) -> ObjectInfo:
        """Look the file up."""
        path = self._path(key)
        try:
            status = os.stat(path)  # noqa: PTH116
        except OSError as error:
            raise translated(error, self.url(key)) from error
        if not stat.S_ISREG(status.st_mode):
            raise NotFoundError(f"{self.url(key)} is no regular file")
        return _info(key, status)

    def get(self, key: str, *, etag: str | None = None) -> bytes:
        """Read the whole file."""
        with self.open(key, etag=etag) as reader:
            return b"".join(reader)

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Read a part of the file."""
        self.head(key)
        try:
            with Path(self._path(key)).open("rb") as file:
                file.seek(start)
                return file.read(length)
        except OSError as error:
            raise translated(error, self.url(key)) from error

    def open(
        self,
        key: str,
        *,
        etag: str | None = None,
        ranges: int = 1,  # noqa: ARG002 - the system reads ahead
    ) -> LocalReader:
        """Open the file."""
        try:
            # Without blocking: a pipe would wait for a writer.
            descriptor = os.open(self._path(key), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise translated(error, self.url(key)) from error
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise NotFoundError(f"{self.url(key)} is no regular file")
            info = _info(key, status)
            if etag is not None and etag != info.etag:
                raise ChangedError(f"{self.url(key)} has changed since it was planned; plan again")
            return LocalReader(self, info, descriptor)
        except BaseException:
            os.close(descriptor)
            raise

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> str:
        """Write the file atomically; with `if_absent` by a hard link, which never replaces."""
        path = self._path(key)
        with LocalWriter(self, key, path, if_absent=if_absent, sync=if_absent) as writer:
            writer.write(data)
        return writer.etag

    def writer(self, key: str) -> LocalWriter:
        """Write the file as a stream."""
        return LocalWriter(self, key, self._path(key), if_absent=False, sync=True)

    def delete(self, keys: Iterable[str]) -> None:
        """Remove the files (folders stay)."""
        for key in keys:
            try:
                Path(self._path(key)).unlink(missing_ok=True)
            except NotADirectoryError:
                continue
            except OSError as error:
                raise translated(error, self.url(key)) from error


def _created(path: str) -> int:
    """Open a new file for writing; its folder comes into being with it."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o666)
    except FileNotFoundError:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, flags, 0o666)


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    """What the entry is, links followed; None for what is neither file nor folder."""
    try:
        status = entry.stat()
    except OSError:
        try:
            # A dangling or circular link: listed all the same, so that reading it names it.
            status = entry.stat(follow_symlinks=False)
        except OSError:
            return None
        return status if stat.S_ISLNK(status.st_mode) else None
    return status if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode) else None


def _etag(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns:x}-{status.st_size:x}-{status.st_ino:x}"


def _info(key: str, status: os.stat_result) -> ObjectInfo:
    modified = datetime.fromtimestamp(status.st_mtime, tz=timezone.utc)
    return ObjectInfo(key=key, size=status.st_size, etag=_etag(status), last_modified=modified)


_EMPTY = ObjectInfo("", 0, "", datetime.fromtimestamp(0, tz=timezone.utc))


def translated(error: OSError, uri: str) -> WordfreqError:
    """The error of this package that says what `error` means for `uri`."""
    what = error.strerror or str(error)
    if isinstance(error, FileNotFoundError):
        return NotFoundError(f"{uri} doesn't exist; check the name, or plan again")
    if isinstance(error, PermissionError):
        return PermissionDeniedError(f"{uri}: permission denied; check who may read or write it")
    if error.errno in (errno.ENOTDIR, errno.EISDIR, errno.EEXIST):
        return RefusedNameError(
            f"{uri}: a file stands where a folder is needed, or a folder where a file is ({what}); "
            "remove it or choose another destination"
        )
    if error.errno == errno.ELOOP:
        return NotFoundError(f"{uri} is a symbolic link that leads to itself; remove it")
    if error.errno in (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL):
        return RefusedNameError(f"{uri}: the file system can't hold this name ({what}); rename it")
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StorageError(f"{uri}: {what}; free some space and run this again")
    return StorageError(f"{uri}: {what}; check the disk and run this again")
