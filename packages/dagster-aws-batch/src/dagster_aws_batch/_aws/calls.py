"""The AWS Batch API as this client calls it, for every module that talks to AWS Batch.

A rate budget per call, repeats where they are harmless, and a count. The boto3 client given here
must have the SDK's own retries off (`connect.py` makes it so): a blind repeat of SubmitJob can
create a second job, and repeats below the rate budget would break it.
"""

from __future__ import annotations

import copy
import logging
import random
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from dagster_aws_batch._aws.clock import Clock
from dagster_aws_batch._aws.failures import (
    CallError,
    advice_for,
    ask,
    classify_call,
    error_code,
    is_hopeless,
)
from dagster_aws_batch._aws.rates import SUBMITTING, Backoff, Patience, RateBudget
from dagster_aws_batch._errors import (
    BatchError,
    BatchUnavailableError,
    CallRefusedError,
    InvalidJobError,
)

if TYPE_CHECKING:
    from types_boto3_batch import BatchClient
    from types_boto3_batch.literals import JobStatusType
    from types_boto3_batch.type_defs import JobDetailTypeDef, JobSummaryTypeDef

__all__ = ["BatchApi", "checked_rates"]

_log = logging.getLogger(__name__)

DESCRIBE_LIMIT = 100
TERMINATE_LIMIT = 50
PAGE = 1000
PAGE_FILTERED = 100
RENEW_EVERY = 5.0

# Calls a second. DescribeJobs and ListJobs have no published quota; users report about 50 shared.
DEFAULT_RATES: Mapping[str, tuple[float, int]] = {
    "SubmitJob": (25.0, 5),
    "DescribeJobs": (10.0, 5),
    "ListJobs": (10.0, 10),
    "TerminateJob": (20.0, 10),
    # The sweep after a cancel must not queue behind the polling of other executions.
    "ListJobs/sweep": (10.0, 10),
    "Definitions": (2.0, 4),
}
_BUDGETS: Mapping[str, str] = {
    "TerminateJobs": "TerminateJob",
    "DescribeJobDefinitions": "Definitions",
    "RegisterJobDefinition": "Definitions",
    "DeregisterJobDefinition": "Definitions",
}


def checked_rates(rates: Mapping[str, float]) -> dict[str, float]:
    """The rates a user may set, by AWS operation. Raises InvalidJobError for any other."""
    known = {"GetLogEvents", *DEFAULT_RATES} - {"ListJobs/sweep", "Definitions"}
    for name, rate in rates.items():
        if name not in known:
            raise InvalidJobError(f"rates has {name!r}; known are {', '.join(sorted(known))}")
        if not rate > 0:
            raise InvalidJobError(f"rates[{name!r}] is {rate}; use a number above 0")
    return dict(rates)


