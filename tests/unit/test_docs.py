"""Every Python snippet compiles, every link leads somewhere, everything public is documented."""

from __future__ import annotations

import argparse
import ast
import importlib
import re
import runpy
import string
import subprocess
import sys
import textwrap
from collections import defaultdict
from pathlib import Path
from types import FunctionType

import pytest

from wordfreq_batch import errors
from wordfreq_batch.cli.main import build_parser
from wordfreq_dagster.definitions import build_definitions
from wordfreq_dagster.settings import Settings, load_settings, variable_name

ROOT = Path(__file__).resolve().parents[2]
FILES = subprocess.run(
    ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
).stdout.splitlines()
PAGES = [ROOT / name for name in FILES if name.endswith(".md")]
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


#: What a page tells how to make, and what commands leave.
_MADE = (
    "wordfreq_dagster/defs/folder_sizes.py", "infra/outputs.json", "infra/cdk.out",
)  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_files_and_folders_that_are_named_are_there(page):
    if page.name == "CHANGELOG.md":
        return  # of its time
    tops = {name.partition("/")[0] for name in FILES if "/" in name}
    named = re.findall(r"`([\w.-]+)(/[\w./*-]*)`", page.read_text(encoding="utf-8"))
    for top, rest in named:
        path = (top + rest).rstrip("/")
        if top in tops and not path.startswith(_MADE):
            assert list(ROOT.glob(path)), f"{page.relative_to(ROOT)}: {path}"


def test_the_targets_of_make_that_are_named_are_there():
    rules = [ROOT / name for name in FILES if name.endswith((".mk", "Makefile"))]
    known = {
        name for path in rules for name in re.findall(r"^([a-z][a-z-]*):", path.read_text(), re.M)
    }
    for page in PAGES:
        if page.name != "CHANGELOG.md":
            text = page.read_text(encoding="utf-8")
            code = re.findall(r"`make ([^`]+)`", text) + re.findall(
                r"^(?:\$ )?make (.+)$", text, re.M
            )
            words = [word for line in code for word in re.split("[#&;|]", line)[0].split()]
            named = {word for word in words if re.fullmatch(r"[a-z][a-z-]*", word)}
            assert named <= known, page


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_an_environment_is_made_before_it_is_activated(page):
    made, text, end = (
        re.compile(r"^(?:\$ )?make (?:setup|demo)\b", re.M),
        page.read_text("utf-8"),
        0,
    )
    while (end := text.find(". .venv/bin/activate", end + 1)) != -1:
        assert made.search(text[:end]), page


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


def test_what_the_readme_says_of_speed_was_measured():
    claims = re.findall(r"([\d,]+) files of 10 KB take (\d+) s", (ROOT / "README.md").read_text())
    rows = re.findall(
        r"\| ([\d,]+) files \| \*\*ours\*\*, SQLite \| ([\d.]+) \|",
        (ROOT / "docs" / "benchmarks.md").read_text(),
    )
    assert len(claims) == 2
    assert set(claims) <= {(files, str(round(float(seconds)))) for files, seconds in rows}


def test_every_setting_has_a_row_on_the_page_of_the_settings_or_of_the_csvs():
    rows = set()
    for name in ("settings.md", "csv-to-dynamodb.md"):
        cells = re.findall(
            r"^\| (`WORDFREQ_[^|]*)\|", (ROOT / "docs" / name).read_text("utf-8"), re.M
        )
        rows |= {variable for cell in cells for variable in re.findall(r"\w+", cell)}
    assert rows == {variable_name(name) for name in Settings.model_fields}


def test_the_outputs_of_infrastructure_of_ones_own_are_complete(tmp_path, monkeypatch):
    """The shell's variables of that page are all that the file wants: `envsubst` blanks others."""
    page = (ROOT / "docs" / "own-infrastructure.md").read_text("utf-8")
    typed = re.search(r"```bash\n(.*?envsubst.*?)\n(?! )", page, re.S)[1]
    wanted = string.Template((ROOT / "infra" / "policies" / "outputs.json").read_text("utf-8"))
    outputs = tmp_path / "outputs.json"
    outputs.write_text(wanted.substitute(dict(re.findall(r"(\w+)=(\S+)", typed))))
    monkeypatch.setenv("WORDFREQ_OUTPUTS", str(outputs))
    settings = load_settings()
    assert settings.csv_events_queue_url.startswith("https://")
    assert len({settings.csv_source, settings.source, settings.csv_rejects}) == 3


def test_every_sensor_and_schedule_has_a_row_on_the_page_of_automation(tmp_path):
    places = {"source": "s3://b/texts", "csv_source": "s3://b/csvs", "csv_table": "products"}
    queues = {f"{kind}events_queue_url": "https://sqs.test/1/q" for kind in ("", "csv_")}
    found = build_definitions(
        Settings(home=str(tmp_path), failure_slack_webhook="https://slack.test", **places, **queues)
    )
    page = (ROOT / "docs" / "automation.md").read_text("utf-8")
    cells = re.findall(r"^\| (?:sensor|schedule)s? ([^|]*)\|", page, re.M)
    shown = [name for cell in cells for name in re.findall(r"\w+", cell)]
    assert sorted(shown) == sorted(each.name for each in [*found.sensors, *found.schedules])


@pytest.mark.parametrize("name", ["extend.md", "csv-to-dynamodb.md"])
def test_the_exit_codes_of_the_container_are_named(name):
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    codes = {kind.exit_code for kind in kinds if issubclass(kind, errors.WordfreqError)}
    page = (ROOT / "docs" / name).read_text("utf-8")
    (listed,) = re.findall(r"exits with (0[^.]*)\.|^\| exit code \|.*?\n((?:\|.*\n)+)", page, re.M)
    named = {int(code) for code in re.findall(r"\b\d\b(?=,| \(| \|)", "".join(listed))}
    assert named == {0, errors.NO_MEMORY, *codes}


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
        # An alias of a type has no words of its own.
        if issubclass(type(found), type | FunctionType):
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
