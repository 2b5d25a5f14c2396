"""`BatchJobs`: the resource by which ops and assets run containers on AWS Batch."""

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast, overload

import dagster as dg
from pydantic import ConfigDict, Field, PrivateAttr

from dagster_aws_batch._alive import signs_of_life
from dagster_aws_batch._aws.calls import checked_rates
from dagster_aws_batch._aws.connect import Connection, Endpoint, connect, given
from dagster_aws_batch._aws.names import ExecutionId, content_key
from dagster_aws_batch._errors import InvalidJobError
from dagster_aws_batch._identity import Caller, caller_of, ordinal_of
from dagster_aws_batch._job import Job, Price, ReceiptReader, check_tags
from dagster_aws_batch._outcome import Outcome
from dagster_aws_batch._run.follow import followed_tasks
from dagster_aws_batch._run.interrupts import ensure_interrupts
from dagster_aws_batch._run.run import Request, execute_all
from dagster_aws_batch._run.state import Options
from dagster_aws_batch._scratch import Scratch, open_scratch

__all__ = ["BatchJobs", "JobRun"]

R = TypeVar("R")

_DEFAULTS = Options()
_NUMBERS = (
    "poll_seconds",
    "poll_max_seconds",
    "blocked_after_seconds",
    "price_vcpu_hour",
    "price_gib_hour",
    "price_gpu_hour",
)

