"""AWS Batch for Dagster: run containers as one job or as arrays, and know what became of each.

`BatchJobs` is the resource that assets and ops use; `Job` and `BatchJobDefinition` say what to run.
These names are public, as are the modules `doctor`, `findings`, `events.*` and `automation.*`. It
imports boto3, Dagster and what comes with it.
"""

from types import FunctionType

from dagster_shared.libraries import DagsterLibraryRegistry

from dagster_aws_batch._alive import dead_runs_sensor, is_gone, sign_of, signs_of_life
from dagster_aws_batch._aws.connect import Connection, client_config
from dagster_aws_batch._components import BatchJobComponent, BatchJobsComponent
from dagster_aws_batch._errors import (
    BatchError,
    BatchUnavailableError,
    CallRefusedError,
    InvalidJobError,
    PayloadTooLargeError,
    ScratchError,
    SubmitRejectedError,
)
from dagster_aws_batch._identity import origin_run_id
from dagster_aws_batch._job import BatchJobDefinition, Job, Price, ReceiptReader, Retries
from dagster_aws_batch._outcome import Outcome
from dagster_aws_batch._pipes.client import PipesBatchClient, PipesBatchInvocation
from dagster_aws_batch._pipes.messages import PipesBatchLogMessageReader
from dagster_aws_batch._reaper import batch_reaper_sensor, batch_reaper_sensors, reap
from dagster_aws_batch._resource import BatchJobs, JobRun
from dagster_aws_batch._results import Attempt, FailureClass, JobInfo, LogRef, TaskResult, TaskState
from dagster_aws_batch._run.usage import Usage

__version__ = "0.1.0"

__all__ = [
    "Attempt",
    "BatchError",
    "BatchJobComponent",
    "BatchJobDefinition",
    "BatchJobs",
    "BatchJobsComponent",
    "BatchUnavailableError",
    "CallRefusedError",
    "Connection",
    "FailureClass",
    "InvalidJobError",
    "Job",
    "JobInfo",
    "JobRun",
    "LogRef",
    "Outcome",
    "PayloadTooLargeError",
    "PipesBatchClient",
    "PipesBatchInvocation",
    "PipesBatchLogMessageReader",
    "Price",
    "ReceiptReader",
    "Retries",
    "ScratchError",
    "SubmitRejectedError",
    "TaskResult",
    "TaskState",
    "Usage",
    "batch_reaper_sensor",
    "batch_reaper_sensors",
    "client_config",
    "dead_runs_sensor",
    "is_gone",
    "origin_run_id",
    "reap",
    "sign_of",
    "signs_of_life",
]

DagsterLibraryRegistry.register("dagster-aws-batch", __version__, is_dagster_package=False)

# Users meet these names in tracebacks and help texts: they are shown as what they are imported by.
for _public in [globals()[_name] for _name in __all__]:
    # On Python 3.10 isinstance() takes an alias of Callable for a type.
    if issubclass(type(_public), (type, FunctionType)):
        _public.__module__ = __name__
