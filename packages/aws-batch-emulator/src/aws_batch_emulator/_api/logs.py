"""CloudWatch Logs for the streams of jobs: describing groups and streams, reading, filtering."""

from __future__ import annotations

import base64
import heapq
import json
import re
import zlib
from collections.abc import Callable, Iterator, Sequence

from aws_batch_emulator._api.describe import Names
from aws_batch_emulator._api.log_patterns import compiled
from aws_batch_emulator._api.resources import Operation
from aws_batch_emulator._core.errors import ApiError
from aws_batch_emulator._core.log_store import MAX_BYTES, MAX_EVENTS, LogEvent, LogStore
from aws_batch_emulator._core.model import Document

Key = tuple[int, str, int]
"""Time, stream and first byte of an event: its place among all."""

DESCRIBED = 50
MAX_SEARCHED = 200_000
"""So many events are searched for one page: an answer is never long in coming."""
_TOKEN = re.compile(r"[fb]/(\d{1,60})/s")


class LogsApi:
    """Answers to requests about log streams."""

    def __init__(self, *, logs: LogStore, names: Names) -> None:
        self._logs = logs
        self._names = names

    def operations(self) -> dict[str, Operation]:
        """Return the operations by their AWS names."""
        return {
            "GetLogEvents": self.get,
            "DescribeLogGroups": self.groups,
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

    def groups(self, request: Document) -> Document:
        """DescribeLogGroups."""
        prefix, part = request.get("logGroupNamePrefix"), request.get("logGroupNamePattern")
        if prefix is not None and part is not None:
            raise _invalid("logGroupNamePrefix and logGroupNamePattern are mutually exclusive.")
        wanted = {self._short(name) for name in request.get("logGroupIdentifiers", [])}
        standard = request.get("logGroupClass", "STANDARD") == "STANDARD"
        names = [
            name
            for name in self._logs.groups()
            if name.startswith(prefix or "")
            and (part or "") in name
            and (not wanted or name in wanted)
            and standard
        ]
        return _page("logGroups", names, request, lambda name: self._shown_group(name))

    def describe(self, request: Document) -> Document:
        """DescribeLogStreams, by name or by the time of the last event."""
        group = self._group(request)
        by_time = request.get("orderBy") == "LastEventTime"
        if by_time and "logStreamNamePrefix" in request:
            raise _invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
        prefix = request.get("logStreamNamePrefix", "")
        names = [n for n in self._logs.streams(group) if n.startswith(prefix)]
        if by_time:
            times = {name: self._logs.times(group, name).last or 0 for name in names}
            names.sort(key=lambda name: times[name])
        if request.get("descending"):
            names.reverse()
        return _page("logStreams", names, request, lambda name: self._shown_stream(group, name))

    def filter(self, request: Document) -> Document:
        """FilterLogEvents over the streams of a group, in the order of time."""
        group = self._group(request)
        names = self._named(group, request)
        matches = compiled(request.get("filterPattern", ""))
        limit = self._limit(request)
        low, high = request.get("startTime", 0), request.get("endTime", 1 << 62)
        newest_first, after = _resumed(request)
        if after is not None:
            low, high = (low, min(high, after[0])) if newest_first else (max(low, after[0]), high)
        found: list[Document] = []
        previous: Key = (0, "", 0)
        seen = size = 0
        for key, event in self._in_order(group, names, low=low, newest_first=newest_first):
            if not low <= event.timestamp <= high:
                if (event.timestamp < low) is newest_first:
                    break  # only older or newer ones follow
                continue
            if after is not None and (key >= after if newest_first else key <= after):
                continue
            if len(found) >= limit or size >= MAX_BYTES or seen >= MAX_SEARCHED:
                return _filtered(found, _token(previous, newest_first=newest_first))
            previous, seen = key, seen + 1
            if matches(event.message):
                size += len(event.message) + 26
                found.append(_shown_filtered(key[1], event))
        return _filtered(found, None)

    def _named(self, group: str, request: Document) -> list[str]:
        names: list[str] | None = request.get("logStreamNames")
        prefix = request.get("logStreamNamePrefix")
        if names is None:
            return [n for n in self._logs.streams(group) if n.startswith(prefix or "")]
        if prefix is not None:
            raise _invalid("logStreamNames and logStreamNamePrefix can't be given together.")
        if not all(self._logs.exists(group, name) for name in names):
            raise _missing("The specified log stream does not exist.")
        return sorted(set(names))

    def _in_order(
        self, group: str, names: list[str], *, low: int, newest_first: bool
    ) -> Iterator[tuple[Key, LogEvent]]:
        """Yield the events of the streams by time, stream and place; older than `low` ones may."""

        def one(name: str) -> Iterator[tuple[Key, LogEvent]]:
            read = self._backward if newest_first else self._forward
            for event in read(group, name, low):
                yield (event.timestamp, name, event.start), event

        return heapq.merge(*map(one, names), key=lambda pair: pair[0], reverse=newest_first)

    def _forward(self, group: str, name: str, low: int) -> Iterator[LogEvent]:
        position = self._logs.position(group, name, time=low)
        while events := self._logs.forward(group, name, start=position, limit=MAX_EVENTS):
            yield from events
            position = events[-1].end

    def _backward(self, group: str, name: str, low: int) -> Iterator[LogEvent]:
        position, least = self._logs.size(group, name), self._logs.position(group, name, time=low)
        while position > least and (
            events := self._logs.backward(group, name, end=position, limit=MAX_EVENTS)
        ):
            yield from reversed(events)
            position = events[0].start

    def _shown_group(self, name: str) -> Document:
        arn = self._arn(name)
        return {
            "logGroupName": name,
            "creationTime": self._logs.times(name).created,
            "metricFilterCount": 0,
            "arn": f"{arn}:*",
            "logGroupArn": arn,
            "logGroupClass": "STANDARD",
            "storedBytes": 0,
        }

    def _shown_stream(self, group: str, name: str) -> Document:
        times = self._logs.times(group, name)
        written = {
            "firstEventTimestamp": times.first,
            "lastEventTimestamp": times.last,
            "lastIngestionTime": times.last,
        }
        return {
            "logStreamName": name,
            "creationTime": times.created,
            "arn": f"{self._arn(group)}:log-stream:{name}",
            "storedBytes": 0,  # always, since June 2019 (Logs API reference)
            **{key: time for key, time in written.items() if time is not None},
        }

    def _arn(self, group: str) -> str:
        return f"arn:aws:logs:{self._names.region}:{self._names.account_id}:log-group:{group}"

    def _short(self, name_or_arn: str) -> str:
        return name_or_arn.removeprefix(self._arn("")).removesuffix(":*")

    def _group(self, request: Document) -> str:
        given = [request[k] for k in ("logGroupName", "logGroupIdentifier") if k in request]
        if len(given) != 1:
            raise _invalid("Exactly one of logGroupName and logGroupIdentifier is needed.")
        group = self._short(given[0])
        if group not in self._logs.groups():
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


def _page(
    key: str, names: Sequence[str], request: Document, show: Callable[[str], Document]
) -> Document:
    limit, token = request.get("limit", DESCRIBED), request.get("nextToken", "0")
    if not 1 <= limit <= DESCRIBED:
        raise _invalid(f"limit must be between 1 and {DESCRIBED}")
    if not (token.isascii() and token.isdecimal() and len(token) < 10):
        raise _invalid("The specified nextToken is invalid.")
    start = int(token)
    answer: Document = {key: [show(name) for name in names[start : start + limit]]}
    if start + limit < len(names):
        answer["nextToken"] = str(start + limit)
    return answer


def _token(key: Key, *, newest_first: bool) -> str:
    return base64.urlsafe_b64encode(json.dumps([newest_first, key]).encode()).decode()


def _resumed(request: Document) -> tuple[bool, Key | None]:
    """Return the direction, and the event after which to go on."""
    token = request.get("nextToken")
    if token is None:
        return not request.get("startFromHead", True), None
    try:
        newest_first, (time, name, start) = json.loads(base64.urlsafe_b64decode(token))
        return bool(newest_first), (int(time), str(name), int(start))
    except (ValueError, TypeError):
        raise _invalid("The specified nextToken is invalid.") from None


def _filtered(found: list[Document], token: str | None) -> Document:
    answer: Document = {"events": found, "searchedLogStreams": []}
    return answer if token is None else {**answer, "nextToken": token}


def _shown_filtered(stream: str, event: LogEvent) -> Document:
    number = zlib.crc32(stream.encode())
    event_id = f"{event.timestamp:014d}{number:010d}{event.start:015d}"
    return {"logStreamName": stream, "eventId": event_id, **_shown(event)}


def _missing(message: str) -> ApiError:
    return ApiError("ResourceNotFoundException", message)


def _invalid(message: str) -> ApiError:
    return ApiError("InvalidParameterException", message)
