"""A real Dagster UI (webserver, daemon, code server) on folders of its own, for tests as a user."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import dagster as dg
import pytest

from aws_batch_emulator import stop_running
from tests.waiting import answers, until

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def environment(home):
    """The environment of a fresh project in `home`, with a Dagster instance."""
    instance = home / "dagster"
    instance.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(ROOT / "infra" / "dagster" / "local.yaml", instance / "dagster.yaml")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("WORDFREQ_", "DAGSTER_"))}
    return clean | {
        "DAGSTER_HOME": str(instance),
        "WORDFREQ_HOME": str(home),
        # what runs by itself would run into what these tests do; those of automation switch it on
        "WORDFREQ_AUTOMATION": "stopped",
    }


class Home:
    """A fresh project in a folder: its environment, and commands run in it as CI runs them."""

    def __init__(self, folder):
        self.folder = folder
        self.source = folder / "source"
        self.source.mkdir(parents=True)
        self.environment = environment(folder)

    def command(self, *argv):
        return [str(BIN / argv[0]), *map(str, argv[1:])]

    def run(self, *argv, timeout=240, **more):
        return subprocess.run(
            self.command(*argv),
            cwd=ROOT,
            env=self.environment | more,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def start(self, *argv, **more):
        return subprocess.Popen(
            self.command(*argv),
            cwd=ROOT,
            env=self.environment | more,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    @property
    def ranking(self):
        document = json.loads((self.folder / "ranking" / "ranking.json").read_text())
        return {entry["Word"]: entry["Count"] for entry in document["Words"]}

    @property
    def figures(self):
        """Metadata of the last whole run of `word_counts`."""
        with dg.DagsterInstance.from_config(self.environment["DAGSTER_HOME"]) as instance:
            for record in instance.fetch_materializations(
                dg.AssetKey("word_counts"), limit=10_000
            ).records:
                if record.asset_materialization.partition is None:
                    found = record.asset_materialization.metadata
                    return {key: value.value for key, value in found.items()}
        return {}


@contextlib.contextmanager
def fresh_home(folder):
    made = Home(folder / "home")
    with pytest.MonkeyPatch.context() as patch:
        # the instance's configuration names its folder by this variable
        patch.setenv("DAGSTER_HOME", made.environment["DAGSTER_HOME"])
        yield made
    stop_running(made.folder / "batch")


@pytest.fixture
def home(tmp_path):
    with fresh_home(tmp_path) as made:
        yield made


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class UI:
    """A running UI; `query` speaks GraphQL as the browser does."""

    def __init__(self, home, url):
        self.home = home
        self.url = url

    @property
    def source(self):
        return self.home / "source"

    def query(self, text, **variables):
        request = urllib.request.Request(
            self.url + "/graphql",
            data=json.dumps({"query": text, "variables": variables}).encode(),
            headers={"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            document = json.load(answer)
        assert "errors" not in document, document["errors"]
        return document["data"]

    def launch(self, **what):
        """Run a job, or assets of it, to its end; the run's status."""
        return self.wait(self.submit(**what))

    def submit(self, *, job, assets=None, tags=None):
        """Give a run to the run queue; its id."""
        selector = {
            "repositoryLocationName": "wordfreq",
            "repositoryName": "__repository__",
            "jobName": job,
        }
        if assets:
            selector["assetSelection"] = [{"path": [name]} for name in assets]
        params = {
            "selector": selector,
            "mode": "default",
            "runConfigData": {},
            "executionMetadata": {
                "tags": [{"key": k, "value": v} for k, v in (tags or {}).items()]
            },
        }
        answer = self.query(
            """mutation($p: ExecutionParams!) { launchRun(executionParams: $p) { __typename
               ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }""",
            p=params,
        )["launchRun"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return answer["run"]["runId"]

    def wait(self, run_id, *, seconds=180):
        def ended():
            status = self.query(
                "query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }", id=run_id
            )["runOrError"]["status"]
            return status if status in ("SUCCESS", "FAILURE", "CANCELED") else None

        return until(ended, seconds=seconds, what=f"the end of run {run_id}")

    def partitions(self, asset="word_counts"):
        node = self.query(
            """query($k: AssetKeyInput!) { assetNodeOrError(assetKey: $k) { ... on AssetNode {
               assetPartitionStatuses { ... on DefaultPartitionStatuses {
               materializedPartitions failedPartitions unmaterializedPartitions } } } } }""",
            k={"path": [asset]},
        )["assetNodeOrError"]["assetPartitionStatuses"]
        return {
            "green": set(node["materializedPartitions"]),
            "red": set(node["failedPartitions"]),
            "grey": set(node["unmaterializedPartitions"]),
        }

    def latest(self, asset):
        """When the asset was last materialized (milliseconds, a text), or None."""
        node = self.query(
            """query($k: AssetKeyInput!) { assetOrError(assetKey: $k) { ... on Asset {
               assetMaterializations(limit: 1) { timestamp } } } }""",
            k={"path": [asset]},
        )["assetOrError"]
        found = node.get("assetMaterializations")
        return found[0]["timestamp"] if found else None

    def ticks(self, sensor):
        """How many ticks of the sensor have ended."""
        selector = {
            "repositoryName": "__repository__",
            "repositoryLocationName": "wordfreq",
            "sensorName": sensor,
        }
        found = self.query(
            """query($s: SensorSelector!) { sensorOrError(sensorSelector: $s) { ... on Sensor {
               sensorState { ticks(limit: 1000) { status } } } } }""",
            s=selector,
        )["sensorOrError"]["sensorState"]["ticks"]
        return sum(tick["status"] != "STARTED" for tick in found)

    def backfill(self, keys, *, assets=("word_counts",), job=None, seconds=240):
        """As *Launch* in the dialog of the assets' page, or of the page of `job`."""
        repository = {"repositoryLocationName": "wordfreq", "repositoryName": "__repository__"}
        partition_set = {
            "selector": {
                "partitionSetName": f"{job}_partition_set",
                "repositorySelector": repository,
            }
        }
        answer = self.query(
            """mutation($p: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $p) {
               __typename ... on LaunchBackfillSuccess { backfillId }
               ... on PythonError { message } } }""",
            p={
                "assetSelection": [{"path": [asset]} for asset in assets],
                "partitionNames": list(keys),
                "tags": [],
                "fromFailure": False,
                **(partition_set if job else {}),
            },
        )["launchPartitionBackfill"]
        assert answer["__typename"] == "LaunchBackfillSuccess", answer

        def ended():
            found = self.query(
                """query($id: String!) { partitionBackfillOrError(backfillId: $id) {
                   ... on PartitionBackfill { status runs(limit: 20) { runId status } } } }""",
                id=answer["backfillId"],
            )["partitionBackfillOrError"]
            return found if found["status"] not in ("REQUESTED", "CANCELING") else None

        return until(ended, seconds=seconds, what="the end of the backfill")


@contextlib.contextmanager
def running_ui(home, **settings):
    """The UI on the folder `home`, with these environment variables besides."""
    (home / "source").mkdir(parents=True, exist_ok=True)
    port = free_port()
    log = (home / "ui.log").open("wb")
    process = subprocess.Popen(
        [BIN / "dg", "dev", "-w", "workspace.yaml", "--host", "127.0.0.1", "--port", str(port)],
        cwd=ROOT,
        env=environment(home) | settings,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # a shell may have left SIGINT ignored, and Dagster copies that
    )
    running = UI(home, f"http://127.0.0.1:{port}")
    try:
        until(
            lambda: answers(running.url + "/server_info"),
            process=process,
            what=lambda: (home / "ui.log").read_text()[-3000:],
        )
        running.query("mutation { setNuxSeen }")
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        log.close()
        stop_running(home / "batch")


@pytest.fixture(scope="module")
def ui(tmp_path_factory):
    with running_ui(tmp_path_factory.mktemp("ui")) as running:
        yield running


@pytest.fixture(scope="module")
def ui_with(tmp_path_factory):
    """`with ui_with(VARIABLE="value"):` a UI of its own, with these settings."""
    return lambda **settings: running_ui(tmp_path_factory.mktemp("ui"), **settings)


#: Of Chromium.
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


@pytest.fixture(scope="session")
def chromium():
    """The program of a real browser; in CI it must be there."""
    found = shutil.which("chromium")
    if not found:
        missing = "Chromium is not installed (Debian: apt-get install chromium)"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return found


@pytest.fixture(scope="module")
def page(chromium):
    """A page of a real browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        opened = browser.new_page(viewport={"width": 1600, "height": 1000})
        opened.set_default_timeout(60_000)
        yield opened
        browser.close()
