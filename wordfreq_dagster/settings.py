"""Typed settings, read from environment variables that begin with `WORDFREQ_`.

The only module that reads the environment for this project (AWS credentials and regions are left to
boto3's own rules). The infrastructure reads it without Dagster and the container's package, which
are imported only to judge some values. Whoever needs settings calls `load_settings`; tests build
`Settings` directly. Every default works on a laptop: folders for buckets, the embedded AWS Batch.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from difflib import get_close_matches
from itertools import product
from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from wordfreq_dagster.outputs import OutputsError, read_outputs

PREFIX = "WORDFREQ_"

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:([kmgt])(i?))?b?\s*", re.IGNORECASE | re.ASCII)


class SettingsError(ValueError):
    """The environment can't be used; the message names each variable and what it must hold."""


def parse_size(value: object) -> object:
    """Turn `64MiB`, `1.5gb` or `4096` into a number of bytes; other values pass to pydantic."""
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value)
    if not match:
        raise ValueError("a size such as 64MiB, 1GiB or 4096 (bytes) is needed")
    power = " KMGT".index((match[2] or " ").upper())
    return int(float(match[1]) * (1024 if match[3] else 1000) ** power)


def absolute_uri(value: object) -> object:
    """Make a local folder absolute; leave `s3://` and `file://` as they are.

    A code server, a run worker and a container may each have another current directory.
    """
    if not isinstance(value, str | Path):
        return value
    text = str(value).strip()
    if not text:
        raise ValueError("an s3://bucket/prefix or a folder is needed")
    if "://" not in text:
        return str(Path(text).expanduser().absolute())
    if not re.match(r"s3://[^/]|file:///", text):
        raise ValueError("only s3://bucket/prefix, file:///folder and plain folders are supported")
    return text


def taken_by(path: str, such_as: str, *, listed: bool = False) -> AfterValidator:
    """Refuse now a text (`listed`: its parts) that this `module:function` would refuse in a run."""

    def check(text: str) -> str:
        try:
            _ = text and resolve_name(path)(text.split(",") if listed else text)
        except Exception as error:  # noqa: BLE001 - each has errors of its own
            raise ValueError(f"{error}; write e.g. {such_as}") from None
        return text

    return AfterValidator(check)


Uri = Annotated[str, BeforeValidator(absolute_uri)]
Size = Annotated[int, BeforeValidator(parse_size), Field(gt=0)]
Encoding = Annotated[str, taken_by("wordfreq_batch.text.detect:known_encoding", "cp1252")]
Natural = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Switch = Literal["running", "stopped"]
#: What can be switched; `csv_events` goes by EVENTS.
Automated = Literal["new_files", "nightly", "events", "csv_new_uploads", "csv_events", "automation"]


#: The places that are folders of HOME where they aren't set.
_FOLDERS = {
    "source": "source", "destination": "output", "plans": "plans", "ranking": "ranking",
    "csv_source": "uploads", "csv_rejects": "rejects",
}  # fmt: skip
#: What others read: the container and its build, infra/, tests; and what Kubernetes sets by itself.
_OTHERS = re.compile(
    f"{PREFIX}(THREADS|ENGINE|MACHINE|KERNEL|SCREENSHOTS|(INFRA|TEST)_.*|(.*_)?(SERVICE|PORT)(_.*)?)"
)


