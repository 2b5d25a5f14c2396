"""What AWS Batch and its client tell a container about itself, from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from wordfreq_batch.errors import UsageError


class JobInfo(NamedTuple):
    """Who this container is; all empty when run by hand.

    `submission` is the token of the SubmitJob call, see `plans.receipts.take_lease`.
    """

    job_id: str = ""
    attempt: int = 0
    submission: str = ""

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> JobInfo:
        """Read `AWS_BATCH_JOB_ID`, `AWS_BATCH_JOB_ATTEMPT` and `BATCH_SUBMISSION`.

        Raises:
            UsageError: the token can't be part of an object's name.
        """
        attempt = environment.get("AWS_BATCH_JOB_ATTEMPT", "")
        token = environment.get("BATCH_SUBMISSION", "")
        if "/" in token or not token.isprintable() or len(token) > 200:
            raise UsageError(
                f"BATCH_SUBMISSION is {token[:60]!r}; use up to 200 letters, digits and '-'"
            )
        return cls(
            job_id=environment.get("AWS_BATCH_JOB_ID", ""),
            attempt=int(attempt) if attempt.isdecimal() else 0,
            submission=token,
        )
