"""Deterministic names and clean tags: by them a new process finds what a dead one had started.

Pure.

A job's name is `<prefix>-<run>-<job>-<execution>-r<round>-<part>`: everything of one run begins
alike, and everything of one execution too, so one ListJobs by name finds either.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dagster_aws_batch._errors import InvalidJobError
from dagster_aws_batch._job import BatchJobDefinition, Job

__all__ = [
    "ExecutionId",
    "balanced",
    "clean_tags",
    "content_key",
    "digest",
    "encode_tag",
    "format_ranges",
    "parse_ranges",
    "round_of",
    "run_prefix",
    "slug",
]

MAX_TAGS = 50


def digest(*parts: str, length: int = 12) -> str:
    """Hex digits that depend on every part and on where one ends and the next begins."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:length]


def slug(text: str, limit: int = 48) -> str:
    """Letters, digits, hyphen and underscore only, as the names of AWS Batch allow."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_]+", "-", ascii_text).strip("-")[:limit].strip("-") or "job"


def content_key(job: Job, definition: str, total: int) -> str:
    """Changes with whatever changes what the tasks do.

    Image, command, environment, inputs, number of tasks; with `options` also parameters and
    overrides, with `container_properties` whatever stands there.

    Resources and retries are left out on purpose: asking for more memory after a failure must still
    find the tasks that are done. So of a definition only what the container does counts.
    """
    if isinstance(job.definition, BatchJobDefinition):
        shown = job.definition
        definition = json.dumps(
            [
                shown.image,
                list(shown.command),
                sorted(shown.environment.items()),
                *_further(shown.container_properties, leave=("resourceRequirements",)),
                *_further(shown.options, keep=_WORK),
            ]
        )
    inputs = digest(*job.inputs, length=64) if job.inputs is not None else ""
    return digest(
        job.name,
        definition,
        json.dumps(list(job.command)),
        json.dumps(sorted(job.environment.items())),
        inputs,
        str(total),
        *_further(job.options, keep=_WORK),
        *([job.container] if job.container else []),
        length=64,
    )


# The fields of SubmitJob and RegisterJobDefinition that change what a container does.
_WORK = (
    "parameters",
    "containerOverrides",
    "ecsPropertiesOverride",
    "eksPropertiesOverride",
    "ecsProperties",
    "eksProperties",
)


def _further(
    given: Mapping[str, Any], *, keep: Collection[str] = (), leave: Collection[str] = ()
) -> list[str]:
    """One text of these fields; none without them, so that names of jobs without stay."""
    found = {
        key: value
        for key, value in given.items()
        if (key in keep if keep else True) and key not in leave
    }
    return [json.dumps(found, sort_keys=True, default=str)] if found else []


def run_prefix(prefix: str, run_id: str) -> str:
    """How the name of every job of one run begins (without the `*` for ListJobs)."""
    return f"{slug(prefix, 24)}-{digest(run_id)}-"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionId:
    """One call of `run`: unique to a run, a step, the work's content and the n-th such call.

    `run_id` is the run by which work is found again: that of the first attempt when a run is
    retried from failure.
    """

    prefix: str
    run_id: str
    step: str
    job_name: str
    content: str
    ordinal: int = 0

    @property
    def key(self) -> str:
        """Twelve hex digits for this execution."""
        return digest(self.run_id, self.step, self.job_name, self.content, str(self.ordinal))

    @property
    def stem(self) -> str:
        """How the names of all its jobs begin."""
        return f"{run_prefix(self.prefix, self.run_id)}{slug(self.job_name)}-{self.key}-"

    def job(self, round_: int, part: int) -> str:
        """The name of one job."""
        return f"{self.stem}r{round_}-{part}"

    def token(self, round_: int, part: int) -> str:
        """The value of BATCH_SUBMISSION: the same whenever the same submission is repeated."""
        return digest(self.key, str(round_), str(part), length=16)


def round_of(name: str) -> int:
    """The round in a job's name; -1 for a name that this client did not make."""
    match = re.search(r"-r(\d+)-\d+$", name)
    return int(match[1]) if match else -1


def encode_tag(text: str, limit: int) -> str:
    """A tag key or value that AWS accepts.

    Reversible (`=XX` a byte) unless it had to be shortened.

    AWS allows letters, digits, spaces and `_ . : / = + - @`. A shortened one ends with `=..` and a
    hash.
    """
    out: list[str] = []
    for char in text:
        kind = unicodedata.category(char)
        if char == "=" or not (kind[0] in "LN" or char in " _.:/+-@"):
            out.extend(f"={byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))
        else:
            out.append(char)
    encoded = "".join(out)
    if len(encoded) <= limit:
        return encoded
    # A cut must not split an escape.
    head = re.sub(r"=[0-9A-F]?$", "", encoded[: limit - 15])
    return f"{head}=..{digest(text)}"


def clean_tags(*groups: Mapping[str, str], owner: str = "the job") -> dict[str, str]:
    """Join tags (later groups win), made acceptable to AWS. Empty values are dropped.

    Raises InvalidJobError for more than 50: AWS Batch accepts such a job and then fails it.
    """
    tags: dict[str, str] = {}
    for group in groups:
        for key, value in group.items():
            if not value:
                continue
            name = encode_tag(key, 128)
            if name.lower().startswith("aws:"):
                name = encode_tag(f"user/{key}", 128)
            tags[name] = encode_tag(value, 256)
    if len(tags) > MAX_TAGS:
        raise InvalidJobError(
            f"{owner} has {len(tags)} tags; AWS Batch allows {MAX_TAGS} in all, propagated ones "
            "included. Remove some from the job or the resource"
        )
    return tags


_PART = re.compile(r"(\d+)(?:-(\d+))?")


def format_ranges(tasks: Iterable[int]) -> str:
    """Write ascending task numbers as `3,7-9,12`; two neighbours become a range as well."""
    parts: list[str] = []
    start = end = -1
    for task in tasks:
        if task == end + 1 and start >= 0:
            end = task
            continue
        if start >= 0:
            parts.append(str(start) if start == end else f"{start}-{end}")
        start = end = task
    if start >= 0:
        parts.append(str(start) if start == end else f"{start}-{end}")
    return ",".join(parts)


def parse_ranges(text: str) -> tuple[int, ...]:
    """Read what `format_ranges` wrote. Raises InvalidJobError on anything else."""
    tasks: list[int] = []
    for part in text.split(",") if text else []:
        match = _PART.fullmatch(part.strip())
        if match is None:
            raise InvalidJobError(
                f"not a list of task numbers: {text[:80]!r} (wanted like 3,7-9,12)"
            )
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise InvalidJobError(f"a range runs backwards in {text[:80]!r}")
        tasks.extend(range(first, last + 1))
    return tuple(tasks)


def balanced(tasks: Sequence[int], limit: int) -> list[tuple[int, ...]]:
    """Cut `tasks` into as few parts of at most `limit` as possible, sizes differing by at most one.

    10,001 tasks become 5,001 and 5,000: never a full array and a rest of one.
    """
    if not tasks:
        return []
    parts = -(-len(tasks) // limit)
    small, larger = divmod(len(tasks), parts)
    cut, result = 0, []
    for number in range(parts):
        size = small + (1 if number < larger else 0)
        result.append(tuple(tasks[cut : cut + size]))
        cut += size
    return result
