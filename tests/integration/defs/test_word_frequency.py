"""The job `word_frequency`, from folder to ranking, on the real embedded AWS Batch."""

import collections
import datetime
import json
import re

import dagster as dg
import pytest

from tests.integration.defs.projects import checks, failures


@pytest.fixture
def project(words):
    return words(pack=64 << 10)


def ascii_words(*texts):
    """An independent count, right for the plain ASCII sentences of these tests."""
    return collections.Counter(re.findall(r"[a-z]+", " ".join(texts).lower()))


A = "The cat saw the dog. The dog saw the cat; the bird saw both."
B = "A bird in the hand is worth two in the bush, the saying goes."


def test_new_changed_and_removed_files(project):
    project.write("a.txt", A)
    project.write("deep/b.txt", B)

    first = project.run()
    assert first.success, failures(first)
    assert project.partitions == project.green == {"a.txt", "deep/b.txt"}
    assert project.metadata("word_counts")["files counted"] == 2
    expected = {w: n for w, n in ascii_words(A, B).items() if len(w) > 2 and n >= 3}
    assert project.ranking == expected
    assert list(project.ranking.items()) == sorted(expected.items(), key=lambda i: (-i[1], i[0]))
    assert all(checks(first).values()) and len(checks(first)) == 5

    again = project.run()
    assert again.success
    assert project.metadata("word_counts")["files counted"] == 0
    assert project.metadata("word_counts")["files unchanged"] == 2

    project.write("a.txt", A + " Bird, bird, bird, bird!")
    changed = project.run()
    assert changed.success
    assert project.metadata("word_counts")["files counted"] == 1
    assert project.ranking["bird"] == expected.get("bird", 0) + 4 + (
        0 if "bird" in expected else ascii_words(A, B)["bird"]
    )

    (project.inputs / "a.txt").unlink()
    removed = project.run()
    assert removed.success
    assert project.partitions == {"deep/b.txt"}
    assert project.ranking == {w: n for w, n in ascii_words(B).items() if len(w) > 2 and n >= 3}
    assert all(checks(removed).values()), checks(removed)
    assert not (project.home / "output" / "a.txt").exists()


def test_each_partition_carries_its_own_figures(project):
    project.write("a.txt", A)
    project.write("b.txt", B)
    assert project.run().success
    record = project.instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey("word_counts"), asset_partitions=["b.txt"]),
        limit=1,
    ).records[0]
    figures = {k: v.value for k, v in record.asset_materialization.metadata.items()}
    assert figures["words"] == sum(ascii_words(B).values())
    assert figures["distinct words"] == len(ascii_words(B))
    assert figures["bytes"] == len(B)
    assert record.asset_materialization.tags["dagster/data_version"] == figures["ETag"]


def test_an_empty_source_gives_an_empty_ranking(project):
    result = project.run()
    assert result.success, failures(result)
    assert project.ranking == {}
    assert project.partitions == set()


def test_a_missing_source_is_named(project):
    project.inputs.rmdir()
    result = project.run()
    assert not result.success
    assert str(project.inputs) in failures(result)


def test_a_bad_file_fails_alone_and_is_counted_once_repaired(project):
    project.write("good.txt", A)
    project.write("bad.txt.gz", b"\x1f\x8b no archive")
    result = project.run()
    assert not result.success
    assert project.green == {"good.txt"}
    assert "bad.txt.gz" in failures(result)

    (project.inputs / "bad.txt.gz").unlink()
    project.write("bad.txt", B)
    assert project.run().success
    assert project.metadata("word_counts")["files counted"] == 1
    assert project.green == {"good.txt", "bad.txt"}


@pytest.mark.parametrize(
    "name", ["a b.txt", "100%.txt", "a+b.txt", "x#y.txt", "ü日本.txt", "[x].txt"]
)
def test_odd_names_are_partitions_like_any_other(project, name):
    project.write(name, A)
    result = project.run()
    assert result.success, failures(result)
    assert project.green == {name}


