"""The rejects: rows that were not loaded, each with line number, reason and text. A CSV itself.

For `csv.ingest` (write) and the orchestrator (read the first of them). The object has the name
of the file that the rows come from, in another place; it is there for every loaded file, and holds
nothing but its header where all rows were good.
"""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterator
from heapq import merge
from types import TracebackType

from wordfreq_batch.plans.formats import RejectedRow
from wordfreq_batch.storage.store import ByteWriter

HEADER = ("line", "reason", "text")

_IN_MEMORY = 1 << 20
_CHUNK = 1 << 20


class Rejects:
    """Collects the rejects of one file, in any number.

    Those of `add` come in line order and may go to a temporary file; those of `add_late` come in
    any order and stay in memory.
    """

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115
        self._text = io.TextIOWrapper(self._file, "utf-8", newline="", write_through=True)
        self._rows = csv.writer(self._text, lineterminator="\n")
        self._late: list[RejectedRow] = []
        self._early = 0

    def __enter__(self) -> Rejects:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._text.close()

    def __len__(self) -> int:
        return self._early + len(self._late)

    @property
    def late(self) -> int:
        """How many came by `add_late`."""
        return len(self._late)

    def add(self, reject: RejectedRow) -> None:
        """The next reject in line order."""
        self._rows.writerow((reject.line, reject.reason, reject.text))
        self._early += 1

    def add_late(self, reject: RejectedRow) -> None:
        """A reject that turned up only when its row was written."""
        self._late.append(reject)

    def __iter__(self) -> Iterator[RejectedRow]:
        """All rejects in line order."""
        self._text.seek(0)
        early = (
            RejectedRow(int(line), reason, text) for line, reason, text in csv.reader(self._text)
        )
        return merge(early, sorted(self._late))

    def write(self, writer: ByteWriter) -> None:
        """Write the whole object, header first."""
        buffer = io.StringIO(newline="")
        rows = csv.writer(buffer, lineterminator="\n")
        rows.writerow(HEADER)
        for reject in self:
            rows.writerow((reject.line, reject.reason, reject.text))
            if buffer.tell() > _CHUNK:
                writer.write(buffer.getvalue().encode())
                buffer.seek(0)
                buffer.truncate()
        writer.write(buffer.getvalue().encode())
