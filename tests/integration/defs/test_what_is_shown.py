"""What Dagster shows of the files is what lies in the bucket, whatever happened to earlier runs."""

import json
import os
import shutil
import sys
from functools import partial
from pathlib import Path

import dagster as dg
import pytest

from tests.integration.defs.projects import BAD, GOOD, OTHER
from wordfreq_dagster.files import places
from wordfreq_dagster.files.stages import LOCAL_IMAGE, LOCAL_IMAGES

WORD_COUNTS = dg.AssetKey("word_counts")


def check(run, name):
    (found,) = [each for each in run.get_asset_check_evaluations() if each.check_name == name]
    return found.passed


def test_what_was_counted_and_never_reported_is_reported_by_the_next_run(place, instance):
    """As after a run that was killed between counting and reporting."""
    place.pack(**{f"file{number}": GOOD + b" %d" % number for number in range(40)})
    assert place.run_elsewhere().success
    run = place.run()
    assert run.success
    assert len(place.reported(run)) == 40
    assert set(place.status.values()) == {"MATERIALIZED"}
    assert check(run, "every_count_reported")
    again = place.run()
    assert again.success
    assert place.reported(again) == []


def test_a_changed_file_whose_report_was_lost_gets_its_new_version(place, instance):
    place.pack(a=GOOD, b=GOOD)
    assert place.run().success
    place.pack(a=OTHER)
    assert place.run_elsewhere().success
    run = place.run()
    assert place.reported(run) == ["a.gz"]
    latest = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=WORD_COUNTS, asset_partitions=["a.gz"]), limit=1
    ).records[0]
    assert latest.asset_materialization.metadata["words"].value == 3


def test_a_bad_file_is_red_with_its_reason_until_it_is_good(place, instance):
    place.pack(good=GOOD, bad=BAD)
    assert not place.run().success
    assert place.status == {"good.gz": "MATERIALIZED", "bad.gz": "FAILED"}
    seen = instance.fetch_observations(
        dg.AssetRecordsFilter(asset_key=WORD_COUNTS, asset_partitions=["bad.gz"]), limit=1
    ).records[0]
    assert "bad.gz" in seen.asset_observation.metadata["failed"].value

    place.pack(more=OTHER)  # a later run, in which other files are good
    place.run()
    assert place.status["bad.gz"] == "FAILED"
    assert place.status["more.gz"] == "MATERIALIZED"

    place.pack(bad=GOOD)
    assert place.run().success
    assert set(place.status.values()) == {"MATERIALIZED"}


def test_good_bad_and_the_same_good_again(place, instance):
    place.pack(a=GOOD, b=OTHER)
    assert place.run().success
    kept = place.home / "kept"
    shutil.copy2(place.inputs / "a.gz", kept)
    place.pack(a=BAD)
    assert not place.run().success
    assert place.status == {"a.gz": "FAILED", "b.gz": "MATERIALIZED"}
    shutil.copy2(kept, place.inputs / "a.gz")
    assert place.run().success
    assert set(place.status.values()) == {"MATERIALIZED"}
    ranking = json.loads((place.home / "ranking" / "ranking.json").read_text())
    assert {word["Word"]: word["Count"] for word in ranking["Words"]} == {"bird": 3, "cat": 3}


@pytest.fixture
def no_root(monkeypatch):
    """Root may read anything, unless it gives that right away: containers do."""
    if os.geteuid() == 0:
        command = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", sys.executable)
        monkeypatch.setitem(LOCAL_IMAGES, LOCAL_IMAGE, (*command, "-m", "wordfreq_batch"))


def test_what_cannot_be_read_now_keeps_its_counts_and_partitions(place, instance, no_root):
    place.write("a.txt", GOOD)
    place.write("secret/deep/b.txt", OTHER)
    place.write("closed.txt", OTHER)
    place.write("gone.txt", OTHER)
    assert place.run().success
    (place.inputs / "gone.txt").unlink()
    (place.inputs / "closed.txt").chmod(0)
    (place.inputs / "secret").chmod(0)
    try:
        run = place.run()
    finally:
        (place.inputs / "secret").chmod(0o755)
        (place.inputs / "closed.txt").chmod(0o644)
    assert run.success
    assert place.partitions == {"a.txt", "secret/deep/b.txt", "closed.txt"}
    assert place.ranking == {"cat": 3}
    shown = place.metadata("plan")
    assert "`secret/` the folder can't be read" in shown["refused files"]
    assert "gone.txt" in shown["removed files"]
    assert check(run, "no_stale_counts")

    assert place.run().success  # nothing was lost: nothing is counted again
    assert place.metadata("word_counts")["files counted"] == 0
    assert place.ranking == {"bird": 6, "cat": 3}


