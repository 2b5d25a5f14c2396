"""Every shell block of README and docs, typed in order in a fresh clone with a new environment.

Each page has a new shell. A block that isn't typed says why in a comment above it, such as
`<!-- not run: needs an AWS account -->`. `make console-blocks` runs this file and shows it all.
"""

import json
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
from tests.e2e.conftest import UI as Site
from tests.waiting import answers, until

ROOT = Path(__file__).resolve().parents[2]
SHELLS = ("console", "bash", "sh", "shell")
_BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<why>[^\n]+) -->\n)?```(?P<kind>\w*)\n(?P<text>.*?)^```", re.M | re.S
)
_COMMAND = re.compile(
    r"^(?:\$ |(?:aws|aws-batch-emulator|dagster|dg|docker|make|pip|python|wordfreq) )", re.M
)
UI = "make ui"


def git(*arguments):
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in done.stdout.split("\0") if name]


def blocks():
    """Page, reason not to run it or None, kind, text of each fenced block; the README first."""
    for name in sorted(git("ls-files", "-z", "*.md"), key=lambda name: (name != "README.md", name)):
        for found in _BLOCK.finditer((ROOT / name).read_text(encoding="utf-8")):
            yield name, found["why"], found["kind"], found["text"]


def commands():
    """Page -> what is typed, for the pages that have something to type."""
    typed = {}
    for page, why, kind, text in blocks():
        if kind in SHELLS and not why:
            lines = text.splitlines()
            if kind == "console":
                lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
            typed.setdefault(page, []).extend(line.partition("  #")[0].strip() for line in lines)
    return typed


TYPED = commands()


def test_no_command_hides_in_a_block_of_another_kind():
    other = [(page, text) for page, _, kind, text in blocks() if kind in ("", "text")]
    assert [(page, text) for page, text in other if _COMMAND.search(text)] == []
    print("\nnot run:")
    for page, why, kind, text in blocks():
        if why:
            assert kind in SHELLS, f"{page}: {why}"
            print(f"  {page}: {text.splitlines()[0][:60]}  ({why})")


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone of the last commit, and what has changed since; nothing is installed there."""
    copy = tmp_path_factory.mktemp("fresh") / "clone"
    git("clone", "--quiet", "--local", str(ROOT), str(copy))
    for name in git("ls-files", "-z", "--modified", "--others", "--deleted", "--exclude-standard"):
        (copy / name).unlink(missing_ok=True)
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, copy / name)
    yield copy
    for folder in (copy / ".local" / "batch", copy / ".local" / "csv-demo" / "batch"):
        stop_running(folder)


def environment():
    """That of a new shell: nothing of this project, no active virtual environment."""
    ours = ("WORDFREQ_", "DAGSTER_", "VIRTUAL_ENV", "PYTHON", "MAKE", "MFLAGS", "PYTEST_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    clean.pop("EMULATORS", None)
    folders = clean["PATH"].split(os.pathsep)
    here = Path(sys.executable).parent
    return clean | {"PATH": os.pathsep.join(f for f in folders if Path(f) != here)}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", TYPED)
def test_every_command_of_a_page_works_as_written(clone, page):
    typed = [command for command in TYPED[page] if not command.startswith(UI)]
    script = "set -e\n" + "\n".join(f"echo '$ '{command!r}; {command}" for command in typed)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=clone,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=800,
    )
    print(f"\n{page}\n{done.stdout}")
    assert done.returncode == 0
    assert "Warning" not in done.stdout
    assert "Traceback" not in done.stdout
    # Dagster shows its notice once per user, where no instance is chosen (`dg scaffold`).
    assert page != "README.md" or "telemetry" not in done.stdout


@pytest.mark.browser
def test_make_ui_shows_both_pipelines_and_a_scaffolded_asset(clone, tmp_path, page):
    """After the commands of README and docs: after both demos and `dg scaffold defs`."""
    assert any(command.startswith(UI) for command in TYPED["README.md"])
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    log = tmp_path / "ui.log"
    with log.open("wb") as kept:
        ui = subprocess.Popen(
            ["make", "ui"],
            cwd=clone,
            env=environment() | {"PORT": str(port), "WORDFREQ_AUTOMATION": "stopped"},
            stdout=kept,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # Whatever it is here: a run in the background of a shell ignores it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
    site = Site(clone / ".local", f"http://127.0.0.1:{port}")
    try:
        until(
            lambda: answers(f"{site.url}/server_info"),
            seconds=180,
            process=ui,
            what=lambda: log.read_text()[-3000:],
        )
        nodes = site.query("{ assetNodes { assetKey { path } assetMaterializations { runId } } }")
        ranking = json.loads((clone / ".local" / "ranking" / "ranking.json").read_text())
        assert ranking["Metadata"]["Options"]["StopWords"] == [
            "en"
        ]  # as the demo, also by the commands
        made = {n["assetKey"]["path"][0] for n in nodes["assetNodes"] if n["assetMaterializations"]}
        assert {"word_counts", "ranking", "csv_rows"} <= made
        for path, text in {
            "/assets": "csv_to_dynamodb",
            "/assets/word_lengths": "word_lengths.py",
            "/assets/ranking": "most used word",
        }.items():
            page.goto(site.url + path)
            page.get_by_text(text).first.wait_for()
        page.goto("about:blank")  # the server waits for open connections
        os.killpg(ui.pid, signal.SIGINT)
        ui.wait(timeout=240)
    finally:
        if ui.poll() is None:
            os.killpg(ui.pid, signal.SIGKILL)
            ui.wait()
