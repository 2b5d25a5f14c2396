"""`PipesBatchClient`: a container that speaks Dagster Pipes, as one AWS Batch job.

Thin: the engine under `BatchJobs` submits, waits, explains and cancels; here only the two ends of
the Pipes session are made: in the scratch place (S3, or a folder that the container can reach),
from which both are removed when the session ends, however it ends; else in the environment and log.

Beta API of Dagster used: none; `PipesBlobStoreMessageReader`, `PipesMessageReader`,
`PipesContextInjector`, `PipesMessageHandler` and `open_pipes_session` are public.
"""

import json
import secrets
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import dagster as dg
from pydantic import ConfigDict, Field

from dagster_aws_batch._aws.names import content_key, digest
from dagster_aws_batch._errors import ScratchError
from dagster_aws_batch._identity import Caller, caller_of, ordinal_of
from dagster_aws_batch._job import Job, Retries
from dagster_aws_batch._outcome import Outcome
from dagster_aws_batch._pipes.messages import Launched, PipesBatchLogMessageReader, parsed
from dagster_aws_batch._resource import BatchJobs
from dagster_aws_batch._scratch import Scratch

__all__ = ["PipesBatchClient", "PipesBatchInvocation"]

# One session is one conversation: a second container would speak into the middle of it. Dagster's
# own RetryPolicy starts a new session.
NO_RETRIES = Retries(user_code=0, host_loss=0, out_of_memory=0)


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

    Without a scratch place in `batch`, and without the two arguments, it works as `PipesECSClient`:
    the context is in the environment, the messages are in the container's log, and a container made
    for that client runs unchanged. With a scratch place both are objects there: on S3 the container
    uses `PipesS3ContextLoader` and `PipesS3MessageWriter`, on a folder the defaults.

    Attributes:
        batch: Where the job runs.
        context_injector: Another one, such as `PipesEnvContextInjector` or dagster-aws'
            `PipesS3ContextInjector`.
        message_reader: Another one, such as `PipesBatchLogMessageReader` or those of dagster-aws.
        poll_messages_seconds: Between two looks at a scratch place in S3; a folder is looked at
            every second at least.
        include_stdio_in_messages: Whether the container sends its output as messages, too.

    Examples:
        ```python
        import dagster as dg
        from dagster_aws_batch import BatchJobs, Job, PipesBatchClient

        @dg.asset
        def report(context: dg.AssetExecutionContext, pipes: PipesBatchClient):
            job = Job(name="report", definition="report:3")
            return pipes.run(context=context, job=job).get_materialize_result()

        pipes = PipesBatchClient(batch=BatchJobs(queue="my-queue"))
        defs = dg.Definitions(assets=[report], resources={"pipes": pipes})
        ```
    """

    batch: BatchJobs
    context_injector: dg.ResourceDependency[dg.PipesContextInjector | None] = Field(
        default=cast("Any", None)
    )
    message_reader: dg.ResourceDependency[dg.PipesMessageReader | None] = Field(
        default=cast("Any", None)
    )
    poll_messages_seconds: float = Field(default=5.0, gt=0, allow_inf_nan=False)
    include_stdio_in_messages: bool = False

    # Dagster's resources drop a field that they don't know.
    model_config = ConfigDict(extra="forbid")

    def run(  # type: ignore[override]  # ty: ignore[incompatible-method-override]
        self,
        *,
        context: dg.AssetExecutionContext | dg.OpExecutionContext,
        job: Job,
        extras: Mapping[str, Any] | None = None,
    ) -> PipesBatchInvocation:
        """Run the job to its end.

        Args:
            context: Of the asset or op.
            job: What to run, as one task. It is not changed, and its retries are not used (give the
                asset a RetryPolicy).
            extras: Values for the container.

        Returns:
            What the container reported.

        Raises:
            dagster.Failure: The job failed; with all that is known.
            PayloadTooLargeError: The context is too long for the environment: set a scratch place.
        """
        caller = caller_of(context)
        scratch = self.batch.open_scratch()
        place = ""
        if scratch is not None and (self.context_injector is None or self.message_reader is None):
            place = _place(scratch, caller, job, extras or {})
        reader = self._reader(scratch, place)
        try:
            with dg.open_pipes_session(
                context=context,
                context_injector=self._injector(scratch, place),
                message_reader=reader,
                extras=dict(extras or {}),
            ) as session:
                outcome = self._run(context, caller, job, session, reader)
        finally:
            if scratch is not None and place:
                for name in scratch.names(f"{place}/"):
                    scratch.delete(name)
        outcome.raise_for_failure()
        return PipesBatchInvocation(session, metadata=outcome.metadata())

    def _run(
        self,
        context: dg.AssetExecutionContext | dg.OpExecutionContext,
        caller: Caller,
        job: Job,
        session: dg.PipesSession,
        reader: dg.PipesMessageReader,
    ) -> Outcome[Any]:
        launched = Launched(session, reader, self.batch.connection().logs, job.container)
        environment = {**job.environment, **session.get_bootstrap_env_vars()}
        request = self.batch._request(
            caller,
            replace(job, environment=environment, retries=NO_RETRIES),
            tasks=1,
            # The context holds the run's id, by which a retry would not find the job again; so it
            # is what the job does and where its messages go that count.
            content=digest(
                _content(job, session.context_data.get("extras") or {}),
                json.dumps(session.message_reader_params, sort_keys=True, default=str),
                length=64,
            ),
            log=context.log,
            on_poll=launched.polled,
        )
        outcome: Outcome[Any] = self.batch._execute(context, caller, [request])[0]
        launched.ended(outcome.tasks[0])
        return outcome

    def _injector(self, scratch: Scratch | None, place: str) -> dg.PipesContextInjector:
        if self.context_injector is not None:
            return self.context_injector
        return dg.PipesEnvContextInjector() if scratch is None else _ContextInjector(scratch, place)

    def _reader(self, scratch: Scratch | None, place: str) -> dg.PipesMessageReader:
        if self.message_reader is not None:
            ours = isinstance(self.message_reader, PipesBatchLogMessageReader)
            # A session of its own: what it has read belongs to one job.
            return PipesBatchLogMessageReader() if ours else self.message_reader
        if scratch is None:
            return PipesBatchLogMessageReader()
        interval, stdio = self.poll_messages_seconds, self.include_stdio_in_messages
        if scratch.uri.startswith("s3://"):
            return _S3MessageReader(scratch, place, interval=interval, include_stdio=stdio)
        return _FileMessageReader(scratch, place, interval=min(1.0, interval), include_stdio=stdio)


def _content(job: Job, extras: Mapping[str, Any]) -> str:
    """What the session's result depends on."""
    asked = json.dumps(extras, sort_keys=True, default=str)
    name = job.definition if isinstance(job.definition, str) else ""
    return digest("pipes", content_key(job, name, 1), asked, length=64)


def _place(scratch: Scratch, caller: Caller, job: Job, extras: Mapping[str, Any]) -> str:
    """Where this session's objects lie.

    A session that ended well or badly is cleaned away, and the next one gets a new place. One whose
    process was killed is found again by the next process, with its messages and its job: by all
    that its result depends on, and how often this step has asked for just that.
    """
    content = _content(job, extras)
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
    def inject_context(self, context_data: Any) -> Generator[dict[str, Any]]:
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
    def get_params(self) -> Generator[dict[str, Any]]:
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
    def read_messages(self, handler: Any) -> Generator[dict[str, Any]]:
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
                    message = parsed(line)
                    if message is not None:
                        handler.handle_message(message)
                if last:
                    return
                ended.wait(self._interval)

    def no_messages_debug_text(self) -> str:
        return f"Looked for messages in {self._path}. The container must be able to write there."
