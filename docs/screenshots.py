"""The pictures of the docs, taken in Chromium from a real run: `make screenshots`.

Starts a Dagster UI of its own in a temporary folder, does what a new user does, from the first
start to a repaired failure, and writes palette PNGs to docs/images. Look at each of them before
committing: a script can't tell whether a page looks right.
"""

from __future__ import annotations

import gzip
import io
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from demo.texts import gather_texts  # noqa: E402
from tests.e2e.conftest import running_ui  # noqa: E402

IMAGES = ROOT / "docs" / "images"
FILES = 120
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
JOB = "/locations/__repository__@wordfreq/jobs/word_frequency"
LINEAGE = "/locations/__repository__@wordfreq/asset-groups/word_frequency/lineage"
PARTITIONS = "/assets/word_counts?view=partitions"
SELECTOR = {
    "repositoryName": "__repository__",
    "repositoryLocationName": "wordfreq",
    "sensorName": "new_files",
}
START = """mutation($selector: SensorSelector!) {
  startSensor(sensorSelector: $selector) { __typename } }"""
FRESH = """{ assetNodes(assetKeys: [{path: ["ranking"]}]) {
  freshnessStatusInfo { freshnessStatus } } }"""
BAD = "s3/damaged.txt.gz"


class Camera:
    """Opens pages and keeps numbered pictures of them."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url, self.taken = page, url, 0

    def take(
        self,
        name: str,
        path: str | None = None,
        *texts: str,
        width: int = 1500,
        height: int = 900,
    ) -> None:
        """Open `path` (None: stay), wait until it shows the texts, keep the picture."""
        self.page.set_viewport_size({"width": width, "height": height})
        if path is not None:
            self.page.goto(path if "://" in path else self.url + path)
        for text in texts:
            self.page.get_by_text(text).first.wait_for(timeout=120_000)
        self.page.wait_for_timeout(3500)
        for unhealthy in ("Unsynced", "Never observed", "Never materialized", "Not evaluated"):
            assert path != LINEAGE or not self.page.get_by_text(unhealthy).count(), unhealthy
        self.taken += 1
        shown = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        palette = shown.quantize(256, dither=Image.Dither.NONE)
        palette.save(IMAGES / f"{self.taken:02}-{name}.png", optimize=True)
        sys.stdout.write(f"{self.taken:02}-{name}.png\n")


def take_pictures(ui, camera: Camera) -> None:  # type: ignore[no-untyped-def]
    """From the first start to a repaired failure."""
    page = camera.page
    ui.launch(job="__ASSET_JOB", assets=["source_files"])
    camera.take("first-start", "/assets", "word_counts", height=700)
    assert ui.launch(job="word_frequency") == "SUCCESS"
    camera.take("lineage", LINEAGE, "ranking", "source_files", height=800)
    until(lambda: '"HEALTHY"' in json.dumps(ui.query(FRESH)))
    camera.take("ranking", "/assets/ranking", "most used word", "Passing", height=1400)
    first = sorted(ui.partitions()["green"])[0]
    shown = ("distinct words", f"Materialized ({FILES})")
    camera.take("partition", f"{PARTITIONS}&partition={first}", *shown, height=1000)

    # a text more, by the obvious click
    (ui.source / "news.txt").write_text(
        "dagster pipelines " * 160 + "language permission " * 120 + "python access notice " * 80
    )
    page.goto(camera.url + JOB)
    page.get_by_role("button", name="Materialize").first.click()
    page.get_by_role("button", name="All", exact=True).click()
    camera.take("materialize-all", None, "Launch")
    before = ui.latest("ranking")
    page.get_by_role("button", name="Launch").first.click()
    until(lambda: ui.latest("ranking") != before)
    camera.take("what-rose-and-fell", "/assets/ranking", "changes", height=1400)
    report = f"file://{ui.home / 'ranking' / 'report.html'}"
    camera.take("report", report, "Most used words", height=1200)
    camera.take("report-phone", report, "Most used words", width=390, height=844)
    ui.query(START, selector=SELECTOR)
    time.sleep(40)  # its first tick; the next one is an hour later
    camera.take("automation", "/automation", "new_files", "nightly_reconcile", height=700)

    # a damaged file fails alone, is explained, and is repaired
    (ui.source / BAD).write_bytes(b"\x1f\x8b no archive")
    assert ui.launch(job="word_frequency") == "FAILURE"
    run = ui.query("{runsOrError(filter:{statuses:[FAILURE]}){...on Runs{results{runId}}}}")
    camera.take(
        "failed-run", f"/runs/{run['runsOrError']['results'][0]['runId']}", "damaged.txt.gz"
    )
    page.goto(f"{camera.url}{PARTITIONS}&partition={BAD}")
    page.get_by_text("View all historical events").first.click()
    page.get_by_role("dialog").get_by_text(BAD, exact=True).first.click()  # unfolds the event
    camera.take("failed-partition", None, "intact gzip")
    (ui.source / BAD).write_bytes(gzip.compress(b"whole again\n" * 50))
    ui.launch(job="__ASSET_JOB", assets=["source_files"])
    assert ui.launch(job="word_frequency") == "SUCCESS"
    camera.take("repaired", PARTITIONS, f"Materialized ({FILES + 2})", "Failed (0)")


def until(condition, seconds: float = 300) -> None:  # type: ignore[no-untyped-def]
    """Wait for a state."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(1)


def main() -> None:
    """The command."""
    home = Path(tempfile.mkdtemp(prefix="wordfreq-screenshots-"))
    gather_texts(home / "source", most=FILES)
    settings = {
        "WORDFREQ_AUTOMATION": "running",
        "WORDFREQ_NEW_FILES": "stopped",  # else runs start while pictures are taken
        "WORDFREQ_SENSOR_SECONDS": "3600",
        "WORDFREQ_STOP_WORDS": "en",
        "WORDFREQ_FOLDER_DEPTH": "1",
    }
    try:
        with running_ui(home, **settings) as ui, sync_playwright() as playwright:
            chromium = shutil.which("chromium")
            browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
            page = browser.new_page()
            page.set_default_timeout(120_000)
            take_pictures(ui, Camera(page, ui.url))
            browser.close()
    finally:
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