def test_a_name_that_dagster_cannot_carry_is_counted_without_a_partition(project):
    project.write("a...b.txt", A)
    project.write("a.txt", A)
    result = project.run()
    assert result.success, failures(result)
    assert project.partitions == {"a.txt"}
    assert project.ranking["the"] == 2 * ascii_words(A)["the"]
    assert checks(result)["every_file_usable"] is False


def check_again(project):
    """Evaluate all checks on what is there now, as their button in the UI does."""
    keys = project.definitions.resolve_asset_graph().asset_check_keys
    mine = [key for key in keys if key.asset_key.path[0] in ("plan", "word_counts", "ranking")]
    job = dg.define_asset_job("checks", selection=dg.AssetSelection.checks(*mine))
    definitions = dg.Definitions.merge(project.definitions, dg.Definitions(jobs=[job]))
    return checks(
        definitions.resolve_job_def("checks").execute_in_process(instance=project.instance)
    )


def test_the_checks_fail_when_they_should(project):
    for name in ("a.txt", "b.txt"):
        project.write(name, A)
    assert project.run().success
    green = check_again(project)
    assert len(green) == 5 and all(green.values())

    (project.home / "output" / "b.txt").unlink()
    broken = {name for name, ok in check_again(project).items() if not ok}
    assert broken == {"every_planned_file_counted"}
    assert project.run().success and all(check_again(project).values())

    (project.inputs / "b.txt").unlink()
    assert {name for name, ok in check_again(project).items() if not ok} == {"no_stale_counts"}
    assert project.run().success and all(check_again(project).values())

    ranking = project.home / "ranking" / "ranking.json"
    document = json.loads(ranking.read_text())
    document["Metadata"]["Words"] += 1
    ranking.write_text(json.dumps(document))
    assert {name for name, ok in check_again(project).items() if not ok} == {"sum_of_counts"}


def test_chosen_partitions_are_counted_and_then_ranked_on_their_own(project):
    for name in ("a.txt", "b.txt", "c.txt"):
        project.write(name, A)
    assert project.run().success
    project.write("b.txt", B)
    project.write("c.txt", B)

    one = project.again("b.txt")
    assert one.success, failures(one)
    assert project.reported(one) == ["b.txt"]

    ranked = project.materialize("ranking")
    assert ranked.success, failures(ranked)
    # c.txt has changed and is not counted again yet: it is not in this ranking
    expected = ascii_words(A, B)
    assert project.ranking == {w: n for w, n in expected.items() if len(w) > 2 and n >= 3}
    assert project.metadata("ranking")["files"] == 2


def test_a_chosen_file_that_is_gone_fails_by_name(project):
    project.write("a.txt", A)
    project.write("b.txt", B)
    project.write("c.txt", B)
    assert project.run().success
    (project.inputs / "b.txt").unlink()
    tags = {
        "dagster/asset_partition_range_start": "a.txt",
        "dagster/asset_partition_range_end": "b.txt",
    }
    result = project.materialize("word_counts", tags=tags)
    assert not result.success
    assert "b.txt" in failures(result)
    assert project.reported(result) == ["a.txt"]

    # a retry goes on with the plan, and so with its jobs and receipts
    plan = project.home / "plans" / f"{result.run_id}-files.json"
    made = plan.read_bytes()
    tags |= {"dagster/parent_run_id": result.run_id, "dagster/is_resume_retry": "true"}
    again = project.materialize("word_counts", tags=tags)
    assert "b.txt" in failures(again)
    assert project.reported(again) == ["a.txt"]
    assert plan.read_bytes() == made
    # other partitions are another plan
    tags["dagster/asset_partition_range_end"] = "c.txt"
    other = project.materialize("word_counts", tags=tags)
    assert project.reported(other) == ["a.txt", "c.txt"]
    assert plan.read_bytes() != made


