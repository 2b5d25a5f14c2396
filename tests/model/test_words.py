"""Whatever happens to files and runs, one run later all that is shown is what lies in the bucket.

A state machine uploads, replaces and removes files, good ones and bad ones, changes settings, kills
runs, starts two at once; then one run has to bring partitions, checks, counts and ranking to what
the bucket's files say, and nothing else. `WORDFREQ_TEST_STEPS` sets the number of steps per
example and `WORDFREQ_TEST_EXAMPLES` how many there are; with either, they are drawn at random.
"""

import bz2
import gzip
import os
import shutil
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote

import dagster as dg
import pytest
from dagster import AssetCheckKey
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from aws_batch_emulator import stop_running
from tests.instances import local_instance
from tests.model.processes import ended, prepare, report_dead_runs, start, start_emulator
from wordfreq_batch.errors import NotFoundError
from wordfreq_batch.merge.document import Ranking
from wordfreq_batch.plans.formats import RESERVED
from wordfreq_batch.storage.opening import open_store
from wordfreq_dagster.files.partitions import source_files_partitions
from wordfreq_dagster.settings import Settings

#: The same for all examples, as definitions hold it, and building them takes long.
HOME = Path(tempfile.gettempdir(), f"model-{os.getpid()}")
WORD_COUNTS = dg.AssetKey("word_counts")
TOPS = (100, 2)
NAMES = ("a.txt", "b.gz", "deep/c d.txt", "ü.txt", "e")
TEXTS = (
    b"cat cat cat dog dog dog the the the",
    b"bird bird bird bird cat",
    gzip.compress(b"cat cat dog dog bird", mtime=0),
    bz2.compress(b"the the the zebra zebra zebra"),
    b"",
)
BAD = (b"\x1f\x8b\x08\x00 no archive", gzip.compress(b"cat " * 99, mtime=0)[:-9])
CHECKS = (
    ("plan", "every_file_usable"),
    ("word_counts", "every_planned_file_counted"),
    ("word_counts", "no_stale_counts"),
    ("word_counts", "every_count_reported"),
    ("ranking", "sum_of_counts"),
)


def words_of(data):
    if data.startswith(b"\x1f\x8b"):
        data = gzip.decompress(data)
    elif data.startswith(b"BZh"):
        data = bz2.decompress(data)
    return Counter(data.decode().split())


class Folder:
    """A bucket that is a folder."""

    def __init__(self, home):
        self.environment = {}
        self.source = home / "source"
        self.source.mkdir()
        self.settings = {}

    def put(self, name, data):
        path = self.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def delete(self, name):
        (self.source / name).unlink()


class Bucket:
    """A bucket of a real S3 server; each example gets it empty."""

    def __init__(self, server):
        self.client, self.name = server.client(), server.bucket()
        self.environment = server.environment
        self.settings = {
            place: f"s3://{self.name}/{place}"
            for place in ("source", "destination", "plans", "ranking")
        }

    def put(self, name, data):
        self.client.put_object(Bucket=self.name, Key=f"source/{name}", Body=data)

    def delete(self, name):
        self.client.delete_object(Bucket=self.name, Key=f"source/{name}")

    def emptied(self):
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        for found in [each for page in pages for each in page.get("Contents", ())]:
            self.client.delete_object(Bucket=self.name, Key=found["Key"])
        return self


class Model(RuleBasedStateMachine):
    """What the models share: a home, an instance, a count of steps and comparisons.

    `emulated` is false where the embedded AWS Batch is to be what a user has: started by the first
    run, each container a program of its own.
    """

    emulated = True
    done: ClassVar[Counter] = Counter()

    def __init__(self):
        super().__init__()
        self.home = HOME
        shutil.rmtree(HOME, ignore_errors=True)
        self.home.mkdir()
        self.stack = ExitStack()
        self.instance = self.stack.enter_context(local_instance())
        self.done["examples"] += 1
        self.done["steps"] -= 1  # the invariants are also checked before the first

    @invariant()
    def count(self):
        self.done["steps"] += 1

    @property
    def log(self):
        """What the runs have said last, for failures."""
        return (self.home / "runs.log").read_text()[-5000:]

    def begin(self):
        self.emulator = start_emulator(self.settings) if self.emulated else None

    def teardown(self):
        stop_running(self.settings.local_folder)
        if self.emulator is not None:
            ended(self.emulator)
        self.stack.close()
        shutil.rmtree(self.home)


