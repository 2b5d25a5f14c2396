"""`PipesBatchClient`: a container that speaks Dagster Pipes, as one AWS Batch job.

Thin: the engine under `BatchJobs` submits, waits, explains and cancels; here only the two ends of
the Pipes session are made, in the scratch place (S3, or a folder that the container can reach).
Both are removed when the session ends, however it ends.

Beta API of Dagster used: none; `PipesBlobStoreMessageReader`, `PipesMessageReader`,
`PipesContextInjector`, `PipesMessageHandler` and `open_pipes_session` are public.
"""

import json
import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import dagster as dg

from dagster_aws_batch._aws.names import content_key, digest
from dagster_aws_batch._errors import ScratchError
from dagster_aws_batch._identity import Caller, caller_of, ordinal_of
from dagster_aws_batch._job import Job, Retries
from dagster_aws_batch._resource import BatchJobs
from dagster_aws_batch._scratch import Scratch

__all__ = ["PipesBatchClient", "PipesBatchInvocation"]

# One session is one conversation: a second container would speak into the middle of it. Dagster's
# own
# RetryPolicy starts a new session.
ONCE = Retries(user_code=0, host_loss=0, out_of_memory=0)


class PipesBatchInvocation(dg.PipesClientCompletedInvocation):
    """The results of the container.

    What it did not report is not materialized, unless asked for.
    """

    def get_results(
        self, *, implicit_materializations: bool = False
    ) -> Sequence[dg.PipesExecutionResult]:
        """What the container reported."""
        return super().get_results(implicit_materializations=implicit_materializations)

    def get_materialize_result(
        self, *, implicit_materialization: bool = False
    ) -> dg.MaterializeResult[Any]:
        """The one materialization that the container reported."""
        return super().get_materialize_result(implicit_materialization=implicit_materialization)


class PipesBatchClient(dg.ConfigurableResource, dg.PipesClient):  # type: ignore[type-arg]
    """Runs one container on AWS Batch and carries its Pipes messages to Dagster.

    `batch` needs a scratch place. On S3 the container uses `PipesS3ContextLoader` and
    `PipesS3MessageWriter`; on a folder the defaults of `open_dagster_pipes()`.
    """

    batch: BatchJobs
    poll_messages_seconds: float = 5.0
    include_stdio_in_messages: bool = False

    def run(  # type: ignore[override]
        self,
        *,
        context: dg.AssetExecutionContext | dg.OpExecutionContext,
        job: Job,
        extras: Mapping[str, Any] | None = None,
    ) -> PipesBatchInvocation:
        """Run the job to its end.

        Raises `dagster.Failure`, with all that is known, if it failed.

        The job given is not changed; its retries are not used (give the asset a RetryPolicy).
        """
        scratch = self.batch.open_scratch()
        if scratch is None:
            raise ScratchError(
                "a Pipes session needs a scratch place: set BatchJobs.scratch to an S3 prefix, or "
                "to a folder that the container can read and write"
            )
        place = _place(scratch, caller_of(context), job, extras or {})
        reader = self._reader(scratch, place)
        try:
            with dg.open_pipes_session(
                context=context,
                context_injector=_ContextInjector(scratch, place),
                message_reader=reader,
                extras=dict(extras or {}),
            ) as session:
                environment = {**job.environment, **session.get_bootstrap_env_vars()}
                outcome: Any = self.batch.run(
                    context=context,
                    job=replace(job, environment=environment, retries=ONCE),
                    tasks=1,
                )
        finally:
            for name in scratch.names(f"{place}/"):
                scratch.delete(name)
        outcome.raise_for_failure()
        return PipesBatchInvocation(session, metadata=outcome.metadata())

    def _reader(self, scratch: Scratch, place: str) -> dg.PipesMessageReader:
        if scratch.uri.startswith("s3://"):
            return _S3MessageReader(
                scratch,
                place,
                interval=self.poll_messages_seconds,
                include_stdio=self.include_stdio_in_messages,
            )
        return _FileMessageReader(
            scratch,
            place,
            interval=min(1.0, self.poll_messages_seconds),
            include_stdio=self.include_stdio_in_messages,
        )


