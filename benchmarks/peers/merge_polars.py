"""Sum count files with Polars, streaming: `merge_polars.py FOLDER OUTPUT THREADS MEMORY`.

It has no setting for the memory that it may take.
"""

import os
import sys

folder, output, threads, _ = sys.argv[1:]
os.environ["POLARS_MAX_THREADS"] = threads  # read when it is imported

import polars as pl  # noqa: E402

(
    pl.scan_csv(
        f"{folder}/*.tsv",
        has_header=False,
        separator="\t",
        quote_char=None,
        schema={"word": pl.String, "count": pl.Int64},
    )
    .group_by("word")
    .agg(pl.col("count").sum())
    .sort(["count", "word"], descending=[True, False])
    .sink_parquet(output, engine="streaming")
)
