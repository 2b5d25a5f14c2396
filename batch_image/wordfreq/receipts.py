"""Receipts and leases: what tells a finished task, a running one and a copy of one apart.

`wordfreq.migrate` and `wordfreq.cli` write them; the orchestrator reads them with
`read_receipts`. Both are small objects in the plan's folder, written with a conditional put.
"""

from __future__ import annotations

from collections.abc import Collection

from wordfreq.errors import AlreadyExistsError, NotFoundError, StorageError, WordfreqError
from wordfreq.formats import Receipt, receipt_name
from wordfreq.plan import PlanHead
from wordfreq.storage import open_store


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


def take_lease(head: PlanHead, stage: str, task: int, *, token: str, job_id: str) -> str | None:
    """Claim the task for this job among all jobs of one submission.

    A SubmitJob whose answer got lost is sent again with the same token, so that two jobs may come
    of it; whichever asks first gets the task. Returns None when it is ours (a later attempt of the
    same job included), else the id of the job that has it.
    """
    store = open_store(head.folder)
    key = f"{stage}-{task:05d}.lease-{token}"
    try:
        store.put(key, job_id.encode(), if_absent=True)
    except AlreadyExistsError:
        holder = store.get(key).decode("utf-8", "replace")
        return None if holder == job_id else holder
    return None


def check_token(token: str) -> str:
    """A submission token as it is; it becomes part of an object's name.

    Raises:
        StorageError: it has characters that a name can't have.
    """
    if "/" in token or not token.isprintable() or len(token) > 200:
        raise StorageError(f"BATCH_SUBMISSION is {token[:60]!r}: letters, digits and '-' are fine")
    return token
