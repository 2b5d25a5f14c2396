"""Opening what a URI names: an S3 bucket's prefix or a local folder, as a `Store`.

Anybody may call this. The clients of S3 are imported only where S3 is named.
"""

from __future__ import annotations

from wordfreq_batch.errors import UsageError
from wordfreq_batch.storage.store import LOCAL_BUCKET, Store, join_uri, split_uri


def open_store(uri: str) -> Store:
    """Open the bucket prefix or folder that `uri` names; nothing is read or created yet.

    A prefix is taken on a `/` boundary: `s3://b/docs` is the same store as `s3://b/docs/`.
    """
    container, key = split_uri(uri)
    if key and not key.endswith("/"):
        key += "/"
    if container == LOCAL_BUCKET:
        from wordfreq_batch.storage.local import LocalStore

        return LocalStore("/" + key)
    from wordfreq_batch.storage.s3 import S3Store

    return S3Store(container.removeprefix("s3://").rstrip("/"), key)


def open_object(uri: str) -> tuple[Store, str]:
    """Open the container of one object: the store of its folder, and its key therein.

    Raises:
        UsageError: `uri` names a container or ends with `/`, so no object.
    """
    container, key = split_uri(uri)
    folder, slash, name = key.rpartition("/")
    if not name:
        raise UsageError(f"{uri}: names a folder where an object is needed; add the object's name")
    return open_store(join_uri(container, folder + slash)), name
