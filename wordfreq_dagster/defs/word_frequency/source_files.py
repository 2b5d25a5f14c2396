"""The source as an observable asset: its data version is a digest of its listing."""

import hashlib

import dagster as dg

from wordfreq_batch.storage.opening import open_store
from wordfreq_dagster.files.places import (
    Locations,
    describe_uri,
)

GROUP = "word_frequency"
OWNERS = ["team:data-platform"]


@dg.observable_source_asset(
    name="source_files",
    group_name=GROUP,
    tags={"domain": "text"},
    metadata={"dagster/row_count_unit": "files"},
    description=(
        "The files below the source: an S3 prefix or a local folder.\n\n"
        "**Observe** lists them. The data version is a digest of every name, ETag and size, so it "
        "changes exactly when a file is added, removed or overwritten with other bytes."
    ),
)
def source_files(context: dg.OpExecutionContext, locations: Locations) -> dg.ObserveResult:
    """List the source and digest its names, ETags and sizes."""
    digest = hashlib.sha256()
    files = size = 0
    for found in open_store(locations.source).list():
        if found.key.endswith("/"):
            continue
        digest.update(f"{found.key}\0{found.etag}\0{found.size}\n".encode())
        files += 1
        size += found.size
    context.log.info(f"{files:,} files, {size:,} bytes below {locations.source}")
    return dg.ObserveResult(
        data_version=dg.DataVersion(digest.hexdigest()[:32]),
        metadata={"files": files, "bytes": size, "source": describe_uri(locations.source)},
    )
