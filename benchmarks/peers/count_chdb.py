"""chDB (ClickHouse in a library): its own tokenizer of bytes; `extractAll` for UAX #29."""

import chdb
from common import UAX29, recut, task

given = task()
if given.exact:
    words = "extractAll(lowerUTF8(line), '{}')".format(UAX29.replace("'", "\\'"))
else:
    words = "tokens(lower(line))"
source = f"file('{given.glob}', 'LineAsString', 'line String')"
result = chdb.query(
    f"SELECT word, count() FROM (SELECT arrayJoin({words}) AS word FROM {source}) GROUP BY word "
    f"SETTINGS max_threads = {given.threads}",
    "TSVRaw",
)
lines = result.bytes()
given.output.write_bytes(lines if given.exact else recut(lines))
