"""The uploaded CSVs as an observable asset: its data version is a fingerprint of their listing."""

import dagster as dg

from wordfreq_batch.errors import NotFoundError
from wordfreq_batch.storage.fingerprint import Fingerprint
from wordfreq_batch.storage.opening import open_store
from wordfreq_dagster.defs.csv_to_dynamodb.resource import CsvPlaces, no_csv
from wordfreq_dagster.files.plans import listing_metadata

GROUP = "csv_to_dynamodb"


@dg.observable_source_asset(
    name="csv_uploads",
    group_name=GROUP,
    tags={"domain": "products"},
    metadata={"dagster/row_count_unit": "files"},
    description=(
        "The CSVs below the uploads' place: an S3 prefix or a local folder.\n\n"
        "**Observe** lists them; every run and the listing sensor do it too. The data version "
        "changes exactly when a file is added, removed or overwritten. Files whose names "
        "don't end with `.csv` (or `.csv.gz`, `.csv.zst`, `.csv.bz2`) are not loaded."
    ),
)
def csv_uploads(context: dg.OpExecutionContext, csv: CsvPlaces) -> dg.ObserveResult:
    """List the uploads."""
    try:
        found = list(open_store(csv.source).list(all_of_it=False))
    except NotFoundError as error:
        raise csv.missing(error) from error
    uploads = Fingerprint().plus(info for info in found if no_csv(info.key) is None)
    listing = Fingerprint().plus(found)
    context.log.info(f"{uploads.files:,} CSVs, {uploads.size:,} bytes below {csv.source}")
    return dg.ObserveResult(
        data_version=dg.DataVersion(str(listing)),
        metadata={"CSVs": uploads.files, **listing_metadata(listing, csv.source)},
    )
