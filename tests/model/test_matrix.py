"""However a run was ended, and whatever comes next: all that is shown is what is.

A matrix: what ended the run × at which event × what is next, for the word count (counts, ranking,
partitions, checks) and for CSVs (the table's items, partitions). The suite runs a few cells;
`make matrix` (`python -m tests.model.test_matrix`) runs all and prints the table. With a file as
argument, rows that it holds are not run again, and new ones are added to it.
"""

import logging
import os
import sys
import traceback
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import dagster as dg
import pytest
from moto.server import ThreadedMotoServer

from tests.integration.batch_image.csv.dynamodb import Moto
from tests.model.processes import (
    ENDS,
    end_code_server,
    ended,
    jobs,
    processes_of,
    report_dead_runs,
)
from tests.model.test_csv import Uploads
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
CODE_SERVER = "killed code server"


class Cell:
    """A fresh home, of a model; `end` a run, then what is next."""

    emulated = False

    def end(self, how, event):
        if how == CODE_SERVER:
            end_code_server(self, event)
            [run] = self.instance.get_runs(limit=1)
            return run.status.value
        process = self.start(self.job, die_at=event, dies_of=how)
        ended(process)
        assert self.instance.get_runs(limit=1), (self.home / "runs.log").read_text()[-2000:]
        return f"exit code {process.exitcode}"

    def a_new_run(self):
        assert ended(self.start(self.job))

    def a_retry_from_failure(self):
        report_dead_runs(self.instance)
        [run] = self.instance.get_runs(limit=1)
        if run.status in FAILED:
            assert ended(self.start(self.job, retry=run.run_id))

    def the_sensor(self):
        report_dead_runs(self.instance)
        sensor = jobs(self.settings).resolve_sensor_def(self.sensor)

        def tick():
            with dg.build_sensor_context(instance=self.instance) as context:
                found = sensor.evaluate_tick(context)
            return found if "written just now" not in (found.skip_message or "") else None

        if requests := until(tick).run_requests:
            assert ended(self.start(self.job, tags=requests[0].tags))

    def the_nightly_schedule(self):
        report_dead_runs(self.instance)
        schedule = jobs(self.settings).resolve_schedule_def("nightly_reconcile")
        with dg.build_schedule_context(instance=self.instance) as context:
            [request] = schedule.evaluate_tick(context).run_requests
        assert ended(self.start(self.job, tags=request.tags))


class WordsCell(Cell, Words):
    job, sensor = "word_frequency", "new_files"

    def __init__(self):
        super().__init__()
        for name, data in FILES.items():
            self.upload(name, data)

    def check(self):
        self.check_partitions()
        self.check_results()
        self.check_checks()


class TableCell(Cell, Uploads):
    """Uploads that share keys; one is replaced by another with fewer rows before the run."""

    job, sensor = "csv_to_dynamodb", "new_csv_uploads"

    def __init__(self):
        super().__init__()
        for name, keys in {"a.csv": "123", "b.csv": "345", "deep/c d.csv": "56"}.items():
            self.upload(name, set(keys))

    def check(self):
        self.check_partitions()
        self.check_items()
        self.check_checks()


NEXT = ("a_new_run", "a_retry_from_failure", "the_sensor", "the_nightly_schedule")
EVERY = (*ENDS, CODE_SERVER)
#: Of which event, how, and what is next. The CSVs have no nightly run.
WORDS = (WordsCell, (2, 14, 26, 38, 50), NEXT)
TABLE = (TableCell, (2, 8, 14, 20, 26), NEXT[:3])
#: Each way to end and each follower once, at events of different stages.
QUICK = [
    ("SIGKILL", 50, "the_sensor"),
    ("Ctrl-C", 36, "a_retry_from_failure"),
    ("killed emulator", 20, "a_new_run"),
    ("reboot", 44, "the_nightly_schedule"),
]


def run_cell(kind, how, event, then):
    cell = kind()
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
    run_cell(WordsCell, how, event, then)


def row(kind, how, event, followers):
    """One line of the table, without its head."""
    shown = []
    for then in followers:
        try:
            shown.append(f"right, after {run_cell(kind, how, event, then)}")
        except AssertionError as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            shown.append(f"WRONG: {' '.join(str(error).split())[:300]} ({where.line})")
    return " | ".join(shown)


def _with_a_table():
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    Uploads.server = Moto("http://{}:{}".format(*moto.get_host_and_port()))


def main(file=os.devnull):
    known = Path(file).read_text().splitlines() if Path(file).exists() else []
    workers = int(os.environ.get("WORKERS", 3))
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_with_a_table)
    cells = wrong = 0
    with pool, Path(file).open("a") as out:
        for kind, events, followers in (WORDS, TABLE):
            head = f"| {kind.job}, ended by | at event | {' | '.join(followers)} |"
            print(f"\n{head}\n|---|---|{'---|' * len(followers)}")
            begins = {
                f"| {kind.job}, {how} | {event} |": (kind, how, event, followers)
                for event, how in product(events, EVERY)
            }
            there = {line[: line.index("|", line.index("|", 2) + 1) + 1]: line for line in known}
            rows = {
                begin: pool.submit(row, *of) for begin, of in begins.items() if begin not in there
            }
            for begin in begins:
                line = there.get(begin) or f"{begin} {rows[begin].result()} |"
                if begin not in there:
                    print(line, file=out, flush=True)
                print(line, flush=True)
                cells += len(followers)
                wrong += line.count("WRONG")
    print(f"\n{cells - wrong} of {cells} cells right")
    return wrong


if __name__ == "__main__":
    sys.exit(bool(main(*sys.argv[1:])))
