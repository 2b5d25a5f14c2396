"""The UI in a real browser, driven by clicks as a user does. Screenshots: WORDFREQ_SCREENSHOTS."""

import gzip
import os
from pathlib import Path

import pytest

from tests.waiting import until

pytestmark = pytest.mark.browser

TEXTS = {
    "a.txt": "The cat saw the dog. The dog saw the cat; the bird saw both.\n" * 50,
    "b.txt": "A bird in the hand is worth two in the bush, the saying goes.\n" * 40,
    "sub/c d.txt": "The hand that feeds the cat feeds the dog.\n" * 30,
}


@pytest.fixture(scope="module")
def site(ui_with, page):
    # the ranking follows by itself; files are looked for by hand
    with ui_with(
        WORDFREQ_AUTOMATION="running",
        WORDFREQ_NEW_FILES="stopped",
        WORDFREQ_NIGHTLY="stopped",
        WORDFREQ_SENSOR_SECONDS="5",
    ) as ui:
        for name, text in TEXTS.items():
            (ui.source / name).parent.mkdir(exist_ok=True)
            (ui.source / name).write_text(text)
        yield Site(ui, page)


class Site:
    """What a user does there."""

    def __init__(self, ui, page):
        self.ui, self.page = ui, page

    def open(self, path, *texts):
        self.page.goto(self.ui.url + path)
        for text in texts:
            self.page.get_by_text(text).first.wait_for()

    def keep(self, name):
        """A screenshot, where somebody wants to look at them."""
        if folder := os.environ.get("WORDFREQ_SCREENSHOTS"):
            self.page.wait_for_timeout(2000)
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=f"{folder}/{name}.png")

    def click(self, name, *, exact=False):
        self.page.get_by_role("button", name=name, exact=exact).first.click()

    def materialize_partitions(self, path, which):
        """`which`: a button of the dialog (All, Missing, Failed) or a partition's name."""
        self.open(path)
        self.click("Materialize")
        if which in ("All", "Missing", "Failed"):
            self.page.get_by_role("button", name=which, exact=True).click()
        else:
            self.page.get_by_role("button", name="Custom", exact=True).click()
            field = self.page.get_by_placeholder("Select a partition or create one")
            field.click()
            self.page.get_by_role("menuitem", name=which).first.click()
            self.page.keyboard.press("Escape")
        self.keep(f"dialog-{which.split('.')[0].lower()}")
        self.page.get_by_role("button", name="Launch").first.click()

    def until(self, condition, *, seconds=180):
        until(condition, seconds=seconds, what=self.ui.partitions)


PARTITIONS = "/assets/word_counts?view=partitions"
LINEAGE = "/locations/__repository__@wordfreq/asset-groups/word_frequency/lineage"


def test_a_user_plans_counts_all_and_reads_the_ranking(site):
    site.open(LINEAGE, "source_files", "plan", "word_counts", "ranking")
    site.keep("lineage")
    site.open("/assets/plan", "What to count")
    site.click("Materialize")
    site.until(lambda: site.ui.partitions()["grey"] == set(TEXTS))

    site.materialize_partitions("/locations/__repository__@wordfreq/jobs/word_frequency", "All")
    site.open("/runs", "Backfill")
    site.keep("progress")
    site.until(lambda: site.ui.partitions()["green"] == set(TEXTS))
    site.open(PARTITIONS, "a.txt", "sub/c d.txt", "Materialized (3)")
    site.keep("partitions")

    site.until(lambda: site.ui.latest("ranking"))
    site.open("/assets/ranking", "most used word", "percent", "saw")
    site.page.get_by_text("█").first.wait_for()  # the chart
    site.page.set_viewport_size({"width": 1600, "height": 1500})
    site.keep("ranking")
    site.page.get_by_role("button", name="Plots").first.click()
    site.keep("plots")
    site.open(
        "/automation", "new_files", "nightly_reconcile", "ranking_due", "batch_reaper_failure"
    )
    site.keep("automation")


@pytest.fixture
def counted(site):
    """All texts are counted, also without the test above."""
    if not site.ui.partitions()["green"] >= set(TEXTS):
        assert site.ui.launch(job="word_frequency") == "SUCCESS"
    return site


def test_one_partition_fails_is_explained_and_is_run_again(counted):
    site = counted
    (site.ui.source / "broken.txt.gz").write_bytes(b"\x1f\x8b no archive")
    site.open("/assets/plan")
    site.click("Materialize")
    site.until(lambda: "broken.txt.gz" in site.ui.partitions()["grey"])
    site.materialize_partitions(PARTITIONS, "Missing")
    site.until(lambda: site.ui.partitions()["red"] == {"broken.txt.gz"})
    site.open(PARTITIONS, "Failed (1)")
    site.keep("failed-partition")
    run = site.ui.query(
        "{ runsOrError(filter: {statuses: [FAILURE]}) { ... on Runs { results { runId } } } }"
    )
    site.open(
        f"/runs/{run['runsOrError']['results'][0]['runId']}", "1 of 1 files could not be counted"
    )
    site.keep("failed-run")

    # and after later runs of good files it is red still, with its reason
    (site.ui.source / "later.txt").write_text(TEXTS["a.txt"])
    assert site.ui.launch(job="word_frequency") == "SUCCESS"
    assert site.ui.partitions()["red"] == {"broken.txt.gz"}
    site.open(PARTITIONS + "&partition=broken.txt.gz", "Failed (1)", "did not materialize")
    site.keep("bad-file")
    site.click("View all historical events")
    site.page.get_by_text("Observation").first.wait_for()
    site.page.get_by_text("broken.txt.gz").last.click()  # the row of the dialog, which opens
    site.page.get_by_text("is no intact gzip archive").first.wait_for()
    site.keep("bad-file-events")

    (site.ui.source / "broken.txt.gz").unlink()
    (site.ui.source / "broken.txt.gz").write_bytes(gzip.compress(b"whole again\n"))
    site.materialize_partitions(PARTITIONS, "Failed")
    site.until(lambda: site.ui.partitions()["green"] == {*TEXTS, "broken.txt.gz", "later.txt"})
    site.open(PARTITIONS, "Materialized (5)", "Failed (0)")
