"""Runs at the same time: two processes on one source; the run queue with one and two sources."""

import re
from collections import Counter

import dagster as dg

TEXT = "The cat saw the dog. The dog saw the cat; the bird saw both.\n"


def test_two_commands_at_once_on_the_same_source(home):
    """Neither asks the run queue, as in CI: the formats alone keep them from harm."""
    for n in range(40):
        (home.source / f"{n}.txt").write_text(TEXT * (n + 1))
    with dg.DagsterInstance.from_config(home.environment["DAGSTER_HOME"]) as instance:
        instance.get_runs(limit=1)  # Dagster can't make the tables of a new SQLite instance twice
    both = [
        home.start("dg", "launch", "--job", "word_frequency", WORDFREQ_PACK="1KiB")
        for _ in range(2)
    ]
    for process in both:
        output, _ = process.communicate(timeout=280)
        assert process.returncode == 0, output[-3000:]
    times = sum(range(1, 41))
    words = Counter(re.findall(r"[a-z]+", TEXT.lower()))
    assert home.ranking == {word: number * times for word, number in words.items()}
    with dg.DagsterInstance.from_config(home.environment["DAGSTER_HOME"]) as instance:
        green = instance.get_materialized_partitions(dg.AssetKey("word_counts"))
        assert green == {f"{n}.txt" for n in range(40)}
    again = home.run("dg", "launch", "--job", "word_frequency", WORDFREQ_PACK="1KiB")
    assert again.returncode == 0
    assert home.figures["files unchanged"] == 40  # what either left behind is whole


def submit(ui, source):
    """Start the job by the run queue; the tag names the source, as the job's own tag does."""
    answer = ui.query(
        """mutation($p: ExecutionParams!) { launchRun(executionParams: $p) { __typename
           ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }""",
        p={
            "selector": {
                "repositoryLocationName": "wordfreq",
                "repositoryName": "__repository__",
                "jobName": "word_frequency",
            },
            "mode": "default",
            "runConfigData": {},
            "executionMetadata": {"tags": [{"key": "wordfreq/source", "value": source}]},
        },
    )["launchRun"]
    assert answer["__typename"] == "LaunchRunSuccess", answer
    return answer["run"]["runId"]


def times(ui, run_id):
    """When (Unix seconds) a run left the queue, began and ended."""
    found = ui.query(
        """query($id: ID!) { logsForRun(runId: $id) { ... on EventConnection {
           events { __typename ... on MessageEvent { timestamp } } } } }""",
        id=run_id,
    )["logsForRun"]["events"]
    when = {event["__typename"]: float(event.get("timestamp", 0)) / 1000 for event in found}
    return tuple(when[f"Run{what}Event"] for what in ("Starting", "Start", "Success"))


def test_the_queue_runs_one_source_at_a_time_and_two_sources_side_by_side(ui_with):
    with ui_with() as ui:
        for n in range(6):
            (ui.source / f"{n}.txt").write_text(TEXT)
        own = str(ui.source)
        runs = [submit(ui, own), submit(ui, own), submit(ui, "s3://elsewhere/")]
        assert [ui.wait(run) for run in runs] == ["SUCCESS"] * 3
        first, second, other = (times(ui, run) for run in runs)
        one, two = sorted([first, second])
        assert one[2] <= two[0]  # the same source: the queue keeps the second until the first ends
        assert other[0] < two[0]  # another source isn't kept
