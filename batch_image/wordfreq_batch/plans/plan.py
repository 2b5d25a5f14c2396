"""The plan: which files there are, which belong together, and which task counts which.

Written by `plans.planning`, read by the tasks, the merge and the orchestrator. The document is
JSON; the first two members have the shape and the names of the system this one re-creates, the
rest is ours (`Items` stays a plain list of names, relative to the source):

    {"Metadata": {"Source": {"Bucket": "b", "Key": "docs/"}, "Destination": {...}, "Plan": {...},
                  "TotalItems": 3,
                  "Id": "5c1f...", "CounterVersion": "...", "TotalTasks": 2, "TaskIndex": 1234,
                  "Listing": "..."},
     "Items": ["a.txt", "b.txt", "c.txt"],
     "Sizes": [10, 20, 30],                 bytes, one an item
     "ETags": ["...", "...", "..."],        unquoted, one an item
     "Groups": [0, 2],                      the first item of each group
     "Tasks": [0, 1],                       the group each task counts
     "Counted": [[1, "...", 9, 7, 0]],      item, ETag of its counts, words, distinct, invalid
                                            bytes, and the format of what holds no text
     "Unwanted": [2],                       items that none of the tasks is to count
     "Refused": [{"Name": "a//b", "Reason": "...", "Kind": "archived", "Size": 9}],
     "Stale": ["gone.txt"],                 counts in the destination whose file isn't in the source
     "Unusable": [{"Name": "bad.gz", "Reason": "...", "ETag": "..."}]}   they are none of the items

A local path has the bucket `file:///`. A plan of the re-created system (no `Id`) is read as well.

A task doesn't read this document but its slice of the companion object
`<plan without .json>/<id>/tasks`: per task one line `{"Task", "Group", "First", "Items"}`, where an
item is `[name, size, etag, wanted, counted or null]`; behind all lines, from byte `TaskIndex` on,
the start of each task's line and the end of the last, 16 digits and a line end each.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

from wordfreq_batch.plans.checked import checked, from_object, reading, to_object
from wordfreq_batch.storage.store import (
    LOCAL_BUCKET,
    join_uri,
    split_uri,
)

INDEX_WIDTH = 17
"""Bytes of one entry of the companion object's index."""


class Location(NamedTuple):
    """A bucket (or `file:///`) and a key in it, without percent-encoding."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, uri: str, *, folder: bool = False) -> Location:
        """Split a URI; `folder` puts the key on a `/` boundary."""
        container, key = split_uri(uri)
        if folder and key and not key.endswith("/"):
            key += "/"
        if container == LOCAL_BUCKET:
            return cls(container, key)
        return cls(container.removeprefix("s3://").rstrip("/"), key)

    @property
    def uri(self) -> str:
        """`s3://bucket/key` or `file:///path`."""
        return join_uri(LOCAL_BUCKET if self.is_local else f"s3://{self.bucket}/", self.key)

    @property
    def is_local(self) -> bool:
        """Whether it is in the file system."""
        return self.bucket == LOCAL_BUCKET

    def to_json(self) -> dict[str, str]:
        """`{"Bucket": …, "Key": …}`."""
        return to_object(self)


class KnownCounts(NamedTuple):
    """What is known of a file already counted: its counts object's ETag, and figures.

    `words` is how many there are, `distinct` how many different ones, `invalid` how many bytes
    were not valid text; `aside` is the format of a file that holds no text. Of a loaded CSV: rows
    read, items written, rows rejected.
    """

    counts_etag: str
    words: int
    distinct: int
    invalid: int
    aside: str = ""

    def to_json(self) -> list[str | int]:
        """The fields; the last only where it says something."""
        return list(self if self.aside else self[:-1])


class Item(NamedTuple):
    """One file: its name relative to the source, size in bytes, ETag (`''`: not known).

    `counted` is set where a result for these very bytes existed when the plan was made; `wanted`
    is False where the plan was restricted to other files.
    """

    name: str
    size: int
    etag: str
    counted: KnownCounts | None = None
    wanted: bool = True

    @property
    def pending(self) -> bool:
        """Whether a task of this plan has to count it."""
        return self.wanted and self.counted is None


NOT_THERE = "not in the source"
"""The kind of a name that was asked for in vain: no file."""


class Refused(NamedTuple):
    """A key that isn't in the plan, and why: the reason, its kind, and the bytes left out.

    `etag` where that holds for these bytes only.
    """

    name: str
    reason: str
    kind: str = ""
    size: int = 0
    etag: str = ""

    def to_json(self) -> dict[str, Any]:
        """The entry as a JSON object; what isn't known is left out."""
        return {name: value for name, value in to_object(self).items() if value}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Refused:
        """The reverse of `to_json`."""
        return from_object(cls, row, optional=("kind", "size", "etag"))


