"""Who calls: from a Dagster context to the run, step and partitions that name and tag the jobs.

Public Dagster API only, but for `context.op_handle` and `context.run`, which are documented by use
and not marked `@public`; both are read in this one module.
"""

from __future__ import annotations

import secrets
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import dagster as dg

__all__ = ["Caller", "caller_of", "ordinal_of", "origin_run_id"]

RESUME_TAGS = ("dagster/is_resume_retry", "dagster/is_asset_resume_retry")
PARENT_TAG = "dagster/parent_run_id"
MAX_CHAIN = 100
DIRECT = "direct"
# Callers whose counts are kept: many more than a process serves at once.
MAX_CALLERS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A step of a run.

    `origin_run_id`: the first run of a chain of retries from failure (or the run itself).
    """

    run_id: str
    origin_run_id: str
    step: str
    retry_number: int
    tags: Mapping[str, str]

    @property
    def direct(self) -> bool:
        """Whether the op or asset was called as a function, outside of any run."""
        return self.step == DIRECT

    @property
    def resumed(self) -> bool:
        """Whether an earlier attempt may have left jobs."""
        return self.retry_number > 0 or self.origin_run_id != self.run_id


# How often a caller has asked for the same work: the n-th request is one of its own.
_requests: dict[tuple[str, str, int], Counter[str]] = {}
_lock = threading.Lock()


def ordinal_of(caller: Caller, content: str) -> int:
    """How often this attempt of the step has asked for this content before."""
    key = (caller.run_id, caller.step, caller.retry_number)
    with _lock:
        counts = _requests.setdefault(key, Counter())
        counts[content] += 1
        while len(_requests) > MAX_CALLERS:
            del _requests[next(iter(_requests))]
        return counts[content] - 1


def origin_run_id(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """Follow retries *from failure* back to the first run; their jobs are to be found again.

    A full re-execution starts anew on purpose, so the chain ends there. The UI and the retry daemon
    mark a retry from failure by a tag (Dagster's own test for it); `execute_job` in Python does
    not.
    """
    for _ in range(MAX_CHAIN):
        parent_id = run.tags.get(PARENT_TAG) or run.parent_run_id
        if parent_id is None or not any(run.tags.get(tag) == "true" for tag in RESUME_TAGS):
            return run.run_id
        parent = instance.get_run_by_id(parent_id)
        if parent is None:
            return parent_id
        run = parent
    return run.run_id


def caller_of(context: dg.AssetExecutionContext | dg.OpExecutionContext) -> Caller:
    """Read a context: also in a mapped (dynamic) op, and for assets with one or many partitions."""
    op = context.op_execution_context
    try:
        run = context.run
    except dg.DagsterError:
        return _direct(op)
    step = str(op.op_handle)
    mapping_key = op.get_mapping_key()
    if mapping_key:
        step = f"{step}[{mapping_key}]"
    origin = origin_run_id(context.instance, run)
    tags = {
        "dagster/run-id": run.run_id,
        "dagster/origin-run-id": origin,
        "dagster/job": run.job_name,
        "dagster/op": step,
        **_asset_tags(op),
        **_partition_tags(op),
        **_location_tags(run),
    }
    return Caller(
        run_id=run.run_id, origin_run_id=origin, step=step, retry_number=op.retry_number, tags=tags
    )


def _direct(op: dg.OpExecutionContext) -> Caller:
    """The caller of an op or asset that is called as a function, as unit tests do: no run."""
    run_id = f"direct-{secrets.token_hex(8)}"
    tags = {"dagster/run-id": run_id, "dagster/origin-run-id": run_id, **_partition_tags(op)}
    return Caller(run_id=run_id, origin_run_id=run_id, step=DIRECT, retry_number=0, tags=tags)


def _asset_tags(op: dg.OpExecutionContext) -> dict[str, str]:
    if not op.has_assets_def:
        return {}
    keys = sorted(key.to_user_string() for key in op.selected_asset_keys)
    return {"dagster/asset": ",".join(keys)}


def _partition_tags(op: dg.OpExecutionContext) -> dict[str, str]:
    if not op.has_partition_key and not op.has_partition_key_range:
        return {}
    if op.has_partition_key:
        return {"dagster/partition": op.partition_key}
    keys = op.partition_keys
    if not keys:
        return {}
    return {
        "dagster/partition-first": keys[0],
        "dagster/partition-last": keys[-1],
        "dagster/partition-count": str(len(keys)),
    }


def _location_tags(run: dg.DagsterRun) -> dict[str, str]:
    # Absent when a job runs in process, without a code location.
    origin = run.remote_job_origin
    if origin is None:
        return {}
    return {"dagster/code-location": origin.repository_origin.code_location_origin.location_name}
