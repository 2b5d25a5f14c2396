"""Each distribution by itself, in a fresh environment outside the checkout, as others install it.

By uv, whose cache `make setup` has filled: seconds. Without uv, or where a package is not in its
cache and no index can be reached, the tests are left out and say so.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
UV = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
CLEAN = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("WORDFREQ_", "DAGSTER_", "PYTHON", "VIRTUAL_ENV", "AWS_"))
}

pytestmark = pytest.mark.skipif(UV is None, reason="uv isn't installed (requirements-dev.txt)")


class Environment:
    """A virtual environment that knows nothing of this project but what is installed into it."""

    def __init__(self, folder):
        self.folder = folder
        self._run([UV, "venv", "--quiet", "--python", sys.executable, str(folder)])

    def install(self, *names):
        pinned = ["--python", self.folder / "bin/python", "-c", ROOT / "requirements.txt"]
        command = [UV, "pip", "install", "--quiet", *pinned, *names]
        for way in (["--offline"], []):
            done = subprocess.run(
                [*command, *way],
                env=CLEAN | {"WORDFREQ_KERNEL": "skip"},
                capture_output=True,
                text=True,
                timeout=240,
            )
            if not done.returncode:
                return
        reason = " ".join(done.stderr.split())[-600:]
        assert "Failed to fetch" in reason, reason
        pytest.skip(f"uv's cache lacks packages of {names}, and no index can be reached: {reason}")

    def install_ours(self, distribution):
        """Build one of the distributions from a copy: nothing may be left in the checkout."""
        copy = self.folder / "source" / distribution
        ignored = shutil.ignore_patterns("*.so", "build", "*.egg-info", "__pycache__", "tests")
        shutil.copytree(ROOT / distribution, copy, ignore=ignored)
        self.install(copy)
        shutil.rmtree(copy)

    def command(self, name, *arguments):
        return [self.folder / "bin" / name, *arguments]

    def run(self, name, *arguments, **environment):
        return self._run(self.command(name, *arguments), **environment)

    def _run(self, command, **environment):
        done = subprocess.run(
            command,
            cwd=self.folder.parent,
            env=CLEAN | environment,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
        return done.stdout + done.stderr


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text("utf-8"), re.M | re.S)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def test_the_quick_start_of_the_client_against_the_emulator(tmp_path):
    """Client and emulator have an environment of their own each, and only what they need."""
    page, port = "packages/dagster-aws-batch/README.md", free_port()
    client, emulator = Environment(tmp_path / "client"), Environment(tmp_path / "emulator")
    client.install_ours("packages/dagster-aws-batch")
    emulator.install_ours("packages/aws-batch-emulator")
    shell = "\n".join(blocks(page, "sh"))
    serve = re.search(r"^aws-batch-emulator .*$", shell, re.M)[0]
    materialize = re.search(r"^dagster .*$", shell, re.M)[0]
    script, port_of_page = blocks(page, "python")[0], re.search(r"--port (\d+)", serve)[1]
    assert f":{port_of_page}" in script
    (tmp_path / "quickstart.py").write_text(script.replace(port_of_page, port))
    process = subprocess.Popen(
        ["bash", "-c", f"exec {serve.replace(port_of_page, port)}"],
        cwd=tmp_path,
        env=CLEAN | {"PATH": f"{emulator.folder / 'bin'}{os.pathsep}{CLEAN['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        until(lambda: listens(port), process=process, what="the emulator's port")
        home = tmp_path / "dagster"
        home.mkdir()
        shown = client.run(*materialize.split(), DAGSTER_HOME=str(home))
    finally:
        process.terminate()
        process.wait(timeout=60)
    assert "RUN_SUCCESS" in shown
    assert "ASSET_MATERIALIZATION" in shown


def listens(port):
    with socket.socket() as found:
        return found.connect_ex(("127.0.0.1", int(port))) == 0


def test_the_containers_package_alone_and_beside_the_wordfreq_of_pypi(tmp_path):
    made = Environment(tmp_path / "container")
    made.install_ours("batch_image")
    assert made.run("wordfreq", "--version").startswith("wordfreq ")
    made.install("wordfreq==3.1.1")
    code = (
        "import wordfreq, wordfreq_batch; assert wordfreq.word_frequency('the', 'en') > 0.01; "
        "print(wordfreq.__file__, wordfreq_batch.__file__)"
    )
    one, other = made.run("python", "-c", code).split()
    assert Path(one).parent != Path(other).parent
    assert made.run("wordfreq", "--version").startswith("wordfreq ")
