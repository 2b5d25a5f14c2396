"""Errors of the Batch client; any module of it may raise them.

Each names the object it is about and the next step for its reader.
"""

from collections.abc import Generator
from contextlib import contextmanager

# How a user starts the preflight; named in several errors.
DOCTOR = "python -m dagster_aws_batch doctor"

__all__ = [
    "DOCTOR",
    "BatchError",
    "BatchUnavailableError",
    "CallRefusedError",
    "InvalidJobError",
    "PayloadTooLargeError",
    "ScratchError",
    "SubmitRejectedError",
    "about",
]


class BatchError(Exception):
    """Base of every error that this package raises on purpose.

    Attributes:
        job: Name of the job it is about, or "".
        queue: Name or ARN of the job queue, or "".
        operation: AWS's name of the call that failed, such as "SubmitJob", or "".
        code: AWS's error code, such as "AccessDeniedException", or "".
    """

    def __init__(
        self, message: str, *, job: str = "", queue: str = "", operation: str = "", code: str = ""
    ) -> None:
        super().__init__(message)
        self.job = job
        self.queue = queue
        self.operation = operation
        self.code = code


class InvalidJobError(BatchError):
    """A job, definition or option that AWS Batch would refuse; found before it is submitted."""


class PayloadTooLargeError(InvalidJobError):
    """A request over one of the size limits of AWS Batch that could not be moved to `scratch`."""


class ScratchError(BatchError):
    """The scratch place is missing, or can't be read or written."""


class CallRefusedError(BatchError):
    """AWS Batch refused a call for what it says: a repeat would be refused too."""


class SubmitRejectedError(CallRefusedError):
    """AWS Batch refused SubmitJob or RegisterJobDefinition: nothing exists."""


class BatchUnavailableError(BatchError):
    """AWS Batch throttled or failed one call for longer than the client is willing to wait."""


@contextmanager
def about(job: str, queue: str = "") -> Generator[None]:
    """Put job and queue on an error raised inside that doesn't name its own."""
    try:
        yield
    except BatchError as error:
        error.job, error.queue = error.job or job, error.queue or queue
        raise