class Words(Model):
    """The word count and what is known to be in its bucket."""

    bucket = Folder

    def __init__(self):
        super().__init__()
        self.place = self.bucket(self.home)
        self.files = {}
        self.options = {}
        self.begin()
        self.place.put("first", TEXTS[0])
        self.files["first"] = TEXTS[0]

    @property
    def settings(self):
        return Settings(home=str(self.home), pack="150B", **self.place.settings, **self.options)

    # What users and other systems do.

    @rule(name=st.sampled_from(NAMES), data=st.sampled_from((*TEXTS, *BAD)))
    def upload(self, name, data):
        self.place.put(name, data)
        self.files[name] = data

    @precondition(lambda self: len(self.files) > 1)
    @rule(data=st.data())
    def remove(self, data):
        name = data.draw(st.sampled_from(sorted(set(self.files) - {"first"})))
        self.place.delete(name)
        del self.files[name]

    @rule(stop_words=st.sampled_from(["", "en"]), top=st.sampled_from(TOPS))
    def change_settings(self, stop_words, top):
        self.options = {"stop_words": stop_words, "top": top}

    # What people do by hand to what runs have made.

    @rule(number=st.integers(min_value=0, max_value=99))
    def counts_are_deleted(self, number):
        self.delete_one(self.settings.destination, number)

    @rule(number=st.integers(min_value=0, max_value=99))
    def something_of_the_ranking_is_deleted(self, number):
        self.delete_one(self.settings.ranking, number)

    @rule(number=st.integers(min_value=0, max_value=99))
    def plans_are_deleted(self, number):
        self.delete_one(self.settings.plans, number)

    @rule(number=st.integers(min_value=0, max_value=99))
    def a_partition_is_deleted(self, number):
        if there := sorted(self.instance.get_dynamic_partitions("source_files")):
            self.instance.delete_dynamic_partition("source_files", there[number % len(there)])

    @rule(name=st.sampled_from(NAMES))
    def a_partition_is_added(self, name):
        self.instance.add_dynamic_partitions("source_files", [name])

    def delete_one(self, place, number):
        store = open_store(place)
        try:
            there = sorted(info.key for info in store.list())
        except NotFoundError:  # no run has been there yet
            return
        if there:
            store.delete([there[number % len(there)]])

    # What becomes of runs; whatever it is, one run later all that is shown is what is.

    @rule(event=st.integers(min_value=1, max_value=90))
    def a_run_is_killed(self, event):
        ended(self.start("word_frequency", die_at=event))
        report_dead_runs(self.instance)
        self.settle()

    @rule(event=st.integers(min_value=1, max_value=90))
    def a_run_is_killed_and_retried(self, event):
        if not ended(self.start("word_frequency", die_at=event)):
            report_dead_runs(self.instance)
            [run] = self.instance.get_runs(limit=1)
            if run.status == dg.DagsterRunStatus.FAILURE:
                ended(self.start("word_frequency", retry=run.run_id))
        self.settle()

    @rule()
    def two_runs_at_once(self):
        for run in [self.start("word_frequency"), self.start("word_frequency")]:
            ended(run)
        self.settle()

    @rule(stop_words=st.sampled_from(["", "en"]), top=st.sampled_from(TOPS))
    def settings_change_during_a_run(self, stop_words, top):
        run = self.start("word_frequency")
        self.change_settings(stop_words, top)
        ended(run)
        self.settle()

    @rule(
        number=st.integers(min_value=0, max_value=99),
        event=st.one_of(st.none(), st.integers(min_value=1, max_value=40)),
    )
    def a_partition_is_launched(self, number, event):
        there = sorted(self.instance.get_dynamic_partitions("source_files"))
        if there:
            name = there[number % len(there)]
            good = ended(self.start("only_word_counts", partition=name, die_at=event))
            assert not good or name in self.good
            report_dead_runs(self.instance)
        self.settle()

    @rule()
    def settle(self):
        done = ended(self.start("word_frequency"))
        assert done or self.bad, self.log
        if not done:  # as automation does
            assert ended(self.start("only_ranking")), self.log
        self.check_partitions()
        self.check_results()
        self.check_checks()

    @property
    def environment(self):
        return self.place.environment

    def start(self, job, **options):
        return start(
            self.instance.get_ref(),
            self.settings,
            job=job,
            environment=self.environment,
            **options,
        )

    # What has to be shown, by the bucket alone.

    @property
    def good(self):
        return {name: words_of(data) for name, data in self.files.items() if data not in BAD}

    @property
    def bad(self):
        return {name for name, data in self.files.items() if data in BAD}

    def check_partitions(self):
        self.done["comparisons"] += 1
        keys = self.instance.get_dynamic_partitions("source_files")
        assert set(keys) == set(self.files)
        found = self.instance.get_status_by_partition(WORD_COUNTS, keys, source_files_partitions)
        shown = {key: status and status.value for key, status in found.items()}
        expected = dict.fromkeys(self.good, "MATERIALIZED") | dict.fromkeys(self.bad, "FAILED")
        assert shown == expected
        etags = {info.key: info.etag for info in open_store(self.settings.source).list()}
        for name in self.files:
            chosen = dg.AssetRecordsFilter(asset_key=WORD_COUNTS, asset_partitions=[name])
            if name in self.bad:
                [seen] = self.instance.fetch_observations(chosen, limit=1).records
                assert name in unquote(seen.asset_observation.metadata["failed"].value)
                continue
            [made] = self.instance.fetch_materializations(chosen, limit=1).records
            made = made.asset_materialization
            assert made.tags["dagster/data_version"] == etags[name]
            assert made.metadata["words"].value == self.good[name].total()
            assert made.metadata["distinct words"].value == len(self.good[name])

    def check_results(self):
        counts = open_store(self.settings.destination)
        there = {info.key for info in counts.list() if not info.key.startswith(RESERVED)}
        assert there == set(self.good)
        for name, words in self.good.items():
            ordered = sorted(words.items(), key=lambda found: (-found[1], found[0]))
            lines = "".join(f"{word}:{count}\n" for word, count in ordered)
            assert counts.get(name).decode() == lines, name
        total = sum(self.good.values(), Counter())
        left_out = {"the"} if self.options.get("stop_words") else set()
        expected = [
            (word, count)
            for word, count in sorted(total.items(), key=lambda found: (-found[1], found[0]))
            if count >= 3 and len(word) >= 3 and word not in left_out
        ][: self.options.get("top", 100)]
        store = open_store(self.settings.ranking)
        ranked = Ranking.loads(store.get("ranking.json"), uri="ranking.json")
        assert [(each.word, each.count) for each in ranked.words] == expected
        assert ranked.files == len(self.good)
        assert ranked.total_words == total.total()
        assert set(ranked.missing_names) == self.bad

    def check_checks(self):
        keys = [AssetCheckKey(dg.AssetKey(asset), name) for asset, name in CHECKS]
        found = self.instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
        shown = {key.name: (found[key].status.value if key in found else "none") for key in keys}
        expected = dict.fromkeys(shown, "SUCCEEDED")
        if self.bad:
            expected["every_planned_file_counted"] = "FAILED"
        assert shown == expected


