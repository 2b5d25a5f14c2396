"""Addresses of jobs and log streams in the AWS console. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import quote, urlsplit

from botocore.loaders import create_loader

__all__ = ["Console", "is_aws"]

# By partition of AWS; the isolated ones have no public console.
_CONSOLES: Mapping[str, str] = {
    "aws": "https://{region}.console.aws.amazon.com",
    "aws-cn": "https://{region}.console.amazonaws.cn",
    "aws-us-gov": "https://console.amazonaws-us-gov.com",
    "aws-eusc": "https://{region}.console.amazonaws-eusc.eu",
}


@cache
def _partitions() -> tuple[Mapping[str, Any], ...]:
    return tuple(create_loader().load_data("partitions")["partitions"])


def is_aws(endpoint: str) -> bool:
    """Whether an endpoint belongs to AWS itself, in any partition (a VPC endpoint included)."""
    host = urlsplit(endpoint).hostname or ""
    suffixes = {
        f".{outputs[key]}"
        for outputs in (one["outputs"] for one in _partitions())
        for key in ("dnsSuffix", "dualStackDnsSuffix")
        if outputs.get(key)
    }
    return host.endswith(tuple(suffixes))


def _partition_of(region: str) -> str:
    for one in _partitions():
        if re.match(one["regionRegex"], region):
            return str(one["id"])
    return "aws"


@dataclass(frozen=True, slots=True)
class Console:
    """Where people look at a job: the AWS console, or `base`.

    Below `base` are `/jobs/ID` and `/logs?group=…&stream=…`. Without either (an emulator without
    pages, an isolated partition) there are no links.
    """

    region: str
    base: str | None = None
    aws: bool = True

    @property
    def _host(self) -> str | None:
        if not self.aws:
            return None
        known = _CONSOLES.get(_partition_of(self.region))
        return known.format(region=self.region) if known else None

    def job(self, job_id: str) -> str | None:
        """A job, an array or one child (`id:index`)."""
        if self.base:
            return f"{self.base}/jobs/{quote(job_id)}"
        if self._host is None:
            return None
        return f"{self._host}/batch/home?region={self.region}#jobs/detail/{job_id}"

    def log(self, group: str, stream: str) -> str | None:
        """The events of one log stream."""
        if self.base:
            return f"{self.base}/logs?group={quote(group, safe='')}&stream={quote(stream, safe='')}"
        if self._host is None:
            return None
        group, stream = _twice(group), _twice(stream)
        page = f"{self._host}/cloudwatch/home?region={self.region}"
        return f"{page}#logsV2:log-groups/log-group/{group}/log-events/{stream}"


def _twice(text: str) -> str:
    # The console's fragment is quoted twice, with `$` for the outer `%`.
    return quote(quote(text, safe=""), safe="").replace("%", "$")
