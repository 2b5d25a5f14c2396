"""The reaper: ends AWS Batch jobs of Dagster runs that were killed before they could do so.

A step that is interrupted ends its jobs; a run worker that dies by SIGKILL or for lack of memory
cannot. Once its run is FAILURE or CANCELED (Dagster's run monitoring, or a person, makes it so),
this sensor acts.
"""

from collections.abc import Sequence

import dagster as dg

from dagster_aws_batch._identity import origin_run_id
from dagster_aws_batch._resource import BatchJobs
from dagster_aws_batch._run.find import end_jobs, jobs_of_run
from dagster_aws_batch._run.unresolved import end_unresolved

# No `from __future__ import annotations` here: Dagster reads the annotations of sensor functions.

__all__ = ["batch_reaper_sensor", "batch_reaper_sensors", "reap"]

ROOT_TAG = "dagster/root_run_id"
WILL_RETRY_TAG = "dagster/will_retry"
_FINISHED = (
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
)
UNFINISHED = [status for status in dg.DagsterRunStatus if status not in _FINISHED]


def reap(instance: dg.DagsterInstance, run: dg.DagsterRun, batch: BatchJobs) -> str:
    """End the live jobs of an ended run, unless a retry of it goes on with them.

    Jobs submitted with `forward_termination=False` are left; submissions whose answer was lost are
    ended when they have appeared.

    Args:
        instance: Where the runs are.
        run: The run that ended.
        batch: The resource whose queues are searched.

    Returns:
        What was done, for people.
    """
    if run.tags.get(WILL_RETRY_TAG) == "true":
        return "the run is retried: the retry continues with its jobs"
    origin = origin_run_id(instance, run)
    successor = _successor(instance, run, origin)
    if successor is not None:
        return f"run {successor} continues with its jobs"
    api = batch.connection().api
    jobs = jobs_of_run(api, batch.queues(), prefix=batch.name_prefix, origin_run_id=origin)
    late = end_unresolved(api, scratch) if (scratch := batch.open_scratch()) else []
    kept = [job.name for job in jobs if job.live and job.kept]
    live = [job for job in jobs if job.live and not job.kept]
    if not live:
        more = f"; {len(kept)} go on, as configured" if kept else ""
        more += f"; ended {len(late)} that appeared late" if late else ""
        return f"no live AWS Batch job{more}"
    errors = end_jobs(api, live, f"Dagster run {run.run_id} ended as {run.status.value}")
    ended = [job.name for job in live if job.job_id not in errors]
    failed = "".join(f"; could not end {job_id}: {why}" for job_id, why in errors.items())
    return f"ended {len(ended)} AWS Batch job(s): {', '.join(ended)}{failed}"


def _successor(instance: dg.DagsterInstance, run: dg.DagsterRun, origin: str) -> str | None:
    """An unfinished run that continues this one from failure."""
    root = run.tags.get(ROOT_TAG, run.run_id)
    others = instance.get_runs(
        filters=dg.RunsFilter(tags={ROOT_TAG: root}, statuses=UNFINISHED), limit=100
    )
    for other in others:
        if other.run_id != run.run_id and origin_run_id(instance, other) == origin:
            return other.run_id
    return None


def batch_reaper_sensor(
    run_status: dg.DagsterRunStatus,
    *,
    batch: BatchJobs | None = None,
    name: str | None = None,
    minimum_interval_seconds: int = 30,
    monitor_all_code_locations: bool = False,
    default_status: dg.DefaultSensorStatus = dg.DefaultSensorStatus.RUNNING,
) -> dg.SensorDefinition:
    """A sensor that ends the jobs of runs that ended in one state.

    Args:
        run_status: FAILURE or CANCELED.
        batch: The resource to use; default: the one named `batch` in the code location.
        name: Of the sensor; default: `batch_reaper_` and the state.
        minimum_interval_seconds: Between two evaluations.
        monitor_all_code_locations: Whether to act on runs of other code locations too.
        default_status: Whether it runs without being switched on.
    """

    def by_key(context: dg.RunStatusSensorContext, batch: BatchJobs) -> dg.SkipReason:
        return dg.SkipReason(reap(context.instance, context.dagster_run, batch))

    def its_own(context: dg.RunStatusSensorContext) -> dg.SkipReason:
        assert batch is not None
        with batch.process_config_and_initialize_cm() as made:
            return by_key(context, made)

    sensor = dg.run_status_sensor(
        run_status=run_status,
        name=name or f"batch_reaper_{run_status.value.lower()}",
        description=f"Ends AWS Batch jobs that runs left behind which ended as {run_status.value}.",
        minimum_interval_seconds=minimum_interval_seconds,
        monitor_all_code_locations=monitor_all_code_locations,
        default_status=default_status,
    )
    return sensor(its_own if batch else by_key)


def batch_reaper_sensors(
    *,
    batch: BatchJobs | None = None,
    name: str = "batch_reaper",
    monitor_all_code_locations: bool = False,
) -> Sequence[dg.SensorDefinition]:
    """The two sensors that a code location needs: for failed and for cancelled runs.

    Args:
        batch: The resource to use; default: the one named `batch` in the code location.
        name: How the sensors' names begin; a second pair in a code location needs another one.
        monitor_all_code_locations: Whether to act on runs of other code locations too.
    """
    return [
        batch_reaper_sensor(
            status,
            batch=batch,
            name=f"{name}_{status.value.lower()}",
            monitor_all_code_locations=monitor_all_code_locations,
        )
        for status in (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
    ]
