"""The logs of containers, from CloudWatch Logs, within a rate budget of the process.

A log that can't be read never hides the failure: every reader gets lines or a note, not an
exception.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from dagster_aws_batch._aws.clock import Clock
from dagster_aws_batch._aws.failures import CallError, ask, classify_call
from dagster_aws_batch._aws.rates import RateBudget
from dagster_aws_batch._results import Attempt, LogRef

if TYPE_CHECKING:
    from types_boto3_logs import CloudWatchLogsClient

__all__ = ["LOG_RATE", "LogReader"]

LINES = 100
#: Calls of GetLogEvents a second; users report that an account may make 10.
LOG_RATE = 5.0
TRIES = 4


class LogReader:
    """Reads log tails; one per connection, so that its budget holds."""

    def __init__(
        self, client: CloudWatchLogsClient | None, *, clock: Clock, rate: float = LOG_RATE
    ) -> None:
        self.client = client
        self.clock = clock
        self._budget = RateBudget(clock, rate=rate)
        self.calls: Counter[str] = Counter()

    def tail(self, attempts: Sequence[Attempt]) -> tuple[tuple[str, ...], str]:
        """The last lines of all containers of all attempts, and a note about what was not read.

        With several streams each gets a heading line.
        """
        streams = [
            (number, ref) for number, attempt in enumerate(attempts, 1) for ref in attempt.logs
        ]
        if self.client is None:
            return (), "no CloudWatch Logs client"
        if not streams:
            return (
                (),
                "its log is where the cluster sends logs of pods: AWS Batch names no stream on EKS"
                if any(attempt.pod for attempt in attempts)
                else "no log stream is known: the container never started, its log driver is not "
                "awslogs, or AWS no longer knows the job",
            )
        found: list[str] = []
        notes: list[str] = []
        for number, ref in streams:
            text, note = self._read(ref.group, ref.stream)
            if len(streams) > 1 and text:
                name = f", container {ref.container}" if ref.container else ""
                found.append(f"--- attempt {number}{name}: {ref.stream}")
            found.extend(text)
            if note:
                notes.append(note)
        return tuple(found), "; ".join(notes)

    def read_on(self, ref: LogRef, token: str | None) -> tuple[list[str], str | None, str]:
        """The lines of a stream since `token` (None: from its beginning), and the next token.

        A stream that can't be read (it may not be there yet) has no new lines; last comes why.
        """
        lines: list[str] = []
        while self.client is not None:
            request: dict[str, Any] = {"nextToken": token} if token else {}
            try:
                answer = self._events(ref.group, ref.stream, startFromHead=True, **request)
            except (ClientError, BotoCoreError) as error:
                if classify_call(error) is CallError.THROTTLED:
                    self._budget.throttled()
                return lines, token, str(error)
            self._budget.succeeded()
            lines += [event.get("message", "").rstrip("\n") for event in answer["events"]]
            before, token = token, answer.get("nextForwardToken", token)
            if token == before or not answer["events"]:
                break
        return lines, token, ""

    def _events(self, group: str, stream: str, **request: Any) -> Any:
        self._budget.take()
        self.calls["GetLogEvents"] += 1
        names = {"logGroupName": group, "logStreamName": stream}
        return ask(self.client, "GetLogEvents", **names, **request)

    def _read(self, group: str, stream: str) -> tuple[list[str], str]:
        assert self.client is not None
        for attempt in range(TRIES):
            try:
                answer = self._events(group, stream, startFromHead=False, limit=LINES)
            except (ClientError, BotoCoreError) as error:
                trouble = classify_call(error)
                if trouble is CallError.THROTTLED:
                    self._budget.throttled()
                if trouble is CallError.REFUSED or attempt == TRIES - 1:
                    return [], f"log {group} {stream} could not be read: {error}"
                self.clock.sleep(1.0 + attempt)
                continue
            self._budget.succeeded()
            return [event.get("message", "").rstrip("\n") for event in answer["events"]], ""
        return [], ""
