"""Making a plan: what is in the source, what is counted already, who counts the rest.

For `wordfreq plan` and for the orchestrator, as a library. `plans.plan_store` writes the plan; here
nothing is written but, if asked for, the compaction of the ledger.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from secrets import token_hex

from wordfreq_batch.errors import NotFoundError, UsageError, WordfreqError
from wordfreq_batch.plans.formats import RESERVED
from wordfreq_batch.plans.known import Known, compact_ledger, look_up, ticking
from wordfreq_batch.plans.packing import pack as pack_items
from wordfreq_batch.plans.plan import NOT_THERE, Item, Location, Plan, PlanHead, Refused
from wordfreq_batch.plans.unusable import known_unusable
from wordfreq_batch.progress import Progress
from wordfreq_batch.storage.fingerprint import Fingerprint, is_folder_marker
from wordfreq_batch.storage.opening import open_object, open_store
from wordfreq_batch.storage.store import ObjectInfo


def build_plan(
    *,
    source: str,
    destination: str,
    plan: str,
    counter_version: str,
    pack: int | None = None,
    pending: bool = False,
    only: Collection[str] | None = None,
    task_items: int | None = None,
    progress: Progress = lambda _: None,
    warn: Progress = lambda _: None,
    refuse: Callable[[str], str | None] | None = None,
    again: bool = False,
    compact: bool = False,
    results: str = "",
    version_of: Callable[[str], str] | None = None,
    limit: str = "",
    retry_unusable: bool = False,
) -> Plan:
    """Compare source and destination and lay out the tasks; nothing is counted.

    Args:
        source: URI of a prefix, a folder or one object.
        destination: URI of the prefix or folder that the counts go to.
        plan: URI that the plan will be written to; it names the receipts' place.
        counter_version: of results that count as done.
        pack: bytes of source that may share one task, see `plans.packing`; None: a task per file.
        pending: only groups holding a file that isn't counted yet become tasks; files that are
            known to be bad data are no items, unless `only` names files.
        only: names of the only files to be counted; names that the source lacks are `refused`.
        task_items: files that may share one task; with `pack` only.
        progress: gets a line every few seconds while listing.
        warn: gets a line for what is odd but no error.
        refuse: says of a name why it is to be left out, or None.
        again: what is counted already is wanted again.
        compact: rewrite the ledger as one object where it has become many.
        results: prefix, in the destination, of the results of another stage than the counting;
            such a result holds for one upload, not for its bytes.
        version_of: the `counter_version` of a single file's result, by its name, where it differs.
        limit: what besides the version decides that a file is bad data, as `plans.tasks.record`.
        retry_unusable: files that are known to be bad data are pending again.

    Raises:
        UsageError: the locations lie in each other, or one is no location.
        NotFoundError: the source's bucket or folder doesn't exist.
    """
    places = _places(source, destination, plan)
    try:
        listing, places = _list_source(places, progress, warn)
    except NotFoundError as error:
        if places.source.is_local and re.match(r"[^./~][^:]*$", source):
            raise NotFoundError(f"{error}. For a bucket write s3://{source}") from None
        raise
    infos, refused = _accept(listing, places.destination, only, refuse)
    chosen = None if only is None else frozenset(only)
    versions = version_of or (lambda _: counter_version)
    known = look_up(
        open_store(places.destination.uri),
        [
            Item(info.key, info.size, info.etag, None, chosen is None or info.key in chosen)
            for info in infos
        ],
        version_of=versions,
        progress=progress,
        warn=warn,
        results=results,
        modified={info.key: info.last_modified for info in infos} if results else None,
    )
    if compact:
        compact_ledger(known, warn=warn)
    items = [item._replace(counted=None) for item in known.items] if again else known.items
    head = PlanHead(
        id=time.strftime("%Y%m%dT%H%M%SZ-", time.gmtime()) + token_hex(4),
        source=places.source,
        destination=places.destination,
        plan=places.plan,
        counter_version=counter_version,
        total_items=len(items),
        total_tasks=0,
        listing=str(Fingerprint().plus(listing)),
    )
    groups = _groups(items, pack, task_items)
    made = Plan(head, tuple(items), groups, (), tuple(refused), tuple(known.stale))
    if pending and chosen is None and not retry_unusable:
        made = _without_unusable(made, known, lambda name: versions(name) + limit, warn)
    tasks = tuple(_tasks(made.items, made.groups, pending=pending))
    return made._replace(head=made.head._replace(total_tasks=len(tasks)), tasks=tasks)


def _groups(items: Sequence[Item], pack: int | None, task_items: int | None) -> tuple[int, ...]:
    if pack is None:
        return tuple(range(len(items)))
    names, sizes = [item.name for item in items], [item.size for item in items]
    return pack_items(names, sizes, target=pack, max_items=task_items)


def _without_unusable(
    plan: Plan, known: Known, version_of: Callable[[str], str], warn: Progress
) -> Plan:
    """The plan without files that are known to be bad data; results that they have are stale."""
    unusable = known_unusable(
        known.store, plan.items, known.unusable, version_of=version_of, warn=warn
    )
    outdated = [each.name for each in unusable if each.name in known.outdated]
    return plan.without(unusable)._replace(stale=(*plan.stale, *outdated))


def check_outside(
    what: str, location: Location, *, destination: Location, source: Location | None = None
) -> None:
    """See that something isn't written to where files or counts are read.

    Raises:
        UsageError: it lies inside the source, or among the counts; `what` it is.
    """
    reserved = destination._replace(key=destination.key + RESERVED)
    if source is not None and inside(location, source):
        raise UsageError(
            f"{what} {location.uri} lies inside the source {source.uri}: it would be counted as an "
            "input next time; put it elsewhere"
        )
    if inside(location, destination) and not inside(location, reserved):
        raise UsageError(
            f"{what} {location.uri} lies inside the destination {destination.uri}, where "
            "`merge --source` would read it as counts; put it elsewhere"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Places:
    """The three locations. `object`: the source was given without a `/`: it may be an object."""

    source: Location
    destination: Location
    plan: Location
    object: str | None


def _real(location: Location) -> tuple[str, str]:
    """Bucket and key for comparisons: symbolic links of local paths resolved."""
    if not location.is_local:
        return location.bucket, location.key
    path = os.path.realpath("/" + location.key)
    slash = "/" if location.key.endswith("/") and path != "/" else ""
    return location.bucket, path + slash


def inside(inner: Location, outer: Location) -> bool:
    """Whether one lies inside the other, or is the same; symbolic links are followed."""
    inner_bucket, inner_key = _real(inner)
    outer_bucket, outer_key = _real(outer)
    return inner_bucket == outer_bucket and inner_key.startswith(outer_key)


def _places(source: str, destination: str, plan: str) -> _Places:
    open_object(plan)  # refuses a folder
    parsed = Location.parse(source)
    places = _Places(
        source=Location.parse(source, folder=True),
        destination=Location.parse(destination, folder=True),
        plan=Location.parse(plan),
        object=parsed.key.rpartition("/")[2] or None,
    )
    advice = "choose a destination beside the source, such as another prefix or bucket"
    if inside(places.destination, places.source):
        same = inside(places.source, places.destination)
        where = "is the source itself" if same else f"lies inside the source {source}"
        raise UsageError(
            f"the destination {destination} {where}: the results would be counted as inputs "
            f"next time; {advice}"
        )
    if inside(places.source, places.destination):
        raise UsageError(
            f"the source {source} lies inside the destination {destination}: its files would be "
            f"read as results; {advice}"
        )
    if places.plan.is_local and not places.plan.key.endswith(".json"):
        raise UsageError(
            f"the plan {plan} has no name that ends in .json; give it one: its receipts lie in a "
            "folder of the same name without that"
        )
    beside = places.plan._replace(key=places.plan.key.removesuffix(".json") + "/")
    for what, location in (
        ("the plan", places.plan),
        ("the folder of the plan's receipts", beside),
    ):
        check_outside(what, location, source=places.source, destination=places.destination)
    return places


def _list_source(
    places: _Places, progress: Progress, warn: Progress
) -> tuple[list[ObjectInfo], _Places]:
    """Everything below the source; or the one object that it names, relative to its folder."""
    store = open_store(places.source.uri)
    single: ObjectInfo | None = None
    if places.object is not None:
        folder = places.source._replace(key=places.source.key.rstrip("/")[: -len(places.object)])
        parent = open_store(folder.uri)
        try:
            single = parent.head(places.object)
        except WordfreqError:
            single = None  # the usual case; what is wrong with the bucket, the listing will say
    try:
        listing = list(ticking(store.list(all_of_it=False), store.uri, progress))
    except NotFoundError:
        if single is None:
            raise
        listing = []
    if single is None:
        return listing, places
    if listing:
        warn(
            f"{store.uri} holds objects, so it is taken as a prefix; the object of that name "
            "itself is left out (name its folder to count both)"
        )
        return listing, places
    return [single], replace(places, source=folder)


def _accept(
    listing: list[ObjectInfo],
    destination: Location,
    only: Collection[str] | None,
    refuse: Callable[[str], str | None] | None,
) -> tuple[list[ObjectInfo], list[Refused]]:
    """Sort the objects by name; set aside, with the reason, those that can't be counted."""
    accepted: list[ObjectInfo] = []
    refused: list[Refused] = []
    names = {info.key for info in listing} if destination.is_local else set()
    check = _checker(destination, names)
    for info in listing:
        if info.unreadable is not None:
            kind, why = info.unreadable
            refused.append(Refused(_shown(info.key), why, kind, info.size))
            continue
        if is_folder_marker(info):
            continue
        if reason := check(info.key) or (refuse(info.key) if refuse else None):
            refused.append(Refused(_shown(info.key), reason, "unusable name", info.size))
        else:
            accepted.append(info)
    # AWS lists in this order; other servers and S3 Express don't. Sorting the sorted is cheap.
    accepted.sort(key=lambda info: info.key.encode())
    if only is not None:
        present = {info.key for info in accepted} | {each.name for each in refused}
        refused += [
            Refused(_shown(name), "it is not in the source", NOT_THERE)
            for name in sorted(set(only) - present)
        ]
    return accepted, refused


