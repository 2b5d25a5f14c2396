"""Errors of the Batch client: each names the object it is about and the next step for its
reader.
"""

from __future__ import annotations

# How a user starts the preflight; named in several errors.
DOCTOR = f"python -m {__package__} doctor"

__all__ = [
    "DOCTOR",
    "BatchError",
    "BatchUnavailableError",
    "InvalidJobError",
    "PayloadTooLargeError",
    "ScratchError",
    "SubmitRejectedError",
]


class BatchError(Exception):
    """Base of every error that this package raises on purpose."""


class InvalidJobError(BatchError):
    """A job, definition or option that AWS Batch would refuse; found before any call."""


class PayloadTooLargeError(InvalidJobError):
    """A request over one of the size limits of AWS Batch that could not be moved to `scratch`."""


class ScratchError(BatchError):
    """The scratch place is missing, or can't be read or written."""


class SubmitRejectedError(BatchError):
    """AWS Batch answered SubmitJob or RegisterJobDefinition with a client error: nothing exists."""


class BatchUnavailableError(BatchError):
    """AWS Batch throttled or failed one call for longer than the client is willing to wait."""