class Task(NamedTuple):
    """One task's share: `items` are the consecutive items of group `group` from `first` on."""

    number: int
    group: int
    first: int
    items: tuple[Item, ...]


class PlanHead(NamedTuple):
    """What every task needs of the plan, whatever its size.

    `task_index` is None for a plan without the companion object. `listing` is the fingerprint
    (`storage.fingerprint`) of all that the source held, `''` where it isn't known.
    """

    id: str
    source: Location
    destination: Location
    plan: Location
    counter_version: str
    total_items: int
    total_tasks: int
    task_index: int | None = None
    listing: str = ""

    @property
    def folder(self) -> str:
        """URI of the folder of everything that belongs to this plan; ends with `/`."""
        key = f"{self.plan.key.removesuffix('.json')}/{self.id}/"
        return Location(self.plan.bucket, key).uri


def receipt_name(stage: str, task: int) -> str:
    """A receipt's name in the plan's folder."""
    return f"{stage}-{task:05d}.json"


class Plan(NamedTuple):
    """The whole plan. `groups` are the first items of the groups; `tasks` the groups to count.

    `unusable` are files of the source that are no items, because nothing of them can be ranked:
    they are known to be bad data, or the plan holds only what was counted before it was made.
    """

    head: PlanHead
    items: tuple[Item, ...]
    groups: tuple[int, ...]
    tasks: tuple[int, ...]
    refused: tuple[Refused, ...] = ()
    stale: tuple[str, ...] = ()
    unusable: tuple[Refused, ...] = ()

    @property
    def id(self) -> str:
        """Unique to each making of a plan."""
        return self.head.id

    @property
    def pending(self) -> tuple[str, ...]:
        """Names of the files that the tasks have to count."""
        return tuple(item.name for item in self.items if item.pending)

    @property
    def counted(self) -> tuple[str, ...]:
        """Names of the files that were counted already."""
        return tuple(item.name for item in self.items if item.counted is not None)

    def only_counted(self) -> Plan:
        """The same plan with the counted files only, and so without tasks: all a merge can rank."""
        others = [
            Refused(item.name, "it is new or changed, and not counted yet")
            for item in self.items
            if item.counted is None
        ]
        made = self.without(others)._replace(tasks=())
        listing = "" if others else self.head.listing
        return made._replace(head=made.head._replace(total_tasks=0, listing=listing))

    def without(self, unusable: Collection[Refused]) -> Plan:
        """The same plan without these items, and so without its tasks' numbers in `head`."""
        left_out = {each.name for each in unusable}
        firsts = set(self.groups)
        items: list[Item] = []
        groups: list[int] = []
        new_group = False
        for number, item in enumerate(self.items):
            new_group = new_group or number in firsts
            if item.name in left_out:
                continue
            if new_group:
                groups.append(len(items))
                new_group = False
            items.append(item)
        return self._replace(
            head=self.head._replace(total_items=len(items), task_index=None),
            items=tuple(items),
            groups=tuple(groups),
            unusable=(*self.unusable, *unusable),
        )

    def group_items(self, group: int) -> Sequence[Item]:
        """The items of one group."""
        last = self.groups[group + 1] if group + 1 < len(self.groups) else len(self.items)
        return self.items[self.groups[group] : last]

    def task(self, number: int) -> Task:
        """The share of one task."""
        group = self.tasks[number]
        return Task(number, group, self.groups[group], tuple(self.group_items(group)))

    def all_tasks(self) -> Iterator[Task]:
        """Every task, in order."""
        return (self.task(number) for number in range(len(self.tasks)))

    def dumps(self) -> str:
        """The plan's JSON: two blanks of indent, ASCII only, no line end at the end.

        Items with a lone surrogate (undecodable file names) don't occur: `planning` refuses them.
        """
        quote = json.encoder.encode_basestring_ascii
        items = self.items
        counted = [
            json.dumps([i, *c.to_json()])
            for i, item in enumerate(items)
            if (c := item.counted) is not None
        ]
        unwanted = [str(i) for i, item in enumerate(items) if not item.wanted]
        metadata = json.dumps(self._metadata(), indent=2).replace("\n", "\n  ")
        # Not json.dumps of the whole: with an indent that takes minutes for a million items.
        members = [
            f'"Metadata": {metadata}',
            _member("Items", [quote(item.name) for item in items]),
            _member("Sizes", [str(item.size) for item in items]),
            _member("ETags", [quote(item.etag) for item in items]),
            _member("Groups", [str(first) for first in self.groups]),
            _member("Tasks", [str(group) for group in self.tasks]),
            _member("Counted", counted),
            _member("Unwanted", unwanted),
            _member("Refused", [json.dumps(each.to_json()) for each in self.refused]),
            _member("Stale", [quote(name) for name in self.stale]),
            _member("Unusable", [json.dumps(each.to_json()) for each in self.unusable]),
        ]
        return "{\n  " + ",\n  ".join(members) + "\n}"

    def _metadata(self) -> dict[str, Any]:
        head = self.head
        return {
            "Source": head.source.to_json(),
            "Destination": head.destination.to_json(),
            "Plan": head.plan.to_json(),
            "TotalItems": head.total_items,
            "Id": head.id,
            "CounterVersion": head.counter_version,
            "TotalTasks": head.total_tasks,
            "TaskIndex": head.task_index,
            "Listing": head.listing,
        }

    @classmethod
    def loads(cls, text: str | bytes, *, uri: str) -> Plan:
        """Read the JSON; `uri` is where it came from, for messages and for a plan that moved.

        Raises:
            DataError: it isn't a plan.
        """
        with reading(uri, "plan", "make it with `wordfreq plan`"):
            document = json.loads(text)
            head = _head(document["Metadata"], uri=uri, names=document["Items"])
            return _plan(head, document)


