"""Receipts and leases: what tells a finished task, a running one and a copy of one apart.

Both are small objects in the plan's folder, written with a conditional put.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timezone

from wordfreq_batch.errors import (
    AlreadyExistsError,
    NotFoundError,
    WordfreqError,
)
from wordfreq_batch.job import JobInfo
from wordfreq_batch.plans.formats import ItemReceipt, Receipt
from wordfreq_batch.plans.plan import Plan, PlanHead, receipt_name
from wordfreq_batch.plans.plan_store import load_head
from wordfreq_batch.storage.opening import open_store


def read_receipt(head: PlanHead, stage: str, task: int) -> Receipt | None:
    """One task's receipt, or None if it has left none."""
    store = open_store(head.folder)
    name = receipt_name(stage, task)
    try:
        return Receipt.loads(store.get(name), uri=store.url(name))
    except NotFoundError:
        return None


def read_receipts(head: PlanHead, stage: str, tasks: Collection[int]) -> dict[int, Receipt]:
    """The receipts that these tasks have left; a task without one is not in the result.

    Raises:
        WordfreqError: a receipt is there but can't be read.
    """
    store = open_store(head.folder)
    names = {receipt_name(stage, task): task for task in tasks}
    found: dict[int, Receipt] = {}
    for name, answer in store.get_many(names):
        if isinstance(answer, NotFoundError):
            continue
        if isinstance(answer, WordfreqError):
            raise answer
        found[names[name]] = Receipt.loads(answer, uri=store.url(name))
    return found


def listed_receipts(head: PlanHead, stage: str) -> Iterator[int]:
    """The numbers of the tasks that have left a receipt so far: a listing, nothing is read.

    Raises:
        WordfreqError: the plan's folder can't be listed.
    """
    for info in open_store(head.folder).list(f"{stage}-"):
        number = info.key.removeprefix(f"{stage}-").removesuffix(".json")
        if number.isdecimal() and info.key == receipt_name(stage, int(number)):
            yield int(number)


def new_receipts(head: PlanHead, stage: str, *, known: Collection[int]) -> dict[int, Receipt]:
    """The receipts that are there now and whose tasks aren't among `known`, by task number."""
    return read_receipts(
        head, stage, [task for task in listed_receipts(head, stage) if task not in known]
    )


def finished_files(plan: Plan, stage: str) -> dict[str, ItemReceipt]:
    """What the receipts of all tasks of the plan say of files that didn't fail, by name."""
    return finished_items(read_receipts(plan.head, stage, range(len(plan.tasks))).values())


def finished_items(receipts: Iterable[Receipt]) -> dict[str, ItemReceipt]:
    """What the receipts say of files that didn't fail, by the file's name; the last one counts.

    A file of a plan that is neither counted already nor in here has failed, or was never tried.
    """
    return {item.name: item for receipt in receipts for item in receipt.items if item.error is None}


def write_receipt(head: PlanHead, receipt: Receipt) -> Receipt:
    """Leave the receipt and return the one that now counts.

    The first final receipt stays. One of exit code 1 (trouble that may pass) never replaces
    another, and is replaced by any later one.
    """
    store = open_store(head.folder)
    name = receipt_name(receipt.stage, receipt.task)
    try:
        store.put(name, receipt.dumps(), if_absent=True)
    except AlreadyExistsError:
        existing = read_receipt(head, receipt.stage, receipt.task)
        if existing is not None and (existing.final or not receipt.final):
            return existing
        store.put(name, receipt.dumps())
    return receipt


def take_lease(head: PlanHead, stage: str, task: int, job: JobInfo) -> str | None:
    """Claim the task for this job among all jobs of one submission.

    A SubmitJob whose answer got lost is sent again with the same token, so that two jobs may come
    of it; whichever asks first gets the task. Returns None when it is ours (a later attempt of the
    same job included, and always when there is no token), else the id of the job that has it.
    """
    if not job.submission:
        return None
    store = open_store(head.folder)
    key = f"{stage}-{task:05d}.lease-{job.submission}"
    try:
        store.put(key, job.job_id.encode(), if_absent=True)
    except AlreadyExistsError:
        holder = store.get(key).decode("utf-8", "replace")
        return None if holder == job.job_id else holder
    return None


class SingleTask:
    """A task that can be repeated at will, as a merge: lease before, receipt after.

    A receipt is left on success only: a merge that failed for want of counts may well succeed
    once they are there.
    """

    def __init__(self, plan: str, stage: str, job: JobInfo, *, task: int = 0) -> None:
        self.head = load_head(plan)
        self._stage = stage
        self._task = task
        self._job = job
        self._started = datetime.now(timezone.utc)

    def taken_by(self) -> str | None:
        """The id of another job of the same submission that has the task, see `take_lease`."""
        return take_lease(self.head, self._stage, self._task, self._job)

    def succeeded(self, counter_version: str, items: Sequence[ItemReceipt] = ()) -> None:
        """Leave the receipt, in place of an earlier one."""
        receipt = Receipt.of(
            self.head,
            self._stage,
            self._task,
            items,
            version=counter_version,
            started=self._started,
            job=self._job,
        )
        open_store(self.head.folder).put(receipt_name(self._stage, self._task), receipt.dumps())
