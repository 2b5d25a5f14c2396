"""What a caller says about a job.

Plain immutable values, no I/O, no Dagster.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeVar

from dagster_aws_batch._errors import InvalidJobError, about

__all__ = [
    "BatchJobDefinition",
    "Job",
    "Price",
    "ReceiptReader",
    "Retries",
]

R = TypeVar("R")

# Which of the asked tasks left a receipt, and the receipt. A task without one has not succeeded.
# A receipt with an attribute `exit_code` other than 0 says that its task ended, but not well.
ReceiptReader = Callable[[Collection[int]], Mapping[int, R]]

MIN_TIMEOUT_SECONDS = 60
DEFAULT_TIMEOUT_SECONDS = 86_400
MAX_ARRAY = 10_000
PLATFORMS = ("EC2", "FARGATE", "EKS")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How often a task may run again, by the cause of its failure. Each cause has its own count.

    `host_loss` covers lost hosts, agent errors and failing image pulls; AWS Batch itself repeats
    lost hosts and most errors of the agent, within the job, and this client the rest. Unless it is
    0, a container that was killed (exit code 137) without a word about memory, and a task that AWS
    Batch no longer knows, run once more too. `user_code` is 0: an error of the program is not
    repeated unless asked for. After running out of memory only the tasks concerned run again, with
    `memory_factor` times the memory up to `memory_ceiling_mib` (default: four times the first).
    With `fallback_queue`, tasks that lost their host so often run again there, as often once more.
    """

    user_code: int = 0
    host_loss: int = 3
    out_of_memory: int = 2
    memory_factor: float = 2.0
    memory_ceiling_mib: int | None = None
    fallback_queue: str | None = None

    def __post_init__(self) -> None:
        _check_types("retries", self)
        if not 1.1 <= self.memory_factor <= 4:
            raise InvalidJobError(
                f"retries.memory_factor is {self.memory_factor}; use 1.1 to 4 (1.5 to 2 is usual)"
            )
        for name in ("user_code", "host_loss", "out_of_memory"):
            if not 0 <= getattr(self, name) <= 9:
                raise InvalidJobError(f"retries.{name} is {getattr(self, name)}; use 0 to 9")
        if self.memory_ceiling_mib is not None and self.memory_ceiling_mib < 4:
            raise InvalidJobError(
                f"retries.memory_ceiling_mib is {self.memory_ceiling_mib}; use 4 or more (MiB)"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchJobDefinition:
    """A container as AWS Batch should register it. Equal content gives one definition, ever.

    `container_properties` and `options` are handed through (camelCase, as RegisterJobDefinition
    takes them) for whatever has no field here: volumes, secrets, linuxParameters, …. On EKS
    `command` becomes the container's `args`, and roles and logs are the cluster's matter.
    """

    image: str
    name: str = ""
    vcpus: float = 1
    memory_mib: int = 2048
    gpus: int = 0
    platform: Literal["EC2", "FARGATE", "EKS"] = "EC2"
    command: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    job_role_arn: str | None = None
    execution_role_arn: str | None = None
    log_group: str | None = None
    assign_public_ip: bool = False
    container_properties: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        owner = f"job definition {self.name or self.image}"
        _check_types(owner, self)
        if not self.image:
            raise InvalidJobError(f"{owner}: it needs an image")
        if self.platform not in PLATFORMS:
            raise InvalidJobError(
                f"{owner}: platform is {self.platform!r}; use {', '.join(PLATFORMS)}"
            )
        _check_command(owner, self.command)
        _check_sizes(owner, self)
        _check_texts(owner, "variable", self.environment)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One execution of work.

    The same container for every task, which learns its number from its environment.

    `definition`: the name or ARN of an existing job definition, or a `BatchJobDefinition`.
    `inputs`: one string per task (any size); they go to the scratch place as one object, and each
    task reads its own (see docs/guide.md). `container`: the name of the container to
    override in a definition with several. `options`: other fields of SubmitJob,
    camelCase. Units: MiB, seconds. `timeout_seconds` holds for one attempt; it also bounds what a
    job can cost that nobody watches any more, so None is a decision.
    """

    name: str
    definition: str | BatchJobDefinition
    command: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    vcpus: float | None = None
    memory_mib: int | None = None
    gpus: int | None = None
    timeout_seconds: int | Literal["default"] | None = "default"
    retries: Retries | None = None
    share_identifier: str | None = None
    scheduling_priority: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    inputs: Sequence[str] | None = None
    queue: str | None = None
    container: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        with about(self.name):
            self._check(f"job {self.name}")

    def _check(self, owner: str) -> None:
        _check_types(owner, self)
        if not self.name:
            raise InvalidJobError("a job needs a name")
        if not self.definition:
            raise InvalidJobError(f"{owner}: definition is empty; give a name or an image")
        _check_command(owner, self.command)
        _check_sizes(owner, self)
        timeout = self.timeout_seconds
        if isinstance(timeout, int) and timeout < MIN_TIMEOUT_SECONDS:
            raise InvalidJobError(
                f"{owner}: timeout_seconds is {timeout}; AWS Batch wants 60 or more"
            )
        if self.scheduling_priority is not None and not 0 <= self.scheduling_priority <= 9999:
            raise InvalidJobError(
                f"{owner}: scheduling_priority is {self.scheduling_priority}; use 0 to 9999"
            )
        check_tags(owner, self.tags)
        _check_texts(owner, "variable", self.environment)
        for key in self.environment:
            if key.startswith("AWS_BATCH") or key in RESERVED_VARIABLES:
                raise InvalidJobError(
                    f"{owner}: the variable {key} is set by AWS Batch or this client; rename yours"
                )
        first, ceiling = self.first_memory_mib, (self.retries or Retries()).memory_ceiling_mib
        if first is not None and ceiling is not None and ceiling < first:
            raise InvalidJobError(
                f"{owner}: retries.memory_ceiling_mib is {ceiling}, but the tasks begin with "
                f"{first} MiB; use as much or more"
            )
        for number, text in enumerate(self.inputs or ()):
            if not isinstance(text, str):
                raise InvalidJobError(
                    f"{owner}: input {number} is of type {type(text).__name__}; use a string"
                )

    @property
    def first_memory_mib(self) -> int | None:
        """What the tasks begin with, MiB, as far as the job says."""
        if self.memory_mib is None and isinstance(self.definition, BatchJobDefinition):
            return self.definition.memory_mib
        return self.memory_mib


_FIELDS: Mapping[type | tuple[type, ...], Sequence[str]] = {
    str: (
        *("name", "image", "queue", "share_identifier", "container", "log_group"),
        *("job_role_arn", "execution_role_arn", "fallback_queue"),
    ),
    int: (
        *("memory_mib", "gpus", "scheduling_priority", "memory_ceiling_mib"),
        *("user_code", "host_loss", "out_of_memory"),
    ),
    (int, type(None)): ("timeout_seconds",),
    bool: ("assign_public_ip",),
    (int, float): ("vcpus", "memory_factor"),
    Mapping: ("environment", "tags", "options", "container_properties"),
    Sequence: ("command", "inputs"),
    (str, BatchJobDefinition): ("definition",),
    Retries: ("retries",),
}
_TYPES = {name: kind for kind, names in _FIELDS.items() for name in names}

_WORDS = {"str": "a string", "int": "a whole number", "float": "a number", "Mapping": "a dict"}
_WORDS |= {"Sequence": "a list of strings", "NoneType": "None", "bool": "True or False"}


def _check_types(owner: str, value: Any) -> None:
    # A value of another type is named with its field, not with its content.
    for one in fields(value):
        given, kind = getattr(value, one.name), _TYPES.get(one.name, object)
        kinds = kind if isinstance(kind, tuple) else (kind,)
        # A text is a sequence of letters, and a truth value a number, which nobody means.
        foreign = (str,) if kind is Sequence else () if {bool, object} & {*kinds} else (bool,)
        default = type(given) is type(one.default) and given == one.default
        if not default and (isinstance(given, foreign) or not isinstance(given, kind)):
            words = " or ".join(_WORDS.get(each.__name__, each.__name__) for each in kinds)
            raise InvalidJobError(
                f"{owner}: {one.name} is of type {type(given).__name__}; use {words}"
            )


def _check_sizes(owner: str, value: Any) -> None:
    for name, least in (("vcpus", 0), ("memory_mib", 3), ("gpus", -1)):
        number = getattr(value, name)
        if number is not None and not least < number < float("inf"):
            raise InvalidJobError(f"{owner}: {name} is {number}; use more than {least}")


def _check_command(owner: str, command: Sequence[str]) -> None:
    for word in command:
        if not isinstance(word, str):
            raise InvalidJobError(
                f"{owner}: the command has a word of type {type(word).__name__}; use strings"
            )
        if word == "":
            raise InvalidJobError(
                f"{owner}: the command has an empty word, which AWS Batch refuses; leave it out"
            )


def check_tags(owner: str, tags: Mapping[str, str]) -> None:
    """Tags of a user's: strings, and none of those by which jobs are found again.

    Raises:
        InvalidJobError: One is of another type, or begins with `dagster/`.
    """
    _check_texts(owner, "tag", tags)
    for key in tags:
        if key.startswith("dagster/"):
            raise InvalidJobError(f"{owner}: the tag {key} is set by this client; rename yours")


def _check_texts(owner: str, kind: str, texts: Mapping[str, str]) -> None:
    """Names and values must be strings; a value of another type is named without its content."""
    for key, value in texts.items():
        if not isinstance(key, str):
            raise InvalidJobError(
                f"{owner}: the name of {kind} {key!r} is of type {type(key).__name__}; use a string"
            )
        if not isinstance(value, str) or type(value).__name__ == "EnvVar":
            raise InvalidJobError(
                f"{owner}: the value of {kind} {key} is of type {type(value).__name__}; use a "
                "string (of a dg.EnvVar: its get_value())"
            )


RESERVED_VARIABLES = frozenset(
    {"BATCH_TASKS", "BATCH_TASK_TOTAL", "BATCH_SUBMISSION", "BATCH_INPUTS"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What the user pays for an hour of one vCPU, one GiB of memory and one GPU."""

    vcpu_hour: float = 0.0
    gib_hour: float = 0.0
    gpu_hour: float = 0.0
    currency: str = "USD"
