"""Read objects of a bucket and throw them away: `read_s3.py CLIENT BUCKET PREFIX`, all below it.

CLIENT is `ours`, `boto3` or `obstore`; endpoint and keys are in the environment. Prints the bytes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

THREADS = 32


def with_ours(bucket: str, prefix: str) -> int:
    """This project's `Store`, as `wordfreq migrate` uses it."""
    from wordfreq_batch.storage.opening import open_store

    store = open_store(f"s3://{bucket}/{prefix}")
    found = list(store.list())
    small = [info.key for info in found if info.size <= 1 << 20]
    size = sum(len(data) for _, data in store.get_many(small) if isinstance(data, bytes))
    for info in found:
        if info.size > 1 << 20:
            with store.open(info.key, etag=info.etag) as reader:
                size += sum(map(len, reader))
    return size


def with_boto3(bucket: str, prefix: str) -> int:
    """`get_object`, bodies read by the megabyte; its fastest way for one object."""
    import boto3
    from botocore.config import Config

    client = boto3.client("s3", config=Config(max_pool_connections=THREADS))
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def read(key: str) -> int:
        body = client.get_object(Bucket=bucket, Key=key)["Body"]
        size = 0
        while data := body.read(1 << 20):
            size += len(data)
        return size

    with ThreadPoolExecutor(THREADS) as pool:
        return sum(pool.map(read, keys))


def with_obstore(bucket: str, prefix: str) -> int:
    """Whole objects in threads; of large ones parts of 16 MiB, as many at once as cores."""
    import obstore
    from obstore.store import S3Store

    store = S3Store(
        bucket,
        endpoint=os.environ["AWS_ENDPOINT_URL"],
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )
    part = 16 << 20
    todo: list[tuple[str, int, int]] = []
    for page in obstore.list(store, prefix=prefix):
        for info in page:
            starts = range(0, info["size"], part)
            todo += [(info["path"], start, min(start + part, info["size"])) for start in starts]
    large = any(end - start == part for _, start, end in todo)

    def read(piece: tuple[str, int, int]) -> int:
        key, start, end = piece
        return len(obstore.get_range(store, key, start=start, end=end))

    with ThreadPoolExecutor(4 if large else THREADS) as pool:
        return sum(pool.map(read, todo))


if __name__ == "__main__":
    name, *where = sys.argv[1:]
    readers: dict[str, Callable[[str, str], int]] = {
        "ours": with_ours,
        "boto3": with_boto3,
        "obstore": with_obstore,
    }
    print(readers[name](*where))
