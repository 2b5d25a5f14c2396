"""What became of each file of a plan: plan and receipts joined. Pure; for the orchestrator."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

from wordfreq_batch.errors import DataError
from wordfreq_batch.plans.formats import ItemReceipt, Receipt
from wordfreq_batch.plans.plan import Item, Plan, Task

_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """The files that there was something to do with.

    Attributes:
        done: the files that were done now.
        failed: the reason, by the file's name.
        bad: those of `failed` that are bad data, whatever is tried.
        known: the reasons why files are bad data that weren't tried now, by name.
        unchanged: number of files whose results were valid already, and that nobody asked for.
    """

    done: tuple[ItemReceipt, ...]
    failed: Mapping[str, str]
    bad: frozenset[str] = frozenset()
    known: Mapping[str, str] = field(default_factory=dict)
    unchanged: int = 0

    def explain(self, done: str) -> str:
        """The failures in words: how many of how many, and the first of them with their reasons.

        `done` is what they could not be, such as `counted`.
        """
        everything = len(self.failed) + len(self.done)
        lines = [f"{len(self.failed):,} of {everything:,} files could not be {done}:"]
        lines += [f"- {name}: {reason}" for name, reason in list(self.failed.items())[:_SHOWN]]
        if len(self.failed) > _SHOWN:
            lines.append(f"- and {len(self.failed) - _SHOWN:,} more")
        return "\n".join(lines)


def reported_items(task: Task, *, whole: bool) -> Iterator[Item]:
    """The files of a task that are reported, one way or the other.

    In a `whole` run these are the pending ones; where files were chosen, exactly those.
    """
    return (item for item in task.items if (item.pending if whole else item.wanted))


def join_receipts(
    planned: Plan,
    receipts: Mapping[int, Receipt],
    *,
    reason: Callable[[int], str],
    chosen: Collection[str] | None,
) -> FileReport:
    """Join plan and receipts; a wanted file that no receipt speaks of has failed.

    Args:
        planned: the plan.
        receipts: what its tasks have left, by number.
        reason: why a task has left none, or `''`.
        chosen: exactly these files are reported, also if their results turned out to be valid;
            None: the pending ones.
    """
    done: list[ItemReceipt] = []
    failed: dict[str, str] = {}
    bad: set[str] = set()
    for task in planned.all_tasks():
        receipt = receipts.get(task.number)
        items = {item.name: item for item in receipt.items} if receipt else {}
        for wanted in reported_items(task, whole=chosen is None):
            item = items.get(wanted.name)
            if item is None:
                why = reason(task.number) or "no reason given"
                failed[wanted.name] = f"its task left no receipt ({why})"
            elif item.error:
                failed[item.name] = item.error
                if item.exit_code == DataError.exit_code:
                    bad.add(item.name)
            else:
                done.append(item)
    if chosen is not None:
        failed |= {each.name: each.reason for each in planned.refused if each.name in chosen}
    return FileReport(
        done=tuple(done),
        failed=failed,
        bad=frozenset(bad),
        known={each.name: each.reason for each in planned.unusable},
        unchanged=0 if chosen is not None else len(planned.counted),
    )
