"""The arrow of imports never points up: which room may import which, read from the sources."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: Room (a package or module prefix) -> the rooms of this project that it may import.
#: The longest prefix that matches a module counts.
MAY_IMPORT = {
    "wordfreq": set(),
    "wordfreq_dagster.batch": set(),
    "wordfreq_dagster.batch_emulator": set(),
    "wordfreq_dagster.outputs": {"wordfreq_dagster.settings"},  # its command only
    "wordfreq_dagster.settings": {"wordfreq_dagster.outputs"},
    "wordfreq_dagster.storage": {"wordfreq"},
    "wordfreq_dagster.stages": {"wordfreq_dagster.batch"},
    "wordfreq_dagster.compute": {
        "wordfreq_dagster.batch",
        "wordfreq_dagster.batch_emulator",
        "wordfreq_dagster.settings",
        "wordfreq_dagster.stages",
    },
    "wordfreq_dagster.csv_uploads": {"wordfreq", "wordfreq_dagster.storage"},
    "wordfreq_dagster.assets": {
        "wordfreq",
        "wordfreq_dagster.csv_uploads",
        "wordfreq_dagster.batch",
        "wordfreq_dagster.settings",
        "wordfreq_dagster.stages",
        "wordfreq_dagster.storage",
    },
    "wordfreq_dagster.automation": {
        "wordfreq",
        "wordfreq_dagster.assets",
        "wordfreq_dagster.batch",
        "wordfreq_dagster.csv_uploads",
        "wordfreq_dagster.storage",
    },
    "wordfreq_dagster.code_links": set(),
    "wordfreq_dagster.definitions": {
        "wordfreq_dagster.assets",
        "wordfreq_dagster.automation",
        "wordfreq_dagster.code_links",
        "wordfreq_dagster.compute",
        "wordfreq_dagster.csv_uploads",
        "wordfreq_dagster.settings",
        "wordfreq_dagster.stages",
        "wordfreq_dagster.storage",
    },
    "wordfreq_dagster.local_aws": set(),
    "wordfreq_dagster.demo_csv": {
        "wordfreq_dagster.batch_emulator",
        "wordfreq_dagster.demo",
        "wordfreq_dagster.local_aws",
    },
    "wordfreq_dagster.demo": {"wordfreq_dagster.settings", "wordfreq_dagster.storage", "wordfreq"},
}

#: Third-party packages that a room must never import.
NEVER = {
    "wordfreq": {"dagster", "dagster_aws"},
    "wordfreq_dagster.batch_emulator": {"dagster", "dagster_aws", "boto3"},
}

#: The engine under `BatchJobs`: everything in `batch` but these modules is free of Dagster.
DAGSTER_SIDE_OF_BATCH = {"__init__", "identity", "outcome", "pipes", "reaper", "resource"}


def _modules():
    for top in (ROOT / "wordfreq_dagster", ROOT / "batch_image" / "wordfreq"):
        for path in sorted(top.rglob("*.py")):
            parts = path.relative_to(top.parent).with_suffix("").parts
            yield path, ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(path, module):
    package = module if path.stem == "__init__" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.rsplit(".", node.level - 1)[0] if node.level else ""
            yield ".".join(part for part in (above, node.module) if part)


def _room(module):
    rooms = [room for room in MAY_IMPORT if module == room or module.startswith(room + ".")]
    return max(rooms, key=len, default=None)


MODULES = list(_modules())


@pytest.mark.parametrize(("path", "module"), MODULES, ids=[module for _, module in MODULES])
def test_imports_point_down(path, module):
    room = _room(module)
    if room is None:
        assert module == "wordfreq_dagster", f"{module} belongs to no room: add it to MAY_IMPORT"
        room = module
    for imported in _imports(path, module):
        target = _room(imported)
        if target and target != room:
            assert target in MAY_IMPORT.get(room, set()), f"{module} may not import {imported}"
        top = imported.partition(".")[0]
        assert top not in NEVER.get(room, set()), f"{module} may not import {imported}"


def test_the_batch_engine_is_free_of_dagster():
    for path, module in MODULES:
        if _room(module) == "wordfreq_dagster.batch" and path.stem not in DAGSTER_SIDE_OF_BATCH:
            assert not [name for name in _imports(path, module) if name.startswith("dagster")], (
                module
            )


def test_every_module_says_what_it_is_for():
    for path, module in MODULES:
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), module
