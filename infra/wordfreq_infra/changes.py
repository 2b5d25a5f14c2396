"""Which options of a deployment can be changed by the next deploy, and what that takes.

`ready.py` refuses the others before anything is done. The table stands in docs/aws.md; a test
synthesises every pair of values and holds that what CloudFormation couldn't do is refused here, and
nothing else. Imports no CDK.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from wordfreq_infra.options import Options

ANOTHER = "deploy beside it with another `name`, move the data, then `make destroy` the old one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What becomes of a change of some options.

    Attributes:
        options: whose change is meant.
        effect: what a deploy does.
        refused: whether this change can't be made in place; None: always can.
        instead: what to do then.
        idle: whether no job may be in the queue.
    """

    options: tuple[str, ...]
    effect: str
    refused: Callable[[Options, Options], bool] | None = None
    instead: str = ""
    idle: Callable[[Options, Options], bool] | None = None


def _key_types(old: Options, new: Options) -> bool:
    keys = [key for key in (old.csv_key, old.csv_sort_key) if key]
    return any(old.csv_types[key] != new.csv_types.get(key, "") for key in keys)


CHANGES = (
    Change(
        options=("network",),
        effect="`public` and `nat`, each into the other: subnets of both are always there. "
        "`isolated` into another: its subnets stay, the new ones come; jobs under way lose their "
        "endpoints, so only while none runs. Another into `isolated`: refused, subnets in use "
        "would go",
        refused=lambda old, new: new.network == "isolated" and not (old.vpc and new.vpc),
        instead=ANOTHER,
        idle=lambda old, _: old.network == "isolated",
    ),
    Change(
        options=("compute", "architecture", "fair_share"),
        effect="new compute environments and a new queue (of another name) are made, then the old "
        "ones removed: only while none of their jobs runs",
        idle=lambda *_: True,
    ),
    Change(
        options=("instance_families", "max_vcpus"),
        effect="in place; running jobs have an hour to end on their host",
    ),
    Change(options=("image", "dagster_image"), effect="new revisions; jobs under way keep theirs"),
    Change(
        options=("source", "source_kms_key"),
        effect="in place; the bucket that was made stays, with what is in it",
    ),
    Change(
        options=("csv_columns", "csv_key", "csv_sort_key"),
        effect="columns that are no keys: in place. Keys and their types: refused, DynamoDB can't",
        refused=lambda old, new: (
            (old.csv_key, old.csv_sort_key) != (new.csv_key, new.csv_sort_key)
            or _key_types(old, new)
        ),
        instead=ANOTHER,
    ),
    Change(options=("csv_time_index",), effect="in place: DynamoDB builds or removes the index"),
    Change(
        options=("vpc", "subnets", "cidr", "zones"),
        effect="refused: hosts and services live in the subnets",
        # Of a given VPC the others meant nothing, where they were given too.
        refused=lambda old, new: not new.vpc or (old.vpc, old.subnets) != (new.vpc, new.subnets),
        instead=ANOTHER,
    ),
    Change(
        options=("kms_key",),
        effect="refused: objects and database stay encrypted with the former key",
        refused=lambda *_: True,
        instead=ANOTHER,
    ),
    Change(
        options=("permissions_boundary", "tags"),
        effect="in place; compute environments are replaced when tags change",
    ),
    Change(options=("keep_data",), effect="in place; it counts at the next `make destroy`"),
    Change(
        options=("budget", "email", "log_days", "csv_removed", "dagster_read_only"),
        effect="in place",
    ),
    Change(
        options=("dagster",),
        effect="`true`: the stack is added. `false`: refused while the stack is there",
        refused=lambda old, new: old.dagster and not new.dagster,
        instead="`make destroy STACKS=<name>-dagster OPTIONS=…` with the present options first; "
        "its database leaves a snapshot",
    ),
    Change(
        options=("ui_certificate", "ui_login", "ui_cidr"),
        effect="in place: the load balancer comes or goes, and the webserver starts anew. A secret "
        "is read again only under another name",
    ),
    Change(options=("name",), effect="another deployment beside this one"),
)


def changed(old: Options, new: Options) -> Iterator[Change]:
    """The changes between two deployments."""
    for change in CHANGES:
        if any(getattr(old, one) != getattr(new, one) for one in change.options):
            yield change


def refusals(old: Options, new: Options) -> list[str]:
    """Why the next deploy can't make these changes, each with what to do instead."""
    return [
        "; ".join(
            f"{one} can't become {getattr(new, one)!r} (it is {getattr(old, one)!r})"
            for one in change.options
            if getattr(old, one) != getattr(new, one)
        )
        + f": {change.instead}"
        for change in changed(old, new)
        if change.refused is not None and change.refused(old, new)
    ]


def needs_idle_queue(old: Options, new: Options) -> bool:
    """Whether jobs under way would be ended by the next deploy."""
    return any(change.idle and change.idle(old, new) for change in changed(old, new))


def table() -> str:
    """The changes as Markdown."""
    lines = ["| option | changed by the next `make deploy` |", "|---|---|"]
    lines += [
        f"| {', '.join(f'`{one}`' for one in change.options)} | {change.effect} |"
        for change in CHANGES
    ]
    return "\n".join(lines) + "\n"