def test_ranking_options_are_run_config(project):
    project.write("a.txt", A)
    result = project.run(
        run_config={"ops": {"ranking": {"config": {"min_count": 1, "top": 2, "min_length": 1}}}}
    )
    assert result.success, failures(result)
    assert project.ranking == dict(ascii_words(A).most_common(2))


def test_stop_words_are_a_setting_that_run_config_overrides(project):
    """So a ranking that a sensor asks for has the same ones as that of the job."""
    project.change(stop_words="en")
    project.write("a.txt", "the the the the zebra zebra zebra\n")
    result = project.run()
    assert result.success, failures(result)
    assert project.ranking == {"zebra": 3}
    (ranked,) = result.asset_materializations_for_node("ranking")
    assert "without stop words of en" in ranked.metadata["options"].value

    result = project.run(run_config={"ops": {"ranking": {"config": {"stop_words": []}}}})
    assert result.success, failures(result)
    assert project.ranking == {"the": 4, "zebra": 3}


def test_a_file_that_is_done_is_reported_while_others_are_still_counted(project):
    """Each file is a container of its own here; they can't all run at once."""
    project.set(pack=1, local_vcpus=1)
    for number in range(8):
        project.write(f"{number}.txt", A)

    result = project.run()
    assert result.success, failures(result)

    assert project.reported(result) == [f"{number}.txt" for number in range(8)]
    events = project.instance.fetch_materializations(dg.AssetKey("word_counts"), limit=100).records
    first_reported = min(event.timestamp for event in events if event.partition_key is not None)
    receipts = (json.loads(p.read_text()) for p in project.home.rglob("migrate-0*.json"))
    last_done = max(
        datetime.datetime.fromisoformat(receipt["Finished"]).timestamp() for receipt in receipts
    )
    assert first_reported < last_done


def test_very_many_words_are_merged_in_parts(project):
    project.write("a.txt", A)
    project.write("b.txt", B)
    whole = project.run()
    assert whole.success, failures(whole)
    ranking = project.ranking
    assert project.metadata("ranking")["merged"] == "whole, by one container"
    totals = (project.home / "ranking" / "totals.parquet").read_bytes()

    # As if there were so many words that they need three containers.
    project.change(merge_part_words=10)
    project.write("c.txt", "One more file.")
    project.write("a.txt", A + " Or two.")
    parted = project.run()
    assert parted.success, failures(parted)
    assert project.metadata("ranking")["merged"].startswith("in 3 parts")
    assert not list((project.home / "output").rglob("*-of-*.zst"))

    (project.inputs / "c.txt").unlink()
    project.write("a.txt", A)
    again = project.run()
    assert again.success, failures(again)
    assert project.metadata("ranking")["merged"].startswith("in 2 parts")
    assert project.ranking == ranking
    assert (project.home / "ranking" / "totals.parquet").read_bytes() == totals
    assert all(checks(again).values())


def test_a_mixed_bucket_gives_words_only_and_names_the_rest(project):
    accented = "Der Müller fährt über die Brücke, und der Müller grüßt. " * 40
    project.write("a.txt", A)
    project.write("picture.txt", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)))
    project.write("old.txt", accented.encode("cp1252"))
    first = project.run()
    assert not first.success
    assert project.green == {"a.txt", "picture.txt"}
    assert "old.txt is not UTF-8" in failures(first)
    found = project.instance.fetch_materializations(
        dg.AssetRecordsFilter(dg.AssetKey("word_counts"), asset_partitions=["picture.txt"]), limit=1
    ).records[0]
    metadata = found.asset_materialization.metadata
    assert (metadata["words"].value, metadata["set aside, as no text"].value) == (0, "PNG image")

    # the option that the failure names, as a setting, and another
    project.write("print.txt", "ﬁne don’t " * 3)
    project.change(encoding="auto", fold=True)
    second = project.run()
    assert second.success, failures(second)
    assert project.green == {"a.txt", "picture.txt", "old.txt", "print.txt"}
    assert project.ranking["müller"] == 80
    assert (project.ranking["fine"], project.ranking["don't"]) == (3, 3)
