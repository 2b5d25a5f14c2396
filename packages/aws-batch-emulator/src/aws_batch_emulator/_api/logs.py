"""CloudWatch Logs for jobs' streams: GetLogEvents, DescribeLogStreams, FilterLogEvents."""

from __future__ import annotations

import re

from aws_batch_emulator._api.describe import Names
from aws_batch_emulator._api.resources import Operation
from aws_batch_emulator._core.errors import ApiError
from aws_batch_emulator._core.log_store import MAX_EVENTS, LogEvent, LogStore
from aws_batch_emulator._core.model import Document

_TOKEN = re.compile(r"[fb]/(\d+)/s")


class LogsApi:
    """Answers to requests about log streams."""

    def __init__(self, *, logs: LogStore, names: Names) -> None:
        self._logs = logs
        self._names = names

    def operations(self) -> dict[str, Operation]:
        """Return the operations by their AWS names."""
        return {
            "GetLogEvents": self.get,
            "DescribeLogStreams": self.describe,
            "FilterLogEvents": self.filter,
        }

    def get(self, request: Document) -> Document:
        """GetLogEvents: from the end unless `startFromHead`; the same token means nothing new."""
        group, stream = self._stream(request)
        limit = self._limit(request)
        end = self._logs.size(group, stream)
        token = request.get("nextToken")
        if token is not None:
            found = _TOKEN.fullmatch(token)
            if found is None:
                raise _invalid("The specified nextToken is invalid.")
            position = int(found[1])
            forward = token.startswith("f")
        else:
            forward = bool(request.get("startFromHead", False))
            position = 0 if forward else end
        if forward:
            events = self._logs.forward(group, stream, start=position, limit=limit)
        else:
            events = self._logs.backward(group, stream, end=position, limit=limit)
        first = events[0].start if events else position
        last = events[-1].end if events else position
        low, high = request.get("startTime", 0), request.get("endTime", 1 << 62)
        shown = [_shown(event) for event in events if low <= event.timestamp < high]
        return {
            "events": shown,
            "nextForwardToken": f"f/{last:056d}/s",
            "nextBackwardToken": f"b/{first:056d}/s",
        }

    def describe(self, request: Document) -> Document:
        """DescribeLogStreams by name prefix."""
        group = self._group(request)
        prefix = request.get("logStreamNamePrefix", "")
        names = [n for n in self._logs.streams(group) if n.startswith(prefix)]
        limit = request.get("limit", 50)
        start = int(request.get("nextToken", "0"))
        arn = f"arn:aws:logs:{self._names.region}:{self._names.account_id}:log-group:{group}"
        answer: Document = {
            "logStreams": [
                {"logStreamName": name, "arn": f"{arn}:log-stream:{name}", "storedBytes": 0}
                for name in names[start : start + limit]
            ]
        }
        if start + limit < len(names):
            answer["nextToken"] = str(start + limit)
        return answer

    def filter(self, request: Document) -> Document:
        """FilterLogEvents: a pattern is one plain or quoted term, found anywhere in the message."""
        group = self._group(request)
        names = request.get("logStreamNames") or [
            n
            for n in self._logs.streams(group)
            if n.startswith(request.get("logStreamNamePrefix", ""))
        ]
        term = request.get("filterPattern", "").strip().strip('"')
        limit = self._limit(request)
        low, high = request.get("startTime", 0), request.get("endTime", 1 << 62)
        found: list[Document] = []
        for name in names:
            for event in self._logs.forward(group, name, start=0, limit=MAX_EVENTS):
                if term in event.message and low <= event.timestamp < high:
                    found.append(
                        {"logStreamName": name, "eventId": str(event.start), **_shown(event)}
                    )
            if len(found) >= limit:
                break
        return {"events": found[:limit], "searchedLogStreams": []}

    def _group(self, request: Document) -> str:
        group: str = request.get("logGroupName") or request.get("logGroupIdentifier", "")
        group = group.partition(":log-group:")[2] or group
        if not self._logs.group_exists(group):
            raise _missing("The specified log group does not exist.")
        return group

    def _stream(self, request: Document) -> tuple[str, str]:
        group = self._group(request)
        stream: str = request["logStreamName"]
        if not self._logs.exists(group, stream):
            raise _missing("The specified log stream does not exist.")
        return group, stream

    @staticmethod
    def _limit(request: Document) -> int:
        limit: int = request.get("limit", MAX_EVENTS)
        if not 1 <= limit <= MAX_EVENTS:
            raise _invalid(f"limit must be between 1 and {MAX_EVENTS}")
        return limit


def _shown(event: LogEvent) -> Document:
    return {
        "timestamp": event.timestamp,
        "message": event.message,
        "ingestionTime": event.timestamp,
    }


def _missing(message: str) -> ApiError:
    return ApiError("ResourceNotFoundException", message)


def _invalid(message: str) -> ApiError:
    return ApiError("InvalidParameterException", message)
