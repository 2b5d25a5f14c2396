"""All jobs of one Dagster run, found by name and proven by tag: to list them, or to end them.

For the reaper and the command line; works for runs of any process, also dead ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from dagster_aws_batch._aws.calls import BatchApi
from dagster_aws_batch._aws.names import round_of, run_prefix, slug
from dagster_aws_batch._results import JobInfo

__all__ = ["KEEP_TAG", "end_jobs", "jobs_of_run", "live_jobs"]

ORIGIN_TAG = "dagster/origin-run-id"
#: On jobs that are meant to outlive their run (`forward_termination=False`).
KEEP_TAG = "dagster/keep-running"


def jobs_of_run(
    api: BatchApi, queues: Iterable[str], *, prefix: str, origin_run_id: str
) -> list[JobInfo]:
    """The jobs whose name and tag say that they belong to this run (or chain of retries)."""
    found = _by_name(api, queues, f"{run_prefix(prefix, origin_run_id)}*")
    # The name holds a hash only; a tag, if there is one, must say the same.
    return [job for job in found if job.run_id in (origin_run_id, "")]


def live_jobs(api: BatchApi, queues: Iterable[str], *, prefix: str) -> list[JobInfo]:
    """All live jobs of this client, whatever their run."""
    return [job for job in _by_name(api, queues, f"{slug(prefix, 24)}-*") if job.live]


def end_jobs(api: BatchApi, jobs: Iterable[JobInfo], reason: str) -> dict[str, str]:
    """End the live ones among `jobs`. Returns the errors by job id."""
    return api.terminate([job.job_id for job in jobs if job.live], reason)


def _by_name(api: BatchApi, queues: Iterable[str], pattern: str) -> list[JobInfo]:
    found: list[JobInfo] = []
    for queue in dict.fromkeys(queues):
        rows = api.by_name(queue, pattern, sweep=True)
        details = api.describe([row["jobId"] for row in rows])
        for row in rows:
            detail: Any = details.get(row["jobId"])
            if detail is None:
                continue
            tags = detail.get("tags", {})
            children = (detail.get("arrayProperties") or {}).get("statusSummary") or {
                detail["status"]: 1
            }
            found.append(
                JobInfo(
                    job_id=row["jobId"],
                    name=row["jobName"],
                    queue=queue,
                    status=detail["status"],
                    tasks=(detail.get("arrayProperties") or {}).get("size", 1),
                    children={state: number for state, number in children.items() if number},
                    round=max(0, round_of(row["jobName"])),
                    run_id=tags.get(ORIGIN_TAG, ""),
                    created_at=datetime.fromtimestamp(row.get("createdAt", 0) / 1000, timezone.utc),
                    kept=tags.get(KEEP_TAG) == "true",
                )
            )
    return found
