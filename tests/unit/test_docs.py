"""Every Python snippet compiles, every link leads somewhere, everything public is documented."""

from __future__ import annotations

import argparse
import ast
import importlib
import re
import runpy
import subprocess
import sys
import textwrap
from collections import defaultdict
from pathlib import Path
from types import FunctionType

import pytest

from wordfreq_batch.cli.main import build_parser
from wordfreq_dagster.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
]
SOURCES = sorted(
    path
    for top in (
        "packages/dagster-aws-batch/src",
        "packages/aws-batch-emulator/src",
        "batch_image/wordfreq_batch",
        "wordfreq_dagster",
        "demo",
    )
    for path in (ROOT / top).rglob("*.py")
)
_BLOCK = re.compile(r"^( *)```python\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


def _snippets():
    for path in PAGES:
        for match in _BLOCK.finditer(path.read_text(encoding="utf-8")):
            yield path, textwrap.dedent(match[2])
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                for match in _BLOCK.finditer(ast.get_docstring(node) or ""):
                    yield path, textwrap.dedent(match[2])


SNIPPETS = list(_snippets())


@pytest.mark.parametrize(
    ("path", "code"), SNIPPETS, ids=[f"{path.name}-{n}" for n, (path, _) in enumerate(SNIPPETS)]
)
def test_a_snippet_compiles_and_its_imports_exist(path, code):
    tree = ast.parse(code, filename=str(path))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            module = importlib.import_module(node.module)
            for alias in node.names:
                assert hasattr(module, alias.name), f"{path}: {node.module}.{alias.name}"


def test_there_are_snippets():
    assert len(SNIPPETS) >= 5


_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)")


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_lead_somewhere(page):
    for target, anchor in _LINK.findall(page.read_text(encoding="utf-8")):
        there = (page.parent / target) if target else page
        assert there.exists(), f"{page.relative_to(ROOT)}: {target}"
        if anchor and there.suffix == ".md":
            headings = re.findall(r"^#+ (.*)$", there.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}
            assert anchor in slugs, f"{page.relative_to(ROOT)}: {target}#{anchor}"


WORKFLOWS = [
    code
    for page in PAGES
    for code in re.findall(r"^```yaml\n(name:.*?)^```", page.read_text("utf-8"), re.M | re.S)
]


@pytest.mark.parametrize("code", WORKFLOWS, ids=range(len(WORKFLOWS)))
def test_a_workflow_to_copy_is_one_and_its_commands_are_ours(code, tmp_path):
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    (folder / "ours.yml").write_text(code)
    for tool in (
        ("check-jsonschema", "--builtin-schema", "vendor.github-workflows", folder / "ours.yml"),
        ("zizmor", "--offline", "--quiet", tmp_path / ".github"),
    ):
        argv = [str(Path(sys.executable).with_name(tool[0])), *map(str, tool[1:])]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def _documented():
    return "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def test_what_the_readme_says_of_speed_was_measured():
    claims = re.findall(r"([\d,]+) files of 10 KB take (\d+) s", (ROOT / "README.md").read_text())
    rows = re.findall(
        r"\| ([\d,]+) files \| \*\*ours\*\*, SQLite \| ([\d.]+) \|",
        (ROOT / "docs" / "benchmarks.md").read_text(),
    )
    assert len(claims) == 2
    assert set(claims) <= {(files, str(round(float(seconds)))) for files, seconds in rows}


def test_every_setting_is_documented():
    text = _documented()
    missing = [
        name
        for name in Settings.model_fields
        if f"{PREFIX}{name.upper()}" not in text and f"…_{name.upper()}" not in text
    ]
    assert not missing


def _options(parser):
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command, inner in action.choices.items():
                yield from ((command, option, help) for _, option, help in _options(inner))
        else:
            for option in action.option_strings[-1:]:
                yield "", option, action.help


def test_every_option_of_the_command_has_help():
    without = [
        f"{command} {option}" for command, option, help in _options(build_parser()) if not help
    ]
    assert not without


def test_the_page_of_commands_is_what_the_programs_say():
    made = runpy.run_path(str(ROOT / "docs" / "commands.py"))["page"]()
    assert (ROOT / "docs" / "commands.md").read_text("utf-8") == made, "run `make reference`"


@pytest.mark.parametrize(
    ("name", "folder"),
    [("dagster_aws_batch", "dagster-aws-batch"), ("aws_batch_emulator", "aws-batch-emulator")],
)
def test_every_public_name_stands_in_the_docs_of_its_package(name, folder):
    pages = (ROOT / "packages" / folder).rglob("*.md")
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    assert [public for public in importlib.import_module(name).__all__ if public not in text] == []


@pytest.mark.parametrize("name", ["dagster_aws_batch", "aws_batch_emulator"])
def test_every_public_name_has_a_docstring_and_says_where_it_is_from(name):
    module = importlib.import_module(name)
    for public in module.__all__:
        found = getattr(module, public)
        if isinstance(found, type | FunctionType):  # an alias of a type has no words of its own
            assert found.__doc__, f"{name}.{public}"
            assert found.__module__ == name, f"{public} shows as {found.__module__}"


@pytest.mark.parametrize(
    "top", ["dagster_aws_batch", "aws_batch_emulator", "wordfreq_batch", "wordfreq_dagster"]
)
def test_no_two_classes_of_a_distribution_have_one_name(top):
    found = defaultdict(set)
    for path in SOURCES:
        if top in path.parts:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    found[node.name].add(path.name)
    assert not {name: sorted(where) for name, where in found.items() if len(where) > 1}