def _place(scratch: Scratch, caller: Caller, job: Job, extras: Mapping[str, Any]) -> str:
    """Where this session's objects lie.

    A session that ended well or badly is cleaned away, and the next one gets a new place. One whose
    process was killed is found again by the next process, with its messages and its job: by all
    that its result depends on, and how often this step has asked for just that.
    """
    asked = json.dumps(extras, sort_keys=True, default=str)
    name = job.definition if isinstance(job.definition, str) else ""
    content = digest("pipes", content_key(job, name, 1), asked, length=64)
    ordinal = ordinal_of(caller, content)
    home = f"pipes/{digest(caller.origin_run_id, caller.step, content, str(ordinal), length=16)}"
    left = sorted({name.split("/")[2] for name in scratch.names(f"{home}/")})
    if left:
        return f"{home}/{left[0]}"
    place = f"{home}/{secrets.token_hex(6)}"
    scratch.put(f"{place}/open", b"")
    return place


class _ContextInjector(dg.PipesContextInjector):
    """The context as one object in the scratch place."""

    def __init__(self, scratch: Scratch, place: str) -> None:
        self._scratch, self._name = scratch, f"{place}/context"

    @contextmanager
    def inject_context(self, context_data: Any) -> Iterator[dict[str, Any]]:
        uri = urlsplit(self._scratch.put(self._name, json.dumps(context_data).encode()))
        try:
            if uri.scheme == "s3":
                yield {"bucket": uri.netloc, "key": uri.path.lstrip("/")}
            else:
                yield {"path": unquote(uri.path)}
        finally:
            self._scratch.delete(self._name)

    def no_messages_debug_text(self) -> str:
        return f"The context was at {self._scratch.uri}/{self._name}."


class _S3MessageReader(dg.PipesBlobStoreMessageReader):
    """Reads the chunks that `PipesS3MessageWriter` writes, from their own prefix."""

    def __init__(
        self, scratch: Scratch, place: str, *, interval: float, include_stdio: bool
    ) -> None:
        super().__init__(interval=interval)
        self._scratch, self._place, self._include_stdio = scratch, place, include_stdio
        self._trouble = ""

    @contextmanager
    def get_params(self) -> Iterator[dict[str, Any]]:
        uri = urlsplit(self._scratch.uri)
        prefix = "/".join(part for part in (uri.path.strip("/"), self._place) if part)
        yield {
            "bucket": uri.netloc,
            "key_prefix": f"{prefix}/messages",
            "include_stdio_in_messages": self._include_stdio,
        }

    def messages_are_readable(self, params: Any) -> bool:
        return params is not None and self.download_messages_chunk(1, params) is not None

    def download_messages_chunk(self, index: int, params: Any) -> str | None:  # noqa: ARG002
        try:
            data = self._scratch.get(f"{self._place}/messages/{index}.json")
        except ScratchError as error:
            # Without permission to list, S3 answers 403 for an object that is not there yet.
            self._trouble = f" Last answer: {error}"
            return None
        return None if data is None else data.decode()

    def no_messages_debug_text(self) -> str:
        return (
            f"Looked for messages at {self._scratch.uri}/{self._place}/messages. The container "
            "must give PipesS3ContextLoader and PipesS3MessageWriter to "
            f"open_dagster_pipes().{self._trouble}"
        )


class _FileMessageReader(dg.PipesMessageReader):
    """Follows the file that Pipes' default writer appends to.

    From its beginning, also after a restart.
    """

    def __init__(
        self, scratch: Scratch, place: str, *, interval: float, include_stdio: bool
    ) -> None:
        uri = scratch.put(f"{place}/messages", scratch.get(f"{place}/messages") or b"")
        self._path = Path(unquote(urlsplit(uri).path))
        self._interval, self._include_stdio = interval, include_stdio

    @contextmanager
    def read_messages(self, handler: Any) -> Iterator[dict[str, Any]]:
        ended = threading.Event()
        thread = threading.Thread(target=self._follow, args=(handler, ended), daemon=True)
        thread.start()
        try:
            yield {"path": str(self._path), "include_stdio_in_messages": self._include_stdio}
        finally:
            ended.set()
            thread.join(60)

    def _follow(self, handler: Any, ended: threading.Event) -> None:
        with self._path.open(encoding="utf-8") as lines:
            rest = ""
            while True:
                last = ended.is_set()
                text = rest + lines.read()
                *whole, rest = text.split("\n")
                for line in whole:
                    message = _parsed(line)
                    if message is not None:
                        handler.handle_message(message)
                if last:
                    return
                ended.wait(self._interval)

    def no_messages_debug_text(self) -> str:
        return f"Looked for messages in {self._path}. The container must be able to write there."


def _parsed(line: str) -> Any:
    """A message; None for a line that was torn when its writer was killed."""
    try:
        return json.loads(line)
    except ValueError:
        return None
