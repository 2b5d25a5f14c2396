"""One CSV into one table: every row becomes an item or a reject, and the figures say which.

The file is read twice, the second time insisting on the same ETag. The first reading writes
nothing: it finds what makes the whole file unusable, which rows can't be items, and which are
superseded by a later row of the same key. The second puts what is left, so that no two puts concern
the same item: their order, repetitions and a second run are all without effect.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain

from wordfreq_batch.csv.dynamo_writer import Put, WriteFigures, Writer
from wordfreq_batch.csv.items import ItemBuilder
from wordfreq_batch.csv.last import LastOfKey
from wordfreq_batch.csv.reading.decoding import Found
from wordfreq_batch.csv.reading.hints import header_hint, width_hint
from wordfreq_batch.csv.reading.rejects import Form, Rejects, exceeds, without_reason
from wordfreq_batch.csv.reading.rows import TITLES, Row, read_rows
from wordfreq_batch.csv.schema import Layout
from wordfreq_batch.csv.upload import Loaded, Source, Target, iso
from wordfreq_batch.csv.values import BadRowError, shown
from wordfreq_batch.errors import DataError, NotFoundError, StorageError
from wordfreq_batch.plans.formats import RejectedRow, RowFigures
from wordfreq_batch.progress import Progress, Ticker
from wordfreq_batch.storage.store import ObjectInfo, Store

MAX_LATE = 10_000
"""Rows that only DynamoDB finds invalid; with more of them it must be the wrong table."""

_SAMPLE = 5
_SAMPLE_TEXT = 200


def load(
    source: Source,
    target: Target,
    *,
    rejects: tuple[Store, str] | None,
    progress: Progress,
    rejected: Callable[[RejectedRow], None] = lambda _: None,
    before_writing: Callable[[], None] = lambda: None,
) -> Loaded:
    """Load one file.

    Args:
        source: the file.
        target: the table and how rows become its items.
        rejects: where the rejects object goes.
        progress: gets a line every few seconds.
        rejected: gets each reject where there is no `rejects`.
        before_writing: called between the two readings, if anything is to be written.

    Raises:
        ChangedError: the file was replaced meanwhile; what replaced it has to be loaded.
        DataError: the file as a whole is unusable, or has too many rejects; nothing was written
            but, where DynamoDB itself rejected the rows, those that it took before.
        WordfreqError: it could not be read, or the table not be written; run it again.
    """
    started = time.monotonic()
    with ExitStack() as stack:
        found = stack.enter_context(Rejects())
        last = stack.enter_context(LastOfKey())
        run = _FileLoad(source, target, found, last, progress)
        try:
            info = run.check()
            before_writing()
            run.write(info)
        except DataError:
            if run.checked:  # too many rejects: their reasons are what is needed now
                _keep(found, run.form, rejects, rejected)
            elif rejects is not None and _is_there(*rejects):  # those of an older version
                with Rejects() as none:
                    _keep(none, run.form, rejects, rejected)
            raise
        source.check_current(info)
        _keep(found, run.form, rejects, rejected)
        return run.loaded(info, started)


def dry_run(
    source: Source,
    target: Target,
    *,
    progress: Progress,
    rejected: Callable[[RejectedRow], None] = lambda _: None,
    key: Callable[[bytes], None] = lambda _: None,
) -> Loaded:
    """What `load` would do, found out without writing anything; `key` gets the key of each item.

    The figures are those of a load into a table that holds none of the keys: what DynamoDB itself
    would reject, and which keys newer uploads hold, only writing shows.

    Raises:
        DataError: the file as a whole is unusable, or has too many rejects.
    """
    started = time.monotonic()
    with Rejects() as found, LastOfKey() as last:
        run = _FileLoad(source, target, found, last, progress)
        try:
            info = run.check()
            run.add_up(info, key)
        finally:
            _keep(found, run.form, None, rejected)
        return run.loaded(info, started)


def _keep(
    found: Rejects,
    form: Form,
    place: tuple[Store, str] | None,
    rejected: Callable[[RejectedRow], None],
) -> None:
    if place is None:
        for each in found:
            rejected(each)
        return
    store, key = place
    with store.writer(key) as writer:
        found.write(writer, form)


def _is_there(store: Store, key: str) -> bool:
    try:
        store.head(key)
    except NotFoundError:
        return False
    return True


class _FileLoad:
    """Both readings of one file."""

    def __init__(
        self,
        source: Source,
        target: Target,
        rejects: Rejects,
        last: LastOfKey,
        progress: Progress,
    ) -> None:
        self._source = source
        self._target = target
        self._rejects = rejects
        self._last = last
        self._progress = progress
        self._ticker = Ticker(progress)
        self._read = 0
        self._sample: list[dict[str, str]] = []
        self._figures = WriteFigures()
        self._seconds = 0.0
        self._found = Found()
        self._header: Sequence[str] = ()
        self._hint = ""
        self.checked = False

    def check(self) -> ObjectInfo:
        """The first reading; nothing is written."""
        with self._source.store.open(self._source.key, etag=self._source.etag or None) as reader:
            info = reader.info
            taken = _Counted(reader)
            rows = self._rows(taken)
            header = next(rows)
            later = ((row.line, row.text) for row in rows)
            items = self._items(header.fields, info, later=later)
            for row in rows:
                self._read += 1
                if self._read == 1:
                    self._hint = width_hint(
                        header.fields,
                        line=header.line,
                        fields=len(row.fields),
                        others=self._target.schema.extra,
                    )
                try:
                    self._last.add(items.item(row).key)
                except BadRowError as error:
                    self._rejects.add(_reject(row, str(error)))
                if not self._read % 1000:
                    self._checked(taken.size / max(info.size, 1))
        self._last.finish()
        self.checked = True
        self._refuse_too_many()
        return info

    def _rows(self, reader: Iterable[bytes]) -> Iterator[Row]:
        """The rows; the first is the header. Rows of empty fields are the tails of sheets: none."""
        uri = self._source.uri
        schema = self._target.schema
        dialect = schema.dialect
        rows: Iterator[Row] = (
            row
            for row in read_rows(
                reader,
                name=uri,
                dialect=dialect,
                columns=schema.titles,
                found=self._found,
            )
            if row.reason or any(map(str.strip, row.fields))
        )
        header = next(rows, None)
        again = header is not None and tuple(header.fields[: len(TITLES)]) == TITLES
        if header is not None and again:  # rejects, corrected: they have a header in any case
            header = without_reason(header, self.form)
            rows = (without_reason(row, self.form) for row in rows)
        elif dialect.header:
            rows = chain([] if header is None else [header], rows)
            header = Row(0, list(dialect.header), [])
        if header is None:
            raise DataError(f"{uri} is empty: not even a header is in it; upload it again")
        if header.reason:
            hint = header_hint([header.text], schema.titles, dialect, others=schema.extra)
            raise DataError(
                f"{uri}: line {header.line}, the header, is no CSV: {header.reason}. {hint}"
            )
        self._header = header.fields
        yield header
        yield from rows

    def _items(
        self, header: list[str], info: ObjectInfo, *, later: Iterable[tuple[int, str]] = ()
    ) -> ItemBuilder:
        target = self._target
        layout: Layout = target.schema.layout(header, name=self._source.uri, later=later)
        return ItemBuilder(
            target.schema,
            layout,
            filename=self._source.filename,
            last_modified=iso(info.last_modified),
            indexed=target.table.indexed,
        )

    def _refuse_too_many(self) -> None:
        rejected = len(self._rejects)
        if rejected and rejected == self._read:
            raise DataError(
                f"{self._source.uri}: none of its {self._read:,} rows can be loaded; the first: "
                + self._first()
                + self._hint
            )
        if exceeds(self._target.max_rejects, rejected, self._read):
            outcome = (
                "DynamoDB refused some only when they were written: the others may be in the table"
                if self._rejects.late
                else "nothing of it was"
            )
            raise DataError(
                f"{self._source.uri}: {rejected:,} of {self._read:,} rows can't be loaded, more "
                f"than allowed, so {outcome}; the first: {self._first()}"
            )

    def _first(self) -> str:
        first = self._rejects.first
        assert first is not None
        return f"line {first.line}: {first.reason}"

    def write(self, info: ObjectInfo) -> None:
        """The second reading: put every row that is the last of its key."""
        target = self._target
        started = time.monotonic()
        if not self._last.rows:
            return
        with (
            self._source.store.open(self._source.key, etag=info.etag) as reader,
            Writer[Row](
                target.client,
                target.table.name,
                keys=target.schema.keys,
                refused=self._late,
                check_current=lambda: self._source.check_current(info),
                mode=target.mode,
                rate=target.rate,
                in_flight=target.in_flight,
                patience=target.patience,
            ) as writer,
        ):
            writer.write(
                self._puts(self._rows(reader), info), tick=lambda done: self._written(done, started)
            )
        self._figures = writer.figures
        self._seconds = time.monotonic() - started

    def add_up(self, info: ObjectInfo, key: Callable[[bytes], None]) -> None:
        """The second reading of a dry run: what would be put, and the write units it takes."""
        with self._source.store.open(self._source.key, etag=info.etag) as reader:
            for put in self._puts(self._rows(reader), info):
                key(put.item.key)
                self._figures.written += 1
                self._figures.capacity += put.item.units

    def _puts(self, rows: Iterator[Row], info: ObjectInfo) -> Iterator[Put[Row]]:
        items = self._items(next(rows).fields, info)
        number = 0
        for row in rows:
            try:
                item = items.item(row)
            except BadRowError:
                continue  # it is among the rejects since the first reading
            if self._last.is_last(number):
                if len(self._sample) < _SAMPLE:
                    self._sample.append(
                        {name: _short(shown(value)) for name, value in item.attributes.items()}
                    )
                yield Put(item, row)
            number += 1

    def _late(self, row: Row, reason: str) -> None:
        self._rejects.add_late(_reject(row, reason))
        self._refuse_too_many()
        if self._rejects.late > MAX_LATE:
            raise StorageError(
                f"table {self._target.table.name} refuses one row after the other; the last "
                f"reason: {reason}. Compare its keys and indexes with the columns' types"
            )

    def _checked(self, share: float) -> None:
        """A line of progress of the first reading, which has done so much of the file."""
        self._ticker.tick(
            lambda: f"{self._source.uri}: checked {self._read:,} rows, {share:.0%} of the file"
        )

    def _written(self, done: int, started: float) -> None:
        total = self._last.rows - self._last.superseded

        def line() -> str:
            left = (time.monotonic() - started) * (total - done) / max(done, 1)
            about = f", about {_duration(left)} left" if done else ""
            return f"{self._source.uri}: written {done:,} of {total:,} rows{about}"

        self._ticker.tick(line)

    @property
    def form(self) -> Form:
        """How the file is written."""
        dialect = self._target.schema.dialect
        return Form(dialect=dialect, found=self._found, header=self._header)

    def loaded(self, info: ObjectInfo, started: float) -> Loaded:
        """The outcome, of a load begun at `started` of the monotonic clock."""
        return Loaded(
            info=info,
            figures=self.figures(),
            seconds=time.monotonic() - started,
            settings=self._target.schema.line(self._found),
        )

    def figures(self) -> RowFigures:
        """What became of the rows."""
        rejects = [
            RejectedRow(each.line, each.reason, _short(each.text))
            for each, _ in zip(self._rejects, range(_SAMPLE), strict=False)
        ]
        figures = self._figures
        return RowFigures(
            read=self._read,
            written=figures.written,
            rejected=len(self._rejects),
            superseded=self._last.superseded + figures.newer,
            capacity=round(figures.capacity, 3),
            requests=figures.requests,
            refused=figures.refused,
            newer=figures.newer,
            shared=figures.shared,
            others=tuple(figures.others),
            write_seconds=self._seconds,
            sample=tuple(self._sample),
            rejects=tuple(rejects),
        )


class _Counted:
    """Passes chunks on and adds up their bytes."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.size += len(chunk)
            yield chunk


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _reject(row: Row, reason: str) -> RejectedRow:
    # The beginning of a row must not be taken for the row when the rejects are loaded.
    if row.cut:
        return RejectedRow(row.line, f"{reason}: {_short(row.text)!r}", "")
    return RejectedRow(row.line, reason, row.text)


def _short(text: str) -> str:
    return text if len(text) <= _SAMPLE_TEXT else text[:_SAMPLE_TEXT] + "…"