class BatchApi:
    """One AWS Batch endpoint as this process uses it. Thread-safe.

    `calls` counts requests by operation. `renew` makes a new boto3 client: called when credentials
    or the way to AWS failed, because the old client may keep what is not valid any more.
    """

    def __init__(
        self,
        client: BatchClient,
        *,
        clock: Clock,
        rng: random.Random | None = None,
        rates: Mapping[str, float] | None = None,
        renew: Callable[[], BatchClient] | None = None,
    ) -> None:
        self._clients: list[BatchClient] = [client]
        self.clock = clock
        self.rng = rng or random.Random()  # noqa: S311  (jitter, no secret)
        self.calls: Counter[str] = Counter()
        self.patience = SUBMITTING
        self._count_lock = threading.Lock()
        chosen = checked_rates(rates or {})
        self._budgets = {
            name: RateBudget(clock, rate=chosen.get(name, rate), burst=burst)
            for name, (rate, burst) in DEFAULT_RATES.items()
        }
        # Operations that this boto3 or the endpoint doesn't know; of all views of it.
        self._unknown = set() if hasattr(client, "terminate_jobs") else {"TerminateJobs"}
        self._renew_client = renew
        self._renewed_at = [float("-inf")]

    @property
    def client(self) -> BatchClient:
        """The boto3 client in use."""
        return self._clients[-1]

    def with_patience(self, patience: Patience) -> BatchApi:
        """The same endpoint, budgets and counts; its calls are repeated as `patience` says."""
        view = copy.copy(self)
        view.patience = patience
        return view

    # -- one request ---------------------------------------------------------------------------

    def once(self, operation: str, *, budget: str | None = None, **request: Any) -> Any:
        """Make one request within its budget. The exception of botocore comes through as it is."""
        limiter = self._budgets[budget or _BUDGETS.get(operation, operation)]
        limiter.take(until=self.patience.deadline)
        with self._count_lock:
            self.calls[operation] += 1
        try:
            answer = ask(self.client, operation, **request)
        except (ClientError, BotoCoreError) as error:
            kind = classify_call(error, operation)
            if kind is CallError.THROTTLED:
                limiter.throttled()
            elif kind in (CallError.UNAUTHENTICATED, CallError.UNSENT):
                self._renew()
            raise
        limiter.succeeded()
        return answer

    def _renew(self) -> None:
        if self._renew_client is None:
            return
        with self._count_lock:
            if self.clock.now() - self._renewed_at[0] < RENEW_EVERY:
                return
            self._renewed_at[0] = self.clock.now()
        try:
            self._clients[-1] = self._renew_client()
        except Exception as error:  # noqa: BLE001  (whoever makes clients has errors of his own)
            # The old client stays; the call that failed tells why.
            _log.info("no new client for AWS Batch: %s", error)

    def backoff(self) -> Backoff:
        """The waits for one call, as its patience says."""
        return Backoff(self.clock, self.rng, self.patience)

    def with_retries(self, operation: str, *, budget: str | None = None, **request: Any) -> Any:
        """Make a request that may be repeated without harm until it is answered, or give up.

        Raises:
            CallRefusedError: AWS refused it for what it says, or for want of a permission.
            BatchUnavailableError: It was unanswered for as long as the patience reaches.
        """
        backoff = self.backoff()
        while True:
            try:
                answer = self.once(operation, budget=budget, **request)
            except (ClientError, BotoCoreError) as error:
                kind, advice = classify_call(error, operation), advice_for(error, operation)
                details = {"operation": operation, "code": error_code(error)}
                queue = str(request.get("jobQueue", ""))
                where = f" for queue {queue}" if queue else ""
                if kind is CallError.REFUSED and not self.patience.refusals:
                    raise CallRefusedError(
                        f"AWS Batch refused {operation}{where}: {error}. {advice}",
                        queue=queue,
                        **details,
                    ) from error
                if backoff.give_up(hopeless=is_hopeless(error, operation)):
                    raise BatchUnavailableError(
                        f"{operation}{where} failed {backoff.count} times, last: {error}. {advice}",
                        queue=queue,
                        **details,
                    ) from error
                backoff.failed(
                    f"{operation} fails: {error}. The jobs go on; it is tried again. {advice}"
                )
                backoff.wait()
            else:
                backoff.answered(operation)
                return answer

    # -- reading -------------------------------------------------------------------------------

    def describe(self, job_ids: Sequence[str]) -> dict[str, JobDetailTypeDef]:
        """Describe jobs by id, 100 per call. Ids that AWS no longer knows are absent."""
        found: dict[str, JobDetailTypeDef] = {}
        for start in range(0, len(job_ids), DESCRIBE_LIMIT):
            chunk = list(job_ids[start : start + DESCRIBE_LIMIT])
            for job in self.with_retries("DescribeJobs", jobs=chunk)["jobs"]:
                found[job["jobId"]] = job
        return found

    def pages(
        self, operation: str, key: str, *, budget: str | None = None, **request: Any
    ) -> Iterator[Any]:
        """The items under `key` of all pages of a listing."""
        while True:
            answer = self.with_retries(operation, budget=budget, **request)
            yield from answer[key]
            if not answer.get("nextToken"):
                return
            request["nextToken"] = answer["nextToken"]

    def by_name(self, queue: str, pattern: str, *, sweep: bool = False) -> list[JobSummaryTypeDef]:
        """All jobs of a queue with a name (or a name's beginning and `*`), in any state.

        Oldest first. May lag behind SubmitJob.
        """
        rows = self.pages(
            "ListJobs",
            "jobSummaryList",
            budget="ListJobs/sweep" if sweep else "ListJobs",
            jobQueue=queue,
            filters=[{"name": "JOB_NAME", "values": [pattern]}],
            maxResults=PAGE_FILTERED,
        )
        return sorted(rows, key=lambda row: (row.get("createdAt", 0), row["jobId"]))

    def children(self, parent_id: str, status: JobStatusType) -> Iterator[JobSummaryTypeDef]:
        """The children of an array in one state, 1,000 per call."""
        return self.pages(
            "ListJobs", "jobSummaryList", arrayJobId=parent_id, jobStatus=status, maxResults=PAGE
        )

    def in_queue(self, queue: str, status: JobStatusType) -> Iterator[JobSummaryTypeDef]:
        """The jobs of a queue in one state, 1,000 per call."""
        return self.pages(
            "ListJobs", "jobSummaryList", jobQueue=queue, jobStatus=status, maxResults=PAGE
        )

    # -- ending --------------------------------------------------------------------------------

    def terminate(self, job_ids: Collection[str], reason: str) -> dict[str, str]:
        """End jobs in any state; ending an array ends its children. Returns the errors by id.

        50 ids a call where AWS (and this boto3) know TerminateJobs, else one by one.
        """
        reason = reason[:1024]
        errors: dict[str, str] = {}
        ids = list(job_ids)
        while ids and "TerminateJobs" not in self._unknown:
            chunk = ids[:TERMINATE_LIMIT]
            try:
                answer = self.with_retries("TerminateJobs", jobs=chunk, reason=reason)
            except CallRefusedError as error:
                # Older endpoints don't know the operation; anything else would also fail singly and
                # say so.
                _log.info("no bulk TerminateJobs here (%s): ending jobs one by one", error)
                self._unknown.add("TerminateJobs")
                break
            for wrong in answer.get("errors", []):
                errors[wrong["job"]] = f"{wrong.get('code')}: {wrong.get('message')}"
            ids = ids[TERMINATE_LIMIT:]
        for job_id in ids:
            try:
                self.with_retries("TerminateJob", jobId=job_id, reason=reason)
            except BatchError as error:
                errors[job_id] = str(error)
        return errors