# Fields that only say how a client is made.
_OF_OWN_CLIENTS = (
    *("region_name", "profile_name", "aws_access_key_id", "aws_secret_access_key"),
    *("aws_session_token", "role_arn", "verify", "endpoint_url", "logs_endpoint_url"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRun:
    """A job and how many tasks of it `BatchJobs.run_many` is to run.

    `receipts` and `follow_logs`: as for `BatchJobs.run`.
    """

    job: Job
    tasks: int = 1
    receipts: ReceiptReader[Any] | None = None
    follow_logs: bool | Collection[int] = False


class BatchJobs(dg.ConfigurableResource):  # type: ignore[type-arg]
    """AWS Batch for Dagster: submit, wait, explain, retry, cancel, and resume after a crash.

    Examples:
        ```python
        import dagster as dg
        from dagster_aws_batch import BatchJobs, Job

        @dg.asset
        def report(context: dg.AssetExecutionContext, batch: BatchJobs) -> dg.MaterializeResult:
            job = Job(name="report", definition="report:3", command=["report", "2026-11-21"])
            outcome = batch.run(context=context, job=job, tasks=1)
            outcome.raise_for_failure()
            return dg.MaterializeResult(metadata=outcome.metadata())

        defs = dg.Definitions(assets=[report], resources={"batch": BatchJobs(queue="my-queue")})
        ```
    """

    queue: str = Field(description="Name or ARN of the job queue.")
    region_name: str | None = Field(
        default=None, description="AWS Region; default: as boto3 finds it."
    )
    profile_name: str | None = Field(
        default=None, description="Profile of the AWS configuration, for all clients."
    )
    aws_access_key_id: str | None = Field(
        default=None, description="Access key; default: as boto3 finds it."
    )
    aws_secret_access_key: str | None = Field(default=None, description="Secret of the access key.")
    aws_session_token: str | None = Field(
        default=None, description="Session token of temporary credentials."
    )
    role_arn: str | None = Field(
        default=None,
        description="Role to assume, by whatever credentials are found; renewed by itself.",
    )
    verify: str | None = Field(
        default=None,
        description="Path of a bundle of certificate authorities, for TLS behind a proxy.",
    )
    endpoint_url: str | None = Field(
        default=None, description="Address of AWS Batch, for a VPC endpoint or an emulator."
    )
    logs_endpoint_url: str | None = Field(
        default=None, description="Address of CloudWatch Logs; default: AWS's, or the emulator's."
    )
    s3_endpoint_url: str | None = Field(default=None, description="Address of S3 for `scratch`.")
    console_url: str | None = Field(
        default=None, description="Where links lead instead of the AWS console."
    )
    scratch: str | None = Field(
        default=None,
        description="s3://bucket/prefix, or a folder that containers can read, for what does not "
        "fit into a request and for notes of submissions. Give it a lifecycle rule.",
    )
    other_queues: list[str] = Field(
        default_factory=list,
        description="Further queues that jobs use (Job.queue, fallback_queue): the reaper looks "
        "there.",
    )
    name_prefix: str = Field(default="dagster", description="How the names of all jobs begin.")
    tags: dict[str, str] = Field(default_factory=dict, description="Tags for every job.")
    poll_seconds: float = Field(
        default=_DEFAULTS.poll_seconds, description="The first and shortest wait between looks."
    )
    poll_max_seconds: float = Field(
        default=_DEFAULTS.poll_max_seconds, description="The longest wait (twice after 1 h)."
    )
    blocked_after_seconds: float = Field(
        default=_DEFAULTS.blocked_after_seconds,
        description="Report a job that could not start for so long.",
    )
    blocked_action: Literal["warn", "terminate"] = Field(
        default=_DEFAULTS.blocked_action, description="Whether to end such a job."
    )
    forward_termination: bool = Field(
        default=True, description="End the jobs when the Dagster step is interrupted or fails."
    )
    rates: dict[str, float] = Field(
        default_factory=dict,
        description="Calls a second at most: SubmitJob 25, DescribeJobs 10, ListJobs 10, "
        "TerminateJob 20, GetLogEvents 5.",
    )
    price_vcpu_hour: float = Field(default=0.0, description="Your price of one vCPU for an hour.")
    price_gib_hour: float = Field(default=0.0, description="Your price of one GiB for an hour.")
    price_gpu_hour: float = Field(default=0.0, description="Your price of one GPU for an hour.")
    currency: str = Field(default="USD", description="The currency of these prices.")

    client: dg.ResourceDependency[Any] = Field(
        default=cast("Any", None),
        description="A boto3 client of AWS Batch to use instead of one made from these fields; "
        "make it with `client_config()`.",
    )
    logs_client: dg.ResourceDependency[Any] = Field(
        default=cast("Any", None),
        description="The same for CloudWatch Logs; without it `client` reads no logs.",
    )

    clock: dg.ResourceDependency[Any] = Field(
        default=cast("Any", None),
        description="Another clock for waits with `client`: an emulator's virtual one, in tests.",
    )

    _connection: Connection | None = PrivateAttr(default=None)

    # Dagster's resources drop a field that they don't know.
    model_config = ConfigDict(extra="forbid")

    def model_post_init(self, context: Any, /) -> None:
        """Check what is known already; a value from the environment is checked when it is read."""
        super().model_post_init(context)
        for name in _NUMBERS:
            value, free = getattr(self, name), name.startswith("price")
            if type(value) in (int, float) and not (0 if free else 1e-9) <= value < float("inf"):
                least = "0 or more" if free else "a number above 0"
                raise InvalidJobError(f"BatchJobs.{name} is {value}; use {least}")
        if not self.queue:
            raise InvalidJobError("BatchJobs.queue is empty; give the name or ARN of a job queue")
        if not self.name_prefix:
            raise InvalidJobError("BatchJobs.name_prefix is empty; give the first word of names")
        check_tags("BatchJobs", dict.fromkeys(self.tags, ""))
        for name in ("endpoint_url", "logs_endpoint_url", "s3_endpoint_url", "console_url"):
            url = getattr(self, name)
            if type(url) is str and "://" not in url:
                raise InvalidJobError(
                    f"BatchJobs.{name} is {url!r}; begin it with http:// or https://"
                )
        checked_rates(self.rates)

    @overload
    def run(
        self,
        *,
        context: dg.AssetExecutionContext | dg.OpExecutionContext,
        job: Job,
        tasks: int,
        receipts: None = None,
        while_waiting: Callable[[float], None] | None = None,
        follow_logs: bool | Collection[int] = False,
    ) -> Outcome[Any]: ...

    @overload
    def run(
        self,
        *,
        context: dg.AssetExecutionContext | dg.OpExecutionContext,
        job: Job,
        tasks: int,
        receipts: Callable[[Collection[int]], Mapping[int, R]],
        while_waiting: Callable[[float], None] | None = None,
        follow_logs: bool | Collection[int] = False,
    ) -> Outcome[R]: ...

    def run(
        self,
        *,
        context: dg.AssetExecutionContext | dg.OpExecutionContext,
        job: Job,
        tasks: int,
        receipts: Callable[[Collection[int]], Mapping[int, R]] | None = None,
        while_waiting: Callable[[float], None] | None = None,
        follow_logs: bool | Collection[int] = False,
    ) -> Outcome[R]:
        """Run a job's tasks and wait until all have ended, well or badly.

        Call it from the step's main thread: Dagster raises its interrupts there. Any exception ends
        the jobs first, unless AWS Batch can't be reached; then a retry goes on with them.

        Args:
            context: Of the asset or op: it names and tags the jobs.
            job: What to run.
            tasks: How many tasks; 0 calls nothing.
            receipts: Tells which of the asked tasks left a receipt; with it, a task without one has
                not succeeded.
            while_waiting: Called in this thread after each poll of jobs that still go on, with the
                seconds until the next poll, by when it should be back: the place to report tasks
                that are done already.
            follow_logs: True writes the container's log of a job of one task into the run's log
                while it runs; task numbers (at most 10) those of chosen tasks. With several tasks,
                True only warns.

        Returns:
            One result per task; look at it, or call its `raise_for_failure()`.

        Raises:
            InvalidJobError: The job or an option is not possible; nothing was submitted.
            SubmitRejectedError: AWS Batch refused the job or its definition.
            CallRefusedError: It refused another call, such as a look for jobs of an earlier
                attempt.
            BatchUnavailableError: AWS Batch could not be reached to submit.
            ScratchError: The scratch place is needed and missing, or can't be used.
        """
        run = JobRun(job=job, tasks=tasks, receipts=receipts, follow_logs=follow_logs)
        return self.run_many(context=context, runs=[run], while_waiting=while_waiting)[0]

    def run_many(
        self,
        *,
        context: dg.AssetExecutionContext | dg.OpExecutionContext,
        runs: Sequence[JobRun],
        while_waiting: Callable[[float], None] | None = None,
    ) -> list[Outcome[Any]]:
        """Run different jobs side by side in one step: all are submitted, then there is one wait.

        An interrupt, or a job that can't be submitted, ends them all; a failed task ends nothing.

        Args:
            context: Of the asset or op: it names and tags the jobs.
            runs: What to run.
            while_waiting: As for `run`; called after each poll of each job.

        Returns:
            An outcome for each of `runs`, in their order.

        Raises:
            InvalidJobError, SubmitRejectedError, BatchUnavailableError, ScratchError: As `run`.
        """
        caller = caller_of(context)
        requests = [
            self._request(
                caller,
                run.job,
                tasks=run.tasks,
                log=context.log,
                receipts=run.receipts,
                while_waiting=while_waiting,
                follow=followed_tasks(run.job, run.tasks, run.follow_logs, context.log),
            )
            for run in runs
        ]
        return self._execute(context, caller, requests)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Generator[Any]:
        """Show that the run is alive as long as it has this resource; see `dead_runs_sensor`."""
        run_id = context.run.run_id if context.run else None
        with signs_of_life(context.instance, run_id), super().yield_for_execution(context) as made:
            yield made

    def _request(
        self, caller: Caller, job: Job, *, tasks: int, content: str = "", **further: Any
    ) -> Request:
        """What the engine is asked for. `content`: what the work is known by, if not by the job."""
        name = job.definition if isinstance(job.definition, str) else ""
        content = content or content_key(job, name, tasks)
        return Request(
            id=ExecutionId(
                prefix=self.name_prefix,
                run_id=caller.origin_run_id,
                step=caller.step,
                job_name=job.name,
                content=content,
                ordinal=ordinal_of(caller, content),
            ),
            job=job,
            queue=self.queue,
            tasks=tasks,
            tags={**self.tags, **job.tags, **caller.tags},
            scratch=self.open_scratch(),
            options=self.options(),
            resumed=caller.resumed,
            **further,
        )

    def _execute(
        self,
        context: dg.AssetExecutionContext | dg.OpExecutionContext,
        caller: Caller,
        requests: Sequence[Request],
    ) -> list[Outcome[Any]]:
        ensure_interrupts(context.log)
        connection = self.connection()
        with signs_of_life(None if caller.direct else context.instance, caller.run_id):
            results = execute_all(connection, requests)
        return [Outcome(result, connection.console, self.price()) for result in results]

    def connection(self) -> Connection:
        """The process's connection to AWS Batch, shared by all resources with the same address."""
        if self._connection is None and self.client is not None:
            idle = [name for name in _OF_OWN_CLIENTS if getattr(self, name) is not None]
            if idle:
                raise InvalidJobError(
                    f"BatchJobs has a client and {', '.join(idle)}, which are for a client made "
                    "from them; leave one of the two out"
                )
            self._connection = given(
                self.client,
                logs=self.logs_client,
                clock=self.clock,
                s3_url=self.s3_endpoint_url,
                console_url=self.console_url,
                rates=self.rates,
            )
        if self._connection is None:
            if self.logs_client is not None or self.clock is not None:
                raise InvalidJobError("BatchJobs has a logs_client or clock; give its client, too")
            self._connection = connect(
                Endpoint(
                    region=self.region_name,
                    profile=self.profile_name,
                    access_key_id=self.aws_access_key_id,
                    secret_access_key=self.aws_secret_access_key,
                    session_token=self.aws_session_token,
                    role_arn=self.role_arn,
                    verify=self.verify,
                    batch_url=self.endpoint_url,
                    logs_url=self.logs_endpoint_url,
                    s3_url=self.s3_endpoint_url,
                    console_url=self.console_url,
                    rates=tuple(sorted(self.rates.items())),
                )
            )
        return self._connection

    def open_scratch(self) -> Scratch | None:
        """The scratch place, if one is set."""
        return open_scratch(self.scratch, self.connection().s3) if self.scratch else None

    def queues(self) -> tuple[str, ...]:
        """The queues in which jobs of this resource may be found."""
        return (self.queue, *self.other_queues)

    def options(self) -> Options:
        """The engine's options that this resource sets."""
        return Options(
            poll_seconds=self.poll_seconds,
            poll_max_seconds=max(self.poll_seconds, self.poll_max_seconds),
            blocked_after_seconds=self.blocked_after_seconds,
            blocked_action=self.blocked_action,
            forward_termination=self.forward_termination,
        )

    def price(self) -> Price:
        """The user's prices."""
        return Price(
            vcpu_hour=self.price_vcpu_hour,
            gib_hour=self.price_gib_hour,
            gpu_hour=self.price_gpu_hour,
            currency=self.currency,
        )
