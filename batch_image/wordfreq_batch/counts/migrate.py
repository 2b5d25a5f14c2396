"""One task: count the files of one group and leave counts, partial, ledger entry and receipt.

Called by `wordfreq migrate`, once per container. The order of writing makes it safe to kill at any
point and to run twice at once: each object appears whole, counts are the same whoever writes them,
counts are valid only by a ledger row that names their ETag, and the receipt comes last
(`plans.tasks`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from wordfreq_batch.counts.counting import SMALL, count_items
from wordfreq_batch.counts.counts import read_counts
from wordfreq_batch.counts.outage import Stores
from wordfreq_batch.counts.partials import partial_key, store_partial
from wordfreq_batch.errors import ChangedError, NotFoundError, WordfreqError
from wordfreq_batch.job import JobInfo
from wordfreq_batch.plans.formats import ItemReceipt, Receipt
from wordfreq_batch.plans.plan import Item, PlanHead, Task
from wordfreq_batch.plans.receipts import finished_items
from wordfreq_batch.plans.tasks import Stage, TaskOutcome, error_line, record, run_stage
from wordfreq_batch.progress import Meter, Progress, Ticker
from wordfreq_batch.storage.opening import open_store
from wordfreq_batch.tables.lines import WordCount
from wordfreq_batch.tables.tally import Tally
from wordfreq_batch.text.words import counter_version, options_of

STAGE = "migrate"


def run_task(
    plan: str,
    number: int,
    *,
    job: JobInfo,
    memory: int,
    threads: int,
    progress: Progress,
    shown: Callable[[Meter], None] | None = None,
) -> TaskOutcome:
    """Do task `number` of the plan at the URI `plan`.

    `memory` (bytes) bounds the words held at a time, by all threads together; more of them spill to
    the temporary folder. `shown` gets the progress in place of a line every few seconds.

    Raises:
        WordfreqError: the task as a whole could not be done; no receipt is left.
    """

    def work(head: PlanHead, task: Task, earlier: Receipt | None) -> tuple[ItemReceipt, ...]:
        run = _Run(head, task, memory, threads, progress, shown)
        return run.run(_with_successes(task.items, earlier))

    def version(made_for: str) -> str:
        return counter_version(options_of(made_for, plan=plan))

    stage = Stage(name=STAGE, version=version, work=work)
    return run_stage(plan, number, stage, job=job)


def _with_successes(items: tuple[Item, ...], earlier: Receipt | None) -> list[Item]:
    """The items; what an earlier, partly failed run has counted is not counted again."""
    if earlier is None:
        return list(items)
    done = finished_items([earlier])
    return [
        item._replace(counted=r.known)
        if item.counted is None and (r := done.get(item.name)) is not None and r.etag == item.etag
        else item
        for item in items
    ]


class _Run:
    """One task's work."""

    def __init__(
        self,
        head: PlanHead,
        task: Task,
        memory: int,
        threads: int,
        progress: Progress,
        shown: Callable[[Meter], None] | None,
    ) -> None:
        self._head = head
        self._options = options_of(head.counter_version, plan=head.plan.uri)
        self._version = counter_version(self._options)
        self._task = task
        # A thread has the words of the file at hand, and sums.
        self._share = memory // 2 // threads
        self._threads = threads
        self._stores = Stores(open_store(head.source.uri), open_store(head.destination.uri))
        self._done: dict[str, ItemReceipt] = {}
        self._progress = progress
        ticker = Ticker(progress)
        self._meter = Meter(
            files=len(task.items),
            size=sum(item.size for item in task.items),
            shown=shown or (lambda it: ticker.tick(lambda: f"task {task.number}: {it}")),
        )
        # A partial is stored from sums that are complete; False: there is one, or can't be.
        self._partial_due = False

    def run(self, items: list[Item]) -> tuple[ItemReceipt, ...]:
        """Count what is to be counted; returns the receipts of the wanted items in their order."""
        # A partial makes sense for several files, and can be had only if all will be counted.
        whole = len(items) > 1 and all(item.wanted or item.counted for item in items)
        self._partial_due = whole
        total = Tally(memory=self._share) if whole else None
        try:
            todo = self._reuse(items, total)
            count_items(
                self._stores,
                todo,
                options=self._options,
                total=total,
                memory=self._share,
                threads=self._threads,
                done=self._finished,
                read=self._meter.read,
            )
            self._record(items, total)
        finally:
            if total is not None:
                total.close()
        return tuple(self._done[item.name] for item in items if item.wanted)

    def _finished(self, receipt: ItemReceipt) -> None:
        self._done[receipt.name] = receipt
        if receipt.error is not None:
            self._partial_due = False
        self._meter.finished(receipt.name, receipt.size)

    def _reuse(self, items: list[Item], total: Tally | None) -> list[Item]:
        """Take over what is counted already; returns the items that are left to count."""
        if total is None:
            items = [item for item in items if item.wanted]
        counted = [item for item in items if item.counted is not None]
        if total is None:
            valid = {item.name for item in counted if self._unchanged(item)}
        elif len(counted) == len(items) and self._partial_exists(counted):
            self._partial_due = False
            valid = {item.name for item in counted}
        else:
            valid = self._read_back(counted, total)
        for item in counted:
            if item.name in valid:
                self._finished(ItemReceipt.reuse(item))
        return [item for item in items if item.name not in valid]

    def _unchanged(self, item: Item) -> bool:
        assert item.counted is not None
        try:
            return self._stores.destination.head(item.name).etag == item.counted.counts_etag
        except NotFoundError:
            return False

    def _partial_exists(self, counted: Iterable[Item]) -> bool:
        members = [(item.name, item.counted.counts_etag) for item in counted if item.counted]
        try:
            self._stores.destination.head(partial_key(self._version, members))
        except NotFoundError:
            return False
        return True

    def _read_back(self, counted: Iterable[Item], total: Tally) -> set[str]:
        """Add existing counts to `total`; returns the names of those that could be read."""
        store = self._stores.destination
        known = {item.name: item.counted for item in counted if item.counted}
        etags = {name: counts.counts_etag for name, counts in known.items()}
        small = [item.name for item in counted if item.size <= SMALL]
        valid: set[str] = set()

        def words(name: str, chunks: Iterable[bytes]) -> Iterator[WordCount]:
            return read_counts(chunks, name=store.url(name), distinct=known[name].distinct)

        for name, answer in store.get_many(small, etags=etags):
            if isinstance(answer, WordfreqError):
                continue
            try:
                # Read to its end before it is added: half of it must not get into the sums.
                items = list(words(name, [answer]))
            except WordfreqError:
                continue
            try:
                total.add(items)
            except WordfreqError:
                self._partial_due = False
                continue
            valid.add(name)
        for name in etags.keys() - set(small):
            try:
                with store.open(name, etag=etags[name]) as reader:
                    total.add(words(name, reader))
            except (NotFoundError, ChangedError):
                continue  # nothing of it was read
            except WordfreqError:
                self._partial_due = False
                continue
            valid.add(name)
        return valid

    def _record(self, items: list[Item], total: Tally | None) -> None:
        """Leave partial and ledger entry: conveniences for later, so no error of theirs counts."""
        store = self._stores.destination
        try:
            if total is not None and self._partial_due:
                members = [(item.name, self._done[item.name].counts_etag) for item in items]
                store_partial(store, partial_key(self._version, members), total)
            record(store, self._done.values(), self._head, self._task, version=self._version)
        except WordfreqError as error:
            self._progress(error_line(error, self._task))