def _member(name: str, values: Sequence[str]) -> str:
    if not values:
        return f'"{name}": []'
    return f'"{name}": [\n    ' + ",\n    ".join(values) + "\n  ]"


def _head(metadata: dict[str, Any], *, uri: str, names: list[str] | None) -> PlanHead | None:
    """The head, or None where only the names of all items (`names`) could give it."""
    places = {
        name: Location(metadata[name]["Bucket"], metadata[name]["Key"])
        for name in ("Source", "Destination")
    }
    identity = metadata.get("Id")
    if identity is None:
        if names is None:
            return None
        material = json.dumps([metadata, names]).encode()
        identity = "seed-" + blake2b(material, digest_size=8).hexdigest()
    return PlanHead(
        id=str(identity),
        source=places["Source"],
        destination=places["Destination"],
        # Where it was found, not where it was written: a plan may be moved or copied.
        plan=Location.parse(uri),
        counter_version=str(metadata.get("CounterVersion", "")),
        total_items=int(metadata.get("TotalItems", 0)) if names is None else len(names),
        total_tasks=int(metadata.get("TotalTasks", len(names or ()))),
        task_index=metadata.get("TaskIndex"),
        listing=str(metadata.get("Listing", "")),
    )


def _plan(head: PlanHead | None, document: dict[str, Any]) -> Plan:
    assert head is not None
    names: list[str] = document["Items"]
    sizes: list[int] = document.get("Sizes") or [0] * len(names)
    etags: list[str] = document.get("ETags") or [""] * len(names)
    if not len(names) == len(sizes) == len(etags):
        raise ValueError("Items, Sizes and ETags differ in length")
    counted = {row[0]: checked(KnownCounts(*row[1:])) for row in document.get("Counted", ())}
    unwanted = frozenset(document.get("Unwanted", ()))
    groups = tuple(document.get("Groups", range(len(names))))
    return Plan(
        head=head,
        items=tuple(
            checked(Item(name, size, etag, counted.get(i), i not in unwanted))
            for i, (name, size, etag) in enumerate(zip(names, sizes, etags, strict=True))
        ),
        groups=groups,
        tasks=tuple(document.get("Tasks", range(len(groups)))),
        refused=tuple(map(Refused.from_json, document.get("Refused", ()))),
        stale=tuple(document.get("Stale", ())),
        unusable=tuple(map(Refused.from_json, document.get("Unusable", ()))),
    )


def head_loads(beginning: str, *, uri: str) -> PlanHead | None:
    """The head from the first kilobytes of a plan; None where they don't suffice."""
    start = beginning.find('"Metadata"')
    colon = beginning.find(":", start)
    if start < 0 or colon < 0 or beginning[:start].strip() != "{":
        return None
    text = beginning[colon + 1 :].lstrip()
    try:
        metadata, _ = json.JSONDecoder().raw_decode(text)
        return _head(metadata, uri=uri, names=None)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
