"""However a run was ended, and whatever comes next: counts, ranking, partitions, checks are right.

A matrix: what ended the run × at which event × what is next. The suite runs a few cells;
`make matrix` (`python -m tests.model.test_matrix`) runs all and prints the table.
"""

import sys
import traceback
from itertools import product

import dagster as dg
import pytest

from tests.model.processes import ENDS, ended, jobs, processes_of
from tests.model.test_words import Words
from tests.waiting import until

FILES = {
    "a.txt": b"cat cat cat dog dog dog the the the",
    "deep/b c.txt": b"bird bird bird bird cat",
    "c.txt": b"zebra zebra zebra the the",
    "d.txt": b"dog dog dog",
    "e.txt": b"cat the bird",
}
FAILED = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


class Cell(Words):
    """A fresh home; `end` a run, then `next`."""

    def __init__(self):
        super().__init__()
        for name, data in FILES.items():
            self.upload(name, data)

    def end(self, how, event):
        process = self.start("word_frequency", die_at=event, dies_of=how)
        ended(process)
        assert self.instance.get_runs(limit=1), (self.home / "runs.log").read_text()[-2000:]
        return process.exitcode

    def a_new_run(self):
        assert ended(self.start("word_frequency"))

    def a_retry_from_failure(self):
        self.dead_runs_are_reported()
        [run] = self.instance.get_runs(limit=1)
        if run.status in FAILED:
            assert ended(self.start("word_frequency", retry=run.run_id))

    def the_sensor(self):
        self.dead_runs_are_reported()
        sensor = jobs(self.settings).resolve_sensor_def("new_files")

        def tick():
            with dg.build_sensor_context(instance=self.instance) as context:
                found = sensor.evaluate_tick(context)
            return found if "written just now" not in (found.skip_message or "") else None

        if requests := until(tick).run_requests:
            assert ended(self.start("word_frequency", tags=requests[0].tags))

    def the_nightly_schedule(self):
        self.dead_runs_are_reported()
        schedule = jobs(self.settings).resolve_schedule_def("nightly_reconcile")
        with dg.build_schedule_context(instance=self.instance) as context:
            [request] = schedule.evaluate_tick(context).run_requests
        assert ended(self.start("word_frequency", tags=request.tags))

    def check(self):
        self.check_partitions()
        self.check_results()
        self.check_checks()


NEXT = ("a_new_run", "a_retry_from_failure", "the_sensor", "the_nightly_schedule")
EVENTS = (2, 14, 26, 38, 50)
#: Each way to end and each follower once, at events of different stages.
QUICK = list(zip(ENDS, (24, 36, 20, 44), NEXT, strict=True))


def run_cell(how, event, then):
    cell = Cell()
    try:
        code = cell.end(how, event)
        getattr(cell, then)()
        cell.check()
    finally:
        cell.teardown()
    until(lambda: not processes_of(cell.home), what=lambda: processes_of(cell.home))
    return code


@pytest.mark.slow
@pytest.mark.parametrize(("how", "event", "then"), QUICK)
def test_ended_and_then(how, event, then):
    run_cell(how, event, then)


def main():
    print("| ended by | at event | " + " | ".join(NEXT) + " |\n|---|---|" + "---|" * len(NEXT))
    wrong = 0
    for event, how in product(EVENTS, ENDS):
        shown = []
        for then in NEXT:
            try:
                code = run_cell(how, event, then)
                shown.append(f"right, after exit code {code}")
            except AssertionError as error:
                wrong += 1
                where = traceback.extract_tb(error.__traceback__)[-1]
                shown.append(f"WRONG: {' '.join(str(error).split())[:300]} ({where.line})")
        print(f"| {how} | {event} | " + " | ".join(shown) + " |", flush=True)
    return wrong


if __name__ == "__main__":
    sys.exit(bool(main()))
