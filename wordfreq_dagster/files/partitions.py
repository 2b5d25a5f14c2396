"""The dynamic partitions, one per file to count and one per CSV to load; keys: the files' names."""

import dagster as dg

source_files_partitions = dg.DynamicPartitionsDefinition(name="source_files")
csv_uploads_partitions = dg.DynamicPartitionsDefinition(name="csv_uploads")
