"""What Dagster shows of the files is what lies in the bucket, whatever happened to earlier runs."""

import gzip
import json
import shutil

import dagster as dg
import pytest

from aws_batch_emulator import stop_running
from tests.instances import local_instance
from wordfreq_dagster.definitions import build_definitions
from wordfreq_dagster.files.partitions import source_files_partitions
from wordfreq_dagster.settings import Settings

WORD_COUNTS = dg.AssetKey("word_counts")
GOOD, OTHER, BAD = b"cat cat cat dog", b"bird bird bird", b"\x1f\x8b no archive"


class Place:
    """A folder, the project on it, and what Dagster shows."""

    def __init__(self, home, **settings):
        self.home = home
        (home / "source").mkdir(parents=True, exist_ok=True)
        self.definitions = build_definitions(Settings(home=str(home), folder_depth=1, **settings))

    def write(self, **files):
        for name, data in files.items():
            (self.home / "source" / f"{name}.gz").write_bytes(
                data if data == BAD else gzip.compress(data)
            )

    def run(self, instance, **options):
        job = self.definitions.resolve_job_def("word_frequency")
        return job.execute_in_process(instance=instance, raise_on_error=False, **options)

    def status(self, instance):
        keys = instance.get_dynamic_partitions("source_files")
        found = instance.get_status_by_partition(WORD_COUNTS, keys, source_files_partitions)
        return {key: status and status.value for key, status in found.items()}


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path / "home")
    yield made
    stop_running(Settings(home=str(made.home)).local_folder)


@pytest.fixture
def instance():
    with local_instance() as made:
        yield made


def reported(instance, run):
    found = instance.fetch_materializations(WORD_COUNTS, limit=1000).records
    return sorted(
        each.partition_key for each in found if each.run_id == run.run_id and each.partition_key
    )


def check(run, name):
    (found,) = [each for each in run.get_asset_check_evaluations() if each.check_name == name]
    return found.passed


def test_what_was_counted_and_never_reported_is_reported_by_the_next_run(place, instance):
    """As after a run that was killed between counting and reporting."""
    place.write(**{f"file{number}": GOOD + b" %d" % number for number in range(40)})
    with local_instance() as gone:
        assert place.run(gone).success
    run = place.run(instance)
    assert run.success
    assert len(reported(instance, run)) == 40
    assert set(place.status(instance).values()) == {"MATERIALIZED"}
    assert check(run, "every_count_reported")
    again = place.run(instance)
    assert again.success
    assert reported(instance, again) == []


def test_a_changed_file_whose_report_was_lost_gets_its_new_version(place, instance):
    place.write(a=GOOD, b=GOOD)
    assert place.run(instance).success
    place.write(a=OTHER)
    with local_instance() as gone:
        assert place.run(gone).success
    run = place.run(instance)
    assert reported(instance, run) == ["a.gz"]
    latest = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=WORD_COUNTS, asset_partitions=["a.gz"]), limit=1
    ).records[0]
    assert latest.asset_materialization.metadata["words"].value == 3


def test_a_bad_file_is_red_with_its_reason_until_it_is_good(place, instance):
    place.write(good=GOOD, bad=BAD)
    assert not place.run(instance).success
    assert place.status(instance) == {"good.gz": "MATERIALIZED", "bad.gz": "FAILED"}
    seen = instance.fetch_observations(
        dg.AssetRecordsFilter(asset_key=WORD_COUNTS, asset_partitions=["bad.gz"]), limit=1
    ).records[0]
    assert "bad.gz" in seen.asset_observation.metadata["failed"].value

    place.write(more=OTHER)  # a later run, in which other files are good
    place.run(instance)
    assert place.status(instance)["bad.gz"] == "FAILED"
    assert place.status(instance)["more.gz"] == "MATERIALIZED"

    place.write(bad=GOOD)
    assert place.run(instance).success
    assert set(place.status(instance).values()) == {"MATERIALIZED"}