def test_an_archived_object_keeps_its_counts_and_its_partition(place, s3_server, monkeypatch):
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    bucket, client = s3_server.bucket(), s3_server.client()
    put = partial(client.put_object, Bucket=bucket)
    place.change(source=f"s3://{bucket}/in")
    put(Key="in/a", Body=GOOD)
    put(Key="in/a/b", Body=GOOD)
    put(Key="in/c", Body=OTHER)
    assert place.run().success
    put(Key="in/a", Body=GOOD, StorageClass="DEEP_ARCHIVE")
    client.delete_object(Bucket=bucket, Key="in/a/b")
    run = place.run()
    assert run.success
    assert "DEEP_ARCHIVE" in place.metadata("plan")["refused files"]
    assert place.partitions == {"a", "c"}  # of what is gone the archived object says nothing
    put(Key="in/a", Body=GOOD)
    assert place.run().success
    assert place.metadata("word_counts")["files counted"] == 0


def test_a_run_reads_plan_and_receipts_once_and_lists_the_source_only_in_the_container(
    place, instance, monkeypatch
):
    from wordfreq_batch.plans.formats import Receipt
    from wordfreq_batch.plans.plan import Plan

    reads = []

    def counted(cls):
        loads = cls.loads.__func__

        def count(cls, text, *, uri):
            reads.append(uri)
            return loads(cls, text, uri=uri)

        monkeypatch.setattr(cls, "loads", classmethod(count))

    counted(Plan)
    counted(Receipt)
    monkeypatch.setattr(places, "build_plan", lambda **_: pytest.fail("the source is listed again"))
    place.change(pack=1)
    place.pack(a=GOOD, b=OTHER, c=GOOD)
    assert place.run().success
    names = sorted(Path(uri).name for uri in reads)
    assert len(names) == 5
    assert names[1:] == ["merge-00000.json", *(f"migrate-0000{task}.json" for task in range(3))]


def everything(place, **options):
    """*Materialize all*, All, Launch: one run of all three assets with a range of partitions."""
    keys = place.instance.get_dynamic_partitions("source_files")
    tags = {
        "dagster/asset_partition_range_start": keys[0],
        "dagster/asset_partition_range_end": keys[-1],
    }
    return place.run(tags=tags, **options)


def counted(instance, run):
    """The files that containers of this run have counted; others are only confirmed."""
    found = instance.fetch_materializations(WORD_COUNTS, limit=1000).records
    return sorted(
        each.partition_key
        for each in found
        if each.run_id == run.run_id and "seconds" in each.asset_materialization.metadata
    )


def test_all_partitions_with_the_plan_do_what_the_job_does(place, instance):
    place.pack(a=GOOD, b=OTHER)
    assert place.run().success
    place.pack(b=GOOD, c=OTHER)
    run = everything(place)
    assert run.success
    assert place.reported(run) == ["a.gz", "b.gz", "c.gz"]
    assert counted(instance, run) == ["b.gz", "c.gz"]  # and a is confirmed
    assert len(run.asset_materializations_for_node("ranking")) == 1
    assert instance.get_run_by_id(run.run_id).tags["wordfreq/ranks"] == "true"
    assert set(place.status.values()) == {"MATERIALIZED"}
    assert check(run, "every_count_reported") and check(run, "every_planned_file_counted")
    ranking = json.loads((place.home / "ranking" / "ranking.json").read_text())
    assert {word["Word"]: word["Count"] for word in ranking["Words"]} == {"cat": 6, "bird": 3}


def test_an_end_of_the_range_may_be_gone_when_its_plan_is_made(place, instance):
    place.pack(a=GOOD, b=OTHER, c=GOOD)
    assert place.run().success
    (place.inputs / "a.gz").unlink()
    (place.inputs / "c.gz").unlink()
    place.pack(d=GOOD)
    run = everything(place)
    assert run.success
    assert counted(instance, run) == ["d.gz"]
    assert place.status == {"b.gz": "MATERIALIZED", "d.gz": "MATERIALIZED"}


def test_all_partitions_with_a_bad_file_leave_it_red_and_one_run_tries_it_again(place, instance):
    place.pack(a=GOOD, bad=BAD, c=GOOD, worse=BAD)
    assert not place.run().success
    run = everything(place)
    assert not run.success
    assert counted(instance, run) == []
    assert place.status == {
        "a.gz": "MATERIALIZED",
        "bad.gz": "FAILED",
        "c.gz": "MATERIALIZED",
        "worse.gz": "FAILED",
    }
    place.pack(bad=GOOD, worse=OTHER)
    again = place.run()  # without partitions: exactly what failed, however scattered
    assert again.success
    assert place.reported(again) == counted(instance, again) == ["bad.gz", "worse.gz"]


