"""The house: which room may import which, no circles, and every module says what it is for."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: Room (a distribution, a folder or a module) -> the rooms that it may import.
#: The longest prefix that matches a module counts.
LIBRARIES = {"dagster_aws_batch", "aws_batch_emulator", "wordfreq_batch"}
MAY_IMPORT = {
    "dagster_aws_batch": set(),
    "aws_batch_emulator": set(),
    "wordfreq_batch": set(),
    "wordfreq_dagster": set(),
    "wordfreq_dagster.outputs": set(),
    "wordfreq_dagster.settings": {"wordfreq_dagster.outputs"},
    "wordfreq_dagster.code_links": set(),
    "wordfreq_dagster.doctor": {
        "dagster_aws_batch",
        "wordfreq_batch",
        "wordfreq_dagster.settings",
    },
    "wordfreq_dagster.__main__": {
        "dagster_aws_batch",
        "wordfreq_dagster.doctor",
        "wordfreq_dagster.outputs",
        "wordfreq_dagster.settings",
    },
    "wordfreq_dagster.files": LIBRARIES,
    "wordfreq_dagster.defs": set(),
    "wordfreq_dagster.defs.word_frequency": {
        *LIBRARIES,
        "wordfreq_dagster.files",
        "wordfreq_dagster.settings",
    },
    "wordfreq_dagster.defs.csv_to_dynamodb": {
        *LIBRARIES,
        "wordfreq_dagster.files",
        "wordfreq_dagster.settings",
    },
    "wordfreq_dagster.defs.platform": {
        *LIBRARIES,
        "wordfreq_dagster.files",
        "wordfreq_dagster.settings",
    },
    "wordfreq_dagster.definitions": {"wordfreq_dagster.code_links", "wordfreq_dagster.settings"},
    "demo": {*LIBRARIES, "wordfreq_dagster.settings", "wordfreq_dagster.files"},
}

#: Third-party packages that a room must never import.
NEVER = {
    "wordfreq_batch": {"dagster", "dagster_aws", "boto3"},  # botocore starts in half the time
    "dagster_aws_batch._run": {"dagster"},
    "dagster_aws_batch._aws": {"dagster"},
    "aws_batch_emulator": {"dagster", "dagster_aws", "boto3"},
}

TOPS = [
    ROOT / "packages/dagster-aws-batch/src/dagster_aws_batch",
    ROOT / "packages/aws-batch-emulator/src/aws_batch_emulator",
    ROOT / "batch_image/wordfreq_batch",
    ROOT / "wordfreq_dagster",
    ROOT / "demo",
]


def _modules():
    for top in TOPS:
        for path in sorted(top.rglob("*.py")):
            parts = path.relative_to(top.parent).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


MODULES = dict(_modules())


def _imports(module):
    """All modules that `module` imports, inside functions and for types too."""
    path = MODULES[module]
    package = module if path.stem == "__init__" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.rsplit(".", node.level - 1)[0] if node.level else ""
            base = ".".join(part for part in (above, node.module) if part)
            for alias in node.names:
                name = f"{base}.{alias.name}"
                yield name if name in MODULES else base


def _room(module, rooms=MAY_IMPORT):
    found = [room for room in rooms if module == room or module.startswith(room + ".")]
    return max(found, key=len, default=None)


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module):
    room = _room(module)
    assert room, f"{module} belongs to no room: add it to MAY_IMPORT"
    for imported in _imports(module):
        target = _room(imported)
        if target and target != room:
            assert target in MAY_IMPORT[room], f"{module} may not import {imported}"
        never = NEVER.get(_room(module, NEVER) or "", set())
        assert imported.partition(".")[0] not in never, f"{module} may not import {imported}"


def _circle(graph):
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return " -> ".join(error.args[1])
    return ""


def test_no_modules_import_each_other_in_a_circle():
    graph = {
        module: {name for name in _imports(module) if name in MODULES and name != module}
        for module in MODULES
    }
    # A package's own `__init__` offers what its modules define; they don't need it.
    packages = {module for module in MODULES if MODULES[module].stem == "__init__"}
    assert not _circle({m: names - packages for m, names in graph.items() if m not in packages})


def test_no_folders_import_each_other_in_a_circle():
    folders = {}
    for module in MODULES:
        folder = MODULES[module].parent
        if folder in TOPS:
            continue  # what a distribution offers, and what all its rooms share
        for name in _imports(module):
            other = MODULES[name].parent if name in MODULES else folder
            if other != folder and other not in TOPS:
                folders.setdefault(str(folder), set()).add(str(other))
    assert not _circle(folders)


def test_a_library_needs_nothing_of_this_project():
    for module in MODULES:
        if _room(module) in LIBRARIES:
            for imported in _imports(module):
                top = imported.partition(".")[0]
                ours = top in LIBRARIES | {"wordfreq_dagster", "demo"}
                assert not ours or top == module.partition(".")[0], f"{module}: {imported}"


def test_every_module_says_what_it_is_for():
    for module, path in MODULES.items():
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), module


def test_files_and_folders_stay_small():
    for module, path in MODULES.items():
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines <= 420, f"{module} has {lines} lines"
    for folder in {path.parent for path in MODULES.values()}:
        names = [path.name for path in folder.glob("*.py") if not path.name.startswith("__")]
        assert len(names) <= 13, f"{folder} holds {len(names)} modules: {sorted(names)}"
