"""AWS Batch for Dagster: run containers as one job or as arrays of many, and know what became of
each.

`BatchJobs` is the resource that assets and ops use; `Job` and `JobDefinition` say what to run.
Knows nothing of the
project around it and imports only boto3, Dagster and the standard library.
"""

from dagster_aws_batch._errors import (
    BatchError,
    BatchUnavailableError,
    InvalidJobError,
    PayloadTooLargeError,
    ScratchError,
    SubmitRejectedError,
)
from dagster_aws_batch._identity import origin_run_id
from dagster_aws_batch._job import (
    Attempt,
    FailureClass,
    Job,
    JobDefinition,
    LogRef,
    Price,
    ReceiptReader,
    Retries,
    TaskResult,
    TaskState,
)
from dagster_aws_batch._outcome import Outcome
from dagster_aws_batch._pipes import (
    PipesBatchClient,
    PipesBatchInvocation,
)
from dagster_aws_batch._reaper import (
    batch_reaper_sensor,
    batch_reaper_sensors,
)
from dagster_aws_batch._resource import BatchJobs

__version__ = "0.1.0"

__all__ = [
    "Attempt",
    "BatchError",
    "BatchJobs",
    "BatchUnavailableError",
    "FailureClass",
    "InvalidJobError",
    "Job",
    "JobDefinition",
    "LogRef",
    "Outcome",
    "PayloadTooLargeError",
    "PipesBatchClient",
    "PipesBatchInvocation",
    "Price",
    "ReceiptReader",
    "Retries",
    "ScratchError",
    "SubmitRejectedError",
    "TaskResult",
    "TaskState",
    "batch_reaper_sensor",
    "batch_reaper_sensors",
    "origin_run_id",
]
