"""Dagster Pipes without a bucket: messages among the lines of a container's log.

For `PipesBatchClient`. A container made for dagster-aws' `PipesECSClient` writes them there.
"""

import json
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import dagster as dg
from dagster_pipes import PIPES_PROTOCOL_VERSION_FIELD, PipesDefaultMessageWriter

from dagster_aws_batch._aws.answers import stream_of, streams_of
from dagster_aws_batch._aws.logs import LogReader
from dagster_aws_batch._results import LogRef, TaskResult

__all__ = ["Launched", "PipesBatchLogMessageReader", "parsed"]

# The pauses in which the last lines of a container that has ended are waited for, seconds: its log
# driver sends them every five.
LATE_LOGS = (0.5, 1.0, 2.0, 3.0, 4.0, 5.0)
LONGEST_MESSAGE = 4_000_000


def parsed(line: str) -> Any:
    """A message; None for a line that is none, or was torn when its writer was killed."""
    try:
        return json.loads(line)
    except ValueError:
        return None


class PipesBatchLogMessageReader(dg.PipesMessageReader):
    """Reads the messages among the lines of the container's log; needs no bucket.

    For `PipesBatchClient`, which reads with its polls of the job: no thread, no further client, and
    within the process's budget for logs. A container with the default message writer writes there.
    """

    def __init__(self) -> None:
        self._handler: dg.PipesMessageHandler | None = None
        self._ref: LogRef | None = None
        self._token: str | None = None
        self._torn = ""
        self._trouble = ""

    @contextmanager
    def read_messages(self, handler: dg.PipesMessageHandler) -> Generator[dict[str, Any]]:
        """Tell the container's writer to write to its standard output."""
        self._handler = handler
        yield {PipesDefaultMessageWriter.STDIO_KEY: PipesDefaultMessageWriter.STDOUT}

    def on_launched(self, launched_payload: Any) -> None:
        """Take log group and stream, as dagster-aws' readers do."""
        extras = launched_payload.get("extras") or {}
        if "log_stream" in extras:
            self._ref, self._token = LogRef(extras["log_group"], extras["log_stream"]), None

    def read(self, logs: LogReader) -> None:
        """Handle the lines that have come since the last time."""
        if self._ref is None:
            return
        lines, self._token, trouble = logs.read_on(self._ref, self._token)
        self._trouble = f" Last answer: {trouble}" if trouble else ""
        for line in lines:
            self._handle(line)

    def drain(self, logs: LogReader) -> None:
        """Read what the log's driver delivers after the container's end."""
        assert self._handler is not None
        for pause in (0.0, *LATE_LOGS):
            logs.clock.sleep(pause)
            self.read(logs)
            if self._ref is None or self._handler.received_closed_message:
                return

    def _handle(self, line: str) -> None:
        # A message longer than an event of CloudWatch comes in several.
        text = self._torn + line
        message = parsed(text)
        version = PIPES_PROTOCOL_VERSION_FIELD
        self._torn = ""
        if isinstance(message, dict) and version in message:
            assert self._handler is not None
            self._handler.handle_message(message)  # type: ignore[arg-type]
        elif message is None and text.startswith(f'{{"{version}"') and len(text) < LONGEST_MESSAGE:
            self._torn = text
        else:
            # As dagster-aws does with the logs of ECS tasks: into the step's own output.
            sys.stdout.write(f"{line}\n")

    def no_messages_debug_text(self) -> str:
        """Where they should have been."""
        if self._ref is None:
            return (
                "AWS Batch named no log stream of the container: it never started, its log driver "
                "is not awslogs, or it runs on Amazon EKS. Set BatchJobs.scratch to an S3 prefix."
            )
        return (
            f"Read log stream {self._ref.stream} of group {self._ref.group}. The container must "
            "use open_dagster_pipes() with its default context loader and message "
            f"writer.{self._trouble}"
        )


class Launched:
    """Gives the log of a session's job to its reader, whatever kind that is."""

    def __init__(
        self,
        session: dg.PipesSession,
        reader: dg.PipesMessageReader,
        logs: LogReader,
        container: str | None,
    ) -> None:
        self._session, self._reader, self._logs = session, reader, logs
        self._container = container
        self._known: LogRef | None = None

    def polled(self, detail: Mapping[str, Any]) -> None:
        """After each poll of the job, with its description."""
        self._found(streams_of(detail))
        if isinstance(self._reader, PipesBatchLogMessageReader):
            self._reader.read(self._logs)

    def ended(self, result: TaskResult) -> None:
        """After the job's end, also of one that an earlier attempt had started."""
        self._found(result.attempts[-1].logs if result.attempts else ())
        if isinstance(self._reader, PipesBatchLogMessageReader):
            self._reader.drain(self._logs)

    def _found(self, refs: Sequence[LogRef]) -> None:
        ref = stream_of(refs, self._container)
        if ref is None or (self._known and ref.stream == self._known.stream):
            return
        self._known = ref
        extras = {"log_group": ref.group, "log_stream": ref.stream}
        self._session.report_launched({"extras": extras})
