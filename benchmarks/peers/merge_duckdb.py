"""Sum count files with DuckDB: `merge_duckdb.py FOLDER OUTPUT THREADS MEMORY`."""

import sys
from pathlib import Path

import duckdb

folder, output, threads, memory = sys.argv[1:]
connection = duckdb.connect(
    config={
        "threads": int(threads),
        "preserve_insertion_order": False,
        "temp_directory": str(Path(output).with_suffix(".tmp")),
    }
)
if memory != "0":
    # Its limit doesn't cover the interpreter and some buffers: an eighth is left for them.
    connection.execute(f"SET memory_limit = '{int(memory) * 7 // 8} B'")
connection.execute(f"""
    COPY (
        SELECT word, sum(count)::BIGINT AS count
        FROM read_csv('{folder}/*.tsv', columns = {{'word': 'VARCHAR', 'count': 'BIGINT'}},
                      header = false, delim = '\t', quote = '', escape = '', auto_detect = false)
        GROUP BY word ORDER BY count DESC, word
    ) TO '{output}' (FORMAT parquet)
""")
