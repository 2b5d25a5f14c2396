"""Whether a failed attempt is tried again: `retryStrategy` with its `evaluateOnExit` rules.

Pure functions. Source: AWS Batch API reference, RetryStrategy and EvaluateOnExit.
"""

from __future__ import annotations

from aws_batch_emulator._core.model import Exit, ExitRule, JobSpec, like


def retried(spec: JobSpec, *, attempt: int, end: Exit) -> bool:
    """Return whether the job gets another attempt after the `attempt`-th (from 1) ended like this.

    The first rule that matches decides; if none matches, Batch retries.
    """
    if attempt >= spec.attempts:
        return False
    for rule in spec.rules:
        if matches(rule, end):
            return rule.action.upper() == "RETRY"
    return True


def matches(rule: ExitRule, end: Exit) -> bool:
    """Return whether all patterns of the rule match; an absent value only matches `*`."""
    code = "" if end.exit_code is None else str(end.exit_code)
    return (
        like(code, rule.on_exit_code or "*")
        and like(end.reason or "", rule.on_reason or "*")
        and like(end.status_reason, rule.on_status_reason or "*")
    )
