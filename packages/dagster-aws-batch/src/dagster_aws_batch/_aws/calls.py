"""The AWS Batch API with manners: a rate budget for each call, patient retries where a repeat is
harmless, and a count.

The boto3 client given here must have the SDK's own retries off (`connect.py` makes it so): a blind
repeat of SubmitJob can create a second job, and repeats below the rate budget would break it.
"""

from __future__ import annotations

import logging
import random
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar, cast

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
)

from dagster_aws_batch._aws.clock import Clock
from dagster_aws_batch._aws.rates import (
    Backoff,
    RateBudget,
)
from dagster_aws_batch._errors import (
    BatchError,
    BatchUnavailableError,
)

if TYPE_CHECKING:
    from types_boto3_batch import BatchClient
    from types_boto3_batch.literals import JobStatusType
    from types_boto3_batch.type_defs import JobDetailTypeDef, JobSummaryTypeDef

__all__ = ["BatchApi", "Trouble", "triage"]

T = TypeVar("T")

DESCRIBE_LIMIT = 100
TERMINATE_LIMIT = 50
PAGE = 1000
PAGE_FILTERED = 100

_THROTTLE_CODES = frozenset(
    {
        "TooManyRequestsException",
        "ThrottlingException",
        "Throttling",
        "ThrottledException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "SlowDown",
    }
)


class Trouble(Enum):
    """What an exception of a call means for a repeat of it."""

    THROTTLED = "refused for its rate: nothing was done"
    UNSENT = "never reached AWS: nothing was done"
    UNCERTAIN = "may have been done"
    REJECTED = "refused for what it says: a repeat is refused too"


def triage(error: Exception) -> Trouble:
    """Sort a botocore exception."""
    if isinstance(error, ClientError):
        code = error.response.get("Error", {}).get("Code", "")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if status == 429 or code in _THROTTLE_CODES:
            return Trouble.THROTTLED
        return Trouble.UNCERTAIN if status >= 500 else Trouble.REJECTED
    if isinstance(error, (ConnectTimeoutError, EndpointConnectionError)):
        return Trouble.UNSENT
    if isinstance(error, HTTPClientError):
        return Trouble.UNCERTAIN
    return Trouble.REJECTED


# Calls a second. DescribeJobs and ListJobs have no published quota; users report about 50 shared.
DEFAULT_RATES: Mapping[str, tuple[float, int]] = {
    "SubmitJob": (25.0, 5),
    "DescribeJobs": (10.0, 5),
    "ListJobs": (10.0, 10),
    "TerminateJob": (20.0, 10),
    # The sweep after a cancel must not queue behind the polling of other stages.
    "ListJobs/sweep": (10.0, 10),
    "Definitions": (2.0, 4),
}