def test_good_bad_and_the_same_good_again(place, instance):
    place.write(a=GOOD, b=OTHER)
    assert place.run(instance).success
    kept = place.home / "kept"
    shutil.copy2(place.home / "source" / "a.gz", kept)
    place.write(a=BAD)
    assert not place.run(instance).success
    assert place.status(instance) == {"a.gz": "FAILED", "b.gz": "MATERIALIZED"}
    shutil.copy2(kept, place.home / "source" / "a.gz")
    assert place.run(instance).success
    assert set(place.status(instance).values()) == {"MATERIALIZED"}
    ranking = json.loads((place.home / "ranking" / "ranking.json").read_text())
    assert {word["Word"]: word["Count"] for word in ranking["Words"]} == {"bird": 3, "cat": 3}


def test_a_run_reads_its_plan_once_and_lists_the_source_only_in_the_container(
    place, instance, monkeypatch
):
    from wordfreq_batch.plans.plan import Plan
    from wordfreq_dagster.files import places

    reads = []
    loads = Plan.loads.__func__
    monkeypatch.setattr(
        Plan, "loads", classmethod(lambda cls, *a, **k: reads.append(1) or loads(cls, *a, **k))
    )
    monkeypatch.setattr(places, "build_plan", lambda **_: pytest.fail("the source is listed again"))
    place.write(a=GOOD)
    assert place.run(instance).success
    assert len(reads) == 1


def everything(place, instance, **options):
    """*Materialize all*, All, Launch: one run of all three assets with a range of partitions."""
    keys = instance.get_dynamic_partitions("source_files")
    tags = {
        "dagster/asset_partition_range_start": keys[0],
        "dagster/asset_partition_range_end": keys[-1],
    }
    return place.run(instance, tags=tags, **options)


def counted(instance, run):
    """The files that containers of this run have counted; others are only confirmed."""
    found = instance.fetch_materializations(WORD_COUNTS, limit=1000).records
    return sorted(
        each.partition_key
        for each in found
        if each.run_id == run.run_id and "seconds" in each.asset_materialization.metadata
    )


def test_all_partitions_with_the_plan_do_what_the_job_does(place, instance):
    place.write(a=GOOD, b=OTHER)
    assert place.run(instance).success
    place.write(b=GOOD, c=OTHER)
    run = everything(place, instance)
    assert run.success
    assert reported(instance, run) == ["a.gz", "b.gz", "c.gz"]
    assert counted(instance, run) == ["b.gz", "c.gz"]  # and a is confirmed
    assert len(run.asset_materializations_for_node("ranking")) == 1
    assert instance.get_run_by_id(run.run_id).tags["wordfreq/ranks"] == "true"
    assert set(place.status(instance).values()) == {"MATERIALIZED"}
    assert check(run, "every_count_reported") and check(run, "every_planned_file_counted")
    ranking = json.loads((place.home / "ranking" / "ranking.json").read_text())
    assert {word["Word"]: word["Count"] for word in ranking["Words"]} == {"cat": 6, "bird": 3}


def test_an_end_of_the_range_may_be_gone_when_its_plan_is_made(place, instance):
    place.write(a=GOOD, b=OTHER, c=GOOD)
    assert place.run(instance).success
    (place.home / "source" / "a.gz").unlink()
    (place.home / "source" / "c.gz").unlink()
    place.write(d=GOOD)
    run = everything(place, instance)
    assert run.success
    assert counted(instance, run) == ["d.gz"]
    assert place.status(instance) == {"b.gz": "MATERIALIZED", "d.gz": "MATERIALIZED"}


def test_all_partitions_with_a_bad_file_leave_it_red_and_one_run_tries_it_again(place, instance):
    place.write(a=GOOD, bad=BAD, c=GOOD, worse=BAD)
    assert not place.run(instance).success
    run = everything(place, instance)
    assert not run.success
    assert counted(instance, run) == []
    assert place.status(instance) == {
        "a.gz": "MATERIALIZED",
        "bad.gz": "FAILED",
        "c.gz": "MATERIALIZED",
        "worse.gz": "FAILED",
    }
    place.write(bad=GOOD, worse=OTHER)
    again = place.run(instance)  # without partitions: exactly what failed, however scattered
    assert again.success
    assert reported(instance, again) == counted(instance, again) == ["bad.gz", "worse.gz"]


