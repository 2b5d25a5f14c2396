"""AWS Batch for Dagster: run containers as one job or as arrays of many, and know what became of
each.

`BatchJobs` is the resource that assets and ops use; `Job` and `JobDefinition` say what to run.
Knows nothing of the
project around it and imports only boto3, Dagster and the standard library.
"""

from .errors import (
    BatchError,
    BatchUnavailableError,
    InvalidJobError,
    PayloadTooLargeError,
    ScratchError,
    SubmitRejectedError,
)
from .identity import origin_run_id
from .model import (
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
from .outcome import Outcome
from .pipes import PipesBatchClient, PipesBatchInvocation
from .reaper import batch_reaper_sensor, batch_reaper_sensors
from .resource import BatchJobs

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