class BatchApi:
    """One AWS Batch endpoint as this process uses it. Thread-safe. `calls` counts requests by
    operation.
    """

    def __init__(
        self,
        client: BatchClient,
        *,
        clock: Clock,
        rng: random.Random | None = None,
        rates: Mapping[str, float] | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        self.client = client
        self.clock = clock
        self.rng = rng or random.Random()  # noqa: S311  (jitter, no secret)
        self.log = logger or logging.getLogger(__name__)
        self.calls: Counter[str] = Counter()
        self._count_lock = threading.Lock()
        chosen = dict(rates or {})
        self._budgets = {
            name: RateBudget(clock, rate=chosen.get(name, rate), burst=burst)
            for name, (rate, burst) in DEFAULT_RATES.items()
        }
        self._bulk_terminate = hasattr(client, "terminate_jobs")

    # -- one request ---------------------------------------------------------------------------

    def once(self, operation: str, budget: str, request: Callable[[], T]) -> T:
        """Make one request within its budget. The exception of botocore comes through as it is."""
        limiter = self._budgets[budget]
        limiter.take()
        with self._count_lock:
            self.calls[operation] += 1
        try:
            answer = request()
        except ClientError as error:
            if triage(error) is Trouble.THROTTLED:
                limiter.throttled()
            raise
        limiter.succeeded()
        return answer

    def backoff(self, *, hurry: bool = False) -> Backoff:
        """The waits for one call: at least ten tries over two minutes; in a hurry, shorter
        pauses.
        """
        if hurry:
            return Backoff(self.clock, self.rng, tries=10, seconds=25.0, base=0.1, cap=2.0)
        return Backoff(self.clock, self.rng)

    def patiently(
        self, operation: str, budget: str, request: Callable[[], T], *, hurry: bool = False
    ) -> T:
        """Make a request that may be repeated without harm until it is answered, or give up."""
        backoff = self.backoff(hurry=hurry)
        while True:
            try:
                return self.once(operation, budget, request)
            except (ClientError, BotoCoreError) as error:
                if triage(error) is Trouble.REJECTED:
                    raise
                if backoff.give_up():
                    raise BatchUnavailableError(
                        f"{operation} was refused or unanswered {backoff.count} times, last: "
                        f"{error}. "
                        "Lower the request rates of whatever else uses this account, or try later"
                    ) from error
                backoff.wait()

    # -- reading -------------------------------------------------------------------------------

    def describe(self, job_ids: Sequence[str]) -> dict[str, JobDetailTypeDef]:
        """Describe jobs by id, 100 a call. Ids that AWS no longer knows are absent from the
        answer.
        """
        found: dict[str, JobDetailTypeDef] = {}
        for start in range(0, len(job_ids), DESCRIBE_LIMIT):
            chunk = list(job_ids[start : start + DESCRIBE_LIMIT])

            def ask(ids: list[str] = chunk) -> list[JobDetailTypeDef]:
                return self.client.describe_jobs(jobs=ids)["jobs"]

            for job in self.patiently("DescribeJobs", "DescribeJobs", ask):
                found[job["jobId"]] = job
        return found

    def _pages(
        self, request: dict[str, Any], *, budget: str = "ListJobs", hurry: bool = False
    ) -> Iterator[JobSummaryTypeDef]:
        token: str | None = None
        while True:
            page = {**request, "nextToken": token} if token else request

            def ask(page: dict[str, Any] = page) -> Any:
                return self.client.list_jobs(**page)

            answer = self.patiently("ListJobs", budget, ask, hurry=hurry)
            yield from cast("list[JobSummaryTypeDef]", answer["jobSummaryList"])
            token = answer.get("nextToken")
            if not token:
                return

    def by_name(self, queue: str, pattern: str, *, sweep: bool = False) -> list[JobSummaryTypeDef]:
        """All jobs of a queue with a name (or a name's beginning and `*`), whatever their state,
        oldest first.

        May lag behind SubmitJob.
        """
        request = {
            "jobQueue": queue,
            "filters": [{"name": "JOB_NAME", "values": [pattern]}],
            "maxResults": PAGE_FILTERED,
        }
        budget = "ListJobs/sweep" if sweep else "ListJobs"
        rows = list(self._pages(request, budget=budget, hurry=sweep))
        return sorted(rows, key=lambda row: (row.get("createdAt", 0), row["jobId"]))

    def children(self, parent_id: str, status: JobStatusType) -> Iterator[JobSummaryTypeDef]:
        """The children of an array in one state, 1,000 a call."""
        return self._pages({"arrayJobId": parent_id, "jobStatus": status, "maxResults": PAGE})

    def in_queue(self, queue: str, status: JobStatusType) -> Iterator[JobSummaryTypeDef]:
        """The jobs of a queue in one state, 1,000 a call."""
        return self._pages({"jobQueue": queue, "jobStatus": status, "maxResults": PAGE})

    # -- ending --------------------------------------------------------------------------------

    def terminate(self, job_ids: Collection[str], reason: str) -> dict[str, str]:
        """End jobs in any state; ending an array ends its children. Returns the errors by id.

        50 ids a call where AWS (and this boto3) know TerminateJobs, else one by one.
        """
        reason = reason[:1024]
        errors: dict[str, str] = {}
        ids = list(job_ids)
        while ids and self._bulk_terminate:
            chunk = ids[:TERMINATE_LIMIT]

            def bulk(chunk: list[str] = chunk) -> Any:
                return cast(Any, self.client).terminate_jobs(jobs=chunk, reason=reason)

            try:
                answer = self.patiently("TerminateJobs", "TerminateJob", bulk, hurry=True)
            except ClientError as error:
                # Older endpoints don't know the operation; anything else would also fail singly and
                # say so.
                self.log.info("no bulk TerminateJobs here (%s): ending jobs one by one", error)
                self._bulk_terminate = False
                break
            for wrong in answer.get("errors", []):
                errors[wrong["job"]] = f"{wrong.get('code')}: {wrong.get('message')}"
            ids = ids[TERMINATE_LIMIT:]
        for job_id in ids:

            def single(job_id: str = job_id) -> Any:
                return self.client.terminate_job(jobId=job_id, reason=reason)

            try:
                self.patiently("TerminateJob", "TerminateJob", single, hurry=True)
            except (ClientError, BatchError) as error:
                errors[job_id] = str(error)
        return errors
