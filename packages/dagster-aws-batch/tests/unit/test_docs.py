"""The README, the guide and the docstrings: whole, and what they show works as written."""

from __future__ import annotations

import ast
import inspect
import os
import re
import subprocess
import sys
import textwrap
from importlib.metadata import entry_points
from pathlib import Path

import dagster as dg
import pytest

import dagster_aws_batch
from aws_batch_emulator import EmbeddedBatch, SubprocessRunner

HOME = Path(__file__).resolve().parents[2]
PAGES = [HOME / "README.md", *sorted((HOME / "docs").glob("*.md"))]
PUBLIC = dagster_aws_batch.__all__


def snippets(text):
    found = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return [textwrap.dedent(code) for code in found]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_snippet_of_a_page_compiles(page):
    for code in snippets(page.read_text(encoding="utf-8")):
        compile(code, str(page), "exec")


@pytest.mark.parametrize("name", PUBLIC)
def test_every_example_in_a_docstring_compiles(name):
    text = inspect.getdoc(getattr(dagster_aws_batch, name)) or ""
    for code in snippets(text):
        compile(code, name, "exec")


def test_every_public_name_is_in_the_guide():
    _, _, text = (HOME / "docs/guide.md").read_text(encoding="utf-8").partition("\n## 11. Names\n")
    assert [name for name in PUBLIC if not re.search(rf"\b{name}\b", text)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_a_page_names_is_there(page):
    files = {path.name: path.read_text(encoding="utf-8") for path in HOME.rglob("tests/**/*.py")}
    named = re.findall(r"(test_\w+\.py)::(test_\w+)", page.read_text(encoding="utf-8"))
    lost = [f"{file}::{name}" for file, name in named if f"def {name}(" not in files[file]]
    assert lost == []


def test_public_names_are_shown_as_the_package_s():
    for name in PUBLIC:
        thing = getattr(dagster_aws_batch, name)
        if issubclass(type(thing), type):
            assert thing.__module__ == "dagster_aws_batch", name


def test_no_public_name_is_one_of_dagster_s():
    """Dagster reads the globals of its caller in a check: the same name there breaks a project."""
    assert [name for name in PUBLIC if hasattr(dg, name)] == []


def test_no_class_name_is_there_twice():
    seen = {}
    for path in (HOME / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                assert node.name not in seen, f"{node.name} in {path} and {seen[node.name]}"
                seen[node.name] = path


def test_the_page_on_testing_works_as_written(tmp_path):
    """Its snippets, one after the other, are a file of tests."""
    code = "\n".join(snippets((HOME / "docs/testing.md").read_text(encoding="utf-8")))
    (tmp_path / "test_page.py").write_text(code)
    done = run_pytest(tmp_path)
    assert "4 passed" in done.stdout, done.stdout + done.stderr


def run_pytest(folder):
    # Where the package was installed before it had the entry point.
    known = {one.value for one in entry_points(group="pytest11")}
    plugin = "aws_batch_emulator.pytest_plugin"
    words = [] if plugin in known else ["-p", plugin]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_quick_start_works_as_written(tmp_path):
    code = snippets((HOME / "README.md").read_text(encoding="utf-8"))[0]
    with EmbeddedBatch(runner=SubprocessRunner({"shell": ["sh", "-c"]})) as aws:
        (tmp_path / "quickstart.py").write_text(code.replace("http://127.0.0.1:8642", aws.url))
        done = subprocess.run(
            [
                sys.executable,
                *[
                    "-m",
                    "dagster",
                    "asset",
                    "materialize",
                    "-f",
                    "quickstart.py",
                    "--select",
                    "squares",
                ],
            ],
            cwd=tmp_path,
            env={**os.environ, "DAGSTER_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert aws.calls["SubmitJob"] == 1
        assert "20 of 20 done (100%)" in done.stderr
