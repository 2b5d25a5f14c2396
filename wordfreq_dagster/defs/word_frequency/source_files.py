"""The source as an observable asset: its data version is the fingerprint of its listing."""

import dagster as dg

from wordfreq_batch.storage.fingerprint import Fingerprint
from wordfreq_batch.storage.opening import open_store
from wordfreq_dagster.files.places import WordPlaces
from wordfreq_dagster.files.plans import listing_metadata

GROUP = "word_frequency"


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
def source_files(context: dg.OpExecutionContext, locations: WordPlaces) -> dg.ObserveResult:
    """List the source; the fingerprint is the one that plan, sensor and ranking show too."""
    listing = Fingerprint().plus(open_store(locations.source).list(all_of_it=False))
    context.log.info(f"{listing.files:,} files, {listing.size:,} bytes below {locations.source}")
    return dg.ObserveResult(
        data_version=dg.DataVersion(str(listing)),
        metadata=listing_metadata(listing, locations.source),
    )
