"""Sum count files with a dictionary: `merge_python.py FOLDER OUTPUT THREADS MEMORY`."""

import sys
from pathlib import Path

folder, output, *_ = sys.argv[1:]
total: dict[bytes, int] = {}
get = total.get
for path in Path(folder).glob("*.tsv"):
    fields = path.read_bytes().replace(b"\n", b"\t").split(b"\t")
    for word, count in zip(fields[0::2], map(int, filter(None, fields[1::2])), strict=False):
        total[word] = get(word, 0) + count
with Path(output).open("wb") as file:
    ranked = sorted(total.items(), key=lambda item: (-item[1], item[0]))
    file.writelines([b"%b\t%d\n" % item for item in ranked])
