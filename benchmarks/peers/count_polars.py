"""Polars: a lazy query on its streaming engine."""

import os

from common import RUN, UAX29, task

given = task()
os.environ["POLARS_MAX_THREADS"] = str(given.threads)  # read when it is imported

import polars as pl  # noqa: E402

words = pl.col("line").str.to_lowercase().str.extract_all(UAX29 if given.exact else RUN)
(
    pl.scan_lines(given.glob)
    .select(words.explode().alias("word"))
    .drop_nulls()
    .group_by("word")
    .agg(pl.len())
    .sink_csv(
        given.output,
        include_header=False,
        separator="\t",
        quote_style="never",
        maintain_order=False,
        engine="streaming",
    )
)
