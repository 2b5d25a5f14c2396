"""The Dagster UI as a user drives it: by the GraphQL that browsers send."""

import pytest

TEXT = "The cat saw the dog. The dog saw the cat; the bird saw both.\n"


@pytest.fixture(scope="module")
def counted(ui):
    for name in ("a.txt", "b.txt", "c.txt", "d e.txt"):
        (ui.source / name).write_text(TEXT)
    assert ui.launch(job="word_frequency") == "SUCCESS"
    return ui


def test_the_location_loads_and_the_lineage_is_whole(ui):
    location = ui.query(
        """{ workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError {
           __typename ... on PythonError { message } } } } } }"""
    )["workspaceOrError"]["locationEntries"]
    assert [(e["name"], e["locationOrLoadError"]["__typename"]) for e in location] == [
        ("wordfreq", "RepositoryLocation")
    ]
    nodes = ui.query("{ assetNodes { assetKey { path } dependencyKeys { path } } }")["assetNodes"]
    edges = {
        (key["path"][0], node["assetKey"]["path"][0])
        for node in nodes
        for key in node["dependencyKeys"]
    }
    assert {
        ("source_files", "plan"),
        ("plan", "word_counts"),
        ("word_counts", "ranking"),
    } <= edges


def test_the_job_makes_every_partition_green(counted):
    assert counted.partitions() == {
        "green": {"a.txt", "b.txt", "c.txt", "d e.txt"},
        "red": set(),
        "grey": set(),
    }


def test_a_range_of_partitions(counted):
    status = counted.launch(
        job="__ASSET_JOB",
        assets=["word_counts"],
        tags={
            "dagster/asset_partition_range_start": "a.txt",
            "dagster/asset_partition_range_end": "c.txt",
        },
    )
    assert status == "SUCCESS"


def test_all_partitions_are_one_run_and_a_broken_one_goes_red_alone(counted):
    (counted.source / "c.txt").unlink()
    keys = ["a.txt", "b.txt", "c.txt", "d e.txt"]
    backfill = counted.backfill(keys)
    assert len(backfill["runs"]) == 1
    assert backfill["status"] == "COMPLETED_FAILED"
    assert counted.partitions()["red"] == {"c.txt"}
    assert counted.partitions()["green"] == {"a.txt", "b.txt", "d e.txt"}

    (counted.source / "c.txt").write_text(TEXT)
    one = {"dagster/partition": "c.txt"}
    assert counted.launch(job="__ASSET_JOB", assets=["word_counts"], tags=one) == "SUCCESS"
    assert counted.partitions()["red"] == set()


def times(ui, run_id):
    """When (Unix seconds) a run left the queue, began and ended."""
    found = ui.query(
        """query($id: ID!) { logsForRun(runId: $id) { ... on EventConnection {
           events { __typename ... on MessageEvent { timestamp } } } } }""",
        id=run_id,
    )["logsForRun"]["events"]
    when = {event["__typename"]: float(event.get("timestamp", 0)) / 1000 for event in found}
    return tuple(when[f"Run{what}Event"] for what in ("Starting", "Start", "Success"))


def test_the_queue_runs_one_source_at_a_time_and_two_sources_side_by_side(counted):
    """The tag names the source, as the job's own tag does."""
    sources = (str(counted.source), str(counted.source), "s3://elsewhere/")
    runs = [counted.submit(job="word_frequency", tags={"wordfreq/source": s}) for s in sources]
    assert [counted.wait(run) for run in runs] == ["SUCCESS"] * 3
    first, second, other = (times(counted, run) for run in runs)
    one, two = sorted([first, second])
    assert one[2] <= two[0]  # the same source: the queue keeps the second until the first ends
    assert other[0] < two[2]  # another source isn't kept: its run, the last, would follow both


EVERYTHING = ("plan", "word_counts", "ranking")


def rankings(ui):
    return len(
        ui.query(
            """{ assetOrError(assetKey: {path: ["ranking"]}) { ... on Asset {
               assetMaterializations(limit: 50) { runId } } } }"""
        )["assetOrError"]["assetMaterializations"]
    )


@pytest.mark.parametrize(("page", "runs"), [("word_frequency", 1), (None, 3)])
def test_materialize_all_counts_what_is_new_and_ranks_once(counted, page, runs):
    """On the job's page that is one run; on the group's, Dagster makes one per kind of asset."""
    keys = sorted(counted.partitions()["green"])
    new = f"new-{runs}.txt"
    (counted.source / new).write_text(TEXT)
    before = rankings(counted)
    found = counted.backfill(keys, assets=EVERYTHING, job=page)
    assert found["status"] == "COMPLETED_SUCCESS"
    assert [run["status"] for run in found["runs"]] == ["SUCCESS"] * runs
    assert counted.partitions() == {"green": {*keys, new}, "red": set(), "grey": set()}
    assert rankings(counted) == before + 1