@pytest.mark.parametrize("start", ["all", "partition", "job"])
def test_recount_counts_what_is_valid_again(place, instance, start):
    place.write(a=GOOD, b=OTHER)
    assert place.run(instance).success
    place.write(c=GOOD)
    config = {"ops": {"word_counts": {"config": {"recount": True}}}}
    if start == "partition":
        run = place.run(
            instance,
            partition_key="b.gz",
            asset_selection=[WORD_COUNTS],
            run_config=config,
        )
        assert counted(instance, run) == ["b.gz"]
    else:
        begin = {"all": everything, "job": lambda place, *a, **k: place.run(*a, **k)}[start]
        run = begin(place, instance, run_config=config)
        assert counted(instance, run) == ["a.gz", "b.gz", "c.gz"]
        assert len(run.asset_materializations_for_node("ranking")) == 1
    assert run.success


def test_the_ranking_shows_what_rose_and_fell_and_each_folder(place, instance):
    place.write(a=b"cat cat cat cat dog dog dog")
    (place.home / "source" / "docs").mkdir()
    (place.home / "source" / "docs" / "c.txt").write_bytes(OTHER)
    (made,) = place.run(instance).asset_materializations_for_node("ranking")
    assert "changes" not in made.metadata
    assert "| docs/ | 1 | 3 | bird |" in made.metadata["folders"].value
    place.write(b=b"dog dog dog cow cow cow")
    (made,) = place.run(instance).asset_materializations_for_node("ranking")
    rows = made.metadata["ranking"].value.records
    assert {row.data["word"]: row.data["change"] for row in rows} == {
        "dog": "▲2",  # before cat, and bird by the alphabet
        "cat": "▼1",
        "bird": "▼1",
        "cow": "new",
    }
    assert "| ▲2 | dog | 1 | 3 | 6 | 3 |" in made.metadata["changes"].value
    assert made.metadata["words new in the ranking"].value == 1
    assert made.metadata["report"].value.endswith("/ranking/report.html")
    assert (place.home / "ranking" / "report.html").exists()


@pytest.mark.parametrize(
    ("report", "first", "all_again"),
    [("all", ["a.gz", "b.gz"], ["a.gz", "b.gz", "c.gz"]), ("changed", ["a.gz", "b.gz"], ["c.gz"])],
)
def test_how_much_is_reported_is_a_setting(place, instance, report, first, all_again):
    place = Place(place.home, report=report)
    place.write(a=GOOD, b=OTHER)
    run = place.run(instance)
    assert reported(instance, run) == first
    place.write(c=GOOD)
    assert reported(instance, everything(place, instance)) == all_again


def test_a_summary_costs_three_materializations_and_names_what_failed(place, instance):
    place = Place(place.home, report="summary")
    place.write(a=GOOD, b=OTHER)
    run = place.run(instance)
    assert run.success and check(run, "every_count_reported")
    found = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    assert sorted(entry.dagster_event.asset_key.to_user_string() for entry in found) == [
        "plan",
        "ranking",
        "word_counts",
    ]
    place.write(bad=BAD)
    assert not place.run(instance).success
    assert place.status(instance)["bad.gz"] == "FAILED"
    chosen = place.run(instance, partition_key="a.gz", asset_selection=[WORD_COUNTS])
    assert reported(instance, chosen) == ["a.gz"]
    place.write(bad=GOOD)  # what is shown as failed doesn't stay so
    assert reported(instance, place.run(instance)) == ["bad.gz"]
    assert place.status(instance)["bad.gz"] == "MATERIALIZED"


def latest_check(instance, name):
    key = dg.AssetCheckKey(WORD_COUNTS, name)
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])
    return found[key].status.value


def figures(instance, asset):
    made = instance.get_latest_materialization_event(dg.AssetKey(asset)).asset_materialization
    return {key: value.value for key, value in made.metadata.items()}


