"""What users of the package write, checked by the type checkers of `make types`; never run."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import boto3
import dagster as dg

from dagster_aws_batch import (
    BatchError,
    BatchJobDefinition,
    BatchJobs,
    FailureClass,
    Job,
    JobRun,
    Outcome,
    PipesBatchClient,
    PipesBatchLogMessageReader,
    Retries,
    batch_reaper_sensors,
    client_config,
    dead_runs_sensor,
)


@dataclass
class Receipt:
    """What a task leaves."""

    exit_code: int
    rows: int


def receipts(tasks: Collection[int]) -> Mapping[int, Receipt]:
    """A reader of receipts."""
    return {task: Receipt(0, task) for task in tasks}


definition = BatchJobDefinition(
    image="tool:1", vcpus=0.5, memory_mib=1024, platform="FARGATE", environment={"A": "1"}
)
job = Job(
    name="tool",
    definition=definition,
    command=["run", "--all"],
    timeout_seconds=None,
    retries=Retries(user_code=1, memory_ceiling_mib=8192),
    options={"dependsOn": [{"jobId": "x"}]},
)


@dg.asset
def one(context: dg.AssetExecutionContext, batch: BatchJobs) -> dg.MaterializeResult[None]:
    """One job."""
    outcome = batch.run(context=context, job=job, tasks=1)
    outcome.raise_for_failure()
    return dg.MaterializeResult(metadata=outcome.metadata())


@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["a", "b"]))
def many(context: dg.AssetExecutionContext, batch: BatchJobs) -> None:
    """An array with receipts of the user's own type."""
    keys = context.partition_keys
    outcome: Outcome[Receipt] = batch.run(
        context=context, job=job, tasks=len(keys), receipts=receipts, follow_logs=[0]
    )
    rows: int = sum(receipt.rows for receipt in outcome.receipts.values())
    for task in outcome.failed:
        if task.failure is FailureClass.OUT_OF_MEMORY:
            context.log.info(f"{rows} {task.exit_code} {task.reason} {task.log_tail[-1:]}")
    outcome.raise_for_failure(minimum_success=0.9)


@dg.op
def several(context: dg.OpExecutionContext, batch: BatchJobs) -> int:
    """Different jobs at the same time."""
    runs = [JobRun(job=job, tasks=5), JobRun(job=job, receipts=receipts)]
    try:
        outcomes = batch.run_many(context=context, runs=runs)
    except BatchError as error:
        raise dg.Failure(f"{error.job} on {error.queue}: {error.code}") from error
    return sum(len(outcome.succeeded) for outcome in outcomes)


@dg.asset
def speaking(
    context: dg.AssetExecutionContext, pipes: PipesBatchClient
) -> dg.MaterializeResult[None]:
    """A container that speaks Pipes."""
    done = pipes.run(context=context, job=job, extras={"day": "monday"})
    return done.get_materialize_result()


batch = BatchJobs(queue=dg.EnvVar("QUEUE"), scratch="s3://bucket/prefix", tags={"team": "data"})
own = BatchJobs(queue="q", client=boto3.client("batch", config=client_config()))
defs = dg.Definitions(
    assets=[one, many, speaking],
    resources={
        "batch": batch,
        "pipes": PipesBatchClient(
            batch=own,
            message_reader=PipesBatchLogMessageReader(),
            context_injector=dg.PipesEnvContextInjector(),
        ),
    },
    sensors=[dead_runs_sensor(), *batch_reaper_sensors()],
)
