"""Every shell block of README and docs, typed in order into one shell in a copy of the project.

Blocks that need AWS, a server or the whole suite are listed here with the reason; a block that is
neither run nor listed fails.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from aws_batch_emulator import stop_running
from tests.waiting import answers, until

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r"^```(?:console|bash|sh|shell)\n(.*?)^```", re.MULTILINE | re.DOTALL)
UI = "make ui"
#: Pages whose blocks are run; those of the README in a shell of their own, as of each page.
RUN = ("README.md", "docs/extend.md", "batch_image/README.md")
#: Page -> why its blocks are not run here.
LISTED = {
    "CONTRIBUTING.md": "they run the whole suite",
    "docs/aws.md": "they need an AWS account",
    "docs/csv-to-dynamodb.md": "test_ingest_guide.py runs them on an emulator of DynamoDB",
    "docs/runbook.md": "they need an AWS account",
    "packages/aws-batch-emulator/docs/guide.md": "they start a server on a fixed port; its own "
    "tests start it on a free one",
}


def pages():
    listed = ["git", "ls-files", "-z", "*.md"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if blocks := _BLOCK.findall((ROOT / name).read_text(encoding="utf-8")):
            yield name, blocks


def commands(page="README.md"):
    return [
        line.removeprefix("$ ").partition("  #")[0].strip()
        for block in dict(pages())[page]
        for line in block.splitlines()
        if line.startswith("$ ")
    ]


def test_every_shell_block_is_run_or_listed_with_a_reason():
    assert {name for name, _ in pages()} == {*RUN, *LISTED}


@pytest.fixture
def checkout(tmp_path):
    """What a fresh clone holds, with the packages that `make` would install already there."""
    copy = tmp_path / "clone"
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, copy / name)
            os.utime(copy / name, (1, 1))  # older than what `make setup` left
    (copy / ".venv").symlink_to(sys.prefix)
    yield copy
    stop_running(copy / ".local" / "batch")


@pytest.fixture
def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def environment():
    """That of a new shell: nothing of this project, no active virtual environment."""
    ours = ("WORDFREQ_", "DAGSTER_", "VIRTUAL_ENV", "PYTHON", "MAKE", "MFLAGS", "PYTEST_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    folders = clean["PATH"].split(os.pathsep)
    here = Path(sys.executable).parent
    return clean | {"PATH": os.pathsep.join(f for f in folders if Path(f) != here)}


@pytest.mark.timeout(900)
@pytest.mark.skipif(not Path(sys.prefix, ".runtime").exists(), reason="needs `make setup`")
@pytest.mark.parametrize("page", RUN)
def test_every_command_of_a_page_works_as_written(checkout, page):
    typed = [command for command in commands(page) if not command.startswith(UI)]
    assert len(typed) > 3
    script = "set -e\n" + "\n".join(f"echo '$ '{command!r}; {command}" for command in typed)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=checkout,
        # the packages are installed from ROOT: what the clone changes has to be found in the clone
        env=environment() | {"PYTHONPATH": str(checkout)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=800,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    for noise in ("Warning", "telemetry", "Traceback"):
        assert noise not in done.stdout, done.stdout[-6000:]


@pytest.mark.skipif(not Path(sys.prefix, ".runtime").exists(), reason="needs `make setup`")
def test_make_ui_opens_the_ui_and_ends_on_a_signal(checkout, tmp_path, free_port):
    assert any(command.startswith(UI) for command in commands())
    (checkout / ".local" / "source").mkdir(parents=True)
    log = tmp_path / "ui.log"
    with log.open("wb") as kept:
        ui = subprocess.Popen(
            ["make", "ui"],
            cwd=checkout,
            env=environment() | {"PORT": str(free_port), "WORDFREQ_AUTOMATION": "stopped"},
            stdout=kept,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        until(
            lambda: answers(f"http://127.0.0.1:{free_port}/server_info"),
            seconds=180,
            process=ui,
            what=lambda: log.read_text()[-3000:],
        )
        os.killpg(ui.pid, signal.SIGINT)
        ui.wait(timeout=60)
    finally:
        if ui.poll() is None:
            os.killpg(ui.pid, signal.SIGKILL)
            ui.wait()
