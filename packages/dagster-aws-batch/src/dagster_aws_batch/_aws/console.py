"""Addresses of jobs and log streams in the AWS console. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

__all__ = ["Console"]


@dataclass(frozen=True, slots=True)
class Console:
    """Where people look at a job: the AWS console, or `base` (`/jobs/ID`,
    `/logs?group=…&stream=…`).

    Without either (an emulator without pages) there are no links.
    """

    region: str
    base: str | None = None
    aws: bool = True

    @property
    def _host(self) -> str:
        if self.region.startswith("cn-"):
            return f"https://{self.region}.console.amazonaws.cn"
        if self.region.startswith("us-gov-"):
            return "https://console.amazonaws-us-gov.com"
        return f"https://{self.region}.console.aws.amazon.com"

    def job(self, job_id: str) -> str | None:
        """A job, an array or one child (`id:index`)."""
        if self.base:
            return f"{self.base}/jobs/{quote(job_id)}"
        if not self.aws:
            return None
        return f"{self._host}/batch/home?region={self.region}#jobs/detail/{job_id}"

    def log(self, group: str, stream: str) -> str | None:
        """The events of one log stream."""
        if self.base:
            return f"{self.base}/logs?group={quote(group, safe='')}&stream={quote(stream, safe='')}"
        if not self.aws:
            return None
        group, stream = _twice(group), _twice(stream)
        return (
            f"{self._host}/cloudwatch/home?region={self.region}"
            f"#logsV2:log-groups/log-group/{group}/log-events/{stream}"
        )


def _twice(text: str) -> str:
    # The console's fragment is quoted twice, with `$` for the outer `%`.
    return quote(quote(text, safe=""), safe="").replace("%", "$")