def _shown(name: str) -> str:
    """The name itself; bytes that are not UTF-8 as `\\xff`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace") if _UNDECODED(name) else name


_UNDECODED = re.compile("[\ud800-\udfff]").search


def _checker(destination: Location, names: Collection[str]) -> Callable[[str], str | None]:
    """A function saying why the result of a name can't be stored, or None. `names`: all of them."""
    if destination.is_local:
        from wordfreq_batch.storage.local import unsuitable as unsuitable_locally

        def fits(name: str) -> str | None:
            if reason := unsuitable_locally(name):
                return f"the local destination can't hold it: {reason}"
            return _under_a_file(name, names)
    else:
        from wordfreq_batch.storage.s3 import unsuitable as unsuitable_in_s3

        def fits(name: str) -> str | None:
            return unsuitable_in_s3(destination.key + name)

    def check(name: str) -> str | None:
        if _UNDECODED(name):
            return "its name is not valid UTF-8; rename it"
        if name.endswith("/"):
            return "its name ends with '/', as a folder's does, but it holds data; rename it"
        if name == RESERVED.rstrip("/") or name.startswith(RESERVED):
            return f"names below {RESERVED} are reserved in the destination; rename it"
        return fits(name)

    return check


def _under_a_file(name: str, names: Collection[str]) -> str | None:
    slash = name.find("/")
    while slash >= 0:
        if name[:slash] in names:
            return (
                f"the local destination can't hold both a file {name[:slash]!r} and files "
                "in a folder of that name"
            )
        slash = name.find("/", slash + 1)
    return None


def _tasks(items: Sequence[Item], groups: tuple[int, ...], *, pending: bool) -> Iterator[int]:
    for group, first in enumerate(groups):
        last = groups[group + 1] if group + 1 < len(groups) else len(items)
        members = items[first:last]
        if any(item.pending if pending else item.wanted for item in members):
            yield group
