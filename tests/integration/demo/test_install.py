"""`make`'s installer: by uv, and by pip where uv fails or pip has an index of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def failing_uv(tmp_path):
    program = tmp_path / "uv"
    program.write_text("#!/bin/sh\necho no such index\nexit 2\n")
    program.chmod(0o755)
    return {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}


def install(environment):
    return subprocess.run(
        [sys.executable, "-m", "demo.install", "--dry-run", "-r", "requirements.txt"],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_pip_goes_on_where_uv_fails(failing_uv):
    done = install(failing_uv)
    assert done.returncode == 0, done.stderr
    assert "no such index" in done.stderr and "now by pip" in done.stdout


def test_an_index_that_pip_is_set_up_for_is_not_passed_over(failing_uv):
    done = install(failing_uv | {"PIP_INDEX_URL": "http://127.0.0.1:9/simple"})
    assert done.returncode == 0, done.stderr
    assert "uv" not in done.stdout and not done.stderr