@pytest.mark.parametrize("start", ["all", "partition", "job"])
def test_recount_counts_what_is_valid_again(place, instance, start):
    place.pack(a=GOOD, b=OTHER)
    assert place.run().success
    place.pack(c=GOOD)
    config = {"ops": {"word_counts": {"config": {"recount": True}}}}
    if start == "partition":
        run = place.run(
            partition_key="b.gz",
            asset_selection=[WORD_COUNTS],
            run_config=config,
        )
        assert counted(instance, run) == ["b.gz"]
    else:
        run = (
            everything(place, run_config=config) if start == "all" else place.run(run_config=config)
        )
        assert counted(instance, run) == ["a.gz", "b.gz", "c.gz"]
        assert len(run.asset_materializations_for_node("ranking")) == 1
    assert run.success


def test_the_ranking_shows_what_rose_and_fell_and_each_folder(place, instance):
    place.pack(a=b"cat cat cat cat dog dog dog")
    (place.inputs / "docs").mkdir()
    (place.inputs / "docs" / "c.txt").write_bytes(OTHER)
    (made,) = place.run().asset_materializations_for_node("ranking")
    assert "changes" not in made.metadata
    assert "| docs/ | 1 | 3 | bird |" in made.metadata["folders"].value
    place.pack(b=b"dog dog dog cow cow cow")
    (made,) = place.run().asset_materializations_for_node("ranking")
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
    place.change(report=report)
    place.pack(a=GOOD, b=OTHER)
    run = place.run()
    assert place.reported(run) == first
    place.pack(c=GOOD)
    assert place.reported(everything(place)) == all_again


def test_a_summary_costs_three_materializations_and_names_what_failed(place, instance):
    place.change(report="summary")
    place.pack(a=GOOD, b=OTHER)
    run = place.run()
    assert run.success and check(run, "every_count_reported")
    found = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    assert sorted(entry.dagster_event.asset_key.to_user_string() for entry in found) == [
        "plan",
        "ranking",
        "word_counts",
    ]
    place.pack(bad=BAD)
    assert not place.run().success
    assert place.status["bad.gz"] == "FAILED"
    chosen = place.run(partition_key="a.gz", asset_selection=[WORD_COUNTS])
    assert place.reported(chosen) == ["a.gz"]
    place.pack(bad=GOOD)  # what is shown as failed doesn't stay so
    assert place.reported(place.run()) == ["bad.gz"]
    assert place.status["bad.gz"] == "MATERIALIZED"


def latest_check(instance, name):
    key = dg.AssetCheckKey(WORD_COUNTS, name)
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])
    return found[key].status.value


def test_an_unchanged_bad_file_is_not_tried_again_and_stays_what_it_is(place, instance):
    """It is red and counted among the failed; runs of good files are green and rank those."""
    place.pack(good=GOOD, bad=BAD)
    assert not place.run().success
    assert latest_check(instance, "every_planned_file_counted") == "FAILED"
    place.pack(more=OTHER)
    run = place.run()
    assert run.success
    assert place.status == {
        "good.gz": "MATERIALIZED",
        "more.gz": "MATERIALIZED",
        "bad.gz": "FAILED",
    }
    assert place.metadata("plan")["files to count"] == 1
    ranked = place.metadata("ranking")
    assert (ranked["files"], ranked["complete"]) == (2, False)
    assert "`bad.gz`" in ranked["missing files"]
    document = json.loads((place.home / "ranking" / "ranking.json").read_text())["Metadata"]
    assert (document["Missing"], document["MissingNames"]) == (1, ["bad.gz"])
    assert latest_check(instance, "every_planned_file_counted") == "FAILED"
    assert latest_check(instance, "every_count_reported") == "SUCCEEDED"

    # chosen by its partition it is tried again
    assert not place.again("bad.gz").success
    assert latest_check(instance, "every_planned_file_counted") == "FAILED"

    place.change(retry_unusable=True)
    assert not place.run().success
    assert place.metadata("plan")["files to count"] == 1


def test_a_new_instance_shows_what_was_known_to_be_bad(place, instance):
    place.pack(good=GOOD, bad=BAD)
    assert not place.run_elsewhere().success
    assert not place.run().success  # not tried again, but nobody has seen it here
    assert place.status == {"good.gz": "MATERIALIZED", "bad.gz": "FAILED"}
    assert place.run().success


def test_counts_of_bytes_that_are_gone_are_not_left(place, instance):
    place.pack(a=GOOD, b=GOOD)
    assert place.run().success
    place.pack(a=BAD)
    assert not place.run().success
    assert not (place.home / "output" / "a.gz").exists()
    assert latest_check(instance, "no_stale_counts") == "SUCCEEDED"
