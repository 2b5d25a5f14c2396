"""The container's wheel: one without the C extension can't be taken for the real one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[3] / "batch_image"


def build(folder: Path, **environment: str) -> tuple[str, list[str], str]:
    """The tags of the wheel, the files in it and what was printed; no tags if the build failed."""
    copy = folder / "source"
    ignored = shutil.ignore_patterns("*.so", "build", "*.egg-info", "__pycache__")
    shutil.copytree(SOURCE, copy, ignore=ignored)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "."]
    done = subprocess.run(
        [*command, "--wheel-dir", str(folder)],
        cwd=copy,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode:
        assert not wheels
        return "", [], done.stdout + done.stderr
    with zipfile.ZipFile(wheels[0]) as wheel:
        return wheels[0].stem.split("-", 2)[2], wheel.namelist(), done.stdout


@pytest.mark.usefixtures("kernel")
def test_the_real_one_is_for_its_platform(tmp_path: Path) -> None:
    tags, names, _ = build(tmp_path, WORDFREQ_KERNEL="require")
    assert tags.startswith("cp310-abi3-")
    assert "wordfreq_batch/_kernel.abi3.so" in names


@pytest.mark.parametrize("environment", [{"CC": "/nonexistent"}, {"WORDFREQ_KERNEL": "skip"}])
def test_one_without_the_extension_is_for_any_platform(tmp_path: Path, environment) -> None:
    tags, names, _ = build(tmp_path, **environment)
    assert tags == "py3-none-any"
    assert "wordfreq_batch/tables/engine.py" in names
    assert not [name for name in names if name.endswith(".so")]


def test_where_it_is_required_a_build_without_compiler_fails(tmp_path: Path) -> None:
    tags, _, printed = build(tmp_path, CC="/nonexistent", WORDFREQ_KERNEL="require")
    assert not tags
    assert "/nonexistent" in printed
