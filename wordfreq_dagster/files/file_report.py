"""What became of each file of a run: the plan's tasks joined with the receipts they left.

Pure: no Dagster, no storage. `file_events` turns it into materializations and into a failure.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from dagster_aws_batch import Outcome
from wordfreq_batch.plans.formats import (
    Item,
    ItemReceipt,
    Plan,
    Receipt,
    Task,
)

_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """The files that there was something to do with.

    `failed` maps a file's name to the reason; `unchanged` is the number of files whose results were
    valid already, and that nobody asked to have again.
    """

    done: tuple[ItemReceipt, ...]
    failed: Mapping[str, str]
    unchanged: int

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


def report_files(
    planned: Plan, outcome: Outcome[Receipt], *, chosen: Collection[str] | None
) -> FileReport:
    """Join plan and receipts; a wanted file that no receipt speaks of has failed.

    With `chosen` exactly those files are reported, also if their results turned out to be valid.
    """
    done: list[ItemReceipt] = []
    failed: dict[str, str] = {}
    for task in planned.all_tasks():
        receipt = outcome.receipts.get(task.number)
        told = {item.name: item for item in receipt.items} if receipt else {}
        for wanted in reported_items(task, whole=chosen is None):
            item = told.get(wanted.name)
            if item is None:
                reason = outcome.tasks[task.number].reason
                failed[wanted.name] = f"its task left no receipt ({reason or 'no reason given'})"
            elif item.error:
                failed[item.name] = item.error
            else:
                done.append(item)
    if chosen is not None:
        there = {item.name for item in planned.items}
        failed |= {name: "it is not in the source" for name in chosen if name not in there}
    unchanged = 0 if chosen is not None else len(planned.counted)
    return FileReport(done=tuple(done), failed=failed, unchanged=unchanged)