def variable_name(setting: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + setting.upper()


class Settings(BaseSettings):
    """All settings of the project; each is the environment variable `WORDFREQ_<NAME>`.

    URIs are `s3://bucket/prefix`, `file:///folder` or a plain folder. Sizes are bytes or `64MiB`.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", validate_default=False
    )

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], *_: Any, **sources: PydanticBaseSettingsSource
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """A variable of the environment wins over the outputs of the deployment."""
        path = os.environ.get(f"{PREFIX}OUTPUTS")
        found = read_outputs(Path(path), cls.model_fields) if path else {}
        outputs = InitSettingsSource(settings_cls, dict(found))
        return sources["init_settings"], sources["env_settings"], outputs

    outputs: str = ""
    """the outputs of `make deploy`: all settings of that deployment"""
    home: Annotated[Uri, Field(validate_default=True)] = ".local"
    """folder for what is not set of the following, and for the embedded AWS Batch"""
    source: Uri = ""
    """the files to count; unset: HOME/source"""
    destination: Uri = ""
    """where the counts go, one object per file, with its name; unset: HOME/output"""
    plans: Uri = ""
    """plans and receipts; unset: HOME/plans"""
    ranking: Uri = ""
    """where ranking.json and totals.parquet go; unset: HOME/ranking"""
    pack: Size = 64 << 20
    """bytes of input that share one container (one child of the array job)"""
    encoding: Encoding = ""
    """of files that aren't UTF-8: cp1252, …, or auto"""
    fold: bool = False
    """true: spellings that look alike are one word"""
    retry_unusable: bool = False
    """true: files that are known to be bad data are tried again in each run"""
    min_length: Positive = 3
    """shortest word ranked, in characters"""
    min_count: Positive = 3
    """rarest word ranked, in occurrences"""
    top: Positive = 100
    """how many words are ranked"""
    stop_words: Annotated[
        str, taken_by("wordfreq_batch.merge.ranking:stop_words", "en,de", listed=True)
    ] = ""
    """languages whose stop words are left out: en,de"""
    folder_depth: Natural = 0
    """also rank each folder of the source, so many levels deep; 0: none"""
    merge_part_words: Positive = 1_000_000_000
    """a plan with more words (the sum of each file's different ones) is merged in parts of about
    so many, one container each"""

    batch_queue: str = ""
    """AWS Batch job queue (name or ARN); empty: the embedded AWS Batch"""
    batch_tags: str = Field(default="", pattern=r"^([^=,]+=[^=,]*(,[^=,]+=[^=,]*)*)?$")
    """tags of every job, NAME=VALUE,NAME=VALUE; infra/'s policies go by `project`"""
    plan_definition: str = ""
    """job definition of the plan stage"""
    migrate_definition: str = ""
    """job definition of the migrate stage"""
    merge_definition: str = ""
    """job definition of the merge stage"""
    ingest_definition: str = ""
    """job definition of the ingest stage (CSV to DynamoDB)"""
    share_identifier: str = ""
    """share identifier; needed on a queue with a fair-share policy only"""
    scheduling_priority: int | None = Field(default=None, ge=0, le=9999)
    """scheduling priority override, 0 to 9999"""
    timeout_seconds: int = Field(default=4 * 3600, ge=60)
    """longest time of one attempt; AWS Batch allows >= 60"""
    csv_source: Uri = ""
    """where CSVs are uploaded; unset: HOME/uploads"""
    csv_rejects: Uri = ""
    """where the rows go that can't be loaded, one object per CSV, named like it; unset:
    HOME/rejects"""
    csv_table: str = ""
    """DynamoDB table that CSVs are loaded into; unset: none is loaded"""
    csv_columns: str = "ProductId,ProductName,ProductDescription"
    """the columns of the CSVs, in any order; a number as NAME:number"""
    csv_key: str = "ProductId"
    """partition key of the table"""
    csv_sort_key: str = ""
    """sort key of the table, if it has one"""
    csv_extra_columns: Literal["refuse", "keep", "drop"] = "refuse"
    """what becomes of other columns"""
    csv_delimiter: str = "comma"
    """between fields: comma, semicolon, tab, pipe, blank, or auto"""
    csv_encoding: Encoding = "utf-8"
    """of CSVs without a byte order mark, such as cp1252"""
    csv_header: str = ""
    """names of all columns where CSVs have no header; unset: they have"""
    csv_settings: Uri = ""
    """a TOML file with these and more settings of CSVs, also for single prefixes"""
    csv_max_rejects: str = Field(default="1%", pattern=r"^\d+(\.\d+)?%?$")
    """more rejected rows than that (a number, or N%) fail the check of their share"""
    csv_refuse_above: Annotated[
        str, taken_by("wordfreq_batch.csv.reading.rejects:parse_limit", "100 or 0.5%")
    ] = ""
    """above so many rejected rows nothing of a CSV is loaded; unset: any number"""
    csv_write: Literal["newer", "absent", "always"] = "newer"
    """newer: items of newer uploads stay; always: quicker, where no CSVs share keys"""
    csv_max_write_units: Natural = 0
    """write units a second, of all containers of a run; 0: any"""
    csv_removed: Literal["keep", "mirror"] = "keep"
    """items whose rows or uploads are gone: mirror deletes them"""
    csv_pack: Size = 8 << 20
    """bytes of CSV that share one container; 1: one container per CSV"""
    csv_new_uploads: Switch | None = None
    """the same for the sensor new_csv_uploads only (it needs CSV_TABLE)"""
    csv_events_queue_url: str = ""
    """URL of an SQS queue with the uploads' events; unset: no sensor"""
    csv_endpoint: str = ""
    """DynamoDB endpoint for jobs of the embedded AWS Batch; unset: AWS's own"""

    report: Literal["all", "changed", "summary"] = "all"
    """files reported to Dagster: all, the changed and failed ones, the failed ones"""
    price_per_vcpu_hour: Price = 0.0
    """for the cost estimate; 0: no estimate"""
    price_per_gb_hour: Price = 0.0
    """for the cost estimate"""

    automation: Switch = "running"
    """state of sensors and schedules until one is switched in the UI: running or stopped"""
    new_files: Switch | None = None
    """the same for the sensor new_files only; unset: AUTOMATION"""
    nightly: Switch | None = None
    """the same for the nightly schedule only; unset: AUTOMATION"""
    events: Switch | None = None
    """the same for the sensors of SQS queues only; unset: AUTOMATION"""
    nightly_cron: Annotated[str, taken_by("dagster:AutomationCondition.on_cron", "17 3 * * *")] = (
        "17 3 * * *"
    )
    """when the nightly run starts"""
    nightly_timezone: Annotated[str, taken_by("zoneinfo:ZoneInfo", "Europe/Berlin")] = "UTC"
    """time zone of NIGHTLY_CRON"""
    event_days: Natural = 90
    """days that run events are kept; 0: all"""
    sensor_seconds: int = Field(default=30, ge=5)
    """least time between two ticks of a sensor"""
    events_queue_url: str = ""
    """URL of an SQS queue with S3's events; unset: no such sensor"""
    failure_sns_topic: str = ""
    """ARN of an SNS topic that failed runs are reported to"""
    failure_slack_webhook: str = ""
    """Slack webhook that failed runs are reported to"""
    ui_url: str = ""
    """address of the Dagster UI, for links in messages"""
    code_url: str = ""
    """where the code is on GitHub or GitLab, for links in the UI:
    https://github.com/OWNER/REPOSITORY/tree/BRANCH"""

    local_vcpus: Positive | None = None
    """vCPUs of the embedded AWS Batch; unset: this machine's"""
    local_runner: Literal["subprocess", "container"] = "subprocess"
    """how the embedded AWS Batch runs a job: `container` needs podman or docker"""
    image: str = Field(default="wordfreq:local", min_length=1)
    """the image that `make image` builds"""
    local_container_arguments: Annotated[str, taken_by("shlex:split", "--memory 2g")] = ""
    """more words for `podman create` or `docker create`, as in a shell"""

    @property
    def scratch(self) -> str:
        """Where the Batch client puts what doesn't fit into a job's overrides."""
        return f"{self.plans.rstrip('/')}/scratch"

    @property
    def stages(self) -> list[str]:
        """The stages that are used; the table's name switches the CSV pipeline on."""
        return ["plan", "migrate", "merge", *(["ingest"] if self.csv_table else [])]

    def values(self, names: Iterable[str], *, prefix: str = "") -> dict[str, Any]:
        """The settings of these names, with `prefix`, that there are; for resources."""
        there = [name for name in names if prefix + name in type(self).model_fields]
        return {name: getattr(self, prefix + name) for name in there}

    @property
    def used_places(self) -> list[str]:
        """The settings of the places that are used."""
        return [name for name in _FOLDERS if self.csv_table or not name.startswith("csv_")]

    @model_validator(mode="after")
    def _fill_and_compare(self) -> Settings:
        for name, folder in _FOLDERS.items():
            if not getattr(self, name):
                setattr(self, name, f"{self.home.rstrip('/')}/{folder}")
        places = {
            name: getattr(self, name).removeprefix("file://").rstrip("/") + "/"
            for name in self.used_places
        }
        wrong = []
        if self.batch_queue:
            definitions = [f"{stage}_definition" for stage in self.stages]
            if missing := [name for name in definitions if not getattr(self, name)]:
                wrong.append(
                    f"{PREFIX}BATCH_QUEUE names a queue, so these must name job definitions: "
                    + ", ".join(map(variable_name, missing))
                )
            if local := [name for name, place in places.items() if not place.startswith("s3://")]:
                wrong.append(
                    "containers on AWS Batch can't see folders of this machine; "
                    "give s3:// for: " + ", ".join(map(variable_name, local))
                )
        for kind in ("", "csv_"):
            queue, place = f"{kind}events_queue_url", getattr(self, f"{kind}source")
            if getattr(self, queue) and not place.startswith("s3://"):
                wrong.append(
                    f"{variable_name(queue)} names a queue of S3 events, but "
                    f"{variable_name(kind + 'source')} is the folder {place}; unset the one or "
                    "give s3:// for the other"
                )
        for name, outer in product(("destination", "ranking"), ("source", "destination")):
            if name != outer and places[name].startswith(places[outer]):
                wrong.append(f"{variable_name(name)} must lie outside {variable_name(outer)}")
        if wrong:
            raise ValueError("\n  ".join(wrong))
        return self

    def status(self, name: Automated) -> str:
        """`RUNNING` or `STOPPED`: Dagster's default status, until one is switched in the UI."""
        own = self.events if name == "csv_events" else getattr(self, name)
        return (own or self.automation).upper()

    @property
    def local_folder(self) -> Path:
        """Where the embedded AWS Batch keeps its state: HOME/batch, or the user's cache folder."""
        name = "batch" if self.local_runner == "subprocess" else "batch-containers"
        if "://" in self.home:
            return Path("~/.cache/wordfreq_dagster").expanduser() / name
        return Path(self.home) / name

    @property
    def embedded(self) -> bool:
        """Whether stages run in the embedded AWS Batch rather than in AWS."""
        return not self.batch_queue


_given: ContextVar[Settings | None] = ContextVar("settings", default=None)


@contextmanager
def using(settings: Settings) -> Iterator[None]:
    """Let `load_settings` return these settings within the block."""
    token = _given.set(settings)
    try:
        yield
    finally:
        _given.reset(token)


def load_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        SettingsError: one message naming every variable that can't be used and why.
    """
    if (settings := _given.get()) is not None:
        return settings
    names = [variable_name(name) for name in Settings.model_fields]
    problems = [
        f"{name} is no setting; do you mean {get_close_matches(name, names, 1, 0)[0]}?"
        for name in sorted(map(str.upper, os.environ))
        if name.startswith(PREFIX) and name not in names and not _OTHERS.fullmatch(name)
    ]
    try:
        settings = Settings()
    except OutputsError as error:
        problems.append(f"{PREFIX}OUTPUTS: {error}")
    except ValidationError as error:
        for problem in error.errors():
            reason = problem["msg"].removeprefix("Value error, ")
            name = "_".join(map(str, problem["loc"]))
            given = f"{variable_name(name)}: {reason} (it is {problem['input']!r})"
            problems.append(given if name else reason)
    if settings is None or problems:
        raise SettingsError("the environment can't be used:\n  " + "\n  ".join(problems))
    return settings
