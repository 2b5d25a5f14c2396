"""The pictures of the components' page, taken in Chromium from a real project: `make screenshots`.

Writes a project of `defs.yaml` files, runs its 20 partitions on the embedded AWS Batch by `dg`,
once with a partition that fails, and photographs what the Dagster UI shows. Look at each picture.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import Error, Page, sync_playwright

from aws_batch_emulator import EmbeddedBatch, SubprocessRunner

IMAGES = Path(__file__).parent / "images"
BIN = Path(sys.executable).parent
KEYS = [f"store-{number:02}" for number in range(1, 21)]
COMMAND = """\
store=$(echo "$BATCH_PARTITIONS" | sed -n $((AWS_BATCH_JOB_ARRAY_INDEX + 1))p)
echo "$store: reading its sales"
if test -e broken && test $store = store-07; then
  echo "$store: the file of Monday is empty"
  exit 4
fi
echo "$store: report written"
"""
PROJECT = '[tool.dg]\ndirectory_type = "project"\n[tool.dg.project]\nroot_module = "shop"\n'
# As create-dagster writes it.
SKELETON = """\
from pathlib import Path

import dagster as dg


@dg.definitions
def defs():
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent / "defs")
"""


def make_project(home: Path, url: str) -> None:
    """Two files of YAML, and what `create-dagster project` puts around them."""
    batch = {"queue": "local", "region_name": "us-east-1", "endpoint_url": url, "poll_seconds": 0.5}
    report = {
        "asset": {
            "key": "sales_report",
            "group_name": "reports",
            "description": "The week's sales, a report per store.",
        },
        "image": "shell",
        "command": [COMMAND.replace("broken", str(home / "broken"))],
        "partitions": KEYS,
    }
    for name, kind, attributes in (
        ("batch", "BatchJobsComponent", {**batch, "console_url": f"{url}/_emulator"}),
        ("sales_report", "BatchJobComponent", report),
    ):
        folder = home / "shop" / "defs" / name
        folder.mkdir(parents=True)
        component = {"type": f"dagster_aws_batch.{kind}", "attributes": attributes}
        (folder / "defs.yaml").write_text(json.dumps(component))
    for folder in (home / "shop", home / "shop" / "defs"):
        (folder / "__init__.py").touch()
    (home / "shop" / "definitions.py").write_text(SKELETON)
    (home / "pyproject.toml").write_text(PROJECT)
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")


def launch(home: Path, environment: dict[str, str]) -> int:
    """All partitions in one run."""
    keys = f"{KEYS[0]}...{KEYS[-1]}"
    words = ["dg", "launch", "--assets", "sales_report", "--partition-range", keys]
    return subprocess.call([str(BIN / words[0]), *words[1:]], cwd=home, env=environment)


def take(page: Page, name: str, path: str, *texts: str, height: int = 900) -> None:
    """Open a page, wait until it shows the texts, keep the picture."""
    page.set_viewport_size({"width": 1500, "height": height})
    page.goto(path)
    for text in texts:
        page.get_by_text(text).first.wait_for()
    page.wait_for_timeout(4000)
    shown = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    # Below it a stack trace shows where this machine keeps its files.
    shown = shown.crop((0, 0, 1500, height - 50))
    shown.quantize(256, dither=Image.Dither.NONE).save(IMAGES / f"{name}.png", optimize=True)
    sys.stdout.write(f"{name}.png\n")


def main() -> None:
    """The command."""
    home = Path(tempfile.mkdtemp(prefix="batch-screenshots-"))
    environment = {**os.environ, "DAGSTER_HOME": str(home), "PYTHONPATH": str(home)}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    web = [str(BIN / "dagster-webserver"), "-m", "shop.definitions", "-p", str(port)]
    emulator = EmbeddedBatch(runner=SubprocessRunner({"shell": ["sh", "-c"]}))
    with emulator as aws, sync_playwright() as playwright:
        make_project(home, aws.url)
        assert launch(home, environment) == 0
        server = subprocess.Popen(web, cwd=home, env=environment)
        try:
            chromium = shutil.which("chromium")
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page()
            page.set_default_timeout(240_000)
            graphql = f"{url}/graphql"
            end = time.monotonic() + 300
            while True:
                try:
                    page.request.post(graphql, data={"query": "mutation { setNuxSeen }"})
                    break
                except Error:
                    assert server.poll() is None, "the UI ended"
                    assert time.monotonic() < end, "no UI"
                    time.sleep(0.5)
            asset = f"{url}/assets/sales_report"
            take(page, "component", f"{asset}?view=partitions&partition={KEYS[0]}", "batch/jobs")
            (home / "broken").touch()
            assert launch(home, environment) != 0
            query = {"query": "{runsOrError(limit:1){...on Runs{results{runId}}}}"}
            found = page.request.post(graphql, data=query).json()["data"]["runsOrError"]
            run = found["results"][0]["runId"]
            take(page, "component-failure", f"{url}/runs/{run}", "store-07")
            browser.close()
        finally:
            server.terminate()
            server.wait(60)
            shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
