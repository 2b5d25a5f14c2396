"""The rejects: rows that were not loaded, each with line number and reason, to be corrected.

The object has the name of the file that the rows come from, in another place, and its dialect,
encoding and header: two columns stand before those of the file, `TITLES`. The rows follow as they
stand in the file. Once corrected it can be uploaded as it is, and is loaded by the same settings.
It is there for every loaded file, and holds nothing but its header where all rows were good.
"""

from __future__ import annotations

import csv
import io
import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import merge

from wordfreq_batch.csv.reading.decoding import Found
from wordfreq_batch.csv.reading.dialect import Dialect
from wordfreq_batch.csv.reading.rows import TITLES, Row
from wordfreq_batch.plans.formats import RejectedRow
from wordfreq_batch.storage.store import ByteWriter

_IN_MEMORY = 1 << 20
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How a file is written, so that its rejects can be written the same way."""

    dialect: Dialect
    found: Found
    header: Sequence[str]

    def encoded(self, text: str) -> bytes:
        """The text in the file's encoding, without the mark that some of them begin with."""
        encoding = self.found.encoding
        return text.encode(encoding, "backslashreplace").removeprefix("".encode(encoding))

    @property
    def beginning(self) -> bytes:
        """All that stands before the rows."""
        delimiter = self.found.delimiter
        separator = f"sep={delimiter}\n" if self.found.separator_line else ""
        return self.found.mark + self.encoded(separator + self._line([*TITLES, *self.header]))

    def row(self, reject: RejectedRow) -> bytes:
        """One reject: line and reason, and behind them the row as it stands in the file."""
        reason = reject.reason
        if not self.dialect.quote and not self.dialect.escape:
            reason = reason.replace(self.found.delimiter, "_")
        before = self._line([str(reject.line), reason]).removesuffix("\n")
        behind = self.found.delimiter + reject.text if reject.text else ""
        return self.encoded(f"{before}{behind}\n")

    @property
    def before(self) -> str:
        """The pattern of line and reason as they stand before a row."""
        delimiter, quote, escape = map(
            re.escape, (self.found.delimiter, self.dialect.quote, self.dialect.escape)
        )
        escaped = rf"|{escape}(?s:.)" if escape else ""
        field = rf"(?:[^{delimiter}{escape}]{escaped})*"
        if quote:
            field = rf"(?:{quote}(?:[^{quote}{escape}]|{quote}{quote}{escaped})*{quote}|{field})"
        return f"{field}{delimiter}{field}"

    def _line(self, fields: Sequence[str]) -> str:
        buffer = io.StringIO()
        form = self.dialect.format(self.found.delimiter)
        # Until Python 3.13 only what is in the line's end is quoted within a field.
        csv.writer(buffer, lineterminator="\r\n", **form).writerow(fields)
        return buffer.getvalue().removesuffix("\r\n") + "\n"


def without_reason(row: Row, form: Form) -> Row:
    """A row of a file of rejects as it is without its first two columns."""
    text = row.text
    match = re.match(form.before, text)
    own = text[match.end() :].removeprefix(form.found.delimiter) if match else text
    fields = row.fields[len(TITLES) :]
    reason = row.reason
    if not reason and not any(map(str.strip, fields)):
        reason = "nothing stands behind the reason; correct the row, or leave it out"
    return Row(row.line, fields, [own.encode()], reason)


def parse_limit(text: str) -> float:
    """A number of rejected rows, or a share of them (below 1) from `5%`.

    Raises:
        ValueError: it is neither.
    """
    number = float(text.removesuffix("%"))
    percent = text.endswith("%")
    if not (0 <= number <= 99.999 if percent else number >= 0 and number.is_integer()):
        raise ValueError(f"{text!r} is no number of rows; write e.g. 100 or 0.5%")
    return number / 100 if percent else number


def exceeds(limit: float | None, rejected: int, read: int) -> bool:
    """Whether so many rejected rows of so many are more than a limit of `parse_limit` allows."""
    return limit is not None and rejected > (limit * read if limit < 1 else limit)


def limit_version(limit: float | None) -> str:
    """What a limit adds to the version of which files are bad data, see `plans.unusable`."""
    return "" if limit is None else f"/rejects<={limit:g}"


class Rejects:
    """Collects the rejects of one file, in any number.

    Those of `add` come in line order and may go to a temporary file; those of `add_late` come in
    any order and stay in memory. `first`: the one of the lowest line.
    """

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115
        self._late: list[RejectedRow] = []
        self._early = 0
        self.first: RejectedRow | None = None

    def __enter__(self) -> Rejects:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return self._early + len(self._late)

    @property
    def late(self) -> int:
        """How many came by `add_late`."""
        return len(self._late)

    def add(self, reject: RejectedRow) -> None:
        """The next reject in line order."""
        self._file.write(json.dumps(reject).encode() + b"\n")
        self._early += 1
        self.first = self.first or reject

    def add_late(self, reject: RejectedRow) -> None:
        """A reject that turned up only when its row was written."""
        self._late.append(reject)
        self.first = min(self.first or reject, reject)

    def __iter__(self) -> Iterator[RejectedRow]:
        """All rejects in line order."""
        self._file.seek(0)
        early = (RejectedRow(*json.loads(line)) for line in self._file)
        return merge(early, sorted(self._late))

    def write(self, writer: ByteWriter, form: Form) -> None:
        """Write the whole object, header first."""
        buffer = bytearray(form.beginning)
        for reject in self:
            buffer += form.row(reject)
            if len(buffer) > _CHUNK:
                writer.write(bytes(buffer))
                buffer.clear()
        writer.write(bytes(buffer))