def test_an_unchanged_bad_file_is_not_tried_again_and_stays_what_it_is(place, instance):
    """It is red and counted among the failed; runs of good files are green and rank those."""
    place.write(good=GOOD, bad=BAD)
    assert not place.run(instance).success
    assert latest_check(instance, "every_planned_file_counted") == "FAILED"
    place.write(more=OTHER)
    run = place.run(instance)
    assert run.success
    assert place.status(instance) == {
        "good.gz": "MATERIALIZED",
        "more.gz": "MATERIALIZED",
        "bad.gz": "FAILED",
    }
    assert figures(instance, "plan")["files to count"] == 1
    ranked = figures(instance, "ranking")
    assert (ranked["files"], ranked["complete"]) == (2, False)
    assert "`bad.gz`" in ranked["missing files"]
    document = json.loads((place.home / "ranking" / "ranking.json").read_text())["Metadata"]
    assert (document["Missing"], document["MissingNames"]) == (1, ["bad.gz"])
    assert latest_check(instance, "every_planned_file_counted") == "FAILED"
    assert latest_check(instance, "every_count_reported") == "SUCCEEDED"

    # chosen by its partition it is tried again
    job = place.definitions.resolve_implicit_global_asset_job_def()
    chosen = {"asset_selection": [WORD_COUNTS], "partition_key": "bad.gz"}
    again = job.execute_in_process(instance=instance, raise_on_error=False, **chosen)
    assert not again.success
    assert latest_check(instance, "every_planned_file_counted") == "FAILED"

    place.definitions = build_definitions(Settings(home=str(place.home), retry_unusable=True))
    assert not place.run(instance).success
    assert figures(instance, "plan")["files to count"] == 1


def test_a_new_instance_shows_what_was_known_to_be_bad(place, instance):
    place.write(good=GOOD, bad=BAD)
    with local_instance() as gone:
        assert not place.run(gone).success
    assert not place.run(instance).success  # not tried again, but nobody has seen it here
    assert place.status(instance) == {"good.gz": "MATERIALIZED", "bad.gz": "FAILED"}
    assert place.run(instance).success


def test_counts_of_bytes_that_are_gone_are_not_left(place, instance):
    place.write(a=GOOD, b=GOOD)
    assert place.run(instance).success
    place.write(a=BAD)
    assert not place.run(instance).success
    assert not (place.home / "output" / "a.gz").exists()
    assert latest_check(instance, "no_stale_counts") == "SUCCEEDED"


def test_other_options_of_one_run_are_kept_and_other_settings_are_noticed(place, instance):
    from wordfreq_dagster.defs.word_frequency.ranking import ranked_listing

    def due(**settings):
        place.definitions = build_definitions(Settings(home=str(place.home), **settings))
        return not ranked_listing(instance, place.definitions.resources["locations"])

    place.write(a=GOOD)
    assert due()
    options = {"ops": {"ranking": {"config": {"top": 1, "min_length": 2}}}}
    assert place.run(instance, run_config=options).success
    assert "The first 1 words of 2 characters" in figures(instance, "ranking")["options"]
    assert not due()
    assert due(top=5)
    assert place.run(instance).success
    assert not due(top=5)
    assert "The first 5 words of 3 characters" in figures(instance, "ranking")["options"]
    assert due(top=5, stop_words="en")


def test_automation_keeps_a_ranking_of_the_same_counts(place, instance):
    """A partition counted again, same bytes: the options that somebody gave a ranking stay."""
    place.write(a=GOOD, b=GOOD)
    assert place.run(instance).success
    job = place.definitions.resolve_implicit_global_asset_job_def()

    def alone(asset, **options):
        done = job.execute_in_process(
            instance=instance, asset_selection=[dg.AssetKey(asset)], **options
        )
        assert instance.get_run_by_id(done.run_id).tags["wordfreq/source"] == f"{place.home}/source"
        return done

    automation = {"tags": {"dagster/from_automation_condition": "true"}}
    options = {"ops": {"ranking": {"config": {"top": 1, "min_length": 2}}}}
    alone("ranking", run_config=options)
    alone("word_counts", partition_key="a.gz")
    alone("ranking", **automation)
    shown = figures(instance, "ranking")
    assert "The first 1 words of 2 characters" in shown["options"]
    assert shown["dagster/row_count"] == 1
    place.write(b=OTHER)
    alone("word_counts", partition_key="b.gz")
    alone("ranking", **automation)
    assert "The first 100 words of 3 characters" in figures(instance, "ranking")["options"]
