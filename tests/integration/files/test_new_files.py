"""The sensor `new_files` with the real pipeline: folder, embedded AWS Batch, Dagster instance."""

import os
import time

import dagster as dg
import pytest

from aws_batch_emulator import stop_running
from wordfreq_dagster.definitions import build_definitions
from wordfreq_dagster.settings import Settings


class Watched:
    """A project on folders, its sensor, and a daemon that does one run at a time."""

    def __init__(self, home, instance):
        self.source = home / "source"
        self.source.mkdir(parents=True)
        self.instance = instance
        self.settings = Settings(home=str(home))
        self.definitions = build_definitions(self.settings)
        self.sensor = self.definitions.resolve_sensor_def("new_files")
        self.cursor = None

    def write(self, name, text, *, age=60.0):
        path = self.source / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        os.utime(path, (time.time() - age,) * 2)

    def tick(self):
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
        )
        result = self.sensor.evaluate_tick(context)
        self.cursor = result.cursor
        return result

    def run(self, request):
        job = self.definitions.resolve_job_def("word_frequency")
        return job.execute_in_process(
            instance=self.instance, tags=request.tags, raise_on_error=False
        ).success


@pytest.fixture
def watched(tmp_path):
    with dg.DagsterInstance.ephemeral() as instance:
        made = Watched(tmp_path / "home", instance)
        yield made
        stop_running(made.settings.local_folder)


def test_a_file_from_arrival_to_ranking_and_a_broken_one(watched):
    assert "empty" in watched.tick().skip_message
    watched.write("a.txt", "cat cat cat dog dog dog", age=0)
    assert "waiting until it is whole" in watched.tick().skip_message
    watched.write("a.txt", "cat cat cat dog dog dog")
    (first,) = watched.tick().run_requests
    assert watched.run(first)
    quiet = watched.tick()
    assert "nothing has changed: 1 files" in quiet.skip_message
    # the sensor observes the source where the plan hasn't, and only what is news
    assert not quiet.asset_events
    [seen] = watched.instance.fetch_observations(dg.AssetKey("source_files"), limit=9).records
    assert seen.asset_observation.metadata["files"].value == 1

    watched.write("b.txt.gz", b"\x1f\x8b no archive")
    news = watched.tick()
    (second,) = news.run_requests
    assert [event.metadata["files"].value for event in news.asset_events] == [2]
    assert second.run_key != first.run_key
    assert not watched.run(second)
    assert "did not bring the ranking up to date" in watched.tick().skip_message

    (watched.source / "b.txt.gz").unlink()  # the state of the first run: its ranking is this one
    # The second run left checks that it never evaluated, and the partition of a file that is gone.
    (third,) = watched.tick().run_requests
    assert watched.run(third)
    assert watched.instance.get_dynamic_partitions("source_files") == ["a.txt"]
    assert "nothing has changed" in watched.tick().skip_message


def test_the_source_is_not_there(watched):
    watched.source.rmdir()
    assert "nothing to list" in watched.tick().skip_message