def run(machine, *, steps=5):
    sized = {"stateful_step_count": "STEPS", "max_examples": "EXAMPLES"}
    given = {
        name: int(os.environ[f"WORDFREQ_TEST_{variable}"])
        for name, variable in sized.items()
        if f"WORDFREQ_TEST_{variable}" in os.environ
    }
    machine.done = Counter()
    try:
        run_state_machine_as_test(
            machine,
            settings=settings(
                deadline=None,
                derandomize=not given,
                database=None,
                print_blob=False,
                suppress_health_check=list(HealthCheck),
                # each step takes seconds: the failing example itself is shown, not a smaller one
                phases=[Phase.generate],
                **{"stateful_step_count": steps, "max_examples": 1} | given,
            ),
        )
    finally:
        done = ", ".join(f"{number:,} {name}" for name, number in machine.done.items())
        print(f"\n{machine.__name__}: {done}")


@pytest.mark.slow
@pytest.mark.timeout(3 * 3600)
def test_on_folders():
    both = {"pack": "150B", "home": str(HOME)}
    prepare([Settings(**both, stop_words=words, top=top) for words in ("", "en") for top in TOPS])
    run(Words)


@pytest.mark.slow
@pytest.mark.timeout(3 * 3600)
def test_on_an_s3_server(s3_server, monkeypatch):
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    place = Bucket(s3_server)

    class OnS3(Words):
        bucket = staticmethod(lambda home: place.emptied())

    run(OnS3, steps=4)
