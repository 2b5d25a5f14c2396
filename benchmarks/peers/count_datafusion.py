"""DataFusion: `translate` and `string_to_array`. It has no function that yields all matches."""

import pyarrow as pa
from common import BLANKS, PUNCTUATION, recut, task
from datafusion import SessionConfig, SessionContext
from pyarrow import csv as writer

given = task()
context = SessionContext(
    SessionConfig()
    .with_target_partitions(given.threads)
    .set("datafusion.execution.listing_table_ignore_subdirectory", "false")
)
punctuation = PUNCTUATION.replace("'", "''")
source = str(given.source) + ("/" if given.source.is_dir() else "")
context.sql(f"""
    CREATE EXTERNAL TABLE lines (line VARCHAR) STORED AS CSV LOCATION '{source}'
    OPTIONS ('format.delimiter' '\x01', 'format.has_header' 'false', 'format.quote' '\x02')
""")
batches = context.sql(f"""
    SELECT word, count(*) FROM (
        SELECT unnest(string_to_array(translate(lower(line), '{punctuation}', '{BLANKS}'), ' '))
            AS word FROM lines
    ) WHERE word <> '' GROUP BY word
""").to_arrow_table()
table = pa.table({"word": batches.column(0).cast(pa.large_string()), "count": batches.column(1)})
options = writer.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
writer.write_csv(table, given.output, options)
given.output.write_bytes(recut(given.output.read_bytes()))
